"""Branch and bound: a box of images that no bound rules out as a whole, ruled out part by part.

A part is halved at an input or at a sum of the first layer, whichever there are fewer of. Each has weights of the
constraints of its own, and of a part at such sums it is used that they lie there, by multipliers (beta-CROWN, Wang
et al. 2021). Both begin as they were for the box that the part comes of, and are made better by Polyak's steps
along the slope of the bound, which is what the constraints and the sums are at the image where it is lowest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.model import Array
from backquery.proofs.constraints import Constraints, Sought
from backquery.proofs.dense import Boxes, Dense, Ends

EFFORT, MOST_PARTS = 2**22, 512
"""Weights, in all parts together, and parts of a box that are looked at before a proof is given up."""

AT_ONCE, STEPS = 16, 12
"""Parts that are looked at together, and steps towards the best multipliers of each."""

AIM = 0.05
"""So far above zero a step aims, as a share of how far below the bound was at first."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images between `low` and `high` (inputs,), whose sums in the first layer lie between `sums` (2, nodes).

    weights: (k,), of the constraints; pull: (nodes,), multipliers of the sums.
    """

    low: Array
    high: Array
    sums: Array
    weights: Array
    pull: Array

    @classmethod
    def whole(cls, dense: Dense, low: Array, high: Array, weights: Array) -> Part:
        """All images of a box."""
        nodes = len(dense.layers[0].biases)
        return cls(
            low, high, np.stack([np.full(nodes, -np.inf), np.full(nodes, np.inf)]), weights, np.zeros(nodes)
        )

    def halves(self, place: int, at_inputs: bool, sums: Array) -> list[Part]:
        """Two parts, on either side of the middle of an input, or of a sum of those that lie between `sums`."""
        low, high = (self.low, self.high) if at_inputs else sums
        upper, lower = low.copy(), high.copy()
        upper[place] = lower[place] = (low[place] + high[place]) / 2
        if at_inputs:
            return [replace(self, high=lower), replace(self, low=upper)]
        return [replace(self, sums=np.stack(ends)) for ends in ((low, lower), (upper, high))]


def ruled_out_in_parts(dense: Dense, question: Constraints, sizes: Array, whole: Part) -> bool:
    """Whether all parts of a box are ruled out, before as many were looked at as there may be.

    sizes: (nodes,), how large the sums that the question is about may be.
    """
    at_inputs = len(whole.low) <= len(whole.pull) or len(dense.layers) == 1
    most = min(MOST_PARTS, EFFORT // sum(layer.weights.size for layer in dense.layers))
    waiting, looked_at = [whole], 0
    while waiting and looked_at + len(waiting) <= most:
        some, waiting = waiting[-AT_ONCE:], waiting[:-AT_ONCE]
        waiting += _look(dense, question, sizes, some, at_inputs)
        looked_at += len(some)
    return not waiting


def _look(dense: Dense, question: Constraints, sizes: Array, some: list[Part], at_inputs: bool) -> list[Part]:
    """Parts of those that are not ruled out."""
    low, high, sums = (np.stack([getattr(part, name) for part in some]) for name in ("low", "high", "sums"))
    boxes = dense.over(low, high, Ends(sums[:, 0], sums[:, 1]))
    search = _Multipliers(boxes, question, sizes, some, at_inputs)
    for _ in range(STEPS):
        if search.step():
            break
    cost = _cost_of_inputs(boxes, search.forms) if at_inputs else _cost_of_lines(boxes, search.forms)
    known, open_ = boxes.stages[0].sums, np.flatnonzero(~search.ruled_out)
    return [
        half
        for row in open_
        for half in replace(some[row], weights=search.weights[row], pull=search.pull[row]).halves(
            int(cost[row].argmax()), at_inputs, np.stack([known.low[row], known.high[row]])
        )
    ]


class _Multipliers:
    """The weights (n, k) and pulls (n, nodes) of n parts, on their way to the best."""

    def __init__(
        self, boxes: Boxes, question: Constraints, sizes: Array, some: list[Part], at_inputs: bool
    ) -> None:
        self._boxes, self._question, self._sizes = boxes, question, sizes
        self.weights, self.pull = (
            np.stack([getattr(part, name) for part in some]) for name in ("weights", "pull")
        )
        self._pulling = not at_inputs
        self._begin()
        self.ruled_out: NDArray[np.bool_] = np.zeros(len(some), bool)
        self._aim: Array | None = None

    def _begin(self) -> None:
        """A question's own weights, where they rule out more than those that are there."""
        plain = Sought.of(self._question, self._question.weights(), self._sizes).room(self._boxes)
        best, rows = plain.argmax(axis=1), np.arange(len(plain))
        better = plain[rows, best] > self._room()
        self.weights[better] = self._question.weights()[best[better]]
        self.pull[better] = 0

    @property
    def forms(self) -> Array:
        """The parts' forms (n, 1, nodes)."""
        return (self.weights @ self._question.maps)[:, None]

    def _room(self) -> Array:
        sought = Sought.of(self._question, self.weights, self._sizes)
        return self._boxes.lowest(sought.forms[:, None], self.pull[:, None])[:, 0] - sought.above

    def step(self) -> bool:
        """One step for all parts; whether all are ruled out."""
        room, question = self._room(), self._question
        self.ruled_out |= room > 0
        self._aim = AIM * np.abs(room) if self._aim is None else self._aim
        first, last = self._boxes.sums_at_the_lowest(self.forms, self.pull[:, None])
        along = last @ question.maps.T - question.values - question.tolerance * np.sign(self.weights)
        ends = self._boxes.stages[0].sums
        end = np.where(self.pull > 0, ends.low, ends.high)
        end = np.where(self.pull == 0, np.clip(first, ends.low, ends.high), end)
        pulling = (end - first) * self._pulling
        length = (along**2).sum(axis=1) + (pulling**2).sum(axis=1)
        step = np.maximum(self._aim - room, 0) * ~self.ruled_out / np.maximum(length, 1e-12)
        self.weights, self.pull = self.weights + step[:, None] * along, self.pull + step[:, None] * pulling
        size = np.maximum(np.abs(self.weights).sum(axis=1, keepdims=True), 1e-9)
        self.weights, self.pull = self.weights / size, self.pull / size
        return bool(self.ruled_out.all())


def _cost_of_inputs(boxes: Boxes, forms: Array) -> Array:
    """What the width of each input costs a form, (n, inputs); of those that cost nothing, the width."""
    reach: Any = boxes.stages[0].given.reach
    cost: Array = np.abs(boxes.at_the_images(forms).form[:, 0]) * reach + 1e-9 * reach
    return cost


def _cost_of_lines(boxes: Boxes, forms: Array) -> Array:
    """What the lines around each of the first layer's activations cost a form, (n, nodes)."""
    stage = boxes.stages[0]
    lines, ends = stage.lines, stage.sums
    gaps = [
        lines.most - lines.least + (lines.over - lines.under) * end for end in (ends.low, ends.middle, ends.high)
    ]
    cost: Array = np.abs(boxes.behind_the_first(forms).form[:, 0]) * np.maximum.reduce(gaps) + 1e-9 * ends.reach
    return cost
