"""Intervals: how far a mean or a share, found in few trials, may be from the true one. They hold 95 %."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95


class Interval(NamedTuple):
    """A value with its lower and upper bound: numbers, or arrays of one shape."""

    value: Any
    low: Any
    high: Any

    def as_json(self) -> dict[str, Any]:
        """The three as plain numbers, or lists of them."""
        return {name: np.asarray(numbers).tolist() for name, numbers in self._asdict().items()}


def mean_interval(values: ArrayLike) -> Interval:
    """The mean over the first axis, in Student's interval (Student 1908); two values or more are needed."""
    from scipy.special import stdtrit  # SciPy's statistics would take a second to load

    sample = np.asarray(values, np.float64)
    mean = sample.mean(axis=0)
    spread = stdtrit(len(sample) - 1, 0.5 + LEVEL / 2) * sample.std(axis=0, ddof=1) / len(sample) ** 0.5
    return Interval(mean, mean - spread, mean + spread)


def share_interval(hits: ArrayLike, total: ArrayLike) -> Interval:
    """The share of `hits` in `total` trials, both of any shape, in Wilson's interval (Wilson 1927)."""
    from scipy.special import ndtri

    n = np.asarray(total, np.float64)
    share = np.asarray(hits, np.float64) / n
    z2 = ndtri(0.5 + LEVEL / 2) ** 2
    # Unlike the normal approximation it has a width even at no hits, or nothing but hits.
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    spread = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # At no hits or nothing but hits a bound is 0 or 1, and rounding may not go beyond.
    return Interval(share, np.maximum(middle - spread, 0.0), np.minimum(middle + spread, 1.0))
