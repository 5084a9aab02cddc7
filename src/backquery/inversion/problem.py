"""One call of `back_query`, checked: the same for every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError, InversionError
from backquery.inversion.drawn import Drawn
from backquery.inversion.mixtures import AnyPrior
from backquery.inversion.result import BackQuery
from backquery.inversion.targets import Targets
from backquery.model import Array, Model, Progress, Seed, ends_of, reals


@dataclass(frozen=True, eq=False)
class Problem:
    """What is asked of which model, within which box.

    low, high: (inputs,) in input scale; prior: a name, a prior or None for the default;
    near: (n, inputs), the images that are to be changed as little as possible, or None;
    start: (n, inputs), images to begin the search at, or None. Either may be given as one image for all questions,
    and is kept within the box; `DataError` says what does not fit. progress: told how many questions are answered,
    and how far off the present ones are. drawn: images that were drawn, one for each question, which no box holds:
    the nearest answers to them are sought.
    """

    model: Model
    asked: Targets
    low: Array
    high: Array
    prior: str | AnyPrior | None = None
    near: Array | None = None
    start: Array | None = None
    rng: Seed = 0
    progress: Progress | None = None
    drawn: Drawn | None = None

    def __post_init__(self) -> None:
        for name in ("near", "start"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, self._checked(name))

    def of(self, rows: NDArray[np.intp]) -> Problem:
        """Only the questions `rows`."""
        near, start = (None if images is None else images[rows] for images in (self.near, self.start))
        drawn = None if self.drawn is None else self.drawn.of(rows)
        return replace(self, asked=self.asked[rows], near=near, start=start, drawn=drawn)

    def _checked(self, name: str) -> Array:
        given = reals(getattr(self, name), name, DataError)
        inputs, count = self.model.inputs, len(self.asked)
        if given.size not in (inputs, count * inputs):
            raise DataError(
                f"{name} must be one image of {inputs} inputs, or one for each of {count} questions; "
                f"received shape {given.shape}"
            )
        rows = np.broadcast_to(given.reshape(-1, inputs), (count, inputs))
        if not np.all(np.isfinite(rows)):
            raise DataError(f"{name} must be finite; received NaN or infinity")
        # Images scaled in float32 may lie a trifle outside; they are clipped below.
        slack = 1e-5 * (self.high - self.low)
        if np.any(rows < self.low - slack) or np.any(rows > self.high + slack):
            raise DataError(
                f"{name} must lie within the range of the inputs, {self.low.min():g} to {self.high.max():g}; "
                f"received {rows.min():g} to {rows.max():g}. Scale raw images first, with model.scale(images)"
            )
        return np.clip(rows, self.low, self.high)


class Method(Protocol):
    """A way to answer: its settings are its own fields, the problem comes with the call.

    chooses: whether it asks for chosen answers; one that climbs asks for more of a label, whatever the confidence.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    usual_question: ClassVar[str]
    chooses: ClassVar[bool]

    def invert(self, problem: Problem) -> BackQuery:
        """Images for every question of the problem."""


def box(model: Model, bounds: tuple[ArrayLike, ArrayLike] | None) -> tuple[Array, Array]:
    """The smallest and the largest input of each pixel, (inputs,).

    They are `bounds` where given, else those of the model's scaling, else 0 and 1.
    """
    if bounds is None:
        paper, ink = ends_of(model)
        return np.minimum(paper, ink), np.maximum(paper, ink)
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), model.inputs) for end in bounds)
    except (TypeError, ValueError):
        raise InversionError(
            f"bounds are two numbers, or two vectors of {model.inputs} numbers, one for each input"
        ) from None
    if not np.all(low < high):
        raise InversionError("the lower bound must lie below the upper one for every input")
    return low, high
