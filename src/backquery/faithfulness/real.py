"""Back-queried images beside real ones: which is the nearest, and whether it was copied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.datasets import Split
from backquery.faithfulness.usual import percentiles
from backquery.model import Array, Labels
from backquery.model.memory import need

AT_ONCE = 128
"""Images whose distances to all real ones are held at once."""

PIXELS = 2**22
"""Pixels, about, of real images that are measured once more at a time."""

NEIGHBOURS = 5

HELD_OUT = 1000
"""Held-out real images whose nearest training images are looked for."""


@dataclass(frozen=True, eq=False)
class Nearness:
    """How near images are to the nearest training image, beside how near held-out real images are to theirs.

    distance: (n,), Euclidean, in ink; nearest: (n,) positions in the training half; usual: (m,) the distances of
    held-out real images to theirs, in rising order.
    """

    distance: Array
    nearest: Labels
    usual: Array

    @property
    def percentile(self) -> Array:
        """(n,): the share of held-out real images that lie nearer to theirs."""
        return percentiles(self.distance, self.usual)

    @property
    def copy(self) -> NDArray[np.bool_]:
        """(n,): whether the image is a training image again, or one with faint noise.

        It is where its distance is below two thirds of what 99 of 100 held-out real images keep from theirs: next
        to no real image comes so near.
        """
        return np.asarray((self.distance < np.quantile(self.usual, 0.01) * 2 / 3) | (self.distance == 0))

    @property
    def brief(self) -> str:
        """The median percentile, and how many copies there are: ``0.02, 3 copies``."""
        copies = int(self.copy.sum())
        said = f", {copies} {'copy' if copies == 1 else 'copies'}" if copies else ""
        return f"{np.median(self.percentile):.2f}{said}"

    def as_json(self) -> dict[str, Any]:
        """All that it holds as plain values, for JSON."""
        return {
            "distance_to_nearest": [round(float(v), 4) for v in self.distance],
            "nearest": self.nearest.tolist(),
            "nearest_distance_percentile": [round(float(v), 4) for v in self.percentile],
            "copy": self.copy.tolist(),
        }


class RealImages:
    """The training images as ink, ready to be searched for neighbours (Euclidean, exact).

    images: raw pixels (n, ...), 0 for paper and `maximum` for ink; labels: (n,).
    """

    def __init__(self, images: NDArray[Any], labels: Labels, maximum: float) -> None:
        need(
            1.5 * 4 * images.size,
            f"looking for the nearest of {len(images):,} images",
            "fewer or smaller images need less",
        )
        self.ink = _as_ink(images, maximum)
        self.labels = labels
        self.maximum = maximum
        self._squares = np.einsum("ij,ij->i", self.ink, self.ink)
        self._held_out: tuple[Split, Array, Labels] | None = None

    def nearness(self, ink: ArrayLike, test: Split | None) -> Nearness:
        """How near each image (n, inputs) is to the nearest training image, beside the images of the test half.

        Held-out images that stand in the training half too say nothing of how near real images come. Without a
        test half the training images themselves are held out, one at a time.
        """
        distances, positions = self.neighbours(ink, 1)
        between = self._alone[0][:, -1] if test is None else self.held_out(test)[0][:, 0]
        apart = between[between > 0]
        return Nearness(distances[:, 0], positions[:, 0], np.sort(apart if len(apart) else between))

    @cached_property
    def _alone(self) -> tuple[Array, Labels]:
        return self.neighbours(self.ink[:HELD_OUT], 2)

    def held_out(self, test: Split, maximum: float | None = None) -> tuple[Array, Labels]:
        """Distances and positions (n, 5) of the neighbours of the first thousand test images, looked for once.

        `maximum` is full ink in the test images, by default as in the training images.
        """
        if self._held_out is None or self._held_out[0] is not test:
            ink = _as_ink(test.images[:HELD_OUT], maximum or self.maximum)
            self._held_out = (test, *self.neighbours(ink, NEIGHBOURS))
        return self._held_out[1:]

    def neighbours(self, ink: ArrayLike, count: int) -> tuple[Array, Labels]:
        """Distances and positions (n, count) of the nearest real images, the nearest first."""
        count = min(count, len(self.labels))
        asked = np.asarray(ink, np.float32)
        found = [self._neighbours(asked[k : k + AT_ONCE], count) for k in range(0, len(asked), AT_ONCE)]
        distances, positions = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return distances, positions

    def _neighbours(self, asked: Array, count: int) -> tuple[Array, Labels]:
        # In hundreds of dimensions a tree visits nearly all images as well. All are compared in float32, and those
        # that rounding could have kept from being among the nearest are measured again.
        near = self._squares - 2 * (asked @ self.ink.T)
        most = np.partition(near, count - 1, axis=1)[:, count - 1]
        sizes = np.einsum("ij,ij->i", asked, asked) + self._squares.max()
        slack = 4 * asked.shape[1] * np.finfo(np.float32).eps * sizes
        rows, columns = np.nonzero(near <= (most + slack)[:, None])
        at_once = max(1, PIXELS // asked.shape[1])
        parts = [slice(begin, begin + at_once) for begin in range(0, len(rows), at_once)]
        exact = np.concatenate([self._exactly(asked[rows[part]], columns[part]) for part in parts])
        order = np.lexsort((columns, exact, rows))
        nearest = order[np.searchsorted(rows, np.arange(len(asked)))[:, None] + np.arange(count)]
        return exact[nearest], columns[nearest]

    def _exactly(self, asked: Array, positions: Labels) -> Array:
        """The distance (n,) of each image from the real one at its position."""
        return np.asarray(np.linalg.norm(self.ink[positions].astype(np.float64) - asked, axis=1))


def _as_ink(images: NDArray[Any], maximum: float) -> Array:
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(maximum)
