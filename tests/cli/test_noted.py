"""--show-code: the lines make the same picture again, run elsewhere, for each kind of picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backquery.cli.noted import about
from backquery.cli.source import load_for_images
from backquery.datasets import Dataset
from backquery.io import load_model, save_model
from tests.conftest import Run

KINDS: dict[str, list[Any]] = {
    "scan": ["--label", "3", "8"],
    "scan by transpose at a confidence": ["--method", "transpose", "--confidence", 0.8],
    "scan near": ["--label", "9", "--near", "three.png"],
    "scan for many images": ["--label", "3", "8", "--many", 3, "--seed", 2],
    "scan for many images around one": ["--label", "8", "--many", 2, "--around", "three.png"],
    "scan at least": ["--at-least", 0.8, "--others-at-most", 0.1, "--label", "3"],
    "scan of the emptiest": ["--emptiest", "--label", "3", "8"],
    "scan of the surest": ["--most-sure", "--label", "3"],
    "scan of nodes": ["--layer", 1, "--node", 0, 5],
    "scan of what was kept": ["--layer", 1, "--kept-of", "three.png"],
    "query": ["three.png"],
    "evidence": ["digits", "--images", 30, "--label", "3", "--no-controls"],
    "evidence of an image": ["--image", "three.png"],
    "audit": ["digits", "--images", 40],
    "damage": ["digits", "--what", "noise", "--repeats", 2, "--stages", "0,50"],
    "compare": ["digits", "--no-controls"],
}
"""Options of each kind; the command is the first word."""


@pytest.fixture
def here(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the picture of a three."""
    assert digits.test is not None
    three = digits.test.images[int(np.flatnonzero(digits.test.labels == 3)[0])]
    Image.fromarray(np.uint8(255 - 255 * (three / 16))).resize((80, 80)).save(tmp_path / "three.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_again(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "shown", "exec"), names)
    return names


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_lines_that_are_shown_make_the_same_picture(run: Run, here: Path, model: Path, kind: str) -> None:
    command, output = kind.split()[0], "--show" if kind == "query" else "-o"
    code, out, err = run(command, model, *KINDS[kind], output, "made.png", "--show-code", "--json")
    assert code == 0, err
    made = pixels(here / "made.png")
    (here / "made.png").unlink()
    lines = json.loads(out)["code"]
    assert "backquery.cli" not in lines
    run_again(lines)
    np.testing.assert_array_equal(pixels(here / "made.png"), made)


SMALL = ["--hidden", "12", "--recipe", "minibatch", "--activation", "sigmoid", "--epochs", 2, "--seed", 3]


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (["lesson", "descent"], "made.png"),
        (["timeline", "digits", *SMALL, "--frames", 3, "--method", "transpose"], "made.png"),
        (["timeline", "digits", *SMALL, "--at", 1, 5, "--method", "transpose"], "made.gif"),
    ],
)
def test_what_needs_no_model_is_shown_as_lines_too(run: Run, here: Path, asked: list[Any], made: str) -> None:
    code, out, err = run(*asked, "-o", made, "--show-code", "--json")
    assert code == 0, err
    kept = (here / made).read_bytes()
    (here / made).unlink()
    lines = json.loads(out)["code"]
    assert "backquery.cli" not in lines
    run_again(lines)
    assert (here / made).read_bytes() == kept


@pytest.mark.needs("distributed", "filelock")
def test_the_curves_of_a_sweep_are_shown_as_lines(run: Run, here: Path) -> None:
    swept = ["sweep", "digits", "--hidden", "5,10", "--epochs", "1", "--seeds", 2, "-o", "swept", "--workers", 1]
    assert run(*swept)[0] == 0
    code, out, err = run("sweep", "show", "swept", "-o", "made.png", "--show-code", "--json")
    assert code == 0, err
    made = pixels(here / "made.png")
    (here / "made.png").unlink()
    run_again(json.loads(out)["code"])
    np.testing.assert_array_equal(pixels(here / "made.png"), made)


def test_without_json_the_lines_stand_below_and_without_the_option_nowhere(
    run: Run, here: Path, model: Path
) -> None:
    asked = ["scan", model, "--label", "3", "-o", here / "s.png"]
    out = run(*asked, "--show-code")[1]
    assert "from backquery import back_query, load_model\n" in out
    assert out.index("1 of 1 read as asked") < out.index('scans = back_query(network, ["3"])')
    assert "back_query" not in run(*asked)[1]
    assert "code" not in json.loads(run(*asked, "--json")[1])


def test_what_a_command_finds_out_of_a_model_or_is_told_stands_in_the_lines(here: Path, model: Path) -> None:
    from dataclasses import replace

    network = load_model(model)
    save_model(replace(network, scaling=None), here / "silent.safetensors")
    told = load_for_images(str(here / "silent.safetensors"), "0,16")
    found = run_again(str(about(str(here / "silent.safetensors"), told)))["network"]
    assert found.scaling == told.scaling and found.scaling != network.scaling
    np.testing.assert_array_equal(found.layers[0].weights, network.layers[0].weights)


@pytest.mark.needs("torch")
def test_ones_own_function_is_opened_as_the_command_opens_it(run: Run, here: Path) -> None:
    (here / "my_reader.py").write_text(
        "from torch import nn, manual_seed\n"
        "from backquery import Scaling, from_torch\n"
        "def reader():\n"
        "    manual_seed(0)\n"
        "    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "    return from_torch(module, input_shape=(8, 8), scaling=Scaling.unit(16))\n",
        "utf-8",
    )
    asked = ["scan", "my_reader:reader", "--label", "1", "--confidence", "0.5", "-o", "made.png"]
    code, out, _ = run(*asked, "--show-code", "--json")
    made = pixels(here / "made.png")
    (here / "made.png").unlink()
    run_again(json.loads(out)["code"])
    assert code == 0
    np.testing.assert_array_equal(pixels(here / "made.png"), made)
