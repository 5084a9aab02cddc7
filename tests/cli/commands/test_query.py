"""Pictures are read on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measurements.photographing import Camera, even, linear, photograph, radial

from backquery import Network, Scaling, save_model
from backquery.cli.terminal import in_signs
from backquery.datasets import Split, load
from tests.conftest import Run


def picture_of(split: Split, label: int, path: Path) -> Path:
    """The first image of a label as somebody might have drawn it: dark on white, large."""
    from PIL import Image

    digit = split.images[np.flatnonzero(split.labels == label)[0]]
    paper = (255 - digit * (255 / 16)).astype(np.uint8)
    Image.fromarray(paper).resize((80, 80), Image.Resampling.BICUBIC).save(path)
    return path


def test_a_query_reads_pictures(run: Run, tmp_path: Path, model: Path) -> None:
    digits = load("digits")
    pictures = [picture_of(digits.train, label, tmp_path / f"{label}.png") for label in (0, 4, 6)]
    code, out, err = run("query", model, *pictures, "--no-centre", "--json")
    answer = json.loads(out)
    assert (code, err.count("\n")) == (0, 1)
    assert "3 of 3 pictures stand on bright paper: turned to the model's ground" in err
    assert answer["read"] == ["0", "4", "6"]
    assert answer["images"] == [str(path) for path in pictures]
    assert np.shape(answer["answers"]) == (3, 10)
    strongest = [answer["classes"][int(np.argmax(values))] for values in answer["answers"]]
    assert strongest == answer["read"]

    code, out, _ = run("query", model, pictures[1], "--no-centre")
    assert code == 0
    assert "read as 4" in out
    bars = {line.split()[0]: line.count("█") for line in out.splitlines()[1:] if line}
    assert max(bars, key=lambda label: bars[label]) == "4"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two digits photographed in uneven light, and one in even light."""
    digits, folder, paths = load("digits").train, tmp_path_factory.mktemp("photographs"), []
    for seed, (name, light) in enumerate({"slope": linear, "round": radial, "even": even}.items()):
        camera = Camera(light, side=(300, 360), ink=(0.3, 0.4))
        ink = np.kron(digits.images[seed] * 15, np.ones((3, 3))).astype(np.uint8)
        paths.append(folder / f"{name}.jpg")
        paths[-1].write_bytes(photograph(ink, camera, np.random.default_rng(seed)))
    return paths


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_query_shows_how_photographs_become_inputs(
    run: Run, tmp_path: Path, photographs: list[Path], kind: str
) -> None:
    steps = tmp_path / f"steps.{kind}"
    code, out, err = run("query", "mnist", *photographs, "--show", steps, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["uneven"] == [True, True, False]
    assert answer["show"] == str(steps)
    assert err.splitlines() == [
        "2 of 3 pictures are taken for photographed ink in uneven light, and the shadows are taken away; "
        "--light even says otherwise",
        "1 of 3 pictures stands on bright paper: turned to the model's ground, which is 0; --ink light says "
        "otherwise",
    ]
    _, _, alone = run("query", "mnist", photographs[0], "--json")
    assert alone.startswith(f"{photographs[0]}: taken for a photograph of dark ink in uneven light")
    assert alone.count("\n") == 1
    assert steps.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    assert steps.stat().st_size > 10_000


def test_what_light_there_was_can_be_told(run: Run, photographs: list[Path]) -> None:
    auto, told, as_it_is = (
        (json.loads(out), err)
        for _, out, err in (
            run("query", "mnist", photographs[0], "--json", *options)
            for options in ([], ["--light", "uneven"], ["--light", "even"])
        )
    )
    assert told == (auto[0], "")
    assert as_it_is[0]["uneven"] == [False]
    assert "uneven" not in as_it_is[1]
    assert as_it_is[0]["answers"] != told[0]["answers"]


@pytest.mark.reads(
    "data",
    "`query` with several pictures, one of them broken, missing, a folder or a phone's HEIC",
    "one error, which names it; nothing is drawn",
)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken.jpg", "broken.jpg: cannot be read as PNG"),
        ("missing.jpg", "missing.jpg: there is no such file"),
        ("folder", "folder is a folder; name the pictures in it"),
        ("phone.HEIC", "; save it as JPEG first"),
    ],
)
def test_one_broken_picture_among_several_is_named(
    run: Run, tmp_path: Path, photographs: list[Path], name: str, message: str
) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif name != "missing.jpg":
        (tmp_path / name).write_bytes(photographs[1].read_bytes()[:300])
    steps = tmp_path / "steps.png"
    code, out, err = run(
        "query", "mnist", photographs[2], tmp_path / name, photographs[2], "--show", steps, "--json"
    )
    assert code != 0
    assert out == ""
    (line,) = err.splitlines()
    assert name in line
    assert message in line
    assert not steps.exists()


