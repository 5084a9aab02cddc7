"""Back queries on the command line: pictures, methods, and what is said of those that fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import load
from backquery.io import load_model, save_model
from tests.conftest import Run


@pytest.mark.parametrize("method", ["transpose", "gauss-newton"])
def test_a_scan_draws_what_the_network_sees_and_tells_it(
    run: Run, tmp_path: Path, model: Path, method: str
) -> None:
    from PIL import Image

    picture, arrays = tmp_path / "scans.png", tmp_path / "scans.npz"
    code, out, err = run("scan", model, "-o", picture, "--arrays", arrays, "--method", method, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["method"] == method
    assert [scan["label"] for scan in answer["scans"]] == list("0123456789")
    network = load_model(model)
    with np.load(arrays, allow_pickle=False) as saved:
        assert saved["labels"].tolist() == list(range(10))
        answers = network.query(saved["images"])
    for scan, given in zip(answer["scans"], answers, strict=True):
        assert scan["read"] == str(given.argmax()), "what it says is read is what the network reads in the image"
        assert scan["answer"] == pytest.approx(given.max(), abs=1e-5)
        assert not scan["converged"] or scan["read"] == scan["label"]
        assert scan["error"] >= 0
        assert scan["proved"]["read"] is True
        assert scan["proved"]["grey_levels"] > 0
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 800

    code, out, err = run("scan", model, "-o", tmp_path / "some.svg", "--label", "3", "8", "--method", method)
    asked = [line.split()[0] for line in out.splitlines()[1:3]]
    assert (code, asked) == (0, ["3", "8"])
    assert "of 2 read as asked" in out
    assert "proved for each: every image within so many grey levels of it is read alike" in out
    assert "some.svg" in err
    assert (tmp_path / "some.svg").read_text("utf-8").startswith("<?xml")


def test_the_method_follows_what_the_model_knows(run: Run, tmp_path: Path, model: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_model(replace(load_model(model), statistics=None), bare)
    for source, method, prior in ((model, "gauss-newton", "data"), (bare, "transpose", None)):
        answer = json.loads(run("scan", source, "-o", tmp_path / "s.png", "--label", "1", "--json")[1])
        assert (answer["method"], answer["prior"]) == (method, prior)


def test_a_search_that_fails_says_for_which_labels_and_what_to_do(run: Run, tmp_path: Path, model: Path) -> None:
    options = ["--method", "gauss-newton", "--confidence", "0.999999999"]
    code, out, err = run("scan", model, "-o", tmp_path / "s.png", *options, "--json")
    scans = json.loads(out)["scans"]
    failed = [scan for scan in scans if scan["outcome"] in ("not found", "proved impossible", "stalled")]
    assert code == 0
    assert failed
    assert not any(scan["converged"] for scan in failed)
    assert all(scan["advice"] for scan in failed)
    code, out, err = run("scan", model, "-o", tmp_path / "s.png", *options)
    assert failed[0]["advice"] in err
    assert failed[0]["outcome"] in out


def test_a_picture_is_turned_into_another_label(run: Run, tmp_path: Path, model: Path) -> None:
    from PIL import Image

    digits = load("digits")
    four = digits.test.images[int(np.flatnonzero(digits.test.labels == 4)[0])]
    picture = Image.fromarray(np.uint8(255 - 255 * (four / 16))).resize((80, 80))
    picture.save(tmp_path / "four.png")
    code, out, _ = run(
        "scan", model, "--near", tmp_path / "four.png", "--label", "9", "-o", tmp_path / "nine.png", "--json"
    )
    assert code == 0
    (answer,) = json.loads(out)["scans"]
    assert (answer["label"], answer["read"], answer["converged"]) == ("9", "9", True)
    assert (tmp_path / "nine.png").stat().st_size > 2000


def test_many_images_are_drawn_for_each_label_beside_the_likeliest(run: Run, tmp_path: Path, model: Path) -> None:
    arrays = tmp_path / "many.npz"
    asked = ["scan", model, "-o", tmp_path / "many.png", "--many", 3, "--label", "3", "8"]
    code, out, err = run(*asked, "--arrays", arrays, "--seed", 4, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["many"], answer["seed"]) == (3, 4)
    assert [(scan["label"], scan["draw"]) for scan in answer["scans"]] == [(n, k) for n in "38" for k in range(3)]
    assert [scan["label"] for scan in answer["likeliest"]] == ["3", "8"]
    assert list(answer["apart"]) == ["3", "8"]
    with np.load(arrays, allow_pickle=False) as saved:
        images = saved["images"]
        assert saved["labels"].tolist() == [3] * 3 + [8] * 3
    apart = np.mean([np.linalg.norm(images[a] - images[b]) for a in range(3) for b in range(a)])
    assert answer["apart"]["3"] == pytest.approx(apart, rel=1e-4)
    answers = load_model(model).query(images)
    assert [str(read) for read in answers.argmax(axis=1)] == [scan["read"] for scan in answer["scans"]]

    code, out, err = run(*asked, "--around", tmp_path / "many.png")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()[1:3]]
    assert [row[0] for row in rows] == ["3", "8"]
    assert all(row[1:4] == ["3", "of", "3"] for row in rows)


def test_many_images_and_what_does_not_go_with_them(run: Run, tmp_path: Path, model: Path) -> None:
    picture = tmp_path / "s.png"
    for options, told in (
        (["--many", 2, "--method", "transpose"], "only the method 'gauss-newton'"),
        (["--many", 2, "--near", picture], "--around"),
        (["--around", picture], "--around takes --many"),
        (["--many", 2, "--layer", 1, "--node", 0], "--many is asked of the answers"),
        (["--many", 0], "at least one image"),
    ):
        code, _, err = run("scan", model, "-o", picture, *options)
        assert code == 1 or code == 2
        assert told in err, options
