"""The training loop: epochs, chunks, the clock, the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DivergenceError, TrainingError
from backquery.evaluation import evaluate
from backquery.examples import Data, Examples
from backquery.network import Network, Seed
from backquery.training.batch import BatchTraining
from backquery.training.history import EpochRecord, History, Moment
from backquery.training.online import CompiledOnline, choose_kernel
from backquery.training.recipes import FullBatch, MiniBatch, Online, Recipe, target_values

Callback = Callable[[Moment], bool | None]
Progress = Callable[[int, int], None]

CHUNK = 4096
"""Images between two looks at the outside: progress, an interrupt."""


class _Work(Protocol):
    totals: NDArray[np.float64]

    def prepare(self) -> None: ...
    def run(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int: ...
    def snapshot(self) -> Network: ...


def train(
    network: Network,
    data: Data,
    recipe: Recipe | None = None,
    *,
    epochs: int = 5,
    test: Data | None = None,
    callbacks: Iterable[Callback] = (),
    rng: Seed = None,
    kernel: str = "auto",
    progress: Progress | None = None,
) -> tuple[Network, History]:
    """Train a copy of `network`; returns the trained network and its history, and leaves `network` as it is.

    data, test: raw images with labels (a data set's `Split`), scaled by the network's scaling, or a pair
    (inputs (n, inputs) in input scale, labels (n,)). recipe: `Online` (by default, the book's), `MiniBatch` or
    `FullBatch`, whose epoch is one iteration. A callback sees each epoch as a `Moment` and may end the training by
    returning True. `rng` decides the order of shuffled recipes. `kernel` forces ``"sparse"``, ``"dense"`` or
    ``"numpy"`` for `Online`. `progress` is told (images done, images in all).

    Raises `DataError` for data that do not fit, `TrainingError` for settings that do not, and `DivergenceError`
    when a signal leaves the finite numbers.
    """
    recipe = Online() if recipe is None else recipe
    if epochs < 1:
        raise TrainingError(f"the number of epochs must be at least 1; received {epochs}")
    examples = Examples.of(network, data)
    if test is not None:
        Examples.of(network, test)
    low, high = target_values(network, recipe.loss)
    targets = np.full((network.outputs, network.outputs), low, network.dtype)
    np.fill_diagonal(targets, high)
    name, work = _work(network, examples, recipe, targets, kernel)
    generator = np.random.default_rng(rng)
    decays = getattr(recipe, "decay", "none") == "linear"
    whole = isinstance(recipe, FullBatch)
    records: list[EpochRecord] = []
    stopped = False
    preparing = perf_counter()
    work.prepare()
    spent = perf_counter() - preparing
    callbacks = tuple(callbacks)

    for epoch in range(1, epochs + 1):
        start = recipe.learning_rate * (1 - (epoch - 1) / epochs if decays else 1)
        end = recipe.learning_rate * (1 - epoch / epochs if decays else 1)
        work.totals[:] = 0
        clock = perf_counter()
        order = np.arange(len(examples), dtype=np.int64)
        if not whole and getattr(recipe, "shuffle", True):
            generator.shuffle(order)
        done = 0
        for chunk in [order] if whole else np.split(order, range(CHUNK, len(order), CHUNK)):
            share, after = done / len(order), (done + len(chunk)) / len(order)
            place = work.run(chunk, start + (end - start) * share, start + (end - start) * after)
            if place >= 0:
                raise _diverged(recipe, epoch, done + place)
            done += len(chunk)
            if progress is not None:
                progress((epoch - 1) * len(order) + done, epochs * len(order))
        spent += perf_counter() - clock
        accuracy = None
        if test is not None:
            accuracy = evaluate(work.snapshot(), test).performance
        lost, right = work.totals / len(examples)
        records.append(EpochRecord(epoch, float(lost), float(right), accuracy, spent, start))
        spent = 0.0
        moment = Moment(records[-1], work.snapshot)
        if sum(bool(callback(moment)) for callback in callbacks):
            stopped = epoch < epochs
            break
    return work.snapshot(), History(name, tuple(records), stopped)


def _work(
    network: Network, examples: Examples, recipe: Recipe, targets: NDArray[np.floating], kernel: str
) -> tuple[str, _Work]:
    if isinstance(recipe, Online):
        name = choose_kernel(kernel, examples)
        if name == "numpy":
            return name, BatchTraining(network, examples, recipe.loss, targets, batch_size=1)
        return name, CompiledOnline(network, examples, recipe.loss, targets, sparse=name == "sparse")
    if kernel not in ("auto", "numpy"):
        raise TrainingError(f"kernel {kernel!r} is for training one image at a time; batches use NumPy")
    if isinstance(recipe, MiniBatch):
        return "numpy", BatchTraining(
            network,
            examples,
            recipe.loss,
            targets,
            batch_size=recipe.batch_size,
            optimizer=recipe.optimizer,
            momentum=recipe.momentum,
        )
    if isinstance(recipe, FullBatch):
        return "numpy", BatchTraining(network, examples, recipe.loss, targets, batch_size=len(examples))
    raise TrainingError(f"unknown recipe {recipe!r}; use Online, MiniBatch or FullBatch")


def _diverged(recipe: Recipe, epoch: int, image: int) -> DivergenceError:
    where = f"iteration {epoch}" if isinstance(recipe, FullBatch) else f"image {image + 1} of epoch {epoch}"
    return DivergenceError(
        f"training left the finite numbers at {where} with a learning rate of {recipe.learning_rate:g}; "
        f"try {recipe.learning_rate / 10:g}, or inputs on a smaller scale"
    )
