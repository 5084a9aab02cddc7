"""Answers that no image can give, proved: bounds over the whole box of images and, on small networks, over its parts.

An image that gives an answer meets all constraints ``|c_i(x) - a_i| < tolerance``, and with them every sum
``w (c(x) - a)`` of them. So one w for which that sum stays away from zero all over a box rules the box out. The
weights w are tuned over the whole box, from each constraint by itself and from the direction in which the nearest
image that was found misses.
A box that none rules out is halved, at an input or at a sum of the first layer, whichever there are fewer of; of a
half at such a sum it is used that the sum lies there, by a multiplier (Wang et al. 2021, beta-CROWN) that Polyak's
steps find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ProofError
from backquery.model import Array, Model, Network
from backquery.proofs.bounded import Bounds, Prover, prover_of
from backquery.proofs.dense import Boxes, Dense, Ends
from backquery.proofs.rounding import SPARE, gamma, unit

EFFORT, MOST_PARTS = 2**23, 1024
"""Weights, in all parts together, and parts of a box that are looked at before a proof is given up."""

AT_ONCE = 16
"""Parts that are looked at together."""

FIRST_STEP, TUNINGS = 0.3, 40
"""How far weights of constraints are moved at first, and how often: the step is halved where it is of no use."""

PULLS = 12
"""Steps towards the best multipliers of a part."""


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
        """The weighted sums (m, k) of a question's constraints, `sizes` (nodes,) being those of the layer's sums."""
        forms, absolute = weights @ question.maps, np.abs(weights)
        terms = gamma(len(question.values) + SPARE, unit(np.float64))
        rounding = terms * (absolute @ (np.abs(question.maps) @ sizes + np.abs(question.values)))
        return cls(forms, weights @ question.values + question.tolerance * absolute.sum(axis=1) + rounding)

    def room(self, boxes: Bounds) -> Array:
        """By how much each form stays above in each box, (n, m): above zero, no image of the box answers."""
        return boxes.lowest(self.forms[None]) - self.above


def proved_impossible(
    model: Model,
    layer: int | str | None,
    questions: Sequence[Constraints],
    low: Array,
    high: Array,
    branching: bool,
) -> NDArray[np.bool_]:
    """Of which questions it is proved that no image between `low` and `high` (inputs,) answers them, (n,).

    layer: None for the log-odds, or the number of a network's layer, from 1. branching: whether boxes are halved,
    on networks small enough.
    """
    try:
        prover = _prover(model, layer)
        whole = prover.over(low[None], high[None])
        one = np.eye(questions[0].maps.shape[1])
        sizes = np.abs(whole.lowest(np.concatenate([one, -one])[None])[0]).reshape(2, -1).max(axis=0)
    except ProofError:
        return np.zeros(len(questions), bool)
    proved = []
    for question in questions:
        weights, room = _tuned(whole, question, sizes)
        if not room > 0 and branching and isinstance(prover, Dense):
            sought = Sought.of(question, np.concatenate([weights[None], question.weights()]), sizes)
            proved.append(_in_parts(prover, sought, low, high))
        else:
            proved.append(bool(room > 0))
    return np.array(proved, bool)


def _prover(model: Model, layer: int | str | None) -> Prover:
    if isinstance(layer, str):
        raise ProofError(f"layer {layer!r} is not the last one")
    return (
        prover_of(model, np.float64) if layer is None else Dense(cast(Network, model).layers[:layer], np.float64)
    )


def _tuned(whole: Bounds, question: Constraints, sizes: Array) -> tuple[Array, float]:
    """The weights (k,) of the constraints that leave most room, by trying each a little more and a little less."""

    def best_of(weights: Array) -> tuple[Array, float]:
        weights = weights / np.maximum(np.abs(weights).sum(axis=1, keepdims=True), 1e-9)
        room = Sought.of(question, weights, sizes).room(whole)[0]
        best = int(np.nan_to_num(room, nan=-np.inf).argmax())
        return weights[best], float(room[best])

    (weights, room), step = best_of(question.weights()), FIRST_STEP
    one = np.eye(len(weights))
    for _ in range(TUNINGS if len(weights) > 1 else 0):
        if room > 0:
            break
        other, better = best_of(np.concatenate([weights + step * one, weights - step * one]))
        if better > room:
            weights, room = other, better
        else:
            step /= 2
    return weights, room


def _in_parts(dense: Dense, sought: Sought, low: Array, high: Array) -> bool:
    """Whether all parts of the box are ruled out."""
    first = dense.layers[0]
    parts = (Inputs if len(low) <= len(first.biases) or len(dense.layers) == 1 else Sums)(dense, sought, low, high)
    most, looked_at = min(MOST_PARTS, EFFORT // sum(layer.weights.size for layer in dense.layers)), 0
    while parts.open and looked_at < most:
        looked_at += parts.look()
    return not parts.open


class Inputs:
    """A box halved at its inputs. `open`: the parts that are not ruled out yet."""

    def __init__(self, dense: Dense, sought: Sought, low: Array, high: Array) -> None:
        self._dense, self._sought = dense, sought
        self.open = [(low, high)]

    def look(self) -> int:
        """Look at some open parts; those that are not ruled out are halved. How many there were."""
        some, self.open = self.open[-AT_ONCE:], self.open[:-AT_ONCE]
        low, high = (np.stack([part[end] for part in some]) for end in (0, 1))
        boxes = self._dense.over(low, high)
        room = self._sought.room(boxes)
        best, rows = room.argmax(axis=1), np.arange(len(some))
        # Halved where the bound gains most: not by width alone, but by what an input's width costs.
        cost = np.abs(boxes.at_the_images(self._sought.forms[None]).form[rows, best]) * (high - low) + 1e-9 * (
            high - low
        )
        for row in np.flatnonzero(~(room[rows, best] > 0)):
            self.open += _halves(low[row], high[row], int(cost[row].argmax()))
        return len(some)


class Sums:
    """A box halved at sums of its first layer. `open`: the ends of these in the parts not ruled out yet."""

    def __init__(self, dense: Dense, sought: Sought, low: Array, high: Array) -> None:
        self._dense, self._sought, self._low, self._high = dense, sought, low, high
        nodes = len(dense.layers[0].biases)
        self.open = [(np.full(nodes, -np.inf), np.full(nodes, np.inf))]

    def look(self) -> int:
        """Look at some open parts; those that are not ruled out are halved. How many there were."""
        some, self.open = self.open[-AT_ONCE:], self.open[:-AT_ONCE]
        ends = Ends(*(np.stack([part[end] for part in some]) for end in (0, 1)))
        low, high = (np.broadcast_to(end, (len(some), len(end))) for end in (self._low, self._high))
        boxes = self._dense.over(low, high, ends)
        room = self._sought.room(boxes)
        best, rows = room.argmax(axis=1), np.arange(len(some))
        forms, above = self._sought.forms[best][:, None], self._sought.above[best]
        ruled_out = (room[rows, best] > 0) | self._pulled(boxes, forms, above)
        sums, cost = boxes.stages[0].sums, _cost_of_lines(boxes, forms)
        for row in np.flatnonzero(~ruled_out):
            self.open += _halves(sums.low[row], sums.high[row], int(cost[row].argmax()))
        return len(some)

    def _pulled(self, boxes: Boxes, forms: Array, above: Array) -> NDArray[np.bool_]:
        """Which parts multipliers of the first layer's sums rule out; none does of a box that is whole."""
        stage = boxes.stages[0]
        pull, ruled_out = np.zeros((len(forms), 1, len(stage.biases))), np.zeros(len(forms), bool)
        split = np.isfinite(above)
        for _ in range(PULLS):
            form = boxes.at_the_images(forms, pull).form[:, 0]
            worst = np.where(form > 0, stage.given.low, stage.given.high)
            sums = worst @ stage.weights.T + stage.biases
            least = boxes.lowest(forms, pull)[:, 0]
            ruled_out |= least > above
            end = np.where(pull[:, 0] > 0, stage.sums.low, stage.sums.high)
            end = np.where(pull[:, 0] == 0, np.clip(sums, stage.sums.low, stage.sums.high), end)
            slope = end - sums
            missing = above - least + 1e-3 * np.abs(above) + 1e-6
            step = np.where(split, missing / np.maximum((slope**2).sum(axis=1), 1e-12), 0.0)
            pull = pull + (np.maximum(step, 0.0)[:, None] * slope)[:, None]
        return ruled_out


def _cost_of_lines(boxes: Boxes, forms: Array) -> Array:
    """What the lines around the first layer's activations cost a form, (n, nodes)."""
    stage, carried = boxes.stages[0], boxes.behind_the_first(forms)
    lines, ends = stage.lines, stage.sums
    gaps = [
        lines.most - lines.least + (lines.over - lines.under) * end for end in (ends.low, ends.middle, ends.high)
    ]
    cost: Array = np.abs(carried.form[:, 0]) * np.maximum.reduce(gaps) + 1e-9 * ends.reach
    return cost


def _halves(low: Array, high: Array, place: int) -> list[tuple[Array, Array]]:
    """Two parts of a box, one on either side of the middle at a place."""
    upper, lower = low.copy(), high.copy()
    upper[place] = lower[place] = (low[place] + high[place]) / 2
    return [(low, lower), (upper, high)]
