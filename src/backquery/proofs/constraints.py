"""What an image must meet to answer a question, and weighted sums of it that rule a box of images out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backquery.model import Array
from backquery.proofs.bounded import Bounds
from backquery.proofs.rounding import SPARE, gamma, unit


@dataclass(frozen=True, eq=False)
class Constraints:
    """One question: ``|maps @ z - values| < tolerance``, of the sums z of a layer.

    maps: (k, nodes); values: (k,); reached: (k,), what the nearest image that was found gives.
    """

    maps: Array
    values: Array
    reached: Array
    tolerance: float

    def weights(self) -> Array:
        """Weights to begin with, (2 k + 1, k): of each constraint from either side, and of how far off all are."""
        one = np.eye(len(self.values))
        missed = np.where(np.isfinite(self.reached), self.reached - self.values, 0.0)
        return np.concatenate([one, -one, missed[None]])


@dataclass(frozen=True, eq=False)
class Sought:
    """Forms (m, nodes) of a layer's sums, and what each must exceed for no image to answer, (m,)."""

    forms: Array
    above: Array

    @classmethod
    def of(cls, question: Constraints, weights: Array, sizes: Array) -> Sought:
        """Weighted sums (m, k) of a question's constraints, `sizes` (nodes,) being those of the layer's sums."""
        forms, absolute = weights @ question.maps, np.abs(weights)
        terms = gamma(len(question.values) + SPARE, unit(np.float64))
        rounding = terms * (absolute @ (np.abs(question.maps) @ sizes + np.abs(question.values)))
        return cls(forms, weights @ question.values + question.tolerance * absolute.sum(axis=1) + rounding)

    def room(self, boxes: Bounds) -> Array:
        """By how much each form stays above in each box, (n, m): above zero, no image of the box answers."""
        return boxes.lowest(self.forms[None]) - self.above
