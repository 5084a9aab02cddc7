"""A first look at the last layer's weights alone, without any image: whether one label's stand apart.

A backdoor's label gathers weights from nodes that say nothing else, so that its row of the last layer may be
larger, or lean more to one side, than the others'. Measured is how far the oddest label lies from the median of
all, in robust deviations. It is a hint and no verdict: nothing is tried.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backquery.model import Array, Model, Network
from measurements.neural_cleanse import anomaly_index

LOOKS = ("norm", "sum", "largest", "tail")
"""Of a row of weights: its length, its sum, its largest weight, and the share of its square in a tenth of it."""


def last_weights(model: Model) -> Array:
    """The weights (labels, nodes) of the last layer, without what all labels have in common."""
    if isinstance(model, Network):
        weights = np.asarray(model.layers[-1].weights, np.float64)
    else:
        module: Any = model
        matrices = [np.asarray(one.detach().cpu()) for one in module.module.state_dict().values() if one.ndim == 2]
        weights = next(one for one in reversed(matrices) if model.outputs in one.shape).astype(np.float64)
        weights = weights if len(weights) == model.outputs else weights.T
    return np.asarray(weights - weights.mean(axis=0))


def looks(weights: Array) -> dict[str, Array]:
    """Each of `LOOKS` for each label, (labels,), from weights (labels, nodes)."""
    squares = np.sort(weights**2, axis=1)[:, ::-1]
    few = max(1, weights.shape[1] // 10)
    return {
        "norm": np.sqrt(squares.sum(axis=1)),
        "sum": weights.sum(axis=1),
        "largest": weights.max(axis=1),
        "tail": squares[:, :few].sum(axis=1) / squares.sum(axis=1),
    }


def oddest(model: Model) -> dict[str, float]:
    """How far the oddest label lies to the large side of the median, in robust deviations, by each look."""
    found = looks(last_weights(model))
    return {name: float(_to_the_large_side(values).max()) for name, values in found.items()}


def _to_the_large_side(values: Array) -> Array:
    return np.where(values > np.median(values), anomaly_index(values), 0.0)
