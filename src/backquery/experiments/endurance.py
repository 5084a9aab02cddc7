"""What damage did: how many answers stay right, and how many scans are still read, as more and more is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.intervals import Interval, mean_interval, share_interval
from backquery.model import Array, brief

Counts = NDArray[np.int64]

ORDERS = {
    "random": "at random",
    "heaviest": "heaviest first",
    "evidence": "those with most evidence first",
}
"""In which order nodes or weights are lost, in words."""


@dataclass(frozen=True, eq=False)
class Endurance:
    """One kind of damage, done more and more, repeated where it is random.

    what: ``"nodes"``, ``"weights"`` or ``"noise"``; order: a key of `ORDERS`; layer: the hidden layer that lost
    nodes, counted from 1, else None.
    amounts: (k,) rising from 0: how many nodes or weights were removed, or the noise's standard deviation as a
    share of the weights' own; total: how many nodes or weights there are, 1 for noise.
    right: (repeats, k, labels) test images read rightly; images: (labels,) how many there are.
    scans_read: (repeats, k) how many of the intact network's `scans` are still read as the label asked for.
    """

    __repr__ = brief

    what: str
    order: str
    layer: int | None
    amounts: Array
    total: int
    right: Counts
    images: Counts
    scans_read: Counts
    scans: int

    @property
    def shares(self) -> Array:
        """The amounts (k,) as shares of the total."""
        return self.amounts / self.total

    @property
    def intact(self) -> float:
        """The undamaged network's performance."""
        return float(self.right[0, 0].sum() / self.images.sum())

    def performance(self, label: int | None = None) -> Interval:
        """The share of right answers at each amount (k,), of one label's images or of all.

        Where damage was repeated, the mean over repeats in Student's interval; a single order has Wilson's
        interval of the share, which says how much hangs on the test images.
        """
        chosen = self.right if label is None else self.right[:, :, [label]]
        images = self.images.sum() if label is None else self.images[label]
        return _interval(chosen.sum(axis=2), int(images))

    def reading(self) -> Interval:
        """The share of the intact network's scans that are still read as asked, at each amount (k,).

        They are all the scans there are: a single order leaves nothing uncertain.
        """
        shares = self.scans_read / self.scans
        return _mean(shares) if len(shares) > 1 else Interval(shares[0], shares[0], shares[0])

    def until(self, performance: float, label: int | None = None) -> Interval:
        """The largest amount that leaves at least this performance, as do all smaller ones, with its interval.

        The bounds are where the lower and the upper bound of the performance reach the value. Between two amounts
        the curve is taken to be straight; nodes and weights are whole. A number that is None was not found: even
        the largest amount leaves more.
        """
        return Interval(*(self._until(curve, performance) for curve in self.performance(label)))

    def until_unread(self, share: float) -> Interval:
        """The largest amount that leaves at least this share of the scans read as asked, as `until`."""
        return Interval(*(self._until(curve, share) for curve in self.reading()))

    def _until(self, curve: Array, value: float) -> float | None:
        below = np.flatnonzero(curve < value)
        if not len(below):
            return None
        after = below[0]
        if after == 0:
            return 0.0
        share = (curve[after - 1] - value) / (curve[after - 1] - curve[after])
        amount = self.amounts[after - 1] + share * (self.amounts[after] - self.amounts[after - 1])
        # A whole number that rounding has left a trifle short must stay what it is.
        return float(amount if self.what == "noise" else np.floor(amount + 1e-9))

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; the bounds of intervals hold 95 %."""
        by_label = [self.performance(label).value.tolist() if n else None for label, n in enumerate(self.images)]
        return {
            "what": self.what,
            "order": self.order,
            "layer": self.layer,
            "total": self.total,
            "repeats": len(self.right),
            "amounts": self.amounts.tolist(),
            "performance": self.performance().as_json(),
            "scans_read_as_asked": self.reading().as_json(),
            "performance_by_label": by_label,
            "one_point": self.one_point().as_json(),
            "half": self.half().as_json(),
        }

    def one_point(self) -> Interval:
        """The amount that can be lost before performance falls by one hundredth of all images."""
        return self.until(self.intact - 0.01)

    def half(self, label: int | None = None) -> Interval:
        """The amount that can be lost before half of the right answers (of one label, or of all) are."""
        return self.until(float(self.performance(label).value[0]) / 2, label)

    @property
    def sentence(self) -> str:
        """How much can be lost before one point is, and how much before half of the performance is."""
        order = ORDERS[self.order]
        thing = {
            "nodes": f"of {self.total:,} nodes in layer {self.layer} can be lost {order}",
            "weights": f"of {self.total:,} weights can be lost {order}",
            "noise": "of the weights' own spread can be added as noise",
        }[self.what]
        return (
            f"{self.in_words(self.one_point())} {thing} before performance falls by one point from "
            f"{self.intact:.2%}, and {self.in_words(self.half())} before it falls by half"
        )

    def in_words(self, found: Interval) -> str:
        """An amount with its interval, ``21 (18 to 31)``; a bound that was not reached is all that was tried."""
        ends = [self.amounts[-1] if number is None else number for number in found]
        value, low, high = (f"{100 * end:,.0f}" if self.what == "noise" else f"{end:,.0f}" for end in ends)
        more, sign = "more than " if found.value is None else "", " %" if self.what == "noise" else ""
        return f"{more}{value}{sign} ({low} to {high})"


def _interval(hits: Counts, total: int) -> Interval:
    return _mean(hits / total) if len(hits) > 1 else share_interval(hits[0], total)


def _mean(shares: Array) -> Interval:
    mean, low, high = mean_interval(shares)
    return Interval(mean, np.maximum(low, 0.0), np.minimum(high, 1.0))
