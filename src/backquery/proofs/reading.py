"""When is it certain which label a program reads? Bounds of logits, and what an output activation does to them.

The answers are compared after the output activation, as the program has rounded them: two logits that differ may
be answers that do not, as where both are so sure that they are 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.model import SIGMOID, SOFTMAX, TANH, Activation, Array, Labels, Model, Network
from backquery.proofs.bounded import lowest_of, prover_of
from backquery.proofs.rounding import FEW, unit

SPARE = 8.0
"""A sigmoid's logit must exceed those of the smallest normal number by so much."""

NOTHING = 1e-30
"""What is smaller is no difference, whatever it is a share of."""


class Reading:
    """What a model's program is sure to read; `ProofError` says what is not known of the model."""

    def __init__(self, model: Model) -> None:
        self._model, self._dtype = model, program_of(model)
        self._prover = prover_of(model, self._dtype)

    def surely(self, low: Array, high: Array, labels: Labels) -> NDArray[np.bool_]:
        """Whether every image between `low` and `high` (n, inputs) is sure to be read as its label of (n,)."""
        found = lowest_of(self._model, self._prover, low, high, _comparisons(labels, self._model.outputs))
        least, most = found[:, -2], -found[:, -1]
        finite = np.isfinite(least) & np.isfinite(most)
        if self._model.outputs == 1:
            return finite
        activation = self._model.output_activation
        room = apart_in_answers(activation, found[:, :-2].min(axis=1), least, most)
        if activation is SIGMOID:
            # Answers that a program rounds to nothing are alike, however far apart their logits are.
            finite &= least > np.log(np.finfo(self._dtype).tiny) + SPARE
        return finite & (room > 4 * FEW * unit(self._dtype))


def program_of(model: Model) -> DTypeLike:
    """The dtype that the model's program reads in."""
    return model.dtype if isinstance(model, Network) else getattr(model, "dtype", np.float64)


def apart_in_answers(activation: Activation, apart: Array, least: Array, most: Array) -> Array:
    """How far apart two answers are, (n,), as a share of the larger: that much may be lost to rounding.

    apart: by how much the stronger's logit exceeds the other's, at the least; least, most: between what the
    stronger's own lie.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if activation is SOFTMAX:
            return -np.expm1(-np.maximum(apart, 0))
        if activation is SIGMOID:
            return _sigmoids(apart, most)
        if activation is TANH:
            # tanh z = 2 sigmoid(2 z) - 1, of answers no larger than 1; over all z it is least at an end.
            ends = [2 * _sigmoids(2 * apart, 2 * z) * SIGMOID.function(2 * z) for z in (least, most)]
            return np.minimum(*ends)
        size = np.abs(least) + np.abs(most) + np.abs(apart) + NOTHING
        if activation.leak is None:
            return apart / size
        return np.where(least > 0, np.minimum(apart, least), min(activation.leak, 1.0) * apart) / size


def _sigmoids(apart: Array, most: Array) -> Array:
    """``1 - s(z - d) / s(z) = (1 - s(z - d)) (1 - exp(-d))``, which falls with z."""
    return (1 - SIGMOID.function(most - apart)) * -np.expm1(-np.maximum(apart, 0))


def _comparisons(labels: Labels, outputs: int) -> Array:
    """Forms (n, outputs + 1, outputs): the label's logit less each other's, themselves, and their negative."""
    own = np.eye(outputs)[labels][:, None]
    others = np.empty((len(labels), outputs - 1, outputs))
    for row, label in enumerate(labels):
        others[row] = np.delete(np.eye(outputs), label, axis=0)
    return np.concatenate([own - others, own, -own], axis=1)
