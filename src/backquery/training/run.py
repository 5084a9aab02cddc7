"""One training, update by update: what `train`, checkpoints and timelines are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DivergenceError, TrainingError
from backquery.model import Data, Examples, Network, Seed, evaluate, generator_of, whole
from backquery.model.declared import declared_value
from backquery.model.memory import need
from backquery.training.batch import BatchTraining
from backquery.training.blocks import BlockTraining
from backquery.training.forecast import LESS, forecast, training_in_words
from backquery.training.history import EpochRecord
from backquery.training.online import CompiledOnline, choose_kernel
from backquery.training.recipes import Online, Recipe, target_values

Array = NDArray[Any]
_Work = BatchTraining | BlockTraining | CompiledOnline

CHUNK = 4096
"""Images between two looks at the outside: progress, a checkpoint, an interrupt."""


@declared_value(TrainingError)
class TrainingRun:
    """A training that goes as far as it is told: `advance`, look at it, `advance` again.

    An update is one image for `Online`, one batch for `MiniBatch`, one iteration for `FullBatch`. The arguments
    are those of `train`. `updates` is their number in all, `done` how many were made; `records` tell the epochs
    that were closed by `end_epoch`. `TrainingError` for a recipe that is none or does not fit the network.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        recipe: Recipe | None = None,
        *,
        epochs: int = 5,
        test: Data | None = None,
        rng: Seed = None,
        kernel: str = "auto",
    ) -> None:
        whole(epochs, "the number of epochs", TrainingError)
        if recipe is not None and not isinstance(recipe, Recipe):
            raise TrainingError(f"a recipe is Online(), MiniBatch() or FullBatch(); received {recipe!r}")
        self.recipe = Online() if recipe is None else recipe
        self.network, self.epochs = network, epochs
        self.examples = Examples.of(network, data)
        self.test = test
        self._tested = None if test is None else Examples.of(network, test)
        expected = forecast(network.sizes, len(self.examples), epochs, self.recipe, network.dtype, kernel)
        need(expected.memory, training_in_words(network.sizes), LESS)
        self.kernel, self._work = _work(network, self.examples, self.recipe, kernel)
        self._seed = int(rng) if isinstance(rng, int | np.integer) else None
        self._generator = generator_of(rng)
        self.batch = self.recipe.images_an_update(len(self.examples))
        self.updates_per_epoch = -(-len(self.examples) // self.batch)
        self.updates = epochs * self.updates_per_epoch
        self.done = 0
        self.records: list[EpochRecord] = []
        clock = perf_counter()
        self._work.prepare()
        self._spent = perf_counter() - clock

    @property
    def ended(self) -> bool:
        """Whether all updates have been made."""
        return self.done == self.updates

    @property
    def between_epochs(self) -> bool:
        """Whether the last update ended an epoch, or none was made."""
        return self.done % self.updates_per_epoch == 0

    @property
    def images(self) -> int:
        """How many images have been learned from, each counted as often as it was met."""
        epochs, place = divmod(self.done, self.updates_per_epoch)
        return epochs * len(self.examples) + self._image(place)

    def snapshot(self) -> Network:
        """The network as it is now; `DivergenceError` where the last updates left the finite numbers."""
        network = self._work.snapshot()
        if self.done and not all(np.all(np.isfinite(layer.weights)) for layer in network.layers):
            epoch, place = divmod(self.done - 1, self.updates_per_epoch)
            raise _diverged(self.recipe, epoch + 1, self._image(place))
        return network

    def advance(self, until: int | None = None) -> None:
        """Go on until so many updates have been made in all; by default to the end of the chunk.

        A chunk is `CHUNK` images, or what is left of the epoch. Whoever stops only at the ends of chunks gets
        the same bytes as whoever never stops; stops in between change the result by rounding alone (see `after`).
        """
        target = self._chunk_end() if until is None else min(until, self.updates)
        while self.done < target:
            if self.between_epochs:
                self._begin_epoch()
            self._learn(min(target, self._chunk_end()))

    def after(self, updates: int) -> Network:
        """The network after so many updates; only whole chunks of them are kept, so that looking changes nothing.

        What was made beyond the last whole chunk is undone, and will be made again.
        """
        while self._chunk_end() <= updates and not self.ended:
            self.advance()
        if updates <= self.done:
            return self.snapshot()
        plain, arrays = self.state()
        # Copies, because the state is the very arrays that training writes to.
        kept = {name: values.copy() for name, values in arrays.items()}
        self.advance(updates)
        network = self.snapshot()
        # What the look took is not time of training; restore adds what was spent before.
        self._spent = 0.0
        self.restore(plain, kept)
        return network

    def end_epoch(self) -> EpochRecord:
        """Test the network after an epoch, and note how it went."""
        accuracy = None if self.test is None else evaluate(self.snapshot(), self.test).performance
        lost, right = self._work.totals / len(self.examples)
        epoch = self.done // self.updates_per_epoch
        rate = self._rate(epoch - 1)
        self.records.append(EpochRecord(epoch, float(lost), float(right), accuracy, self._spent, rate))
        self._spent = 0.0
        return self.records[-1]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the result, as plain values: the network's make, the recipe, the data, the seed."""
        layers = self.network.layers
        return {
            "sizes": list(self.network.sizes),
            "activations": [layer.activation.name for layer in layers],
            "biases": [layer.biases is not None for layer in layers],
            "dtype": self.network.dtype.name,
            "recipe": type(self.recipe).__name__,
            **asdict(self.recipe),
            "epochs": self.epochs,
            "kernel": self.kernel,
            "seed": self._seed,
            "training data": _fingerprint(self.examples),
            "test data": None if self._tested is None else _fingerprint(self._tested),
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """All that the next update depends on, and the records: plain values, and arrays of any shape by name."""
        # An epoch's order is not kept: from the generator as it was before, it is drawn again.
        generator = self._generator.bit_generator.state if self.between_epochs else self._before_order
        plain = {
            "done": self.done,
            "generator": generator,
            "spent": self._spent,
            "records": [asdict(record) for record in self.records],
        }
        return plain, self._work.state()

    def restore(self, plain: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Go back to a `state` of a run with the same `settings`: its plain values, its arrays in their shapes.

        `ValueError` where they are not whole.
        """
        own = self._work.state()
        if own.keys() != arrays.keys() or not all(_alike(own[name], arrays[name]) for name in own):
            raise ValueError("its arrays do not belong to this training")
        done = int(plain["done"])
        if not 0 <= done <= self.updates:
            raise ValueError(f"it stands at update {done} of {self.updates}")
        self._generator.bit_generator.state = plain["generator"]
        self.records = [EpochRecord(**record) for record in plain["records"]]
        self.done, self._spent = done, self._spent + float(plain["spent"])
        if not self.between_epochs:
            self._begin_epoch()
        # After the epoch's beginning, which sets its totals to zero.
        for name, values in own.items():
            values[...] = arrays[name]

    def _begin_epoch(self) -> None:
        clock = perf_counter()
        self._work.totals[:] = 0
        self._before_order = self._generator.bit_generator.state
        self._order = np.arange(len(self.examples), dtype=np.int64)
        if self.recipe.shuffle:
            self._generator.shuffle(self._order)
        self._spent += perf_counter() - clock

    def _learn(self, until: int) -> None:
        """The updates of one chunk, or of a part of it."""
        clock = perf_counter()
        epoch, place = divmod(self.done, self.updates_per_epoch)
        begin, end = self._image(place), self._image(place + until - self.done)
        first, last = self._rate(epoch), self._rate(epoch + 1)
        # By place in the epoch, so that the rate does not depend on where the training stops.
        share, after = begin / len(self.examples), end / len(self.examples)
        rates = first + (last - first) * share, first + (last - first) * after
        failed = self._work.run(self._order[begin:end], *rates)
        if failed >= 0:
            raise _diverged(self.recipe, epoch + 1, begin + failed)
        self.done = until
        self._spent += perf_counter() - clock

    def _chunk_end(self) -> int:
        """The update that ends the chunk which the next update belongs to."""
        epoch, place = divmod(self.done, self.updates_per_epoch)
        length = max(1, CHUNK // self.batch)
        end = min((place // length + 1) * length, self.updates_per_epoch)
        return min(epoch * self.updates_per_epoch + end, self.updates)

    def _image(self, place: int) -> int:
        """How many of the epoch's images are met in its first `place` updates."""
        return min(place * self.batch, len(self.examples))

    def _rate(self, epochs: int) -> float:
        """The learning rate after so many epochs."""
        return self.recipe.rate(epochs / self.epochs)


def _work(network: Network, examples: Examples, recipe: Recipe, kernel: str) -> tuple[str, _Work]:
    low, high = target_values(network, recipe.loss)
    targets = np.full((network.outputs, network.outputs), low, network.dtype)
    np.fill_diagonal(targets, high)
    if recipe.one_by_one:
        name = choose_kernel(kernel, network, examples)
        if name == "numpy":
            return name, BlockTraining(network, examples, recipe.loss, targets)
        return name, CompiledOnline(network, examples, recipe.loss, targets, sparse=name == "sparse")
    if kernel not in ("auto", "numpy"):
        raise TrainingError(f"kernel {kernel!r} is for training one image at a time; batches use NumPy")
    return "numpy", BatchTraining(network, examples, recipe, targets)


def _fingerprint(examples: Examples) -> str:
    """The same for the same images, labels and scaling, and for no others (SHA-256)."""
    scaling = examples.model.scaling
    parts = [examples.labels, examples.given if examples.pixels is None else examples.pixels]
    if examples.pixels is not None and scaling is not None:
        parts += [np.asarray(scaling.gain, np.float64), np.asarray(scaling.offset, np.float64)]
    content = sha256()
    for part in map(np.ascontiguousarray, parts):
        content.update(f"{part.dtype.str} {part.shape} ".encode())
        content.update(part.data)
    return content.hexdigest()


def _alike(own: Array, other: Array) -> bool:
    return own.shape == other.shape and own.dtype == other.dtype and bool(np.all(np.isfinite(other)))


def _diverged(recipe: Recipe, epoch: int, image: int) -> DivergenceError:
    rate = recipe.learning_rate
    return DivergenceError(
        f"training left the finite numbers at {recipe.moment(epoch, image + 1)} with a learning rate of {rate:g}; "
        f"try {rate / 10:g}, or inputs on a smaller scale"
    )
