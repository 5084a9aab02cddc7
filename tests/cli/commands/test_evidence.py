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
from tests.evidence.test_measure import learned


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


def test_the_command_refuses_before_it_works(run: Run, tmp_path: Path):
    for wrong, said in (
        (("-o", tmp_path / "e.txt"), "pictures are written as"),
        (("-o", tmp_path / "e.png", "--arrays", tmp_path / "e.csv"), "arrays are written as .npz"),
    ):
        code, _, err = run("evidence", "mnist", "digits", *wrong)
        assert code == 1
        assert said in err
