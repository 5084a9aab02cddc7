"""The models that come with the package are found by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backquery.io import load_model, models, save_model
from backquery.model.network import Network


def test_bundled_models_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "__file__", str(tmp_path / "__init__.py"))
    network = Network.create([4, 2], rng=1)
    save_model(network, tmp_path / "little.safetensors")
    assert models.bundled() == ("little",)
    assert models.bundled_path("other") is None
    assert np.array_equal(load_model("little").layers[0].weights, network.layers[0].weights)
