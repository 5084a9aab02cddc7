"""Answers that no image can give, proved: bounds over the whole box of images and, on small networks, its parts.

An image that gives an answer meets all constraints ``|c_i(x) - a_i| < tolerance``, and with them every sum
``w (c(x) - a)`` of them. So one w for which that sum stays away from zero all over a box rules the box out. The
weights w are tuned over the whole box, from each constraint by itself and from the direction in which the nearest
image that was found misses; where none rules it out, `parts` halves it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ProofError
from backquery.model import Array, Model, Network
from backquery.proofs.bounded import Bounds, Prover, prover_of
from backquery.proofs.constraints import Constraints, Sought
from backquery.proofs.dense import Dense
from backquery.proofs.parts import Part, ruled_out_in_parts

FIRST_STEP, TUNINGS = 0.3, 40
"""How far weights of constraints are moved at first, and how often: the step is halved where it is of no use."""

MOST_TUNING = 2**28
"""Products that tuning takes for a question at most, or one round of them."""


def proved_impossible(
    model: Model,
    layer: int | str | None,
    questions: Sequence[Constraints],
    low: Array,
    high: Array,
    thorough: bool,
) -> NDArray[np.bool_]:
    """Of which questions it is proved that no image between `low` and `high` (inputs,) answers them, (n,).

    layer: None for the logits, or the number of a network's layer, from 1. thorough: whether there is time for
    more than a look at the whole box of a dense network: to tune weights, and to halve the box of a small one
    (branch and bound, with the multipliers of beta-CROWN, Wang et al. 2021). Where too little is known of the
    model, which would be a `ProofError`, nothing is proved.
    """
    try:
        prover = _prover(model, layer, thorough)
        whole = prover.over(low[None], high[None])
        one = np.eye(questions[0].maps.shape[1])
        sizes = np.abs(whole.lowest(np.concatenate([one, -one])[None])[0]).reshape(2, -1).max(axis=0)
    except ProofError:
        return np.zeros(len(questions), bool)
    proved = []
    for question in questions:
        weights, room = _tuned(whole, question, sizes, _tunings(prover, question) if thorough else 0)
        if not room > 0 and thorough and isinstance(prover, Dense):
            proved.append(ruled_out_in_parts(prover, question, sizes, Part.whole(prover, low, high, weights)))
        else:
            proved.append(bool(room > 0))
    return np.array(proved, bool)


def _prover(model: Model, layer: int | str | None, thorough: bool) -> Prover:
    if isinstance(layer, str):
        raise ProofError(f"layer {layer!r} is not the last one")
    if isinstance(model, Network):
        return Dense(model.layers[:layer], np.float64)
    if not thorough:
        raise ProofError("no time to look")
    return prover_of(model, np.float64)


def _tunings(prover: Prover, question: Constraints) -> int:
    """How often weights are tuned: as far as it is cheap, which it is for dense layers alone."""
    if not isinstance(prover, Dense) or len(question.values) == 1:
        return 0
    once = 2 * len(question.values) * sum(layer.weights.size for layer in prover.layers)
    return min(TUNINGS, max(1, MOST_TUNING // once))


def _tuned(whole: Bounds, question: Constraints, sizes: Array, tunings: int) -> tuple[Array, float]:
    """The weights (k,) of the constraints that leave most room, by trying each a little more and a little less."""

    def best_of(weights: Array) -> tuple[Array, float]:
        weights = weights / np.maximum(np.abs(weights).sum(axis=1, keepdims=True), 1e-9)
        room = Sought.of(question, weights, sizes).room(whole)[0]
        best = int(np.nan_to_num(room, nan=-np.inf).argmax())
        return weights[best], float(room[best])

    (weights, room), step = best_of(question.weights()), FIRST_STEP
    one = np.eye(len(weights))
    for _ in range(tunings):
        if room > 0:
            break
        other, better = best_of(np.concatenate([weights + step * one, weights - step * one]))
        if better > room:
            weights, room = other, better
        else:
            step /= 2
    return weights, room
