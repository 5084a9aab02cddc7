"""Back-propagation worked by hand on a network of six nodes, with every number shown.

The rule is the gradient of half the squared error, ``J = 1/2 |y - h|^2``: ``d(n) = -(y - h) f'(z(n))`` at the
outputs, ``d(l) = (W(l)' d(l+1)) f'(z(l))`` before them, ``dJ/dW(l) = d(l+1) h(l)'`` and ``dJ/db(l) = d(l+1)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.model import SIGMOID, Array, Layer, Network

INPUTS, WANTED, RATE = (0.9, 0.1), (0.99, 0.01), 0.5
HIDDEN = Layer(np.array([[0.9, 0.3], [-0.2, 0.8]]), np.array([0.1, -0.3]), SIGMOID)
OUTPUT = Layer(np.array([[0.4, -0.7], [0.6, 0.5]]), np.array([0.2, -0.1]), SIGMOID)
NETWORK = Network((HIDDEN, OUTPUT))


@dataclass(frozen=True, eq=False)
class Step:
    """One line of the work: what is computed, by which formula, and the numbers that come out."""

    name: str
    formula: str
    value: Array


@dataclass(frozen=True, eq=False)
class BackPropagationLesson:
    """A network, an input, the answer wanted, and every step of one update; `after` is the network then.

    x: (inputs,); wanted: (outputs,); rate: the learning rate, by which the gradient is multiplied.
    """

    before: Network
    x: Array
    wanted: Array
    rate: float
    steps: tuple[Step, ...]
    after: Network

    def value(self, name: str) -> Array:
        """What the step of this name gave, in the shape that the step says."""
        return next(step.value for step in self.steps if step.name == name)

    def told(self) -> list[str]:
        """Every step with its numbers, and what the update gained."""
        lines = [f"{step.name} = {step.formula} = {_written(step.value)}" for step in self.steps]
        old, new = float(self.value("J")), float(self.value("J after"))
        return [*lines, f"One step with the rate {self.rate:g} lowers the error from {old:.5f} to {new:.5f}."]

    def as_json(self) -> dict[str, Any]:
        """The steps as plain values."""
        return {
            "steps": [
                {"name": step.name, "formula": step.formula, "value": step.value.tolist()} for step in self.steps
            ],
            "rate": self.rate,
        }


def back_propagation_lesson(
    network: Network = NETWORK,
    x: tuple[float, ...] = INPUTS,
    wanted: tuple[float, ...] = WANTED,
    rate: float = RATE,
) -> BackPropagationLesson:
    """One update of a network with one hidden layer and biases, in float64, step by step.

    x: (inputs,); wanted: (outputs,), the answers; rate: the learning rate. The steps are those of Rumelhart,
    Hinton & Williams 1986, on half the squared error.
    """
    network = network.astype(np.float64)
    start, y = network.check_inputs(x)[0], np.asarray(wanted, np.float64)
    (w1, b1, f1), (w2, b2, f2) = ((layer.weights, layer.shifts, layer.activation) for layer in network.layers)
    z1 = w1 @ start + b1
    h1 = f1.function(z1)
    z2 = w2 @ h1 + b2
    h2 = f2.function(z2)
    d2 = -(y - h2) * f2.slope(h2)
    d1 = (w2.T @ d2) * f1.slope(h1)
    after = Network(
        (
            Layer(w1 - rate * np.outer(d1, start), b1 - rate * d1, f1),
            Layer(w2 - rate * np.outer(d2, h1), b2 - rate * d2, f2),
        )
    )
    steps = (
        Step("z1", "W1 x + b1", z1),
        Step("h1", "f(z1)", h1),
        Step("z2", "W2 h1 + b2", z2),
        Step("h2", "f(z2)", h2),
        Step("J", "1/2 |y - h2|^2", _half_square(y - h2)),
        Step("d2", "-(y - h2) f'(z2)", d2),
        Step("d1", "(W2' d2) f'(z1)", d1),
        Step("dJ/dW2", "d2 h1'", np.outer(d2, h1)),
        Step("dJ/dW1", "d1 x'", np.outer(d1, start)),
        Step("W2 after", "W2 - rate dJ/dW2", after.layers[1].weights),
        Step("W1 after", "W1 - rate dJ/dW1", after.layers[0].weights),
        Step("b2 after", "b2 - rate d2", after.layers[1].shifts),
        Step("b1 after", "b1 - rate d1", after.layers[0].shifts),
        Step("J after", "1/2 |y - h2|^2 with the new weights", _half_square(y - after.query(start))),
    )
    return BackPropagationLesson(network, start, y, rate, steps, after)


def _half_square(error: Array) -> Array:
    return np.asarray(0.5 * error @ error)


def _written(value: Array) -> str:
    """Numbers with four decimals; the rows of a matrix apart from one another."""
    if value.ndim == 0:
        return f"{value:.5f}"
    if value.ndim == 1:
        return f"({', '.join(f'{number:.4f}' for number in value)})"
    return f"[{'; '.join(' '.join(f'{number:.4f}' for number in row) for row in value)}]"