def test_what_could_not_be_drawn_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    code, _, err = run("query", "mnist", tmp_path / "missing.png", "--show", tmp_path / "steps.gif")
    assert code != 0
    assert "pictures are written as .png, .svg, .pdf" in err


def test_in_a_blank_picture_there_is_nothing_to_read(run: Run, tmp_path: Path, model: Path) -> None:
    from PIL import Image

    blank, drawn = tmp_path / "blank.png", picture_of(load("digits").train, 4, tmp_path / "4.png")
    Image.new("L", (40, 40), 250).save(blank)
    code, out, _ = run("query", model, blank, drawn, "--json")
    assert (code, json.loads(out)["read"]) == (0, [None, "4"])
    _, out, _ = run("query", model, blank, "--show", tmp_path / "steps.svg")
    assert "blank.png: nothing to read, the picture is blank" in out
    assert "Nothing to read: the picture is blank" in (tmp_path / "steps.svg").read_text()


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose answers to all labels are the same, whatever it is shown."""
    network = Network.create([64, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16))
    alike = replace(network.layers[0], weights=np.zeros((10, 64), np.float32))
    path = tmp_path_factory.mktemp("torn") / "torn.safetensors"
    save_model(replace(network, layers=(alike,)), path)
    return path


def test_where_two_labels_tie_nothing_is_read(run: Run, tmp_path: Path, torn: Path) -> None:
    picture = picture_of(load("digits").train, 4, tmp_path / "4.png")
    code, out, _ = run("query", torn, picture, "-o", tmp_path / "steps.svg")
    assert (code, "4.png: no reading: two labels tie" in out) == (0, True)
    assert "Read as unread, 0.50" not in (figure := (tmp_path / "steps.svg").read_text())
    assert "No reading: two labels tie, 0.50" in figure
    _, out, _ = run("query", torn, picture, "--json")
    assert json.loads(out)["read"] == [None]


def test_ties_count_as_wrong_and_are_counted(run: Run, torn: Path) -> None:
    code, out, err = run("test", torn, "digits", "--json")
    found = json.loads(out)
    assert (code, found["performance"], found["tied"] == found["images"] == found["unread"]) == (0, 0.0, True)
    assert err.count("two labels tie") == 1
    assert f"{found['images']:,} of {found['images']:,} images count as wrong" in err


def test_a_query_shows_what_the_network_saw(run: Run, tmp_path: Path, model: Path) -> None:
    picture = picture_of(load("digits").train, 1, tmp_path / "1.png")
    _, out, _ = run("query", model, picture, "--no-centre", "-o", tmp_path / "steps.svg")
    seen = [line[:8] for line in out.splitlines()[1:5]]
    assert all(line.strip() for line in seen) and "#" in "".join(seen)
    assert (tmp_path / "steps.svg").exists()


def test_shades_become_signs_twice_as_high_as_wide() -> None:
    shades = np.zeros((5, 3))
    shades[:2, 0], shades[4, 2] = 1.0, 1.0
    assert in_signs(shades) == ["@  ", "   ", "  ="]
    wide = in_signs(np.ones((28, 90)))
    assert {len(line) for line in wide} == {30} and len(wide) == 5


def test_a_folder_is_named_as_such(run: Run, tmp_path: Path, model: Path) -> None:
    code, _, err = run("query", model, tmp_path)
    assert code == 1 and "is a folder; name the pictures in it, such as" in err and "Errno" not in err
