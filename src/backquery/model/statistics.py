"""What a network may remember of its training images: their mean, their covariance, its usual answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.model.aliases import Array
from backquery.model.brief import brief
from backquery.model.declared import declared_value


@dataclass(frozen=True, eq=False)
class Mixture:
    """Several means and covariances, where one says too little: a mixture of low-rank Gaussians, without labels.

    Component j has the mean ``mean + basis @ centres[j]`` and the covariance ``F F' + diag(diagonal)`` with
    ``F = basis @ directions[j]``; mean and diagonal are those of the `Statistics` that the mixture belongs to.

    weights: (components,), positive, adding up to 1; basis: (inputs, width), orthonormal; centres: (components,
    width); directions: (components, width, rank), where a component of lower rank ends with columns of zeros.
    `ModelError` for anything else.
    """

    __repr__ = brief

    weights: Array
    basis: Array
    centres: Array
    directions: Array

    def __post_init__(self) -> None:
        count, width = len(self.weights), self.basis.shape[-1]
        if not (
            self.weights.shape == (count,)
            and self.basis.ndim == 2
            and self.centres.shape == (count, width)
            and self.directions.shape[:2] == (count, width)
            and self.directions.ndim == 3
        ):
            shapes = ", ".join(str(getattr(self, name).shape) for name in MIXTURE_PARTS)
            raise ModelError(
                "a mixture needs weights (components,), a basis (inputs, width), centres (components, width) and "
                f"directions (components, width, rank); received {shapes}"
            )
        _check_finite(self, "mixture", MIXTURE_PARTS)
        if count == 0 or np.any(self.weights <= 0) or abs(float(np.sum(self.weights)) - 1) > 1e-6:
            raise ModelError("the weights of a mixture must be positive and add up to 1")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def rank(self) -> int:
        """How many directions each component has at most."""
        return int(self.directions.shape[2])


MIXTURE_PARTS = ("weights", "basis", "centres", "directions")
"""The arrays of a `Mixture`, by the names under which a model file keeps them."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The variance of images in colour, or large ones, that their leading directions leave, by its frequency.

    It is diagonal in the images' orthonormal discrete cosine coefficients (DCT-II of rows and columns) along
    orthonormal axes of channels, and alike for all coefficients of one ring: see `rings_of`.

    powers: (rings, channels), positive, variances in squared input scale; axes: (channels, channels), column j
    the direction in the channels that ``powers[:, j]`` belong to. `ModelError` for anything else.
    """

    __repr__ = brief

    powers: Array
    axes: Array

    def __post_init__(self) -> None:
        channels = len(self.axes)
        if self.axes.shape != (channels,) * 2 or self.powers.ndim != 2 or self.powers.shape[1] != channels:
            shapes = f"{self.powers.shape} and {self.axes.shape}"
            raise ModelError(
                f"a spectrum needs powers (rings, channels) and axes (channels, channels); received {shapes}"
            )
        _check_finite(self, "spectrum", SPECTRUM_PARTS)
        if np.any(self.powers <= 0):
            raise ModelError("the powers of a spectrum must be positive")
        if not np.allclose(self.axes.T @ self.axes, np.eye(channels), atol=1e-6):
            raise ModelError("the axes of a spectrum must be orthonormal")

    def variances(self, rows: int, columns: int) -> Array:
        """The variance of each coefficient of images of that size, (rows, columns, channels)."""
        return np.asarray(self.powers[rings_of(rows, columns)])


SPECTRUM_PARTS = ("powers", "axes")
"""The arrays of a `Spectrum`, by the names under which a model file keeps them."""


def rings_of(rows: int, columns: int) -> NDArray[np.intp]:
    """The ring of frequency to which each cosine coefficient of an image belongs, (rows, columns).

    Ring r holds what goes up and down about r / 2 times along the longer side, in whichever direction.
    """
    side = max(rows, columns)
    down, across = (np.arange(length) * (side / length) for length in (rows, columns))
    return np.asarray(np.rint(np.hypot(down[:, None], across)), np.intp)


@declared_value(ModelError)
@dataclass(frozen=True)
class Statistics:
    """One mean and one covariance for *all* training images, and the typical logits of each label.

    The covariance is ``factor @ factor.T + diag(diagonal)``. It knows no classes: whatever separates the
    labels in a back query comes from the network.

    mean: (inputs,) in input scale; factor: (inputs, rank); diagonal: (inputs,), positive;
    typical: (labels, outputs), row k the logits of one real image, the most typical of those that the network
    reads as label k, or None where no network was asked; mixture: where one mean and one covariance say too
    little of the images, several, just as blind to classes; else None; spectrum: of images in colour and of large
    ones, the variance that the factor leaves, more exactly than the diagonal has it; else None. `ModelError` for
    parts that do not fit together.
    """

    __repr__ = brief

    mean: Array
    factor: Array
    diagonal: Array
    typical: Array | None = None
    mixture: Mixture | None = None
    spectrum: Spectrum | None = None

    def __post_init__(self) -> None:
        inputs = self.mean.shape[0]
        if self.mean.shape != (inputs,) or self.diagonal.shape != (inputs,):
            raise ModelError("statistics need a mean and a diagonal with one number for each input")
        if self.factor.ndim != 2 or self.factor.shape[0] != inputs:
            raise ModelError(f"the covariance factor must have {inputs} rows; received {self.factor.shape}")
        if self.mixture is not None and len(self.mixture.basis) != inputs:
            raise ModelError(f"the mixture's basis must have {inputs} rows; received {self.mixture.basis.shape}")
        _check_finite(self, "statistics", ("mean", "factor", "diagonal", "typical"))
        if np.any(self.diagonal <= 0):
            raise ModelError("the diagonal of the covariance must be positive")

    @property
    def rank(self) -> int:
        """How many directions the factor has."""
        return int(self.factor.shape[1])


def _check_finite(holder: object, kind: str, names: tuple[str, ...]) -> None:
    for name in names:
        values = getattr(holder, name)
        if values is not None and not np.all(np.isfinite(values)):
            raise ModelError(f"{name} of the {kind} holds numbers that are not finite")
