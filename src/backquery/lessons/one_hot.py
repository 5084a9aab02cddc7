"""Labels as vectors: one for the label's own output node, nothing for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError
from backquery.model import Array
from backquery.model.declared import declared


@dataclass(frozen=True, eq=False)
class OneHotLesson:
    """labels: (n,) positions into `classes`; vectors: (n, classes) what an output layer is taught for each."""

    labels: NDArray[np.int64]
    vectors: Array
    classes: tuple[str, ...]

    def told(self) -> list[str]:
        """What was found, in sentences."""
        return [
            *(
                f"{self.classes[label]} becomes {' '.join(f'{number:g}' for number in vector)}"
                for label, vector in zip(self.labels, self.vectors, strict=True)
            ),
            "Back again: the label is the place of the largest number.",
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "labels": self.labels.tolist(),
            "vectors": self.vectors.tolist(),
            "classes": list(self.classes),
        }


@declared(DataError)
def one_hot(labels: ArrayLike, classes: int, *, low: float = 0.0, high: float = 1.0) -> Array:
    """Vectors (n, classes) for labels (n,) from 0 to classes - 1: `high` at the label's place, else `low`.

    As answers to ask of outputs the book takes 0.01 and 0.99, which a sigmoid can reach. Other labels raise
    `DataError`.
    """
    places = np.asarray(labels)
    if places.ndim != 1 or places.dtype.kind not in "iu" or np.any((places < 0) | (places >= classes)):
        raise DataError(f"labels must be whole numbers from 0 to {classes - 1}; received {labels!r}")
    vectors = np.full((len(places), classes), low)
    vectors[np.arange(len(places)), places] = high
    return vectors


def one_hot_lesson(
    labels: Sequence[int] = (5, 0, 4, 1, 9), classes: int = 10, *, low: float = 0.0, high: float = 1.0
) -> OneHotLesson:
    """Some labels and their vectors; by default the first five of MNIST's training images.

    low, high: what the outputs are asked for elsewhere and at the label.
    """
    vectors = one_hot(labels, classes, low=low, high=high)
    return OneHotLesson(np.asarray(labels, np.int64), vectors, tuple(map(str, range(classes))))
