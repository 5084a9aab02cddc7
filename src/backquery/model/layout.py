"""What a model's inputs are as an image: rows, columns, channels, and where the channels stand."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.model.aliases import Shape

CHANNELS = 4
"""A first axis of three that is no longer than this, before a last one that is longer, holds channels."""


@dataclass(frozen=True)
class Layout:
    """An image of `rows` by `columns` with `channels` numbers for each pixel, 1 where it is grey.

    channels_first: whether the inputs are one channel after the other (channels, rows, columns), rather than one
    pixel after the other (rows, columns, channels). known: whether the input shape says where the pixels lie; a
    row of numbers does not, and is only drawn so.
    """

    rows: int
    columns: int
    channels: int = 1
    channels_first: bool = False
    known: bool = True

    @classmethod
    def of(cls, shape: Shape) -> Layout:
        """The layout of an input shape, by the one rule that there is.

        Two axes are rows and columns. Of three the last one holds the channels, unless it is longer than four
        and the first one is not. More axes than three are an image where those of length one are left out.
        Anything else is not known to be one: a row of numbers is drawn as a square where it can be.
        """
        lengths = shape if len(shape) < 4 else tuple(length for length in shape if length != 1)
        match lengths:
            case rows, columns:
                return cls(rows, columns)
            case channels, rows, columns if columns > CHANNELS >= channels:
                return cls(rows, columns, channels, channels_first=True)
            case rows, columns, channels:
                return cls(rows, columns, channels)
        rows, columns = (_square(shape[0]) if len(shape) == 1 else None) or (prod(shape[:-1]), shape[-1])
        return cls(rows, columns, known=False)

    @property
    def inputs(self) -> int:
        """How many numbers an image has."""
        return self.rows * self.columns * self.channels

    @property
    def cells(self) -> NDArray[np.intp]:
        """The position among the inputs of each pixel's channels, (rows, columns, channels)."""
        return self.grid(np.arange(self.inputs))

    @property
    def places(self) -> NDArray[np.intp]:
        """The place of each input where `cells` are read row by row, (inputs,): the inverse of their order."""
        return self.flat(np.arange(self.inputs).reshape(self.rows, self.columns, self.channels))

    @property
    def coloured(self) -> bool:
        """Whether a pixel is a colour: three channels are red, green and blue."""
        return self.channels == 3

    @property
    def picture(self) -> tuple[int, int]:
        """Rows and columns to draw all inputs in as they follow one another, channels first below one another."""
        if self.channels == 1 or self.channels_first:
            return self.channels * self.rows, self.columns
        return self.rows * self.columns, self.channels

    @property
    def drawn_shape(self) -> tuple[int, ...]:
        """The shape in which an image is drawn: (rows, columns, 3) in colour, (rows, columns) in shades.

        Two channels, or more than three, are no colours: their images are drawn in shades, see `picture`.
        """
        return (self.rows, self.columns, 3) if self.coloured else self.picture

    def drawn(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Inputs (..., inputs) in the shape in which they are drawn, (..., *drawn_shape)."""
        return self.grid(inputs) if self.coloured else inputs.reshape(*inputs.shape[:-1], *self.picture)

    def undrawn(self, pictures: NDArray[Any]) -> NDArray[Any]:
        """`pictures` (..., *drawn_shape) as inputs (..., inputs): what `drawn` is the inverse of."""
        return self.flat(pictures) if self.coloured else pictures.reshape(*pictures.shape[:-2], self.inputs)

    def grid(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Inputs (..., inputs) as images (..., rows, columns, channels)."""
        before = inputs.shape[:-1]
        if self.channels_first:
            return np.moveaxis(inputs.reshape(*before, self.channels, self.rows, self.columns), -3, -1)
        return inputs.reshape(*before, self.rows, self.columns, self.channels)

    def flat(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Images (..., rows, columns, channels) as inputs (..., inputs): what `grid` is the inverse of."""
        ordered = np.moveaxis(grid, -1, -3) if self.channels_first else grid
        return ordered.reshape(*grid.shape[:-3], self.inputs)


def image_shape(shape: Shape) -> Shape:
    """The shape of one image: without lengths of one, and a number of inputs that is a square as a square."""
    lengths = tuple(length for length in shape if length != 1) or (1,)
    return lengths if len(lengths) > 1 else _square(lengths[0]) or lengths


def _square(inputs: int) -> tuple[int, int] | None:
    side = isqrt(inputs)
    return (side, side) if side > 1 and side * side == inputs else None
