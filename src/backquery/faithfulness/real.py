"""Back-queried images beside real ones: how near, and how usual."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.inversion import Prior
from backquery.model import Array, Labels

AT_ONCE = 128
"""Images whose distances to all real ones are held at once."""


class RealImages:
    """The training images as ink, ready to be searched for neighbours (Euclidean, exact).

    images: raw pixels (n, ...), 0 for paper and `maximum` for ink; labels: (n,).
    """

    def __init__(self, images: NDArray[Any], labels: Labels, maximum: float) -> None:
        self.ink = images.reshape(len(images), -1).astype(np.float32) / np.float32(maximum)
        self.labels = labels
        self._squares = np.einsum("ij,ij->i", self.ink, self.ink)

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
        exact = np.linalg.norm(self.ink[columns].astype(np.float64) - asked[rows], axis=1)
        order = np.lexsort((columns, exact, rows))
        nearest = order[np.searchsorted(rows, np.arange(len(asked)))[:, None] + np.arange(count)]
        return exact[nearest], columns[nearest]


def typicality(prior: Prior, images: ArrayLike, real: ArrayLike) -> Array:
    """For each image (n, inputs) the share of `real` images (m, inputs) with a larger Mahalanobis distance.

    A real image scores between 0 and 1, a half in the middle; 1 means that the image lies nearer to the mean than
    any real one (too plain to be real), 0 that it is stranger than all of them.
    """
    return share_beyond(prior.squared_distance(images), np.sort(prior.squared_distance(real)))


def share_beyond(distances: Array, usual: Array) -> Array:
    """For each of some distances (n,) the share of the `usual` ones (m,), which rise, that are larger."""
    return 1 - np.searchsorted(usual, distances, side="right") / len(usual)
