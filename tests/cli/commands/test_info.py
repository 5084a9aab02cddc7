"""A model is described on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backquery.io import save_model
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from tests.conftest import Run


def test_info_says_what_a_model_is(run: Run, model: Path) -> None:
    code, out, err = run("info", model, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["sizes"], answer["parameters"]) == ([64, 30, 10], 64 * 30 + 30 * 10)
    assert answer["scaling"]["maximum"] == 16
    assert answer["about"]["recipe"] == "book"
    _, out, _ = run("info", model)
    assert "64-30-10" in out
    assert "pixels 0 (paper) to 16 (ink) become 0.01 to 1" in out


def test_info_describes_networks_with_little_or_much_to_say(run: Run, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).uniform(0, 255, (20, 4))
    for scaling, said in ((None, "unknown"), (Scaling.standardised(pixels), "a scale of its own")):
        network = Network.create([4, 3], rng=1, scaling=scaling, about={"history": list(range(9))})
        save_model(network, tmp_path / "m.safetensors")
        code, out, _ = run("info", tmp_path / "m.safetensors")
        assert code == 0
        assert said in out
        assert "9 entries" in out
        assert run("info", tmp_path / "m.safetensors", "--json")[0] == 0
