"""How well a model reads labelled images: the book's performance, and which labels it takes for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError, assume
from backquery.model.aliases import Array, Labels
from backquery.model.declared import declared
from backquery.model.examples import Data, Examples
from backquery.model.protocol import Model
from backquery.model.reading import UNREAD, strengths_of, strongest_labels
from backquery.model.scaling import refuse_raw

CHUNK = 1024
"""Images a question, so that what is made of them stays in the cache."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """confusion: (labels, labels) counts, rows the truth, columns what was read; read: (n,) the labels read.

    An image whose answers are not finite, or in which two labels tie, is read as nothing: `UNREAD` in `read`, in
    no column, and not right. Of those, `tied` are ties.
    """

    confusion: NDArray[np.int64]
    read: NDArray[np.int64]
    tied: int = 0

    def __repr__(self) -> str:
        """The share of right answers, and the worst confusion by its positions."""
        right = f"{self.performance:.2%} right: {int(np.trace(self.confusion)):,} of {self.images:,} images"
        worst = [f"; {truth} read as {read} {images} times" for truth, read, images in self.worst_confusions(1)]
        return f"Evaluation({right}{''.join(worst)})"

    @property
    def images(self) -> int:
        """How many images the model was asked about."""
        return len(self.read)

    @property
    def unread(self) -> int:
        """In how many images nothing is read."""
        return int(np.sum(self.read == UNREAD))

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
        """Performance, numbers of images, of those unread and of ties, and confusion as plain values."""
        return {
            "performance": self.performance,
            "images": self.images,
            "unread": self.unread,
            "tied": self.tied,
            "confusion": self.confusion.tolist(),
        }


@declared(DataError)
def evaluate(model: Model, data: Data) -> Evaluation:
    """Query `model` about raw images with labels, or about (inputs, labels), and compare.

    Of a whole data set those to test on are taken. Images in which nothing is read count as wrong, and their
    number is said in a warning: those the answers to which are not finite, and those in which two labels tie.
    Data that do not fit the model raise `DataError`.
    """
    found = evaluated(model, data)
    for images, why in (
        (found.unread - found.tied, "the answers to them are not finite"),
        (found.tied, "two labels tie, which is no reading"),
    ):
        if images:
            assume(f"{images:,} of {found.images:,} images count as wrong: {why}")
    return found


def evaluated(model: Model, data: Data) -> Evaluation:
    """The same without a word, for those who damage a network until it reads nothing."""
    examples = Examples.of(model, data, "to_test_on")
    parts = [_read(model, part.inputs()) for part in examples.parts(CHUNK)]
    read = np.concatenate([labels for labels, _ in parts])
    confusion = np.zeros((model.outputs, model.outputs), np.int64)
    known = read != UNREAD
    np.add.at(confusion, (examples.labels[known], read[known]), 1)
    return Evaluation(confusion, read, sum(tied for _, tied in parts))


def _read(model: Model, inputs: Array) -> tuple[Labels, int]:
    """What is read in inputs (n, inputs), (n,), and in how many of them two labels tie."""
    refuse_raw(inputs, model.scaling)
    strengths = strengths_of(model.output_activation, model.logits(inputs))
    read = strongest_labels(strengths)
    return read, int(np.isfinite(strengths[read == UNREAD]).all(axis=1).sum())
