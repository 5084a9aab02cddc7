"""Evidence on the command line: its picture, its arrays, its sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import Dataset
from backquery.evidence import SUPPORT
from backquery.model.network import Network
from tests.conftest import Run
from tests.evidence.test_measure import learned, turning


@pytest.fixture(scope="module")
def network(digits: Dataset) -> Network:
    return learned(digits)


def test_the_command_draws_prints_and_keeps_the_arrays(run: Run, network: Network, tmp_path: Path):
    from backquery.io import save_model

    save_model(network, tmp_path / "net.safetensors")
    picture, arrays = tmp_path / "evidence.png", tmp_path / "evidence.npz"
    code, out, err = run(
        "evidence", tmp_path / "net.safetensors", "digits", "-o", picture, "--arrays", arrays, "--no-controls",
        "--label", "3", "8", "--json",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert [one["question"] for one in told["evidence"]] == ["3", "8"]
    assert told["controls"] == []
    assert picture.stat().st_size > 10_000
    with np.load(arrays) as kept:
        assert kept["verdict"].shape == (2, 64)
        for row, one in enumerate(told["evidence"]):
            count = int(np.sum(kept["verdict"][row] == SUPPORT))
            assert count == one["pixels"]["support"]
    for one in told["evidence"]:
        assert one["held"] == sum(bool(each["held"]) for each in one["interventions"])


def test_the_command_says_in_words_what_held_and_what_the_controls_did(run: Run, network: Network, tmp_path: Path):
    from backquery.io import save_model

    save_model(network, tmp_path / "net.safetensors")
    code, out, _ = run(
        "evidence", tmp_path / "net.safetensors", "digits", "-o", tmp_path / "e.svg", "--between", "4", "9"
    )
    assert code == 0
    assert "4 rather than 9" in out
    assert "claims held on held-out images" in out
    assert "untrained: " in out
    assert "shuffled labels: " in out


def test_the_evidence_of_one_picture_is_drawn_and_printed(
    run: Run, network: Network, digits: Dataset, tmp_path: Path
):
    from PIL import Image

    from backquery.evidence import image_evidence
    from backquery.io import save_model

    save_model(network, tmp_path / "net.safetensors")
    given, picture, arrays = (tmp_path / name for name in ("given.png", "evidence.png", "evidence.npz"))
    Image.fromarray((digits.test.images[0] * 15).astype(np.uint8)).resize((80, 80)).save(given)
    asked = ("evidence", tmp_path / "net.safetensors", "--image", given, "-o", picture)
    code, out, err = run(*asked, "--arrays", arrays, "--label", "3", "8", "--ink", "light", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert [one["question"] for one in told["evidence"]] == ["3", "8"]
    assert "caution" not in told
    assert picture.stat().st_size > 10_000
    with np.load(arrays) as kept:
        assert kept["verdict"].shape == (2, 64)
        for row, one in enumerate(told["evidence"]):
            support = [one["pixels"][half]["support"] for half in ("ink", "paper")]
            assert int(np.sum(kept["verdict"][row] == SUPPORT)) == sum(support)
            assert one["held"] == sum(bool(each["held"]) for each in one["trials"])
    code, out, _ = run(*asked, "--ink", "light")
    assert code == 0
    assert "read as" in out.splitlines()[0]
    assert "support, ink taken" in out
    assert "claims held when the image was changed" in out
    inputs = network.scale(digits.test.images[:1])
    assert image_evidence(network, inputs, rng=0).held > 0


def test_where_images_do_not_agree_that_is_said_before_the_picture(run: Run, tmp_path: Path):
    from backquery.io import save_model

    model, data = turning()
    save_model(model, tmp_path / "net.safetensors")
    np.savez(tmp_path / "data.npz", images=data.train.images, labels=data.train.labels)
    picture = tmp_path / "e.png"
    code, out, err = run(
        "evidence", tmp_path / "net.safetensors", tmp_path / "data.npz", "-o", picture, "--no-controls", "--json",
        "--ink", "light",
    )  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert "changes from image to image" in told["caution"]
    assert told["caution"] in err
    assert all(one["agreement"] < 0.62 for one in told["evidence"])
    assert sum(one["held"] for one in told["evidence"]) < sum(one["claims"] for one in told["evidence"])


def test_the_command_refuses_before_it_works(run: Run, tmp_path: Path):
    for wrong, said in (
        (("-o", tmp_path / "e.txt"), "pictures are written as"),
        (("-o", tmp_path / "e.png", "--arrays", tmp_path / "e.csv"), "arrays are written as .npz"),
    ):
        code, _, err = run("evidence", "mnist", "digits", *wrong)
        assert code == 1
        assert said in err
    for both_or_neither in ((), ("digits", "--image", tmp_path / "one.png")):
        code, _, err = run("evidence", "mnist", *both_or_neither, "-o", tmp_path / "e.png")
        assert code == 2
        assert "give either DATA" in err
