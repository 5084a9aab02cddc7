"""Straight lines that an activation does not cross between two points: what carries bounds backwards.

Any slope will do, as long as the line is then moved far enough. How far says a grid of points: between two of them
a function whose second derivative stays below b leaves the chord by at most ``b (step)^2 / 8``. Of a few slopes
that one is taken whose line is nearest in the middle, as CROWN does for ReLUs (Zhang et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.errors import ProofError
from backquery.model import IDENTITY, SIGMOID, TANH, Activation, Array
from backquery.proofs.rounding import FEW, error_of_activation

FEWEST, FINEST, FINE = 4, 64, 8
"""Parts that the way between two points is cut into: so many for each unit of its length, within limits."""

STEEPEST = 4.0
"""No line is steeper: a slope that comes of a division by next to nothing is no better than any other."""


@dataclass(frozen=True)
class Curve:
    """A function of one number, and what must be known of it to bound it.

    bend: its second derivative stays within minus and plus this, wherever there is one; where it is infinite, only
    level lines are drawn, and the curve must be rising. kinks: where there is none. pieces: the slopes of a curve
    of straight pieces. rising: whether it never falls. roundings: of how many units of roundoff a program's result
    may be off, see `error_of_activation`; astray: how far off it is anyway.
    """

    function: Callable[[Array], Array]
    bend: float
    kinks: tuple[float, ...] = ()
    pieces: tuple[float, ...] = ()
    rising: bool = True
    roundings: int = FEW
    astray: float = 0.0

    def ends(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The smallest and the largest value between `low` and `high`, but for rounding."""
        if self.rising:
            return self.function(low), self.function(high)
        least, most = self._offsets(np.zeros((1, *low.shape)), low, high)
        return least[0], most[0]

    def loose(self, sizes: Array, dtype: DTypeLike) -> Array:
        """What a program's result may be off by where neither argument nor result is larger than `sizes`."""
        return error_of_activation(sizes, self.roundings, dtype) + self.astray

    def lines(self, low: Array, high: Array) -> Lines:
        """Two lines between which the curve runs from `low` to `high`, but for rounding."""
        if not isfinite(self.bend):
            level, ends = np.zeros(low.shape), self.ends(low, high)
            return Lines(level, ends[0], level, ends[1])
        slopes = self._slopes(low, high)
        least, most = self._offsets(slopes, low, high)
        middle = (low + high) / 2
        under, over = np.argmax(slopes * middle + least, axis=0), np.argmin(slopes * middle + most, axis=0)
        return Lines(*(_taken(values, place) for place, each in ((under, least), (over, most))
                       for values in (slopes, each)))  # fmt: skip

    def _slopes(self, low: Array, high: Array) -> Array:
        """Slopes to choose from, (choices, ...): level, the chord's, the curve's own, and those halfway."""
        width = high - low
        with np.errstate(divide="ignore", invalid="ignore"):
            chord = np.where(width > 0, (self.function(high) - self.function(low)) / width, 0.0)
        own = [np.full(low.shape, slope) for slope in self.pieces] or self._around(low, high, chord)
        slopes: Array = np.clip([0 * chord, chord, *own], -STEEPEST, STEEPEST)
        return slopes

    def _around(self, low: Array, high: Array, chord: Array) -> list[Array]:
        away = np.maximum(high - low, 1e-6) / 100
        ends = (low, (low + high) / 2, high)
        own = [(self.function(z + away) - self.function(z - away)) / (2 * away) for z in ends]
        return [*own, (chord + own[0]) / 2, (chord + own[2]) / 2]

    def _offsets(self, slopes: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """For each of the slopes (choices, ...) how low and how high the curve comes, less the slope's line."""
        least, most = np.full(slopes.shape, np.inf), np.full(slopes.shape, -np.inf)
        for point in self._points(low, high):
            rest = self.function(point) - slopes * point
            least, most = np.minimum(least, rest), np.maximum(most, rest)
        room = 1.001 * self.bend * ((high - low) / self._cells(low, high)) ** 2 / 8
        return least - room, most + room

    def _cells(self, low: Array, high: Array) -> int:
        widest = float(np.max(high - low, initial=0.0)) if self.bend else 0.0
        return int(np.clip(FINE * widest, FEWEST, FINEST)) if self.bend and isfinite(widest) else 1

    def _points(self, low: Array, high: Array) -> list[Array]:
        count = self._cells(low, high)
        inner = [np.clip(low + (high - low) * (part / count), low, high) for part in range(1, count)]
        return [low, *inner, high, *(np.clip(kink, low, high) for kink in self.kinks)]


@dataclass(frozen=True)
class Lines:
    """``under * z + least <= f(z) <= over * z + most``, each of the shape of z's bounds."""

    under: Array
    least: Array
    over: Array
    most: Array


def curve_of(activation: Activation) -> Curve:
    """What is known of a network's activation; softmax, which is none of one number, has no curve.

    `ProofError` names one of which nothing is known.
    """
    if activation is SIGMOID:
        return Curve(activation.function, 0.0963)  # 1 / (6 * 3^0.5)
    if activation is TANH:
        return Curve(activation.function, 0.7699)  # 4 / (3 * 3^0.5)
    if activation is IDENTITY:
        return Curve(activation.function, 0.0, pieces=(1.0,), roundings=0)
    if activation.leak is None:
        raise ProofError(f"nothing is known of the slope of the activation {activation.name}")
    pieces = (activation.leak, 1.0)
    return Curve(activation.function, 0.0, (0.0,), pieces, roundings=1 if activation.leak else 0)


def _taken(values: Array, place: NDArray[np.intp]) -> Array:
    taken: Array = np.take_along_axis(values, place[None], axis=0)[0]
    return taken
