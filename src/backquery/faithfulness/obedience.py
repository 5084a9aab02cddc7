"""Does the answer follow the question? Ask for more and more confidence, and run each image forwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.inversion import Method, Targets, back_query, confidence
from backquery.model.aliases import Array
from backquery.model.protocol import Model

ASKED = (0.6, 0.8, 0.99)
CLOSE = 0.05


@dataclass(frozen=True, eq=False)
class Obedience:
    """asked: (q,) confidences; answers: (q, n) what the model answered for the label of each of n images."""

    asked: Array
    answers: Array

    @property
    def obeyed(self) -> float:
        """The share of all questions whose answer is within 0.05 of what was asked."""
        return float(np.mean(np.abs(self.answers - self.asked[:, None]) <= CLOSE))


def obedience(
    model: Model, labels: NDArray[np.int64], method: str | Method, asked: tuple[float, ...] = ASKED
) -> Obedience:
    """Ask for each label with each confidence by `method`.

    The other answers are asked to stay as they usually are beside that label where the model keeps statistics;
    else they are asked for what `confidence` asks of them.
    """
    found = []
    for p in asked:
        result = back_query(model, _questions(model, labels, p), method=method)
        found.append(result.answers[np.arange(len(labels)), labels])
    return Obedience(np.array(asked), np.array(found))


def _questions(model: Model, labels: NDArray[np.int64], p: float) -> Targets:
    typical = model.statistics is not None and model.statistics.typical is not None
    return confidence(model, labels, p, "typical" if typical else None)
