"""Limits on the command line: which go together, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backquery.io import load_model
from backquery.model import ends_of
from tests.conftest import Run


def scanned(run: Run, model: Path, tmp_path: Path, *options: object) -> tuple[dict, np.ndarray]:
    code, out, err = run(
        "scan", model, "-o", tmp_path / "s.png", "--arrays", tmp_path / "s.npz", *options, "--json"
    )
    assert code == 0, err
    with np.load(tmp_path / "s.npz", allow_pickle=False) as saved:
        return json.loads(out), saved["images"]


def test_at_least_so_sure_and_no_other_above(run: Run, tmp_path: Path, model: Path) -> None:
    answer, images = scanned(run, model, tmp_path, "--at-least", 0.6, "--others-at-most", 0.2)
    assert answer["question"] == "at least 0.6, others at most 0.2"
    answers = load_model(model).query(images)
    for label, (scan, given) in enumerate(zip(answer["scans"], answers, strict=True)):
        if scan["converged"]:
            assert given[label] > 0.599
            assert np.delete(given, label).max() < 0.201
        assert isinstance(scan["active"], list)
    assert sum(scan["converged"] for scan in answer["scans"]) >= 8
    out = run("scan", model, "-o", tmp_path / "s.png", "--at-least", 0.6, "--label", "3")[1]
    assert "held by" in out
    assert "3 at least 0.6" in out


def test_extremes(run: Run, tmp_path: Path, model: Path) -> None:
    answer, images = scanned(run, model, tmp_path, "--emptiest", "--label", "3")
    _, usual = scanned(run, model, tmp_path, "--label", "3")
    paper = ends_of(load_model(model))[0]
    assert answer["scans"][0]["read"] == "3"
    assert ((images - paper) ** 2).sum() < ((usual - paper) ** 2).sum()
    answer, images = scanned(run, model, tmp_path, "--most-sure", "--label", "3")
    network = load_model(model)
    assert network.logits(images)[0, 3] > network.logits(usual)[0, 3]
    assert answer["scans"][0]["active"][0].startswith("3 at log-odds")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--emptiest", "--most-sure"], "different questions"),
        (["--at-least", 0.8, "--confidence", 0.9], "does not go with"),
        (["--most-sure", "--layer", 1, "--node", 0], "does not go with"),
        (["--at-least", 1.5], "between 0 and 1"),
        (["--at-least", 0.8, "--method", "transpose"], "gauss-newton"),
    ],
)
def test_what_does_not_go_together_is_said(run: Run, tmp_path: Path, model: Path, options, words: str) -> None:
    code, _, err = run("scan", model, "-o", tmp_path / "s.png", *options)
    assert code != 0
    assert words in err
