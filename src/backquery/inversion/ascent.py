"""Activation maximisation: climb from noise to an image that the model answers as strongly as it can.

Erhan et al. 2009, with what keeps such images from turning to noise in Olah, Mordvintsev & Schubert,
*Feature Visualization*, 2017: total variation, an L2 penalty and random jitter; steps by Adam (Kingma & Ba
2015). It asks for *more* of a label, never for a chosen answer: it is here for comparison, and for nodes inside
a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backquery.errors import InversionError, TargetError
from backquery.inversion.forecast import memory_of_climb
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import Readout, readout_for
from backquery.inversion.result import CLIMBED, BackQuery, round_trip
from backquery.inversion.targets import Targets
from backquery.model import Array, Layout, generator_of
from backquery.model.memory import need


@dataclass(frozen=True)
class Ascent:
    """Climb the logit of a label, their difference, or a hidden node's pre-activation.

    steps and learning_rate are Adam's, the latter in ink per step. total_variation weighs the differences
    between neighbouring pixels, l2 the ink itself, both against one unit of a logit. jitter is how far, in
    pixels, the image is moved at random before every step. Total variation and jitter need an input shape
    that says where the pixels lie and are left out where there is none. `InversionError` for what is below zero.
    """

    steps: int = 512
    learning_rate: float = 0.05
    total_variation: float = 0.2
    l2: float = 0.2
    jitter: int = 1

    name: ClassVar[str] = "ascent"
    summary: ClassVar[str] = "climb from noise to an ever stronger answer"
    usual_question: ClassVar[str] = "confidence"
    chooses: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.learning_rate > 0:
            raise InversionError("ascent needs at least one step and a learning rate above zero")
        if min(self.total_variation, self.l2, self.jitter) < 0:
            raise InversionError("total_variation, l2 and jitter cannot be negative")

    def invert(self, problem: Problem) -> BackQuery:
        """Climb for all questions at once; `problem.rng` draws the first noise and the jitter.

        What cannot be climbed raises `TargetError`, what ascent does not take, such as a prior, `InversionError`.
        """
        model, asked = problem.model, problem.asked
        need(
            memory_of_climb(model, len(asked)),
            f"climbing to {len(asked)} images of {model.inputs:,} inputs",
            "fewer labels at a time need less",
        )
        rng = generator_of(problem.rng)
        low, span = problem.low, problem.high - problem.low
        # With the box for whitening, steps are in ink, and mean the same whatever the scaling.
        readout = readout_for(model, asked.layer, _uphill(asked, model.outputs), low, span)
        layout = Layout.of(model.input_shape)
        begin = problem.near if problem.start is None else problem.start
        ink = (
            rng.uniform(0.4, 0.6, (len(asked), model.inputs))
            if begin is None
            else (begin - low) / np.where(span > 0, span, 1)
        )
        ink = np.clip(ink, 0.0, 1.0)
        for climb in _adam(self.learning_rate, self.steps):
            shift = tuple(rng.integers(-self.jitter, self.jitter + 1, 2)) if layout.known else (0, 0)
            moved = _rolled(ink, layout, shift)
            slope = self._slope(readout, moved, layout)
            ink = np.clip(ink + climb(_rolled(slope, layout, (-shift[0], -shift[1]))), 0.0, 1.0)
        if not np.all(np.isfinite(ink)):
            raise InversionError(
                "no way leads uphill: the model's derivatives by its inputs are not finite, as where its "
                "weights are too large"
            )
        images = np.clip(low + span * ink, problem.low, problem.high)
        found = None if asked.layer is None else _values(problem, images)
        return round_trip(
            model,
            asked,
            images,
            method=self.name,
            outcome=[CLIMBED] * len(asked),
            steps=np.full(len(asked), self.steps, np.int64),
            near=problem.near,
            found=found,
            met=None if found is None else np.all(found >= asked.values, axis=1),
        )

    def _slope(self, readout: Readout, ink: Array, layout: Layout) -> Array:
        """The slope (n, inputs) of what is climbed: what is asked for, less roughness and ink."""
        asked = readout.slopes(ink, np.arange(len(ink)))[:, 0, :]
        slope: Array = asked - self.total_variation * _roughness_slope(ink, layout) - 2 * self.l2 * ink
        return slope


def _uphill(asked: Targets, outputs: int) -> Array:
    """The one direction (n, 1, nodes) to climb for each question."""
    if asked.logits is None:
        return asked.maps if asked.maps.ndim == 3 else np.broadcast_to(asked.maps, (len(asked), *asked.maps.shape))
    if np.any(asked.labels < 0):
        raise TargetError(
            "ascent climbs one label at a time, and these answers name no single one; use gauss-newton"
        )
    # Less the mean of all labels, or what raises every label would count as a climb.
    centred = np.eye(outputs) - 1 / outputs
    return centred[asked.labels][:, None, :]


def _adam(learning_rate: float, steps: int) -> Iterator[Any]:
    """Adam's step for each gradient, (n, inputs) to (n, inputs), uphill."""
    mean: Array | float = 0.0
    square: Array | float = 0.0
    for step in range(1, steps + 1):

        def climb(slope: Array, step: int = step) -> Array:
            nonlocal mean, square
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
            return learning_rate * (mean / (1 - 0.9**step)) / size  # type: ignore[no-any-return]

        yield climb


def _rolled(images: Array, layout: Layout, shift: tuple[int, int]) -> Array:
    return layout.flat(np.roll(layout.grid(images), shift, axis=(1, 2)))


def _roughness_slope(images: Array, layout: Layout) -> Array:
    """The derivative of the total variation, the sum of ``sqrt(d^2 + 0.01^2)`` over neighbours' differences d."""
    grid = layout.grid(images)
    slope = np.zeros_like(grid)
    for axis in (1, 2) if layout.known else ():
        difference = np.diff(grid, axis=axis)
        pull = difference / np.sqrt(difference**2 + 1e-4)
        later = [slice(None)] * grid.ndim
        earlier = list(later)
        later[axis], earlier[axis] = slice(1, None), slice(None, -1)
        slope[tuple(later)] += pull
        slope[tuple(earlier)] -= pull
    return layout.flat(slope)


def _values(problem: Problem, images: Array) -> Array:
    """The constraint values (n, k) of questions about hidden nodes."""
    asked = problem.asked
    readout = readout_for(
        problem.model, asked.layer, asked.maps, np.zeros(problem.model.inputs), np.ones(problem.model.inputs)
    )
    return readout.values(images, np.arange(len(asked)))[0]
