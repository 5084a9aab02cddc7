"""What many networks of one shape read in the same images: what they have in common is worked out once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backquery.model import UNREAD, Array, Labels, Layer, strengths_of, strongest_labels

PART = 512
"""Images that are read at a time: their signals stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Bulk:
    """Images in parts that are as narrow as their ink allows: nearly half of what digits need is no product then.

    blank: (inputs,) what blank paper is. order: (inputs,) the inputs, those that are inked most often first.
    rows: (n,) the images, those that need the fewest inputs of that order first. ink: for each part of the rows,
    (k, m) by how much the first k inputs of the order differ from blank paper; none of the others does.
    """

    blank: Array
    order: NDArray[np.intp]
    rows: NDArray[np.intp]
    ink: tuple[Array, ...]

    @classmethod
    def of(cls, inputs: Array, blank: Array) -> Bulk:
        """Inputs (n, inputs) of at least one image, and those of blank paper (inputs,)."""
        blank = blank.astype(inputs.dtype)
        inked = inputs != blank
        order = np.argsort(-inked.sum(axis=0), kind="stable")
        # The last place in that order that each image inks, and 0 for a blank one.
        last = len(order) - np.argmax(inked[:, order[::-1]], axis=1)
        needed = np.where(inked.any(axis=1), last, 0)
        rows = np.argsort(needed, kind="stable")
        parts = np.split(rows, range(PART, len(rows), PART))
        used = [order[: needed[part].max()] for part in parts]
        ink = (inputs[np.ix_(*chosen)] - blank[chosen[1]] for chosen in zip(parts, used, strict=True))
        return cls(blank, order, rows, tuple(np.ascontiguousarray(one.T) for one in ink))

    def sums(self, weights: Array) -> Iterator[Array]:
        """For each part the sums (nodes, m) that weights (nodes, inputs) make of its inputs."""
        ordered, paper = weights[:, self.order], (weights @ self.blank)[:, None]
        for ink in self.ink:
            found = ordered[:, : len(ink)] @ ink
            found += paper
            yield found

    def read(self, layers: Sequence[Layer], sums: Iterable[Array] | None = None) -> Labels:
        """The labels (n,) that a chain of layers reads, where the first layer's `sums` may be known already."""
        made = self.sums(layers[0].weights) if sums is None else sums
        strengths = np.concatenate([strengths_from(one, layers) for one in made], axis=1)
        labels = np.empty(len(self.rows), np.int64)
        labels[self.rows] = strongest(strengths)
        return labels


def strengths_from(sums: Array, layers: Sequence[Layer]) -> Array:
    """What decides between labels, (outputs, n), from the first layer's sums (nodes, n) without its biases."""
    z = _shifted(sums, layers[0])
    for before, after in pairwise(layers):
        z = _shifted(after.weights @ before.activation.function(z), after)
    return strengths_of(layers[-1].activation, z)


def _shifted(sums: Array, layer: Layer) -> Array:
    return sums if layer.biases is None else sums + layer.biases[:, None]


def strongest(strengths: Array) -> Labels:
    """What `strongest_labels` says of the same, given as (outputs, n)."""
    if not np.isfinite(strengths).all():
        return strongest_labels(strengths.T)
    # Row by row and without branches, which a processor guesses wrongly for every other image.
    labels, most = np.zeros(strengths.shape[1], np.int64), strengths[0].copy()
    for label, row in enumerate(strengths[1:], start=1):
        np.maximum(labels, (row > most) * label, out=labels)
        np.maximum(most, row, out=most)
    tied = np.count_nonzero(strengths == most, axis=0) > 1
    labels[tied] = UNREAD
    return labels
