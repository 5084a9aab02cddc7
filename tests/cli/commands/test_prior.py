"""A prior for a finished network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from backquery.io import load_model, save_model
from tests.conftest import Run


def test_a_prior_is_fitted_to_a_finished_network(run: Run, tmp_path: Path, model: Path) -> None:
    bare, kept = tmp_path / "bare.safetensors", tmp_path / "kept.safetensors"
    save_model(replace(load_model(model), statistics=None), bare)
    code, out, err = run("prior", bare, "digits", "-o", kept, "--json")
    assert code == 0
    assert "blurred pictures" in err, "what it reveals is said plainly"
    answer = json.loads(out)
    assert answer["images"] == 1078
    assert 0.5 < answer["variance"] <= 1
    with_prior = load_model(kept)
    assert with_prior.statistics.typical.shape == (10, 10)
    np.testing.assert_array_equal(with_prior.layers[0].weights, load_model(bare).layers[0].weights)
    assert run("scan", kept, "-o", tmp_path / "scan.png")[1].count("converged") == 10
    code, _, err = run("prior", bare, "mnist-missing", "-o", kept)
    assert code == 1
    assert load_model(kept).statistics is not None, "a failed run leaves the file as it was"
