"""How well a model reads labelled images: the book's performance, and which labels it takes for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.model.examples import Data, Examples
from backquery.model.protocol import Model

CHUNK = 8192
"""Images a question, so that memory stays small."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """confusion: (labels, labels) counts, rows the truth, columns what was read; read: (n,) the labels read."""

    confusion: NDArray[np.int64]
    read: NDArray[np.int64]

    @property
    def images(self) -> int:
        """How many images were read."""
        return len(self.read)

    @property
    def performance(self) -> float:
        """The share of images read rightly."""
        return float(np.trace(self.confusion) / self.images)

    def worst_confusions(self, count: int = 5) -> list[tuple[int, int, int]]:
        """The most frequent mistakes as (truth, read, images), the worst first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(int(truth), int(read), int(wrong[truth, read])) for truth, read in pairs if wrong[truth, read]]

    def as_json(self) -> dict[str, Any]:
        """Performance, number of images and confusion as plain values."""
        return {
            "performance": self.performance,
            "images": self.images,
            "confusion": self.confusion.tolist(),
        }


def evaluate(model: Model, data: Data) -> Evaluation:
    """Query `model` about raw images with labels, or about (inputs, labels), and compare."""
    examples = Examples.of(model, data)
    read = np.concatenate(
        [model.query(part.inputs()).argmax(axis=1) for part in examples.parts(CHUNK)], dtype=np.int64
    )
    confusion = np.zeros((model.outputs, model.outputs), np.int64)
    np.add.at(confusion, (examples.labels, read), 1)
    return Evaluation(confusion, read)
