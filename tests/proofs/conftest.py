"""Small networks of every kind, drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from backquery.model import Network

HIDDEN = ["sigmoid", "tanh", "relu", "leaky-relu", "leaky-relu:1.7", "identity"]
OUTPUT = [*HIDDEN, "softmax"]


def drawn(sizes, activations, seed: int, dtype=np.float64, gain: float = 2.0) -> Network:
    """A network with random weights and biases."""
    network = Network.create(sizes, activation=activations, rng=seed, dtype=dtype)
    rng = np.random.default_rng(seed + 1)
    layers = [
        replace(layer, weights=layer.weights * gain, biases=rng.normal(0, 0.5, layer.outputs).astype(dtype))
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


@st.composite
def networks(draw, inputs: int | None = None, hidden: int = 2, outputs=OUTPUT) -> Network:
    """Networks of up to so many hidden layers, in either dtype, tame or wild."""
    depth = draw(st.integers(0, hidden))
    sizes = [
        inputs or draw(st.integers(1, 5)),
        *(draw(st.integers(1, 6)) for _ in range(depth)),
        draw(st.integers(2, 4)),
    ]
    activations = [*(draw(st.sampled_from(HIDDEN)) for _ in range(depth)), draw(st.sampled_from(outputs))]
    dtype, gain = draw(st.sampled_from([np.float32, np.float64])), draw(st.sampled_from([1.0, 6.0]))
    return drawn(sizes, activations, draw(st.integers(0, 999)), dtype, gain)


def spread(low, high, seed: int, count: int = 300) -> np.ndarray:
    """Images all over a box (inputs,), most of them at its edges and in its corners."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0.0, 1.0, rng.uniform(), 0.5], size=(count, len(low)))
    return np.clip(low + (high - low) * share, low, high)
