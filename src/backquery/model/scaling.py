"""How raw pixels become a network's inputs, and how inputs become ink again: the one place for both."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from backquery.errors import DataError, ModelError
from backquery.model.aliases import Array, Shape
from backquery.model.arguments import real, reals
from backquery.model.brief import brief
from backquery.model.declared import declared, declared_value
from backquery.model.layout import Layout
from backquery.model.meaning import IN_COLOUR, Meaning

LOOKED_AT = 64
"""So many inputs of a batch, about, are looked at for whether they are raw pixels, which all are or none."""


@declared_value(ModelError)
@dataclass(frozen=True)
class Scaling:
    """``input = gain * pixel + offset``, for raw pixels from 0 (paper) to `maximum` (ink).

    `gain` and `offset` are numbers, or vectors (inputs,) (standardised inputs). `meaning` is what the raw pixels
    mean beside that; None where nobody said. What is not finite, or a maximum not above zero, raises `ModelError`.
    """

    __repr__ = brief

    gain: float | Array
    offset: float | Array
    maximum: float = 255.0
    meaning: Meaning | None = None

    def __post_init__(self) -> None:
        _above_zero(self.maximum)
        for what, part in (("gain", self.gain), ("offset", self.offset)):
            if not np.all(np.isfinite(reals(part, f"a scaling's {what}", ModelError))):
                raise ModelError(f"a scaling's {what} is finite; received {part!r}")

    @classmethod
    @declared(ModelError)
    def between(cls, low: float, high: float, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """Paper becomes `low` and full ink `high`, which may be below it."""
        ends = [real(end, "what paper and full ink become", ModelError) for end in (low, high)]
        return cls((ends[1] - ends[0]) / _above_zero(maximum), low, maximum, meaning)

    @classmethod
    @declared(ModelError)
    def book(cls, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """``pixel / maximum * 0.99 + 0.01``: no input is exactly zero, so every weight can learn."""
        return cls(0.99 / _above_zero(maximum), 0.01, maximum, meaning)

    @classmethod
    @declared(ModelError)
    def unit(cls, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """``pixel / maximum``, from 0 to 1."""
        return cls(1.0 / _above_zero(maximum), 0.0, maximum, meaning)

    @classmethod
    @declared(ModelError)
    def standardised(cls, images: ArrayLike, maximum: float = 255.0, meaning: Meaning | None = None) -> Scaling:
        """Mean 0 and standard deviation 1 of each pixel over `images` (n, ...).

        Pixels that never vary stay unscaled. What are no images raises `ModelError`.
        """
        pixels = reals(images, "images", DataError)
        if pixels.ndim < 2 or not pixels.size:
            raise ModelError(f"images are an array of two dimensions or more, none empty; received {pixels.shape}")
        pixels = pixels.reshape(len(pixels), -1)
        deviation = pixels.std(axis=0)
        gain = 1.0 / np.where(deviation > 0, deviation, 1.0)
        return cls(gain, -pixels.mean(axis=0) * gain, maximum, meaning)

    @classmethod
    def by_channel(
        cls,
        mean: ArrayLike,
        deviation: ArrayLike,
        input_shape: Shape,
        *,
        maximum: float = 255.0,
        white: float = 1.0,
        meaning: Meaning | None = None,
    ) -> Scaling:
        """``(pixel * white / maximum - mean) / deviation``, as torchvision's ``Normalize(mean, std)``.

        mean, deviation: a number for each channel of images of `input_shape`, in the channels' order there, or one
        for all. maximum: the raw pixel for white. white: what that is where `mean` and `deviation` were taken, 1
        as torchvision prints them, 255 where they are given for bytes. Images of more channels than one mean
        colours, 0 for black, unless `meaning` says otherwise. `ModelError` for anything else.
        """
        layout = Layout.of(tuple(input_shape))
        means, deviations = (_of_each(layout, numbers) for numbers in (mean, deviation))
        _above_zero(maximum)
        _above_zero(white, "white")
        if not np.all(deviations > 0):
            raise ModelError("deviations must be above zero")
        known = meaning or (IN_COLOUR if layout.channels > 1 else None)
        return cls(white / (maximum * deviations), -means / deviations, maximum, known)

    @property
    def uniform(self) -> bool:
        """Whether all pixels are scaled alike."""
        return np.ndim(self.gain) == 0 and np.ndim(self.offset) == 0

    def alike(self, layout: Layout) -> bool:
        """Whether all pixels are scaled alike, though each channel may be by itself."""
        gains = [np.broadcast_to(np.asarray(part), layout.inputs) for part in (self.gain, self.offset)]
        return all(bool(np.all(layout.grid(part) == layout.grid(part)[0, 0])) for part in gains)

    @property
    def low(self) -> float | Array:
        """The input of blank paper: a number, or (inputs,)."""
        return self.offset

    @property
    def high(self) -> float | Array:
        """The input of full ink: a number, or (inputs,)."""
        return self.gain * self.maximum + self.offset

    def check(self, pixels: NDArray[Any]) -> None:
        """Raise `DataError` for raw `pixels`, of any shape, that are not finite or lie outside 0..maximum."""
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


def refuse_raw(inputs: Array, scaling: Scaling | None) -> None:
    """Raise `DataError` for inputs (n, inputs) that are raw pixels by all appearance, not yet scaled.

    They are no less than 0, and go beyond what full ink becomes by more than its whole range: up to the scaling's
    maximum, or in whole numbers, those of pixels on another scale.
    """
    if scaling is None or not len(inputs):
        return
    some = inputs[:: max(1, len(inputs) // LOOKED_AT)]
    low, high = float(np.min(scaling.low)), float(np.max(scaling.high))
    highest = float(some.max())
    beyond = max(low, high) + abs(high - low) < highest and some.min() >= 0
    if beyond and (highest <= scaling.maximum or np.array_equal(some, np.rint(some))):
        raise DataError(
            f"inputs are to lie between {min(low, high):g} and {max(low, high):g}; received some up to "
            f"{highest:g}, which look like raw pixels: query_images(images) takes those, and "
            "scale(images) makes inputs of them"
        )


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
    """What `checked_inputs` gives of x, (n, inputs), where it has not been asked yet whether all are finite.

    `DataError` for what is no number, or of another shape.
    """
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
    """Raw images as `ordered_images` takes them to inputs (n, inputs); `ModelError` without a scaling."""
    if scaling is None:
        raise ModelError(
            "this network does not know how to scale raw images; give it a scaling: "
            "dataclasses.replace(model, scaling=Scaling.unit(255)) is for one that takes pixels 0 to 255 as 0 to 1"
        )
    return scaling.apply(ordered_images(images, shape), dtype)


def ordered_images(images: ArrayLike, shape: Shape) -> NDArray[Any]:
    """Raw images (n, ...), or a single one, as rows of pixels (n, inputs) in the order of a model's inputs.

    shape: one image as the model takes it. Images in colour may have their channels first or last, whichever way
    the model has them: (n, rows, columns, 3) and (n, 3, rows, columns) both fit (3, rows, columns). Rows of pixels
    stay as they are. Images that do not fit raise `DataError`.
    """
    try:
        pixels, layout = np.asarray(images), Layout.of(shape)
    except ValueError:
        raise DataError("images are an array of numbers, all of them of one shape") from None
    last, first = (layout.rows, layout.columns, layout.channels), (layout.channels, layout.rows, layout.columns)
    own, other = (first, last) if layout.channels_first else (last, first)
    if pixels.shape == shape or (layout.channels > 1 and pixels.shape in (own, other)):
        pixels = pixels[None]
    each = pixels.shape[1:]
    if layout.channels > 1 and each == other != own:
        return layout.flat(pixels if layout.channels_first else np.moveaxis(pixels, 1, -1))
    if prod(each) != layout.inputs or not _lies_alike(each, shape, layout):
        raise DataError(f"the network takes images of shape {shape}; received {each}{_advice(each, layout)}")
    return pixels.reshape(len(pixels), layout.inputs)


def _lies_alike(each: Shape, shape: Shape, layout: Layout) -> bool:
    """Whether images of as many pixels have the same sides, lengths of one aside; a row of pixels has none."""
    sides, wanted = (tuple(length for length in one if length != 1) for one in (each, shape))
    return len(sides) < 2 or not layout.known or sides == wanted


def _advice(each: Shape, layout: Layout) -> str:
    given = Layout.of(each) if len(each) > 1 else layout
    if given.channels > 1 == layout.channels:
        return "; images in colour are read in grey with --no-colour (in Python Reading(colour=False))"
    if layout.channels > 1 and each == (layout.rows, layout.columns):
        return f"; np.repeat(images[..., None], {layout.channels}, -1) shows grey images in as many channels"
    return ""


def _above_zero(number: float, what: str = "a scaling's maximum") -> float:
    if not (isfinite(real(number, what, ModelError)) and number > 0):
        raise ModelError(f"{what} is a finite number above zero; received {number!r}")
    return number


def _of_each(layout: Layout, numbers: ArrayLike) -> Array:
    """A number for each channel, or one for all, as one for each input (inputs,)."""
    channels = reals(numbers, "means and deviations", ModelError)
    if channels.shape not in ((), (1,), (layout.channels,)) or not np.isfinite(channels).all():
        raise ModelError(f"a finite number for each of {layout.channels} channels is needed; received {numbers!r}")
    return layout.flat(np.broadcast_to(channels, (layout.rows, layout.columns, layout.channels)))
