"""Back-queried images beside real ones: how near, and how usual."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.inversion import Prior
from backquery.model import Array, Labels


class RealImages:
    """The training images as ink, ready to be searched for neighbours (Euclidean, exact).

    images: raw pixels (n, ...), 0 for paper and `maximum` for ink; labels: (n,).
    """

    def __init__(self, images: NDArray[Any], labels: Labels, maximum: float) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.ink = images.reshape(len(images), -1).astype(np.float32) / np.float32(maximum)
        self.labels = labels
        # In hundreds of dimensions a tree visits nearly all images as well.
        self._search = NearestNeighbors(algorithm="brute").fit(self.ink)

    def neighbours(self, ink: ArrayLike, count: int) -> tuple[Array, Labels]:
        """Distances and positions (n, count) of the nearest real images, the nearest first."""
        count = min(count, len(self.labels))
        distances, positions = self._search.kneighbors(np.asarray(ink, np.float32), count)
        return distances, positions


def typicality(prior: Prior, images: ArrayLike, real: ArrayLike) -> Array:
    """For each image (n, inputs) the share of `real` images (m, inputs) with a larger Mahalanobis distance.

    A real image scores between 0 and 1, a half in the middle; 1 means that the image lies nearer to the mean than
    any real one (too plain to be real), 0 that it is stranger than all of them.
    """
    usual = np.sort(prior.squared_distance(real))
    return 1 - np.searchsorted(usual, prior.squared_distance(images), side="right") / len(usual)
