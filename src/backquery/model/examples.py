"""Labelled images as a model takes them: inputs in input scale, labels as positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError
from backquery.model.aliases import Array
from backquery.model.arguments import need_model
from backquery.model.protocol import Model
from backquery.model.scaling import ordered_images

AT_ONCE = 2**24
"""Inputs that are worked on at a time, so that memory stays small however large images are."""


class LabelledImages(Protocol):
    """Raw images (n, ...) and their labels (n,), such as the `Split` of a data set."""

    @property
    def images(self) -> NDArray[Any]:
        """Raw pixels (n, rows, columns) or (n, rows, columns, channels)."""

    @property
    def labels(self) -> NDArray[Any]:
        """Positions into the classes."""


@runtime_checkable
class Halves(Protocol):
    """A data set of two halves, such as a `Dataset`."""

    @property
    def train(self) -> LabelledImages:
        """The images to learn from."""

    @property
    def to_test_on(self) -> LabelledImages:
        """The others, or the same where there are no others."""

    def parted_for(self, model: Model) -> Halves:
        """The same, with the halves that it had when the model learned from it."""


Data = LabelledImages | Halves | tuple[ArrayLike, ArrayLike]
"""Raw images with labels, a data set of two halves of these, or (inputs, labels) in input scale."""

Half = Literal["train", "to_test_on"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Checked examples (n, inputs) with labels (n,), in the model's order: raw `pixels`, or inputs as `given`."""

    model: Model
    labels: NDArray[np.int64]
    pixels: NDArray[Any] | None
    given: Array | None

    @classmethod
    def of(cls, model: Model, data: Data, half: Half = "train") -> Examples:
        """Check `data`, of a whole data set the `half`, against the model; `DataError` says what does not fit."""
        need_model(model)
        if isinstance(data, tuple) and len(data) == 2:
            inputs, labels = data
            given, pixels = _inputs(inputs, model.inputs), None
        else:
            shown = half_of(data, model, half)
            labels, images = shown.labels, np.asarray(shown.images)
            given, pixels = None, ordered_images(images, model.input_shape) if len(images) else images
            if model.scaling is None:
                # For its error alone: what cannot be scaled is refused before anything is worked out.
                model.scale(images[:1])
            else:
                model.scaling.check(pixels)
        count = len(pixels) if pixels is not None else len(given if given is not None else ())
        return cls(model, _labels(labels, count, model.outputs), pixels, given)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Examples:
        """These examples up to `count`, in their order."""
        return self.at(slice(count))

    def parts(self, size: int) -> Iterator[Examples]:
        """The examples in pieces of `size`, or of fewer where these have more than `AT_ONCE` inputs."""
        size = max(1, min(size, AT_ONCE // self.model.inputs))
        for begin in range(0, len(self), size):
            yield self.at(slice(begin, begin + size))

    def at(self, positions: slice | NDArray[np.intp]) -> Examples:
        """The examples at these positions, in that order."""
        pixels = None if self.pixels is None else self.pixels[positions]
        given = None if self.given is None else self.given[positions]
        return replace(self, labels=self.labels[positions], pixels=pixels, given=given)

    def inputs(self) -> Array:
        """All inputs (n, inputs) in input scale."""
        if self.given is not None:
            return self.given
        assert self.pixels is not None
        return self.model.scale(self.pixels)


def half_of(data: LabelledImages | Halves, model: Model, half: Half) -> LabelledImages:
    """One half of a whole data set, as the model has it; of labelled images themselves all."""
    if not isinstance(data, Halves):
        if not (hasattr(data, "images") and hasattr(data, "labels")):
            raise DataError(
                "images with labels are a data set, one half of it, or a pair (inputs, labels); received a "
                f"{type(data).__name__}: datasets.open_data(name or path) opens a data set"
            )
        return data
    halves = data.parted_for(model)
    return halves.train if half == "train" else halves.to_test_on


def _inputs(values: ArrayLike, width: int) -> Array:
    inputs = np.asarray(values)
    if inputs.ndim == 0 or prod(inputs.shape[1:]) != width or not np.issubdtype(inputs.dtype, np.number):
        raise DataError(
            f"inputs must be numbers of shape (n, {width}); received {np.shape(values)}, {inputs.dtype}"
        )
    if not np.all(np.isfinite(inputs)):
        raise DataError("inputs must be finite; received NaN or infinity")
    return inputs.reshape(len(inputs), width)


def _labels(labels: ArrayLike, count: int, outputs: int) -> NDArray[np.int64]:
    numbers = np.asarray(labels)
    if numbers.shape != (count,):
        raise DataError(f"{count} images need as many labels; received shape {numbers.shape}")
    if count == 0:
        raise DataError("there is not a single image")
    if not np.issubdtype(numbers.dtype, np.integer):
        raise DataError(f"labels must be whole numbers (positions into the classes); received {numbers.dtype}")
    if numbers.min() < 0 or numbers.max() >= outputs:
        raise DataError(
            f"labels must lie between 0 and {outputs - 1}, one for each output; "
            f"received {numbers.min()} to {numbers.max()}"
        )
    return numbers.astype(np.int64)
