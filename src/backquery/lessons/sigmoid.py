"""What a weight and a bias do to a sigmoid node: ``y = s(w x + b)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.errors import ExperimentError
from backquery.model import SIGMOID, Array
from backquery.model.declared import declared


@dataclass(frozen=True, eq=False)
class SigmoidCurve:
    """One node's answers `y` (n,) to inputs `x` (n,), for its `weight` and `bias`.

    Its answer is one half at the input `middle`, where its slope dy/dx is `steepest`, a quarter of the weight.
    """

    weight: float
    bias: float
    x: Array
    y: Array
    middle: float
    steepest: float


@dataclass(frozen=True, eq=False)
class SigmoidLesson:
    """Curves of several weights without a bias, and of several biases with one weight."""

    by_weight: tuple[SigmoidCurve, ...]
    by_bias: tuple[SigmoidCurve, ...]

    def told(self) -> list[str]:
        """What was found, in sentences."""
        lines = [
            f"weight {one.weight:g}, bias {one.bias:g}: steepest slope {one.steepest:g}, at x = {one.middle:g}"
            for one in (*self.by_weight, *self.by_bias)
        ]
        return [*lines, "The weight sets the slope, a quarter of it; the bias moves the middle to -bias / weight."]

    def as_json(self) -> dict[str, Any]:
        """The curves' numbers, without their points."""
        return {
            name: [
                {"weight": one.weight, "bias": one.bias, "middle": one.middle, "steepest": one.steepest}
                for one in curves
            ]
            for name, curves in (("by_weight", self.by_weight), ("by_bias", self.by_bias))
        }


@declared(ExperimentError)
def sigmoid_lesson(
    weights: Sequence[float] = (0.5, 1.0, 2.0), biases: Sequence[float] = (-4.0, 0.0, 4.0), weight: float = 2.0
) -> SigmoidLesson:
    """Curves from x = -8 to 8: one for each of `weights`, and one for each of `biases` with this `weight`.

    A weight of zero has no slope and no middle: `ExperimentError`.
    """
    if 0 in (*weights, weight):
        raise ExperimentError("a node with the weight 0 says the same to every input; choose another weight")
    return SigmoidLesson(
        tuple(_curve(each, 0.0) for each in weights), tuple(_curve(weight, bias) for bias in biases)
    )


def _curve(weight: float, bias: float) -> SigmoidCurve:
    x = np.linspace(-8.0, 8.0, 321)
    steepest = float(weight * SIGMOID.slope(np.array(0.5)))
    # Adding zero makes the middle of an unbiased node 0 rather than -0.
    return SigmoidCurve(weight, bias, x, SIGMOID.function(weight * x + bias), -bias / weight + 0.0, steepest)
