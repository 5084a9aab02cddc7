"""How raw pixels become a network's inputs, and how inputs become ink again: the one place for both."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from backquery.errors import DataError, ModelError
from backquery.model.aliases import Array
from backquery.model.meaning import Meaning


@dataclass(frozen=True)
class Scaling:
    """``input = gain * pixel + offset``, for raw pixels from 0 (paper) to `maximum` (ink).

    `gain` and `offset` are numbers, or vectors with one number for each input (standardised inputs). `meaning` is
    what the raw pixels mean beside that; None where nobody said.
    """

    gain: float | Array
    offset: float | Array
    maximum: float = 255.0
    meaning: Meaning | None = None

    def __post_init__(self) -> None:
        if not (np.all(np.isfinite(self.gain)) and np.all(np.isfinite(self.offset)) and self.maximum > 0):
            raise ModelError("a scaling needs a finite gain and offset, and a maximum above zero")

    @classmethod
    def between(cls, low: float, high: float, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """Paper becomes `low` and full ink `high`, which may be below it."""
        return cls((high - low) / maximum, low, maximum, meaning)

    @classmethod
    def book(cls, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """``pixel / maximum * 0.99 + 0.01``: no input is exactly zero, so every weight can learn."""
        return cls(0.99 / maximum, 0.01, maximum, meaning)

    @classmethod
    def unit(cls, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """``pixel / maximum``, from 0 to 1."""
        return cls(1.0 / maximum, 0.0, maximum, meaning)

    @classmethod
    def standardised(cls, images: ArrayLike, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """Mean 0 and standard deviation 1 of each pixel over `images`; pixels that never vary stay unscaled."""
        pixels = np.asarray(images, np.float64)
        pixels = pixels.reshape(len(pixels), -1)
        deviation = pixels.std(axis=0)
        gain = 1.0 / np.where(deviation > 0, deviation, 1.0)
        return cls(gain, -pixels.mean(axis=0) * gain, maximum, meaning)

    @property
    def uniform(self) -> bool:
        """Whether all pixels are scaled alike."""
        return np.ndim(self.gain) == 0 and np.ndim(self.offset) == 0

    @property
    def low(self) -> float | Array:
        """The input of blank paper."""
        return self.offset

    @property
    def high(self) -> float | Array:
        """The input of full ink."""
        return self.gain * self.maximum + self.offset

    def check(self, pixels: NDArray[Any]) -> None:
        """Raise `DataError` for raw pixels that are not finite or lie outside 0..maximum."""
        if pixels.size:
            lowest, highest = pixels.min(), pixels.max()
            if not (lowest >= 0 and highest <= self.maximum):
                raise DataError(
                    f"raw pixels must lie between 0 and {self.maximum:g}; received {lowest:g} to {highest:g}"
                )

    def apply(self, images: ArrayLike, dtype: DTypeLike = np.float64) -> Array:
        """Raw images (n, ...) to inputs (n, pixels); `DataError` for pixels that `check` refuses."""
        pixels = np.asarray(images)
        pixels = pixels.reshape(len(pixels), -1)
        self.check(pixels)
        dtype = np.dtype(dtype)
        gain, offset = np.asarray(self.gain, dtype), np.asarray(self.offset, dtype)
        inputs = pixels.astype(dtype)
        inputs *= gain
        inputs += offset
        return inputs

    def ink(self, inputs: ArrayLike) -> Array:
        """Inputs (..., pixels) to ink between 0 (paper) and 1; what lies outside the scale is clipped."""
        values = (np.asarray(inputs, np.float64) - self.low) / (np.asarray(self.gain) * self.maximum)
        return np.clip(values, 0.0, 1.0)


def checked_inputs(x: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """`x`, one input vector, one image of `shape` or a batch, as finite numbers (n, inputs).

    Anything else raises `DataError`.
    """
    return checked_finite(as_inputs(x, shape, dtype))


def checked_finite(signals: Array) -> Array:
    """The signals themselves; `DataError` where one is not finite."""
    if not all_finite(signals):
        raise DataError("inputs must be finite; received NaN or infinity")
    return signals


def all_finite(signals: Array) -> bool:
    """Whether no signal is NaN or infinite."""
    # The sum of squares, one pass without a second array, is finite wherever all are, unless it overflows.
    flat = signals.reshape(-1)
    return isfinite(np.dot(flat, flat)) or bool(np.isfinite(flat).all())


def as_inputs(x: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """What `checked_inputs` gives, where it has not been asked yet whether all are finite."""
    try:
        signals = np.asarray(x, dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"inputs must be numbers: {error}") from None
    single = signals.ndim < 2 or signals.shape == shape
    signals = signals.reshape(1, -1) if single else signals.reshape(len(signals), prod(signals.shape[1:]))
    if signals.shape[1] != prod(shape):
        raise DataError(
            f"the network takes {prod(shape)} inputs (shape {shape}); "
            f"received {signals.shape[1]} (shape {np.shape(x)})"
        )
    return signals


def scaled_images(images: ArrayLike, scaling: Scaling | None, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """One raw image of `shape`, or raw images (n, ...), to inputs (n, inputs); `ModelError` without a scaling."""
    if scaling is None:
        raise ModelError("this network does not know how to scale raw images; give it a scaling")
    pixels = np.asarray(images)
    if pixels.shape == shape:
        pixels = pixels[None]
    if prod(pixels.shape[1:]) != prod(shape):
        raise DataError(f"the network takes images of shape {shape}; received {pixels.shape[1:]}")
    return scaling.apply(pixels, dtype)
