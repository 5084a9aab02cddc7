"""What images look like before any network is asked: one mean and one covariance, the same for every label.

A prior is the normal distribution N(m, C) with ``C = F F' + diag(d)``. It knows no classes, so whatever
separates the labels in a back query comes from the network. Only the proportions of C matter to a back
query, never its scale.

Whoever works with a prior asks it for operations, never for F: they are the methods of `Prior`. Whitening is
done pixel by pixel, because a box of images must stay a box: ``x = origin + deviation * y``, in which coordinates
the covariance is ``I + F F'``, with F whitened (`linearised.LowRank`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from backquery.errors import InversionError
from backquery.inversion.gaussian import Gaussian
from backquery.inversion.linearised import (
    BoundPixels,
    Linearisation,
    Linearised,
    matrix_product,
    newton_step,
)
from backquery.inversion.spectral import PRECISE, SpectralPrior
from backquery.inversion.waves import Waves
from backquery.model import Array, Layout, Statistics, brief, reals, whole
from backquery.model.declared import declared

NOISE = 0.01
"""Variance that every prior grants each pixel alone, for ink between 0 and 1."""

SMOOTH_VARIANCE = 0.09
"""Variance of the smooth part of the prior `smooth`, for ink between 0 and 1."""

FACTORED = 2**14
"""Inputs up to which `smooth` (of grey images) and `data` are a factor and a diagonal, which are searched best."""

COLOUR_AXES = (
    (-0.5675, -0.5808, -0.5836),
    (0.7192, -0.0045, -0.6948),
    (0.4009, -0.8140, 0.4203),
)
COLOUR_VARIANCES = (0.2175, 0.0188, 0.0045)
"""How red, green and blue of photographs vary together, for colours from 0 to 1: the principal axes and variances
of ImageNet's pixels (Krizhevsky, Sutskever & Hinton 2012, section 4.1; figures as in fb.resnet.torch)."""

COLOUR_MEANS = (0.485, 0.456, 0.406)
"""The mean red, green and blue of ImageNet's pixels, for colours from 0 to 1 (as torchvision prints them)."""


class Factors(NamedTuple):
    """F (inputs, rank) in whitened coordinates, its transpose, and ``(I + F' F)^-1`` (rank, rank)."""

    whitened: Array
    spreading: Array
    inner: Array


@dataclass(frozen=True, eq=False)
class Prior(Gaussian):
    """N(mean, factor factor' + diag(diagonal)) over images in input scale.

    mean: (inputs,); factor: (inputs, rank), where rank may be 0; diagonal: (inputs,), positive. Others, or numbers
    that are not finite, raise `InversionError`.
    """

    __repr__ = brief

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
    def rank(self) -> int:
        """How many directions the factor has."""
        return int(self.factor.shape[1])

    @cached_property
    def deviation(self) -> Array:
        """What every pixel deviates by alone, (inputs,): the unit of whitened coordinates."""
        return np.asarray(np.sqrt(self.diagonal))

    def spread(self, scores: Array) -> Array:
        """F u for each row u of scores (n, rank), with F whitened: (n, inputs)."""
        return scores @ self.factors(scores.dtype).spreading

    def gather(self, y: Array) -> Array:
        """F' y for whitened images or slopes, (..., inputs) to (..., rank)."""
        return matrix_product(y, self.factors(y.dtype).whitened)

    def explained(self, y: Array) -> tuple[Array, Array]:
        """The scores u (n, rank) that explain whitened images best, and their squared distances (n,).

        They are those of the smallest ``|u|^2 + |y - F u|^2``, which is the squared Mahalanobis distance from the
        origin, by Woodbury's identity in the space of the factor.
        """
        along = self.gather(y)
        u: Array = along @ self.factors(y.dtype).inner
        return u, np.asarray(np.einsum("ij,ij->i", y, y) - np.einsum("ij,ij->i", along, u))

    def precise(self, y: Array, kept: Array) -> Array:
        """C^-1 y for whitened images y (n, inputs) and the scores `kept` (n, rank) that explain them."""
        return y - self.spread(kept)

    def covary(self, y: Array) -> Array:
        """C y for each row y of (n, inputs), in whitened coordinates."""
        return y + self.spread(self.gather(y))

    def bound_pixels(self, images: int) -> BoundPixels:
        """Who answers systems with ``I + F_B' F_B``: see `linearised.LowRank`."""
        return BoundPixels([self.whitened] * images)

    def newton_step(self, here: Linearisation) -> Linearised:
        """The next step of a search under this prior: see `linearised.newton_step`."""
        return newton_step(self, here)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Scores (count, rank) of images as the prior draws them, an even number, each with its mirror image."""
        half = rng.normal(size=(count // 2, self.rank))
        return np.concatenate([half, -half])

    def covariance_times(self, vectors: ArrayLike) -> Array:
        """C v for each row v of `vectors` (n, inputs), without ever forming C."""
        return self.deviation * self.covary(np.asarray(vectors, np.float64) * self.deviation)

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

    def factors(self, dtype: DTypeLike) -> Factors:
        """The matrices of this prior's operations in the precision of what they are applied to."""
        return self._single if dtype == np.float32 else self._double

    @cached_property
    def _double(self) -> Factors:
        inner = np.linalg.inv(np.eye(self.rank) + self.whitened.T @ self.whitened)
        # A copy: for few rows BLAS takes twice as long with a matrix that lies the other way.
        return Factors(self.whitened, np.ascontiguousarray(self.whitened.T), inner)

    @cached_property
    def _single(self) -> Factors:
        return Factors(*(matrix.astype(np.float32) for matrix in self._double))

    def scaled(self, scale: float) -> Prior:
        """The same prior with `scale` times the covariance; every back query stays what it is."""
        return Prior(self.name, self.mean, self.factor * scale**0.5, self.diagonal * scale)


