"""What images look like before any network is asked: one mean and one covariance, the same for every label.

A prior is the normal distribution N(m, C) with ``C = F F' + diag(d)``. It knows no classes, so whatever
separates the labels in a back query comes from the network. Only the proportions of C matter to a back
query, never its scale.

Whoever works with a prior asks it for operations, never for F: they are the methods of `Prior`. Whitening is
done pixel by pixel, because a box of images must stay a box: ``x = origin + deviation * y``, in which coordinates
the covariance is ``I + F F'``, with F whitened (`linearised.Whitened`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import InversionError
from backquery.inversion.linearised import BoundPixels, Rows, matrix_product
from backquery.model import Array, Layout, Statistics

NOISE = 0.01
"""Variance that every prior grants each pixel alone, for ink between 0 and 1."""

SMOOTH_VARIANCE = 0.09
"""Variance of the smooth part of the prior `smooth`, for ink between 0 and 1."""


@dataclass(frozen=True, eq=False)
class Prior:
    """N(mean, factor factor' + diag(diagonal)) over images in input scale.

    mean: (inputs,); factor: (inputs, rank), where rank may be 0; diagonal: (inputs,), positive.
    """

    name: str
    mean: Array
    factor: Array
    diagonal: Array

    def __post_init__(self) -> None:
        for part in ("mean", "factor", "diagonal"):
            # A copy, because it becomes read-only, and the caller's array must not.
            values = np.array(getattr(self, part), np.float64)
            if not np.all(np.isfinite(values)):
                raise InversionError(f"the {part} of the prior {self.name!r} holds numbers that are not finite")
            values.setflags(write=False)
            object.__setattr__(self, part, values)
        inputs = self.mean.size
        if self.mean.ndim != 1 or self.diagonal.shape != (inputs,) or self.factor.shape[:1] != (inputs,):
            raise InversionError(
                "a prior needs a mean (inputs,), a factor (inputs, rank) and a diagonal (inputs,); received "
                f"{self.mean.shape}, {self.factor.shape} and {self.diagonal.shape}"
            )
        if np.any(self.diagonal <= 0):
            raise InversionError("the diagonal of a prior's covariance must be positive")

    @property
    def inputs(self) -> int:
        """The number of pixels."""
        return self.mean.size

    @property
    def rank(self) -> int:
        """How many directions the factor has."""
        return int(self.factor.shape[1])

    @cached_property
    def deviation(self) -> Array:
        """What every pixel deviates by alone, (inputs,): the unit of whitened coordinates."""
        return np.asarray(np.sqrt(self.diagonal))

    def whiten(self, images: ArrayLike, origin: Array | None = None) -> Array:
        """Images (..., inputs) in whitened coordinates, from `origin`, or the mean."""
        return (np.asarray(images, np.float64) - (self.mean if origin is None else origin)) / self.deviation

    def unwhiten(self, y: Array, origin: Array | None = None) -> Array:
        """The images that are `y` (..., inputs) in whitened coordinates."""
        return (self.mean if origin is None else origin) + self.deviation * y

    def of(self, rows: Rows) -> Prior:
        """What the questions `rows` of a batch are asked under: the same for all."""
        return self

    def likeliest(self, images: ArrayLike) -> Prior:
        """Which part of the prior images most probably come from: there is only one."""
        return self

    def spread(self, scores: Array) -> Array:
        """F u for each row u of scores (n, rank), with F whitened: (n, inputs)."""
        return scores @ self._spreading

    def gather(self, y: Array) -> Array:
        """F' y for whitened images or slopes, (..., inputs) to (..., rank)."""
        return matrix_product(y, self.whitened)

    def explained(self, y: Array) -> tuple[Array, Array]:
        """The scores u (n, rank) that explain whitened images best, and their squared distances (n,).

        They are those of the smallest ``|u|^2 + |y - F u|^2``, which is the squared Mahalanobis distance from the
        origin, by Woodbury's identity in the space of the factor.
        """
        along = self.gather(y)
        u: Array = along @ self._inner
        return u, np.asarray(np.einsum("ij,ij->i", y, y) - np.einsum("ij,ij->i", along, u))

    def bound_pixels(self, images: int) -> BoundPixels:
        """Who answers systems with ``I + F_B' F_B``: see `linearised.Whitened`."""
        return BoundPixels([self.whitened] * images)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Scores (count, rank) of images as the prior draws them, an even number, each with its mirror image."""
        half = rng.normal(size=(count // 2, self.rank))
        return np.concatenate([half, -half])

    def covariance_times(self, vectors: ArrayLike) -> Array:
        """C v for each row v of (n, inputs), without ever forming C."""
        v = np.asarray(vectors, np.float64) * self.deviation
        return self.deviation * (v + self.spread(self.gather(v)))

    def squared_distance(self, images: ArrayLike, mean: ArrayLike | None = None) -> Array:
        """The squared Mahalanobis distance ``(x - m)' C^-1 (x - m)`` of each row of (n, inputs) from `mean`."""
        centre = None if mean is None else np.asarray(mean, np.float64)
        return self.explained(self.whiten(images, centre))[1]

    def log_density(self, images: ArrayLike) -> Array:
        """The natural logarithm of the density at each row of (n, inputs), in input scale."""
        return self.log_peak - 0.5 * self.squared_distance(images)

    @cached_property
    def log_peak(self) -> float:
        """The natural logarithm of the density at the mean."""
        spread = np.linalg.slogdet(np.eye(self.rank) + self.whitened.T @ self.whitened)[1]
        return float(-0.5 * (self.inputs * np.log(2 * np.pi) + np.log(self.diagonal).sum() + spread))

    @cached_property
    def whitened(self) -> Array:
        """F (inputs, rank) in whitened coordinates; who works with a prior asks it for operations instead."""
        # Rows of their own: freshly fitted factors come column by column.
        return np.ascontiguousarray(self.factor / self.deviation[:, None])

    @cached_property
    def _spreading(self) -> Array:
        # A copy: for few rows BLAS takes twice as long with a matrix that lies the other way.
        return np.ascontiguousarray(self.whitened.T)

    @cached_property
    def _inner(self) -> Array:
        """``(I + F' F)^-1``, (rank, rank)."""
        return np.asarray(np.linalg.inv(np.eye(self.rank) + self.whitened.T @ self.whitened))

    def scaled(self, scale: float) -> Prior:
        """The same prior with `scale` times the covariance; every back query stays what it is."""
        return Prior(self.name, self.mean, self.factor * scale**0.5, self.diagonal * scale)


def data_prior(statistics: Statistics) -> Prior:
    """The prior `data`: the mean and the covariance of the training images."""
    return Prior("data", statistics.mean, statistics.factor, statistics.diagonal)


def smooth_prior(
    shape: tuple[int, ...], low: ArrayLike = 0.0, high: ArrayLike = 1.0, *, length: float | None = None
) -> Prior:
    """The prior `smooth`: neighbouring pixels are alike, and more is not known; it needs no data.

    The mean is blank paper (`low`). The covariance between two pixels is ``exp(-(distance / length)^2 / 2)``
    along each axis, a Kronecker product whose factor is cut where its variances fall below the noise; what
    is cut stays on the diagonal. Channels are smooth each for itself, wherever `shape` has them (see `Layout`);
    `length` is in pixels, by default a fourteenth of the longer side (2 for 28 x 28), at least one.
    """
    layout = Layout.of(shape)
    if not layout.known:
        raise InversionError(
            f"the prior 'smooth' must know where the pixels lie, but the model's images have shape {shape}; "
            "give the model an input shape such as (28, 28), or use the prior 'flat'"
        )
    length = max(1.0, max(layout.rows, layout.columns) / 14) if length is None else float(length)
    if not length > 0:
        raise InversionError(f"the length scale must be a positive number of pixels; received {length:g}")
    # Eigenvalues of a Kronecker product are products of its parts': no matrix of pixels by pixels is needed.
    (down, columns), (across, rows) = (_similarity(side, length) for side in (layout.rows, layout.columns))
    products = np.multiply.outer(down, across)
    kept = np.nonzero(products > NOISE / SMOOTH_VARIANCE)
    variances = products[kept]
    vectors: Array = (columns[:, None, kept[0]] * rows[None, :, kept[1]]).reshape(-1, variances.size)
    if layout.channels > 1:
        variances, vectors = np.repeat(variances, layout.channels), np.kron(vectors, np.eye(layout.channels))
        vectors = vectors[layout.places]
    factor = vectors * np.sqrt(variances * SMOOTH_VARIANCE)
    lost = np.maximum(SMOOTH_VARIANCE - np.sum(factor**2, axis=1), 0.0)
    return _in_input_scale("smooth", factor, lost + NOISE, low, high)


def flat_prior(inputs: int, low: ArrayLike = 0.0, high: ArrayLike = 1.0) -> Prior:
    """The prior `flat`: every pixel alone, all alike, around blank paper."""
    return _in_input_scale("flat", np.zeros((inputs, 0)), np.ones(inputs), low, high)


def _similarity(side: int, length: float) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the squared-exponential covariance along one axis."""
    places = np.arange(side)
    return np.linalg.eigh(np.exp(-0.5 * ((places[:, None] - places) / length) ** 2))


def _in_input_scale(name: str, factor: Array, diagonal: Array, low: ArrayLike, high: ArrayLike) -> Prior:
    inputs = len(diagonal)
    paper = np.broadcast_to(np.asarray(low, np.float64), inputs)
    span = np.abs(np.broadcast_to(np.asarray(high, np.float64), inputs) - paper)
    # A pixel whose ink is its paper still needs a positive variance.
    span = np.where(span > 0, span, 1.0)
    return Prior(name, paper, factor * span[:, None], diagonal * span**2)
