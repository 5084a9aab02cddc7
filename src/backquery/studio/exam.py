"""Performance of one network again and again, with other nodes switched off each time."""

from __future__ import annotations

import numpy as np

from backquery.datasets import Dataset
from backquery.model import Examples, Model, Network, evaluated

CHUNK = 4096

MOST_SIGNALS = 20_000_000
"""Signals of the first hidden layer that are kept; of more than that, all is computed anew each time."""


class Exam:
    """The test images, brought through the first layer once.

    A node that is switched off does not change the other nodes of the first hidden layer, and what it says itself
    is not listened to: only what follows has to be computed again.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self.model = model
        self._split = dataset.to_test_on
        self._tail: tuple[np.ndarray, np.ndarray] | None = None

    def performance(self, damaged: Model) -> float:
        """The share of test images that the model reads rightly; `damaged` is it, without some of its nodes."""
        if not isinstance(damaged, Network) or len(damaged.layers) == 1 or self._too_many(damaged):
            return evaluated(damaged, self._split).performance
        if self._tail is None:
            self._tail = self._first_signals()
        rest = Network(damaged.layers[1:], classes=damaged.classes)
        return evaluated(rest, self._tail).performance

    def _too_many(self, network: Network) -> bool:
        return network.sizes[1] * len(self._split) > MOST_SIGNALS

    def _first_signals(self) -> tuple[np.ndarray, np.ndarray]:
        """Signals (n, nodes) of the whole model's first hidden layer, and the labels (n,)."""
        assert isinstance(self.model, Network)
        first, examples = self.model.layers[0], Examples.of(self.model, self._split)
        parts = [first.activation.function(first.combine(part.inputs())) for part in examples.parts(CHUNK)]
        return np.concatenate(parts), examples.labels
