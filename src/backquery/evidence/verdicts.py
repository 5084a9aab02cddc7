"""What is said of a pixel, and how sure one must be to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.model import Array, brief

INSENSITIVE, SUPPORT, AGAINST, UNCLEAR, NEVER_INKED = range(5)
VERDICTS = ("insensitive", "support", "against", "unclear", "never inked")
"""The names of the verdicts, by their numbers."""


@dataclass(frozen=True, eq=False)
class Effects:
    """What ink does at each pixel, summed up over images, all (pixels,), in log-odds for a full pixel of ink.

    possible: in how many images it could be done; count: in how many it was; mean, error: the mean effect and its
    standard error; size, size_error: the same of its absolute value.
    """

    possible: NDArray[np.intp]
    count: NDArray[np.intp]
    mean: Array
    error: Array
    size: Array
    size_error: Array

    @classmethod
    def of(cls, values: Array) -> Effects:
        """Values (n, pixels), one for each image."""
        count = np.full(values.shape[1], len(values))
        sizes = np.abs(values)
        means = (values.mean(axis=0), _error(values), sizes.mean(axis=0), _error(sizes))
        return cls(count, count, *means)

    @classmethod
    def from_sums(
        cls, possible: NDArray[np.intp], count: NDArray[np.intp], total: Array, sizes: Array, squares: Array
    ) -> Effects:
        """The sums, over the images in which it was done, of the values, of their sizes and of their squares."""
        images = np.maximum(count, 1)
        mean, size = total / images, sizes / images
        degrees = images * np.maximum(count - 1, 1)
        errors = [np.sqrt(np.maximum(squares - images * one**2, 0.0) / degrees) for one in (mean, size)]
        return cls(possible, count, mean, errors[0], size, errors[1])


@dataclass(frozen=True, eq=False)
class Findings:
    """What ink does at each pixel, and the verdicts, all (pixels,), in log-odds for a full pixel of ink.

    mean, error: the mean effect and its standard error; size: the mean of its absolute value.
    direction, insensitivity: p-values adjusted for the number of pixels (Benjamini & Hochberg 1995), 1 where
    nothing was tested. verdict: positions into `VERDICTS`.
    """

    __repr__ = brief

    mean: Array
    error: Array
    size: Array
    direction: Array
    insensitivity: Array
    verdict: NDArray[np.int8]


def judge(sensitivities: Array, inked: NDArray[np.bool_], *, rate: float, smallest: float) -> Findings:
    """A verdict on each pixel, from sensitivities (n, pixels) at n images; see `judge_effects`."""
    return judge_effects([Effects.of(sensitivities)], inked, rate=rate, smallest=smallest)


def judge_effects(
    effects: Sequence[Effects], inked: NDArray[np.bool_], *, rate: float, smallest: float
) -> Findings:
    """A verdict on each pixel, from what ink does there; of several kinds of effects, each must say the same.

    Support: the mean lies above `smallest`; against: below minus `smallest`; both at the false-discovery rate
    `rate`, by t-tests over the images, doubled because either direction may be found. Insensitive: the mean
    *absolute* effect lies below `smallest`, at the same rate in a family of its own, so that ink which
    matters one way in one image and the other way in the next does not pass for ink that does not matter. Not
    being significant proves nothing, and is called unclear. Where no image has ever had ink (`inked` is false), no
    image can tell what ink would mean, and nothing is tested.

    Of several kinds, such as ink added and ink taken, the largest p-value counts (an intersection-union test,
    Berger 1982), without those that no image allows; means are over the images of all kinds.

    The rate is proved for pixels that are independent or positively dependent; of an image's pixels that is only
    nearly true.
    """
    above, below = (_largest_p(effects, sign, smallest) for sign in (1, -1))
    direction = _adjusted(np.minimum(2 * np.minimum(above, below), 1.0), inked)
    insensitivity = _adjusted(_largest_p(effects, 0, smallest), inked)
    verdict = np.full(len(inked), UNCLEAR, np.int8)
    verdict[insensitivity <= rate] = INSENSITIVE
    verdict[(direction <= rate) & (above < below)] = SUPPORT
    verdict[(direction <= rate) & (above > below)] = AGAINST
    verdict[~inked] = NEVER_INKED
    shares = np.array([one.count for one in effects]) / np.maximum(
        np.sum([one.count for one in effects], axis=0), 1
    )
    mean, size = (np.sum(shares * [getattr(one, name) for one in effects], axis=0) for name in ("mean", "size"))
    error = np.sqrt(np.sum((shares * [one.error for one in effects]) ** 2, axis=0))
    return Findings(mean, error, size, direction, insensitivity, verdict)


def _largest_p(effects: Sequence[Effects], claim: int, smallest: float) -> Array:
    """Of each pixel's p-values, one for each kind of effects that images allow, the largest; 1 if none do.

    claim: 1 that effects lie above the smallest that matters, -1 that they lie below minus that, 0 between.
    """
    found = []
    for one in effects:
        if claim:
            p = _p_above(claim * one.mean, one.error, one.count, smallest)
        else:
            p = _p_above(-one.size, one.size_error, one.count, -smallest)
        found.append(np.where(one.possible == 0, -1.0, np.where(one.count > 1, p, 1.0)))
    largest: Array = np.max(found, axis=0)
    return np.where(largest < 0, 1.0, largest)


def _error(values: Array) -> Array:
    """The standard error of the mean of values (n, pixels)."""
    return np.asarray(values.std(axis=0, ddof=1) / len(values) ** 0.5)


def _p_above(mean: Array, error: Array, count: NDArray[np.intp], bound: float) -> Array:
    """For means (pixels,) of `count` values each, the p-values of Student's test that none is above `bound`."""
    from scipy.special import stdtr  # SciPy's statistics would take a second to load

    distance = mean - bound
    # Values that are all alike have no error: then the distance alone decides.
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, distance / error, certain)
    return np.asarray(stdtr(np.maximum(count - 1, 1), -statistic))


def _adjusted(p: Array, tested: NDArray[np.bool_]) -> Array:
    """The p-values of those that are tested, adjusted for their number: the least rate at which each is found."""
    order = np.flatnonzero(tested)[np.argsort(p[tested])]
    rates = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted = np.ones_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
    return adjusted
