"""What is in a data set, in numbers: to be looked at before a network is trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from backquery.datasets.dataset import Dataset
from backquery.datasets.split import Split
from backquery.model import Meaning, Shape

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class SplitSummary:
    """One half: how many images, how many of each class, and what their raw pixels are like.

    `lowest` and `highest` are raw pixels; `blank` is the share of pixels that are paper (or black), exactly 0.
    `colours` are the mean raw pixels of red, green and blue, where images are in colour.
    """

    images: int
    counts: Mapping[str, int]
    lowest: float
    highest: float
    blank: float
    colours: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Summary:
    """A data set in numbers; `shared` counts the test images that also occur in the train half.

    maximum: the raw pixel of full ink.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: Shape
    maximum: float
    meaning: Meaning
    train: SplitSummary
    test: SplitSummary | None
    shared: int

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values, under the names of the fields."""
        return {**asdict(self), "classes": list(self.classes), "input_shape": list(self.input_shape)}


def inspect(dataset: Dataset) -> Summary:
    """Count and measure both halves of a data set."""
    summaries = {half: _summary(split, dataset.classes) for half, split in dataset.halves}
    return Summary(
        dataset.name,
        dataset.classes,
        dataset.input_shape,
        dataset.maximum,
        dataset.meaning,
        summaries["train"],
        summaries.get("test"),
        0 if dataset.test is None else _shared(dataset.train, dataset.test),
    )


def _summary(split: Split, classes: tuple[str, ...]) -> SplitSummary:
    counts = np.bincount(split.labels, minlength=len(classes))
    in_colour = split.images.ndim == 4
    blank = (split.images == 0).all(axis=-1) if in_colour else split.images == 0
    return SplitSummary(
        len(split),
        dict(zip(classes, counts.tolist(), strict=True)),
        float(split.images.min()),
        float(split.images.max()),
        float(np.mean(blank)),
        dict(zip(COLOURS, split.images.mean(axis=(0, 1, 2)).tolist(), strict=True)) if in_colour else None,
    )


def _shared(train: Split, test: Split) -> int:
    """How many images of `test` have the same pixels as one of `train`, by their hashes."""
    dtype = np.result_type(train.images, test.images)

    def fingerprints(split: Split) -> list[bytes]:
        images = np.ascontiguousarray(split.images, dtype)
        return [blake2b(image, digest_size=16).digest() for image in images]

    known = set(fingerprints(train))
    return sum(fingerprint in known for fingerprint in fingerprints(test))
