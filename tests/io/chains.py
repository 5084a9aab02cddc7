"""Random dense chains for the round trips of every format."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling

HIDDEN = ("sigmoid", "tanh", "relu", "leaky-relu", "leaky-relu:0.3", "identity")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A network of any depth, shape and activations, with random biases, class names and scaling."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    names = draw(st.lists(st.sampled_from(HIDDEN), min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    last = draw(st.sampled_from((*HIDDEN, "softmax")))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    network = Network.create(
        sizes,
        activation=[*names, last],
        rng=rng,
        dtype=draw(st.sampled_from(["float32", "float64"])),
        input_shape=draw(st.sampled_from([(sizes[0],), (1, sizes[0]), (sizes[0], 1)])),
        classes=tuple(f"знак {number}" for number in range(sizes[-1])),
        scaling=draw(st.sampled_from([None, Scaling.book(), Scaling(rng.uniform(1, 2, sizes[0]), 0.5, 16)])),
        about=draw(st.sampled_from([{}, {"recipe": "book", "epochs": 3}])),
    )
    layers = tuple(
        Layer(layer.weights, rng.normal(size=layer.outputs) if rng.random() < 0.5 else None, layer.activation)
        for layer in network.layers
    )
    return Network(layers, network.input_shape, network.classes, network.scaling, None, network.about)


def inputs_for(network: Network, n: int = 7) -> NDArray[Any]:
    return np.random.default_rng(0).uniform(-1, 2, (n, network.inputs)).astype(network.dtype)


def assert_described_alike(one: Network, other: Network) -> None:
    assert (other.input_shape, other.classes, other.about) == (one.input_shape, one.classes, one.about)
    assert (one.scaling is None) == (other.scaling is None)
    if one.scaling is not None and other.scaling is not None:
        for part in ("gain", "offset", "maximum"):
            assert np.array_equal(getattr(one.scaling, part), getattr(other.scaling, part))