OnePrior = Prior | SpectralPrior
"""One mean and one covariance."""


def data_prior(statistics: Statistics) -> Prior:
    """The prior `data`: the mean and the covariance of the training images."""
    return Prior("data", statistics.mean, statistics.factor, statistics.diagonal)


def large_data_prior(statistics: Statistics, shape: tuple[int, ...]) -> OnePrior:
    """The prior `data` of large images, where what the leading directions leave falls off with the frequency.

    Of small images the diagonal says as much: coloured digits are drawn better with it.
    """
    layout, spectrum = Layout.of(shape), statistics.spectrum
    if spectrum is None or layout.inputs <= FACTORED:
        return data_prior(statistics)
    waves = Waves.cosines(layout, spectrum.axes.T)
    variances = waves.in_order(np.moveaxis(spectrum.variances(layout.rows, layout.columns), -1, 0))
    factor: Array = statistics.factor.astype(np.float64 if layout.inputs <= PRECISE else np.float32, copy=False)
    return SpectralPrior("data", statistics.mean, np.ones(layout.inputs), waves, variances, factor)


@declared(InversionError)
def smooth_prior(
    shape: tuple[int, ...], low: ArrayLike = 0.0, high: ArrayLike = 1.0, *, length: float | None = None
) -> OnePrior:
    """The prior `smooth`: neighbouring pixels are alike, and more is not known; it needs no data.

    The mean is blank paper (`low`), in colour that of photographs; full ink is `high`: numbers, or (inputs,). The
    covariance between two pixels is ``exp(-(distance / length)^2 / 2)`` along each axis. Of small grey images this
    Kronecker product's factor is cut where its variances fall below the noise, and what is cut stays on the
    diagonal; of others it is kept whole, as waves. Channels are smooth each for itself, wherever `shape` has them
    (see `Layout`); `length` is in pixels, by default a fourteenth of the longer side (2 for 28 x 28), at least
    one. A shape without rows and columns raises `InversionError`.
    """
    layout = Layout.of(shape) if len(shape) else None
    if layout is None or not layout.known:
        raise InversionError(
            f"the prior 'smooth' must know where the pixels lie, but the model's images have shape {shape}; "
            "give the model an input shape such as (28, 28), or use the prior 'flat'"
        )
    length = max(1.0, max(layout.rows, layout.columns) / 14) if length is None else float(length)
    if not length > 0:
        raise InversionError(f"the length scale must be a positive number of pixels; received {length:g}")
    if layout.channels > 1 or layout.inputs > FACTORED:
        return _smooth_waves(layout, length, low, high)
    # Eigenvalues of a Kronecker product are products of its parts': no matrix of pixels by pixels is needed.
    (down, columns), (across, rows) = (_similarity(side, length) for side in (layout.rows, layout.columns))
    products = np.multiply.outer(down, across)
    kept = np.nonzero(products > NOISE / SMOOTH_VARIANCE)
    variances = products[kept]
    vectors: Array = (columns[:, None, kept[0]] * rows[None, :, kept[1]]).reshape(-1, variances.size)
    factor = vectors * np.sqrt(variances * SMOOTH_VARIANCE)
    lost = np.maximum(SMOOTH_VARIANCE - np.sum(factor**2, axis=1), 0.0)
    return _in_input_scale("smooth", factor, lost + NOISE, low, high)


@declared(InversionError)
def flat_prior(inputs: int, low: ArrayLike = 0.0, high: ArrayLike = 1.0) -> Prior:
    """The prior `flat`: every pixel alone, all alike, around blank paper (`low`; full ink is `high`).

    Each is a number, or (inputs,); anything else raises `InversionError`.
    """
    count = whole(inputs, "the number of inputs", InversionError)
    for name, end in (("low", low), ("high", high)):
        if reals(end, f"the ends ({name})", InversionError).shape not in ((), (count,)):
            raise InversionError(f"{name} is a number, or one for each of {count} inputs; received {end!r}")
    return _in_input_scale("flat", np.zeros((count, 0)), np.ones(count), low, high)


