"""What any normal distribution over images can do, however its covariance is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from backquery.inversion.linearised import Rows
from backquery.model import Array


class Gaussian:
    """N(mean, C), in whitened coordinates ``x = origin + deviation * y``, in which a box stays a box.

    mean, deviation: (inputs,). `explained` gives what a search keeps of whitened images, and their squared
    distances; `log_peak` is the logarithm of the density at the mean.
    """

    if TYPE_CHECKING:
        name: str
        mean: Array

        @property
        def deviation(self) -> Array:
            """(inputs,)."""

        @property
        def log_peak(self) -> float:
            """In nats."""

        def explained(self, y: Array) -> tuple[Array, Array]:
            """See the class."""
            ...

    @property
    def inputs(self) -> int:
        """The number of pixels."""
        return self.mean.size

    def whiten(self, images: ArrayLike, origin: Array | None = None) -> Array:
        """Images (..., inputs) in whitened coordinates, from `origin`, or the mean."""
        return (np.asarray(images, np.float64) - (self.mean if origin is None else origin)) / self.deviation

    def unwhiten(self, y: Array, origin: Array | None = None) -> Array:
        """The images that are `y` (..., inputs) in whitened coordinates."""
        return (self.mean if origin is None else origin) + self.deviation * y

    def of(self, rows: Rows) -> Self:
        """What the questions `rows` of a batch are asked under: the same for all."""
        return self

    def likeliest(self, images: ArrayLike) -> Self:
        """Which part of the prior images most probably come from: there is only one."""
        return self

    def squared_distance(self, images: ArrayLike, mean: ArrayLike | None = None) -> Array:
        """The squared Mahalanobis distance ``(x - m)' C^-1 (x - m)`` of each row of (n, inputs) from `mean`."""
        centre = None if mean is None else np.asarray(mean, np.float64)
        return self.explained(self.whiten(images, centre))[1]

    def log_density(self, images: ArrayLike) -> Array:
        """The natural logarithm of the density at each row of (n, inputs), in input scale."""
        return self.log_peak - 0.5 * self.squared_distance(images)
