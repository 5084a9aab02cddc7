"""How far the ways of training are apart from one another: the bounds of ``docs/promises.md``, measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery import Network, Online, train
from backquery.training.recipes import target_values

Array = NDArray[Any]

BOUNDS = {"float64": 1e-12, "float32": 1e-4}
"""The largest difference of a weight after `IMAGES` steps that is promised."""

PEERS = ("sparse kernel", "dense kernel", "PyTorch")

IMAGES, RATE, SIZES = 2_000, 0.1, [784, 100, 10]


def numbers() -> tuple[str, list[str], list[list[Any]]]:
    """The largest difference of any weight from NumPy's, after an epoch."""
    rows = []
    for peer in PEERS:
        found = {dtype: apart(learned("NumPy", dtype), learned(peer, dtype)) for dtype in BOUNDS}
        rows.append([peer, *(f"{found[dtype]:.1e} (promised {BOUNDS[dtype]:.0e})" for dtype in BOUNDS)])
    title = (
        f"Weights of {'-'.join(map(str, SIZES))} after {IMAGES:,} single steps, beside NumPy's: largest difference"
    )
    return title, ["by", *BOUNDS], rows


def apart(one: list[Array], other: list[Array]) -> float:
    """The largest difference between two lists of weights."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def learned(by: str, dtype: str) -> list[Array]:
    """The weights after one epoch of single steps by cross-entropy, of sigmoid nodes, on images that are mostly
    blank."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((IMAGES, SIZES[0])) < 0.2, rng.uniform(0.02, 1, (IMAGES, SIZES[0])), 0.01)
    labels = rng.integers(0, SIZES[-1], IMAGES)
    network = Network.create(SIZES, rng=1, dtype=dtype, biases=True)
    if by == "PyTorch":
        return _by_torch(network, x, labels)
    kernel = by.partition(" ")[0].lower()
    found, _ = train(network, (x, labels), Online(RATE, "cross-entropy"), epochs=1, kernel=kernel)
    return [layer.weights for layer in found.layers]


def _by_torch(network: Network, x: Array, labels: Array) -> list[Array]:
    import torch

    modules: list[Any] = []
    for layer in network.layers:
        linear = torch.nn.Linear(layer.inputs, layer.outputs)
        linear.weight.data, linear.bias.data = torch.tensor(layer.weights), torch.tensor(layer.shifts)
        modules += [linear, torch.nn.Sigmoid()]
    module, dtype = torch.nn.Sequential(*modules), getattr(torch, network.dtype.name)
    low, high = target_values(network, "cross-entropy")
    targets = torch.full((SIZES[-1], SIZES[-1]), low, dtype=dtype).fill_diagonal_(high)
    lost = torch.nn.BCELoss(reduction="sum")
    descent = torch.optim.SGD(module.parameters(), lr=RATE)
    for image, label in zip(torch.tensor(x, dtype=dtype), labels, strict=True):
        descent.zero_grad()
        lost(module(image), targets[label]).backward()
        descent.step()
    return [part.weight.detach().numpy() for part in modules[::2]]
