"""Does the answer follow the question? Ask for more and more confidence, and run each image forwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backquery.inversion import METHODS, BackQuery, Method, Targets, back_query, confidence
from backquery.model import Array, Labels, Model, typical_of

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
    model: Model,
    labels: Labels,
    method: str | Method,
    asked: tuple[float, ...] = ASKED,
    *,
    known: BackQuery | None = None,
) -> Obedience:
    """Ask for each of `labels` (n,) with each confidence by `method`.

    The other answers are asked to stay as they usually are beside that label where the model keeps statistics;
    else they are asked for what `confidence` asks of them. A method that does not choose its answers gives one
    image whatever is asked: `known`, where it has already been asked for these labels.
    """
    labels = np.asarray(labels)
    chosen = METHODS[method] if isinstance(method, str) else method
    if getattr(chosen, "chooses", True):
        questions = Targets.joined([_questions(model, labels, p) for p in asked])
        result = back_query(model, questions, method=method)
    else:
        result = back_query(model, _questions(model, labels, asked[0]), method=method) if known is None else known
    answers = result.answers.reshape(-1, len(labels), model.outputs)[:, np.arange(len(labels)), labels]
    return Obedience(np.array(asked), np.broadcast_to(answers, (len(asked), len(labels))))


def _questions(model: Model, labels: Labels, p: float) -> Targets:
    return confidence(model, labels, p, None if typical_of(model) is None else "typical")
