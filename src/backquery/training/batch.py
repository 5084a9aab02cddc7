"""Steps made of whole batches by matrix products; with batches of one, the slow twin of `blocks`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.model import Array, Examples, Network
from backquery.training.gradients import descent, with_parameters
from backquery.training.recipes import Recipe


class BatchTraining:
    """Weights and biases that change batch by batch."""

    def __init__(self, network: Network, examples: Examples, recipe: Recipe, targets: Array) -> None:
        self.network = network
        self.examples = examples
        self.recipe = recipe
        self.targets = targets
        self.optimizer = {"descent": self._descend, "momentum": self._roll, "adam": self._adam}[recipe.optimizer]
        self.activations = [layer.activation for layer in network.layers]
        self.weights = [np.array(layer.weights) for layer in network.layers]
        self.biases = [None if layer.biases is None else np.array(layer.biases) for layer in network.layers]
        self.parameters = [*self.weights, *(b for b in self.biases if b is not None)]
        self.mean = [np.zeros_like(values) for values in self.parameters]
        self.square = [np.zeros_like(values) for values in self.parameters]
        self.steps = np.zeros(1, np.int64)
        self.totals = np.zeros(2)

    def prepare(self) -> None:
        """Scale the images."""
        self.inputs = self.examples.inputs().astype(self.network.dtype, copy=False)

    def snapshot(self) -> Network:
        """The network as it is now."""
        return with_parameters(self.network, self.weights, self.biases)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from step to step, by name; writing into these arrays restores it."""
        kinds = {"parameters": self.parameters, "mean": self.mean, "square": self.square}
        arrays = {f"{kind}.{n}": values for kind, all_of in kinds.items() for n, values in enumerate(all_of)}
        return {**arrays, "steps": self.steps, "totals": self.totals}

    def run(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int:
        """A step for each batch of `order`; the position of the first batch that diverged, or -1."""
        size = self.recipe.images_an_update(len(self.examples))
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            whole = len(batch) == len(self.examples)
            inputs = self.inputs if whole else self.inputs[batch]
            labels = self.examples.labels if whole else self.examples.labels[batch]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                lost, read, for_weights, for_biases = descent(
                    self.activations, self.weights, self.biases, inputs, self.targets[labels], self.recipe.loss
                )
            if not np.isfinite(lost):
                return begin
            self.totals += lost, (read == labels).sum()
            used = [direction for direction, b in zip(for_biases, self.biases, strict=True) if b is not None]
            self.steps += 1
            pace = rate + (rate_after - rate) * begin / len(order)
            self.optimizer([*for_weights, *used], pace)
        return -1

    def _descend(self, directions: list[Array], rate: float) -> None:
        for values, direction in zip(self.parameters, directions, strict=True):
            values += rate * direction

    def _roll(self, directions: list[Array], rate: float) -> None:
        """Heavy ball (Polyak 1964): the step keeps a share of the last one."""
        for values, direction, speed in zip(self.parameters, directions, self.mean, strict=True):
            speed *= self.recipe.momentum
            speed += direction
            values += rate * speed

    def _adam(self, directions: list[Array], rate: float) -> None:
        """Kingma & Ba 2015, algorithm 1, with its usual constants; the corrections are folded into the rate."""
        fall, spread, tiny = 0.9, 0.999, 1e-8
        steps = int(self.steps[0])
        correction = float(np.sqrt(1 - spread**steps))
        pace = rate * correction / (1 - fall**steps)
        for values, direction, mean, square in zip(
            self.parameters, directions, self.mean, self.square, strict=True
        ):
            mean *= fall
            mean += (1 - fall) * direction
            square *= spread
            square += (1 - spread) * direction * direction
            # Once the corrections are in the rate, epsilon has to bear the second one as well.
            values += pace * mean / (np.sqrt(square) + tiny * correction)
