"""What is said of a pixel, and how sure one must be to say it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.model import Array

INSENSITIVE, SUPPORT, AGAINST, UNCLEAR, NEVER_INKED = range(5)
VERDICTS = ("insensitive", "support", "against", "unclear", "never inked")
"""The names of the verdicts, by their numbers."""


@dataclass(frozen=True, eq=False)
class Findings:
    """Sensitivities of n images summed up, all (inputs,), in log-odds for a full pixel of ink.

    mean, error: the mean sensitivity and its standard error; size: the mean of its absolute value.
    direction, insensitivity: p-values adjusted for the number of pixels (Benjamini & Hochberg 1995), 1 where
    nothing was tested. verdict: positions into `VERDICTS`.
    """

    mean: Array
    error: Array
    size: Array
    direction: Array
    insensitivity: Array
    verdict: NDArray[np.int8]


def judge(sensitivities: Array, inked: NDArray[np.bool_], *, rate: float, smallest: float) -> Findings:
    """A verdict on each pixel, from sensitivities (n, inputs) at n images.

    Support: the mean lies above `smallest`; against: below minus `smallest`; both at the false-discovery rate
    `rate`, by t-tests over the images, doubled because either direction may be found. Insensitive: the mean
    *absolute* sensitivity lies below `smallest`, at the same rate in a family of its own, so that ink which
    matters one way in one image and the other way in the next does not pass for ink that does not matter. Not
    being significant proves nothing, and is called unclear. Where no image has ever had ink (`inked` is false), no
    image can tell what ink would mean, and nothing is tested.

    The rate is proved for pixels that are independent or positively dependent; of an image's pixels that is only
    nearly true.
    """
    sizes, count = np.abs(sensitivities), len(sensitivities)
    mean, error, size = sensitivities.mean(axis=0), _error(sensitivities), sizes.mean(axis=0)
    above, below = (_p_above(one, error, count, smallest) for one in (mean, -mean))
    direction = _adjusted(np.minimum(2 * np.minimum(above, below), 1.0), inked)
    insensitivity = _adjusted(_p_above(-size, _error(sizes), count, -smallest), inked)
    verdict = np.full(len(mean), UNCLEAR, np.int8)
    verdict[insensitivity <= rate] = INSENSITIVE
    verdict[(direction <= rate) & (mean > 0)] = SUPPORT
    verdict[(direction <= rate) & (mean < 0)] = AGAINST
    verdict[~inked] = NEVER_INKED
    return Findings(mean, error, size, direction, insensitivity, verdict)


def _error(values: Array) -> Array:
    """The standard error of the mean of values (n, inputs)."""
    return np.asarray(values.std(axis=0, ddof=1) / len(values) ** 0.5)


def _p_above(mean: Array, error: Array, count: int, bound: float) -> Array:
    """For means (inputs,) of `count` values, the p-values of Student's test that each is not above `bound`."""
    from scipy.special import stdtr  # SciPy's statistics would take a second to load

    distance = mean - bound
    # Values that are all alike have no error: then the distance alone decides.
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, distance / error, certain)
    return np.asarray(stdtr(count - 1, -statistic))


def _adjusted(p: Array, tested: NDArray[np.bool_]) -> Array:
    """The p-values of those that are tested, adjusted for their number: the least rate at which each is found."""
    order = np.flatnonzero(tested)[np.argsort(p[tested])]
    rates = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.ones_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
    return adjusted
