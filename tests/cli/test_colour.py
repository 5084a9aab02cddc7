"""Colour from the shell: pictures are read in colour, learned, tested and asked, and grey where that is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery import Network
from backquery.cli import UsageError
from backquery.cli.options.reading import ReadingOptions, scaling_called
from backquery.cli.source import load_for_data, load_for_images, prepared, prepared_steps
from backquery.datasets import Dataset, Split
from backquery.errors import AssumptionWarning, DataError
from backquery.io import load_model, save_model
from backquery.model import Scaling, evaluate
from tests.conftest import Run

RED, GREEN = (200, 60, 70), (70, 180, 60)


def picture(path: Path, colour: tuple[int, int, int], seed: int, shape: tuple[int, int] = (8, 8)) -> Path:
    noise = np.random.default_rng(seed).integers(-40, 40, (*shape, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A folder of pictures in two colours, both halves."""
    for half, count in (("train", 30), ("test", 10)):
        for name, colour in (("red", RED), ("green", GREEN)):
            for k in range(count):
                picture(tmp_path / "colours" / half / name / f"{k}.png", colour, k)
    return tmp_path / "colours"


@pytest.fixture
def model(run: Run, colours: Path, tmp_path: Path) -> Path:
    code, _, _ = run(
        "train", colours, "-o", tmp_path / "colours.safetensors", "--recipe", "online", "--hidden", 8, "--json"
    )
    assert code == 0
    return tmp_path / "colours.safetensors"


@pytest.mark.reads("data", "`train`, `test`, `query` and `data` on pictures in colour", "in colour, and so said")
def test_colours_are_learned_tested_and_asked(run: Run, colours: Path, model: Path, tmp_path: Path) -> None:
    code, out, err = run("test", model, colours, "--json")
    assert (code, json.loads(out)["performance"]) == (0, 1.0)
    assert "the pictures are in colour" not in err  # the model takes them so
    network = load_model(model)
    assert network.input_shape == (8, 8, 3)
    assert network.scaling is not None and network.scaling.meaning is not None
    assert network.scaling.meaning.ground == "none"
    asked = [picture(tmp_path / f"{k}.png", colour, 99, (20, 11)) for k, colour in enumerate((RED, GREEN))]
    code, out, _ = run("query", model, *asked, "--json")
    assert (code, json.loads(out)["read"]) == (0, ["red", "green"])


def test_the_summary_says_the_colours(run: Run, colours: Path) -> None:
    code, out, err = run("data", "inspect", colours)
    assert code == 0 and "8 x 8 pixels in colour, 0 (black) to 255 (white)" in out
    assert "0% of them black; on average red 1" in out and "in colour, and are read so" in err
    summary = json.loads(run("data", "inspect", colours, "--json")[1])
    assert summary["input_shape"] == [8, 8, 3] and set(summary["train"]["colours"]) == {"red", "green", "blue"}
    code, out, err = run("data", "inspect", colours, "--no-colour")
    assert code == 0 and "8 x 8 pixels, 0" in out and "blank" in out and "colour" not in err
    grey = json.loads(run("data", "inspect", colours, "--no-colour", "--json")[1])
    assert grey["input_shape"] == [8, 8] and grey["train"]["colours"] is None


def test_a_data_set_known_by_name_is_brought_to_colours_and_told(model: Path, tmp_path: Path) -> None:
    network = load_model(model)
    ten = Network.create(
        [192, 10], rng=0, input_shape=(3, 8, 8), classes=tuple("0123456789"), scaling=network.scaling
    )
    save_model(ten, tmp_path / "ten.safetensors")
    with pytest.warns(AssumptionWarning, match="the images are grey, and the model takes them in three"):
        _, dataset = load_for_data(str(tmp_path / "ten.safetensors"), "digits", None)
    assert dataset.input_shape == (8, 8, 3)
    grey = replace(ten, layers=Network.create([64, 10], rng=0).layers, input_shape=(8, 8))
    save_model(grey, tmp_path / "grey.safetensors")
    assert load_for_data(str(tmp_path / "grey.safetensors"), "digits", None)[1].input_shape == (8, 8)


def test_a_picture_is_padded_and_scaled_in_colour_whatever_the_order_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 8, 3), (10, 100, 250), np.uint8)).save(path)
    for shape in ((8, 8, 3), (3, 8, 8)):
        network = Network.create([192, 2], rng=0, input_shape=shape, scaling=Scaling.unit(51.0))
        pixels = prepared(network, [path])
        assert pixels.shape == (1, 8, 8, 3) and (pixels[0, :2] == 0).all() and (pixels[0, -2:] == 0).all()
        np.testing.assert_allclose(pixels[0, 4, 4], [2, 20, 50], atol=1e-6)
        (step,) = prepared_steps(network, [path], "auto", None, "auto")
        assert step.given.shape == (4, 8, 3) and step.within(4).given.shape == (2, 4, 3)
        with pytest.raises(DataError, match="in colour 0 is black"):
            prepared(network, [path], ink="dark")


def test_the_means_that_colour_networks_are_trained_with_are_tried(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (400, 6, 6, 3), np.uint8)
    scaling = scaling_called("imagenet", 255.0, (3, 6, 6))
    teacher = Network.create([108, 30, 4], activation="relu", rng=5, input_shape=(3, 6, 6), scaling=scaling)
    labels = teacher.query_images(images).argmax(axis=1)
    dataset = Dataset("made", Split(images, labels), None, teacher.classes)
    assert evaluate(teacher, dataset.train).performance == 1
    save_model(replace(teacher, scaling=None), tmp_path / "silent.safetensors")
    np.savez(tmp_path / "made.npz", images=images, labels=labels)
    with pytest.warns(AssumptionWarning, match=r"imagenet \(.* for black to .* for white\) is taken"):
        model, _ = load_for_data(str(tmp_path / "silent.safetensors"), str(tmp_path / "made.npz"), None)
    assert model.scaling is not None
    np.testing.assert_allclose(model.scaling.gain, scaling.gain)
    told = load_for_images(str(tmp_path / "silent.safetensors"), "cifar10")
    assert told.scaling is not None
    np.testing.assert_allclose(told.scaling.low[0], -0.4914 / 0.2470)


@pytest.mark.parametrize("ask", [lambda: scaling_called("imagenet", 255.0, (28, 28)),
                                 lambda: ReadingOptions(shape="a,b").reading()])  # fmt: skip
def test_what_is_no_scale_or_shape_is_said(ask) -> None:
    with pytest.raises(UsageError, match=r"is for colours|--shape takes"):
        ask()


def test_the_shape_of_rows_is_told(run: Run, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20, 12))
    np.savetxt(tmp_path / "a.csv", np.column_stack([np.arange(20) % 2, rows]), "%d", ",")
    summary = json.loads(run("data", "inspect", tmp_path / "a.csv", "--shape", "2,2,3", "--json")[1])
    assert summary["input_shape"] == [2, 2, 3]
    code, _, err = run("data", "inspect", tmp_path / "a.csv")
    assert code != 0 and "--shape 2,2,3" in err
