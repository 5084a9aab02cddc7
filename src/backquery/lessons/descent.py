"""Gradient descent (Cauchy 1847) on ``f(x) = x^4 - 3 x^3 + 2``, whose minimum lies at 2.25."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from backquery.errors import ExperimentError
from backquery.model import Array
from backquery.model.declared import declared

MINIMUM = 2.25
FAR = 1e6
"""Beyond this the descent has lost its way: a step was too long, and every next one is longer."""


@dataclass(frozen=True, eq=False)
class DescentLesson:
    """The path (k,) of x, its start first, and the `values` (k,) of f there.

    rate: the learning rate, by which the slope is multiplied; converged: whether the last step was smaller than
    `precision`.
    """

    path: Array
    values: Array
    rate: float
    precision: float
    converged: bool

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.path) - 1

    def told(self) -> list[str]:
        """What was found, in sentences."""
        start, end = self.path[0], self.path[-1]
        if not self.converged:
            return [
                f"From {start:g}, {self.steps} steps with the rate {self.rate:g} lead to {far(end)} without "
                "coming to rest; try a smaller rate, or more steps."
            ]
        near = abs(end - MINIMUM) < 0.01
        where = "the minimum lies at 2.25" if near else "where the slope is small, but the minimum lies at 2.25"
        return [
            f"From {start:g}, {self.steps} steps with the rate {self.rate:g} lead to {end:.4f} ({where}); "
            f"the last step was smaller than {self.precision:g}.",
            f"There f = {self.values[-1]:.5f} and the slope is {slope(end):.2g}.",
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "path": self.path.tolist(),
            "values": self.values.tolist(),
            "rate": self.rate,
            "precision": self.precision,
            "steps": self.steps,
            "converged": self.converged,
        }


def far(x: float) -> str:
    """A place in words: to four decimals near the minimum, in whole steps of thousands far off."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4f}"


def function(x: Any) -> Any:
    """f(x) = x^4 - 3 x^3 + 2."""
    return x**4 - 3 * x**3 + 2


def slope(x: Any) -> Any:
    """f'(x) = 4 x^3 - 9 x^2."""
    return 4 * x**3 - 9 * x**2


@declared(ExperimentError)
def descent_lesson(
    start: float = 6.0, rate: float = 0.01, precision: float = 1e-5, most_steps: int = 10_000
) -> DescentLesson:
    """Steps of -rate f'(x) from `start`, until one is smaller than `precision`, or there are `most_steps`.

    Numbers that are not finite, and a rate or precision not above zero, raise `ExperimentError`.
    """
    if not (isfinite(start) and 0 < rate < float("inf") and precision > 0 and most_steps > 0):
        raise ExperimentError(
            "a descent needs a finite start, and a rate, a precision and a number of steps above zero; "
            f"received {start}, {rate}, {precision} and {most_steps}"
        )
    path, converged = [float(start)], False
    while not converged and len(path) <= most_steps and abs(path[-1]) < FAR:
        path.append(path[-1] - rate * slope(path[-1]))
        converged = abs(path[-1] - path[-2]) < precision
    taken = np.array(path)
    return DescentLesson(taken, function(taken), rate, precision, converged)
