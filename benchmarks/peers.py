"""The same work by others: the book's algorithm in plain NumPy, scikit-learn, PyTorch.

Each peer is given what it likes best: contiguous float32 inputs, its own optimiser, no test in between.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from backquery import datasets


@cache
def mnist() -> Any:
    """The data of every benchmark, from BACKQUERY_DATA or the user's cache."""
    folder = Path(os.environ.get("BACKQUERY_DATA", "")) / "mnist"
    return datasets.read(folder) if folder.is_dir() else datasets.load("mnist")


@cache
def inputs(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training inputs and labels, test inputs and labels, in the book's scale."""
    data = mnist()

    def scaled(images: np.ndarray) -> np.ndarray:
        return (images.reshape(len(images), -1) / 255 * 0.99 + 0.01).astype(dtype)

    return scaled(data.train.images), data.train.labels, scaled(data.test.images), data.test.labels


def book_updates(count: int) -> float:
    """Seconds for `count` single updates of the book's rule by NumPy column vectors, in float64.

    With `numpy.dot`, as the book has it: it is half as fast again as ``@`` on column vectors.
    """
    from scipy.special import expit

    x, labels, _, _ = inputs("float64")
    rng = np.random.default_rng(0)
    input_hidden = rng.normal(0.0, 200**-0.5, (200, 784))
    hidden_output = rng.normal(0.0, 10**-0.5, (10, 200))
    clock = perf_counter()
    for k in range(count):
        column = x[k][:, None]
        target = np.full((10, 1), 0.01)
        target[labels[k]] = 0.99
        hidden = expit(np.dot(input_hidden, column))
        output = expit(np.dot(hidden_output, hidden))
        error = target - output
        hidden_error = np.dot(hidden_output.T, error)
        hidden_output += 0.1 * np.dot(error * output * (1 - output), hidden.T)
        input_hidden += 0.1 * np.dot(hidden_error * hidden * (1 - hidden), column.T)
    return perf_counter() - clock


def sklearn_network(batch_size: int, solver: str = "adam", rate: float = 0.001) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        (200,), solver=solver, batch_size=batch_size, learning_rate_init=rate, momentum=0.0, random_state=0
    )


def sklearn_updates(count: int) -> float:
    """Seconds for `count` single updates by MLPClassifier."""
    x, labels, _, _ = inputs()
    network = sklearn_network(1, "sgd", 0.01)
    network.partial_fit(x[:10], labels[:10], classes=np.arange(10))
    clock = perf_counter()
    network.partial_fit(x[:count], labels[:count])
    return perf_counter() - clock


def sklearn_epochs(network: Any, epochs: int) -> float:
    """Seconds for `epochs` over the training set."""
    x, labels, _, _ = inputs()
    clock = perf_counter()
    for _ in range(epochs):
        network.partial_fit(x, labels, classes=np.arange(10))
    return perf_counter() - clock


class TorchNetwork:
    """784-200-10 with ReLU and cross-entropy."""

    def __init__(self, batch_size: int, optimizer: str = "adam", rate: float = 0.001) -> None:
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        torch.manual_seed(0)
        self.torch = torch
        x, labels, _, _ = inputs()
        self.x, self.labels = torch.from_numpy(x), torch.tensor(labels)
        self.module = torch.nn.Sequential(torch.nn.Linear(784, 200), torch.nn.ReLU(), torch.nn.Linear(200, 10))
        kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        self.optimizer = kind(self.module.parameters(), lr=rate)
        self.batch_size = batch_size

    def train(self, count: int) -> float:
        """Seconds for one pass over the first `count` images, shuffled."""
        torch = self.torch
        loss = torch.nn.CrossEntropyLoss()
        clock = perf_counter()
        for batch in torch.randperm(count).split(self.batch_size):
            self.optimizer.zero_grad()
            loss(self.module(self.x[batch]), self.labels[batch]).backward()
            self.optimizer.step()
        return perf_counter() - clock

    def query(self, x: np.ndarray) -> np.ndarray:
        """Logits (n, 10)."""
        with self.torch.no_grad():
            return self.module(self.torch.from_numpy(x)).numpy()


def torch_available() -> bool:
    """Whether PyTorch is here to be measured."""
    from importlib.util import find_spec

    return find_spec("torch") is not None
