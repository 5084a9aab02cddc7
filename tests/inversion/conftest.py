"""Small networks of every kind, and models that are more than they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from backquery.inversion import Prior
from backquery.model.network import Network

SMOOTH = {
    "the book's": ([16, 8, 3], "sigmoid", False),
    "deep tanh": ([16, 8, 6, 3], "tanh", True),
    "tanh, softmax": ([16, 8, 4], ["tanh", "softmax"], True),
    "sigmoid, softmax": ([16, 10, 8, 4], ["sigmoid", "sigmoid", "softmax"], True),
    "one layer": ([16, 3], "sigmoid", True),
}
KINKED = {
    "leaky relu": ([16, 48, 3], ["leaky-relu", "leaky-relu"], True),
    "leaky relu of other slopes": ([16, 48, 24, 3], ["leaky-relu:0.3", "leaky-relu:1.5", "leaky-relu:0.3"], True),
    "relu, softmax": ([16, 64, 32, 4], "relu", True),
    "relu, identity": ([16, 48, 3], ["relu", "identity"], True),
}
KINDS = {**SMOOTH, **KINKED}
INVERTIBLE = [*SMOOTH, "leaky relu"]


def network_of(kind: str, seed: int = 0, dtype: Any = np.float64, **description: Any) -> Network:
    sizes, activation, biases = KINDS[kind]
    network = Network.create(
        sizes, activation=activation, biases=biases, rng=seed, dtype=dtype, input_shape=(4, 4), **description
    )
    if not biases:
        return network
    rng = np.random.default_rng(seed + 1)
    layers = [
        type(layer)(layer.weights, rng.normal(0, 0.3, layer.outputs), layer.activation) for layer in network.layers
    ]
    return Network(tuple(layers), input_shape=(4, 4), **description)


def prior_of(seed: int = 0, rank: int = 4) -> Prior:
    rng = np.random.default_rng(seed + 100)
    return Prior("drawn", rng.uniform(0.1, 0.5, 16), rng.normal(0, 0.3, (16, rank)), rng.uniform(0.03, 0.07, 16))


def image_of(prior: Prior, seed: int = 0) -> np.ndarray:
    """An image that the prior might have drawn, within 0 and 1."""
    rng = np.random.default_rng(seed + 200)
    draw = prior.factor @ rng.normal(size=prior.rank) + 0.2 * rng.normal(size=prior.inputs)
    return np.clip(prior.mean + draw, 0, 1)


@dataclass(frozen=True, eq=False)
class Opaque:
    """A model that shows no layers: all that the protocol asks for, and nothing else."""

    network: Network

    def __getattr__(self, name: str) -> Any:
        if name in {
            "input_shape", "inputs", "outputs", "classes", "scaling", "statistics", "output_activation",
            "query", "logits", "logits_and_jacobian", "scale",
        }:  # fmt: skip
            return getattr(self.network, name)
        raise AttributeError(name)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param