def _similarity(side: int, length: float) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the squared-exponential covariance along one axis."""
    places = np.arange(side)
    return np.linalg.eigh(np.exp(-0.5 * ((places[:, None] - places) / length) ** 2))


def _smooth_waves(layout: Layout, length: float, low: ArrayLike, high: ArrayLike) -> SpectralPrior:
    (down, rows), (across, columns) = (_similarity(side, length) for side in (layout.rows, layout.columns))
    # Rounding leaves eigenvalues a trifle below zero.
    power = np.maximum(np.multiply.outer(down, across), 0.0)
    colours = _Colours.of(layout)
    waves = Waves(layout, rows.T, columns.T, colours.axes)
    each = colours.variances / colours.variances.mean() * SMOOTH_VARIANCE
    paper, span = _paper(layout.inputs, low, high)
    mean = colours.mean(layout, low, high) if layout.channels > 1 else paper
    return _of_waves("smooth", mean, span, waves, each[:, None, None] * power + NOISE)


def natural_prior(shape: tuple[int, ...], low: ArrayLike = 0.0, high: ArrayLike = 1.0) -> SpectralPrior:
    """The prior `natural`: what photographs look like, whatever they show; it needs no data.

    The power falls with the square of the frequency (Field 1987), and red, green and blue vary together as they do
    in photographs, whose mean is also theirs (`COLOUR_AXES`; Olah, Mordvintsev & Schubert 2017 parametrise images
    so). Grey images and other channels vary as brightness does, each channel for itself. `low` and `high` are the
    inputs of paper and of full ink, numbers or (inputs,). A shape without rows and columns raises
    `InversionError`.
    """
    layout = Layout.of(shape) if len(shape) else None
    if layout is None or not layout.known:
        raise InversionError(
            f"the prior 'natural' must know where the pixels lie, but the model's images have shape {shape}; "
            "give the model an input shape such as (3, 32, 32), or use the prior 'flat'"
        )
    colours, power = _Colours.of(layout), _falling_power(layout)
    waves = Waves.cosines(layout, colours.axes)
    _, span = _paper(layout.inputs, low, high)
    return _of_waves(
        "natural", colours.mean(layout, low, high), span, waves, colours.variances[:, None, None] * power
    )


class _Colours(NamedTuple):
    """How channels vary in photographs: principal axes, one in each row, their variances, and the means."""

    axes: Array
    variances: Array
    means: Array

    @classmethod
    def of(cls, layout: Layout) -> _Colours:
        """Red, green and blue where there are three channels, else brightness, each channel for itself."""
        count = layout.channels
        if count != len(COLOUR_MEANS):
            alike = (np.full(count, sum(each) / 3) for each in (COLOUR_VARIANCES, COLOUR_MEANS))
            return cls(np.eye(count), *alike)
        # The published axes are rounded to four digits, and waves must be orthogonal.
        axes, _ = np.linalg.qr(np.array(COLOUR_AXES).T)
        return cls(axes.T, np.array(COLOUR_VARIANCES), np.array(COLOUR_MEANS))

    def mean(self, layout: Layout, low: ArrayLike, high: ArrayLike) -> Array:
        """The mean image (inputs,) within a box."""
        ends = [np.broadcast_to(np.asarray(end, np.float64), layout.inputs) for end in (low, high)]
        grid = np.broadcast_to(self.means, (layout.rows, layout.columns, layout.channels))
        mean: Array = ends[0] + (ends[1] - ends[0]) * layout.flat(grid)
        return mean


def _of_waves(name: str, mean: Array, deviation: Array, waves: Waves, variances: Array) -> SpectralPrior:
    """A prior of waves alone; variances: (channels, rows, columns)."""
    return SpectralPrior(name, mean, deviation, waves, waves.in_order(variances), np.zeros((mean.size, 0)))


def _falling_power(layout: Layout) -> Array:
    """``1 / f^2`` of each cosine (rows, columns), at least one in the longer side; 1 in the mean."""
    down, across = (np.arange(side) / (2 * side) for side in (layout.rows, layout.columns))
    lowest = 1 / (2 * max(layout.rows, layout.columns))
    power = 1 / np.maximum(down[:, None] ** 2 + across**2, lowest**2)
    return np.asarray(power / power.mean())


def _paper(inputs: int, low: ArrayLike, high: ArrayLike) -> tuple[Array, Array]:
    """Blank paper, and how far full ink is from it, (inputs,) each."""
    paper = np.broadcast_to(np.asarray(low, np.float64), inputs)
    span = np.abs(np.broadcast_to(np.asarray(high, np.float64), inputs) - paper)
    # A pixel whose ink is its paper still needs a positive variance.
    return paper, np.where(span > 0, span, 1.0)


def _in_input_scale(name: str, factor: Array, diagonal: Array, low: ArrayLike, high: ArrayLike) -> Prior:
    paper, span = _paper(len(diagonal), low, high)
    return Prior(name, paper, factor * span[:, None], diagonal * span**2)
