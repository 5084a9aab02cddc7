"""One layer asked backwards from the shell: in dense networks by numbers, in any others by names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Dataset
from backquery.io import load_model
from tests.conftest import Run

MODULE = """
import torch
from torch import nn
from backquery import Scaling, from_torch

def reader():
    torch.manual_seed(0)
    parts = {"edges": nn.Conv2d(1, 4, 3), "bent": nn.Tanh(), "flat": nn.Flatten(), "last": nn.Linear(144, 10)}
    module = nn.Sequential()
    for name, part in parts.items():
        module.add_module(name, part)
    return from_torch(module, input_shape=(8, 8), scaling=Scaling.unit(16))
"""


@pytest.fixture
def picture(tmp_path: Path, digits: Dataset) -> Path:
    assert digits.test is not None
    path = tmp_path / "three.png"
    three = digits.test.images[int(np.flatnonzero(digits.test.labels == 3)[0])]
    Image.fromarray(np.uint8(255 * (three / 16))).resize((80, 80)).save(path)
    return path


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "layered_reader.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    return "layered_reader:reader"


def test_nodes_of_a_dense_network_are_asked_for_what_they_look_for(run: Run, tmp_path: Path, model: Path) -> None:
    arrays = tmp_path / "nodes.npz"
    asked = ["scan", model, "--layer", 1, "--node", 0, 4, "-o", tmp_path / "nodes.png"]
    code, out, _ = run(*asked, "--arrays", arrays, "--json")
    found = json.loads(out)
    assert (code, found["layer"], found["place"], [one["node"] for one in found["scans"]]) == (0, 1, None, [0, 4])
    network = load_model(model)
    first = network.layers[0]
    with np.load(arrays) as saved:
        given = saved["images"] @ first.weights.T + first.shifts
        assert saved["nodes"].tolist() == [0, 4]
        signals = saved["signals"]
    for row, one in enumerate(found["scans"]):
        assert given[row, one["node"]] == pytest.approx(signals[row], abs=2e-3)
        assert one["signal"] == signals[row] and one["converged"] and one["label"] is None
    with Image.open(tmp_path / "nodes.png") as drawn:
        assert drawn.size[0] > 400
    code, out, err = run(*asked, "--signal", "-1.5")
    assert code == 0 and "node 0 -1.5" in " ".join(out.split())
    assert "2 of 2 give the signal asked for, by gauss-newton" in out and "nodes.png" in err
    code, out, err = run(*asked, "--signal", "1000")
    assert "0 of 2 give the signal asked for" in out and "node 4: hidden nodes of layer 1" in err


def test_what_a_dense_layer_kept_stands_beside_the_picture(
    run: Run, tmp_path: Path, model: Path, picture: Path
) -> None:
    asked = ["scan", model, "--layer", 1, "--kept-of", picture, "-o", tmp_path / "kept.png"]
    code, out, _ = run(*asked, "--arrays", tmp_path / "kept.npz", "--json")
    found = json.loads(out)
    assert code == 0 and found["shape"] == [30] and found["pictures"] == [str(picture)]
    assert found["within"] == [True] and found["constraint"] == ["hard"]
    with np.load(tmp_path / "kept.npz") as saved:
        answers = load_model(model).query(saved["images"])
        assert saved["originals"].shape == saved["images"].shape == (1, 64)
    np.testing.assert_allclose(answers, found["answers"], atol=1e-6)
    code, out, _ = run(*asked)
    assert code == 0 and "hard" in out and "1 of 1 with the same signals" in out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--layer", "2", "--node", "1"], 1, "this network's hidden layers are numbered 1 to 1; received 2"),
        (
            ["--layer", "conv", "--node", "1"],
            1,
            "no layers with names such as 'conv'; its hidden layers are numbered",
        ),
        (["--layer", "1", "--node", "30"], 1, "numbered 0 to 29"),
        (["--layer", "1", "--channel", "1"], 2, "no channels: ask for a --node"),
        (["--layer", "1", "--node", "1", "--label", "3"], 2, "--label is asked of the answers"),
    ],
)
def test_what_cannot_be_asked_of_a_dense_layer_is_said(
    run: Run, tmp_path: Path, model: Path, options: list[str], code: int, message: str
) -> None:
    left, _, err = run("scan", model, "-o", tmp_path / "s.png", *options)
    assert (left, (tmp_path / "s.png").exists()) == (code, False)
    assert message in err


@pytest.mark.needs("torch")
def test_layers_of_a_module_are_asked_by_their_names(run: Run, tmp_path: Path, reader: str, picture: Path) -> None:
    asked = ["scan", reader, "--layer", "edges", "-o", tmp_path / "seen.png", "--json"]
    everywhere = json.loads(run(*asked, "--channel", 0, 3)[1])
    assert [one["channel"] for one in everywhere["scans"]] == [0, 3]
    assert all(one["converged"] for one in everywhere["scans"])
    there = json.loads(run(*asked, "--channel", 2, "--place", "1,4")[1])
    assert there["place"] == [1, 4] and there["scans"][0]["converged"]
    node = json.loads(run("scan", reader, "--layer", "bent", "--node", 7, "-o", tmp_path / "n.png", "--json")[1])
    assert node["layer"] == "bent" and node["scans"][0]["converged"]
    kept = json.loads(run(*asked, "--kept-of", picture)[1])
    assert kept["shape"] == [4, 6, 6] and kept["within"] == [True] and kept["error"][0] < 0.05


@pytest.mark.needs("torch")
def test_an_unknown_layer_is_answered_with_all_that_there_are(
    run: Run, tmp_path: Path, reader: str, picture: Path
) -> None:
    for kind in (["--channel", 0], ["--node", 0], ["--kept-of", picture]):
        code, _, err = run("scan", reader, "--layer", "egdes", *kind, "-o", tmp_path / "s.png")
        assert code == 1 and "no layer 'egdes'; its layers are edges, bent, flat, last" in err
    code, _, err = run("scan", reader, "--layer", "flat", "--channel", 0, "-o", tmp_path / "s.png")
    assert code == 1 and "ask for its hidden_node" in err
