"""The section on other paths says what its trials found, on two networks of the bundled digits."""

from __future__ import annotations

import numpy as np
import pytest

from measurements import path
from tests.needs import needs

needs("torch")


@pytest.fixture(scope="module")
def trials(digits):
    make = path.KINDS["ReLU 40"]
    return [path._trial("digits", "ReLU 40", seed, digits, make(digits, seed)) for seed in (0, 1)]


def test_a_row_counts_what_its_trials_found(trials):
    row = dict(zip(path.HEADS[:6], path._row("digits", "ReLU 40", trials), strict=False))
    clean = np.concatenate([one.clean_path.share for one in trials])
    assert row["clean: path"] == f"{clean.min():.2f}, {np.median(clean):.2f}"
    assert row["another path"] == "0 of 2"
    *_, read, own, most, caught = path._row("digits", "ReLU 40", trials)
    assert (read, own, caught) == ("20 of 20", "0", "2 of 2") and float(most) < 0.01


def test_the_limit_is_chosen_by_some_and_counted_on_others(trials):
    said = path._verdict(trials, trials[1:])
    assert said.startswith("By the 1 networks that chose, any limit would do between 0.000")
    assert "Of 1 other clean networks 0 are said to take another path" in said and "0 and 10 of 10" in said
    assert path._others(trials[1:]).count(" of 10 ") == 2


def test_a_layer_is_the_circuit_s_own_behind_the_network_s(trials):
    clean = trials[0].networks[0]
    assert not path._of_circuit(clean, "layer 1") and path._of_circuit(clean, "layer 2")
    assert set(trials[0].shared_path.layer) == {"layer 1"}
