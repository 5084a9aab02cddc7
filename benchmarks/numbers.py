"""How far the ways of training are apart from one another: the bounds of ``docs/promises.md``, measured."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from backquery import MiniBatch, Network, Online, back_query, fit_statistics, kernels, load_model, train
from backquery.inversion import data_prior
from backquery.training.recipes import Recipe, target_values

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


def threads() -> tuple[str, list[str], list[list[Any]]]:
    """What is the same to the byte by one thread of BLAS and by two, and how far the rest is apart."""
    from threadpoolctl import threadpool_limits

    rows = []
    for name, work in WORK.items():
        found = []
        for count in (1, 2):
            with threadpool_limits(count, user_api="blas"):
                found.append(work())
        alike = all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
        rows.append([name, "the same bytes" if alike else f"{apart(*found):.1e}"])
    return "One thread of BLAS and two, float32: largest difference", ["what", "difference"], rows


def widths() -> tuple[str, list[str], list[list[Any]]]:
    """How far the widths of vectors that this machine has are apart from the widest."""
    found = {width: _by_width(width) for width in kernels.widths()}
    widest = next(iter(found), "none")
    rows = [
        [width, *(f"{apart(weights[dtype], found[widest][dtype]):.1e}" for dtype in BOUNDS)]
        for width, weights in found.items()
        if width != widest
    ]
    return f"Kernels by vectors of another width than {widest}: largest difference", ["width", *BOUNDS], rows


def _by_width(width: str) -> dict[str, list[Array]]:
    """What is learned by vectors of one width, in each precision."""
    with patch.dict(os.environ, {kernels.WIDTH: width}):
        return {dtype: learned("sparse kernel", dtype) for dtype in BOUNDS}


def apart(one: list[Array], other: list[Array]) -> float:
    """The largest difference between two lists of weights."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def _data() -> tuple[Array, Array]:
    """Images that are mostly blank, and labels."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((IMAGES, SIZES[0])) < 0.2, rng.uniform(0.02, 1, (IMAGES, SIZES[0])), 0.01)
    return x, rng.integers(0, SIZES[-1], IMAGES)


def _by_recipe(recipe: Recipe, kernel: str = "auto") -> list[Array]:
    found, _ = train(Network.create(SIZES, rng=1, biases=True), _data(), recipe, epochs=1, rng=1, kernel=kernel)
    return [layer.weights for layer in found.layers]


def _covaried(vectors: Array) -> Array:
    return data_prior(fit_statistics(load_model("mnist"), _data())).covariance_times(vectors)


WORK = {
    "training by single steps": lambda: _by_recipe(Online(0.1)),
    "the same by NumPy": lambda: _by_recipe(Online(0.1), "numpy"),
    "training by batches": lambda: _by_recipe(MiniBatch()),
    "answers": lambda: [load_model("mnist").query(_data()[0])],
    "a faithful search": lambda: [back_query(load_model("mnist"), range(10)).images],
    "the book's formula": lambda: [back_query(load_model("mnist"), range(10), method="transpose").images],
    "a prior": lambda: [_covaried(np.eye(SIZES[0])[:9])],
}
"""What may depend on the number of threads."""


def learned(by: str, dtype: str) -> list[Array]:
    """The weights after one epoch of single steps by cross-entropy, of sigmoid nodes, on images that are mostly
    blank."""
    x, labels = _data()
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
