"""Orthogonal waves over an image's rows, columns and channels, each of which a small matrix makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backquery.errors import InversionError
from backquery.model import Array, Layout

LARGE = 2**15
"""Pixels from which on a fast transform is quicker than two products of matrices."""


@dataclass(frozen=True, eq=False)
class Waves:
    """Orthogonal functions over an image's rows, columns and channels, one in each row of each matrix.

    rows: (rows, rows); columns: (columns, columns); channels: (channels, channels). transformed: whether rows and
    columns are cosines of images so large that a fast transform makes them sooner than the matrices do.
    """

    layout: Layout
    rows: Array
    columns: Array
    channels: Array
    transformed: bool = False

    def __post_init__(self) -> None:
        sides = (self.layout.rows, self.layout.columns, self.layout.channels)
        for side, matrix in zip(sides, (self.rows, self.columns, self.channels), strict=True):
            if matrix.shape != (side, side) or not np.allclose(matrix @ matrix.T, np.eye(side), atol=1e-5):
                raise InversionError(
                    f"waves need an orthogonal matrix of {side} by {side}; received {matrix.shape}"
                )

    @classmethod
    def cosines(cls, layout: Layout, channels: Array | None = None) -> Waves:
        """Cosines, which do not take opposite edges for neighbours as a Fourier transform does (DCT-II)."""
        colours = np.eye(layout.channels) if channels is None else channels
        large = layout.rows * layout.columns > LARGE
        return cls(layout, _cosines(layout.rows), _cosines(layout.columns), colours, large)

    def coefficients(self, y: Array) -> Array:
        """Images (..., inputs) to coefficients, of the shape `in_order` gives an image."""
        y = y.reshape(*y.shape[:-1], *self.shape)
        if not self.transformed:
            return _along_axes(y, self._matrices)
        from scipy.fft import dctn

        waves: Array = dctn(y, axes=self._sides, norm="ortho")
        return _along_axes(waves, self._only_channels(self.channels))

    def images(self, coefficients: Array) -> Array:
        """Coefficients to images (..., inputs)."""
        if self.transformed:
            from scipy.fft import idctn

            turned = _along_axes(coefficients, self._only_channels(self.channels.T))
            y: Array = idctn(turned, axes=self._sides, norm="ortho")
        else:
            y = _along_axes(coefficients, self._transposed)
        return y.reshape(*y.shape[:-3], self.layout.inputs)

    def in_order(self, channels_first: Array) -> Array:
        """Numbers (channels, rows, columns) in the order in which the inputs lie, as coefficients do."""
        ordered = channels_first if self.layout.channels_first else np.moveaxis(channels_first, 0, -1)
        return np.ascontiguousarray(ordered)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image as its inputs lie, and of its coefficients."""
        a, b, c = (len(matrix) for matrix in self._matrices)
        return a, b, c

    @property
    def _sides(self) -> tuple[int, int]:
        """The axes of rows and columns, counted from the last."""
        return (-2, -1) if self.layout.channels_first else (-3, -2)

    def _only_channels(self, matrix: Array) -> tuple[Array, Array, Array]:
        """What `_along_axes` multiplies channels alone by."""
        one = np.eye(1)
        return (matrix, one, one) if self.layout.channels_first else (one, one, matrix)

    @cached_property
    def _matrices(self) -> tuple[Array, Array, Array]:
        if self.layout.channels_first:
            return self.channels, self.rows, self.columns
        return self.rows, self.columns, self.channels

    @cached_property
    def _transposed(self) -> tuple[Array, Array, Array]:
        # Copies, because BLAS is slower with small matrices that lie the other way.
        a, b, c = (np.ascontiguousarray(matrix.T) for matrix in self._matrices)
        return a, b, c


def _along_axes(images: Array, matrices: tuple[Array, Array, Array]) -> Array:
    """Each matrix times the images (..., a, b, c) along its own axis."""
    first, second, third = matrices
    if len(third) > 1:
        images = images @ third.T
    if len(second) > 1:
        images = second @ images
    if len(first) > 1:
        flat = (*images.shape[:-2], images.shape[-2] * images.shape[-1])
        images = (first @ images.reshape(flat)).reshape(images.shape)
    return images


def _cosines(side: int) -> Array:
    """The orthonormal cosines over `side` pixels, (side, side), the slowest first."""
    places, waves = np.arange(side) + 0.5, np.arange(side)[:, None]
    matrix: Array = np.cos(np.pi * waves * places / side) * np.sqrt(2.0 / side)
    matrix[0] /= np.sqrt(2.0)
    return matrix
