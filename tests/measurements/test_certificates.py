"""Certificates, summed up: what is told is what the rows say, and climbing is an upper bound."""

from __future__ import annotations

import numpy as np
import pytest
from measurements.certificates import changed_at, verdict

from backquery.model import IDENTITY, Layer, Network, Scaling

ROWS = [
    ["ten small", "0.9", 5, 4, 1, 0, "80%"],
    ["ten small", "0.99", 0, 9, 0, 1, "90%"],
    ["bundled", "0.9", 10, 0, 0, 0, "-"],
]


def test_the_verdict_sums_up_what_was_not_found() -> None:
    assert verdict(ROWS).endswith("proved impossible: 13 of 15 (ten small); 0 of 0 (bundled).**")


def test_climbing_finds_the_nearest_other_reading_of_a_linear_model() -> None:
    weights = np.array([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0]])
    network = Network((Layer(weights, None, IDENTITY),), scaling=Scaling.between(-1, 1))
    assert changed_at(network, np.array([0.3, -0.2, 0.4])) == pytest.approx(0.5 / 1.75 * 255 / 2, rel=0.02)
