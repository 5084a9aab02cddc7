"""At least against exactly, summed up, and the ink of images."""

from __future__ import annotations

import numpy as np
from measurements.least import _ink, verdict

from backquery.model import Network, Scaling

ROWS = [
    ["small", "exactly 0.8, others as usual", "10/10", "6.6", "-", "2/10", "69"],
    ["small", "at least 0.8", "10/10", "1.7", "1.0", "10/10", "66"],
]


def test_the_verdict_says_how_much_nearer_images_of_a_limit_are() -> None:
    assert "1.7 instead of 6.6 (small)" in verdict(ROWS)


def test_ink_is_measured_from_paper_whatever_the_scale() -> None:
    network = Network.create([3, 2], rng=0, scaling=Scaling.between(1, -1))
    np.testing.assert_allclose(_ink(network, np.array([[1.0, 1.0, 1.0], [-1.0, 0.0, 1.0]])), [0.0, 1.25])
