"""What is asked for as a label's typical answers: the median of each number, or what one real image gives.

Ten networks on MNIST and ten on silhouettes of animals are asked for all ten labels by either rule:
how many are read as asked, how many within 1e-3, and how many each judge reads so. Where a search is in vain, it
begins once more at the image whose answers are asked for. What it then returns may be that image again: that is
said, and counts as not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery import Network, Online, Scaling, evaluate, train
from backquery.datasets import Dataset
from backquery.faithfulness import Judge, RealImages, convolutional_judge, linear_judge, neighbour_judge
from backquery.inversion import BackQuery, back_query, fit_statistics
from backquery.inversion.fitting import Moments, images_read, moments_of, typical_images
from backquery.model import Array, Labels, ink_of
from benchmarks import animals, peers
from benchmarks.training import Section

CLOSE = 1e-3
"""Log-odds off by no more than this are as asked."""

SLOW = Online(0.02, "cross-entropy", shuffle=True, decay="linear")

RECIPES: dict[str, tuple[list[int], list[str], bool, Online, int]] = {
    **{f"the book's, seed {seed}": ([200], ["sigmoid"] * 2, False, Online(0.1), seed) for seed in range(1, 6)},
    "sigmoid 50, rate 0.2": ([50], ["sigmoid"] * 2, False, Online(0.2), 1),
    "tanh 100-50, sigmoid": ([100, 50], ["tanh", "tanh", "sigmoid"], True, SLOW, 1),
    "ReLU 200, softmax": ([200], ["relu", "softmax"], True, SLOW, 1),
    "ReLU 200-100, softmax": ([200, 100], ["relu", "relu", "softmax"], True, SLOW, 1),
    "tanh 100-50, softmax": ([100, 50], ["tanh", "tanh", "softmax"], True, SLOW, 1),
}
"""Hidden nodes, activations, biases, recipe and seed of each network; as many epochs as 300,000 updates take."""

COLUMNS = ["network", "right", "typical", "read", "within 1e-3", "worst", "N", "L", "C", "again", "real images"]


@dataclass(frozen=True, eq=False)
class Scores:
    """What came of asking networks for n labels; within: how many log-odds were as asked.

    agreed: by each judge; again: found in the second attempt; real: found there, but a real image.
    """

    read: int
    within: int
    worst: float
    agreed: tuple[int, ...]
    again: int
    real: int
    labels: int

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of several networks as one."""
        agreed = tuple(map(sum, zip(*(part.agreed for part in parts), strict=True)))
        counts = {name: sum(getattr(part, name) for part in parts) for name in COUNTED}
        return cls(**counts, worst=max(part.worst for part in parts), agreed=agreed)

    def row(self, *names: str) -> list[Any]:
        """As it is printed."""
        found = [f"{count}/{self.labels}" for count in (self.read, self.within)]
        return [*names, *found, f"{self.worst:.1g}", *self.agreed, self.again, self.real]


COUNTED = ("read", "within", "again", "real", "labels")


@dataclass(frozen=True, eq=False)
class Trial:
    """A data set with its judges, and what is known of its images."""

    dataset: Dataset

    @cached_property
    def real(self) -> RealImages:
        """All training images."""
        return RealImages(self.dataset.train.images, self.dataset.train.labels, self.dataset.maximum)

    @cached_property
    def judges(self) -> list[Judge]:
        """Neighbours, a linear classifier, a convolutional network."""
        neighbours = neighbour_judge(self.real, self.dataset.test)
        return [neighbours, linear_judge(self.dataset), convolutional_judge(self.dataset)]

    @cached_property
    def moments(self) -> Moments:
        """One mean and covariance, the same for all networks."""
        return moments_of(self._taught(next(iter(RECIPES)), 0), self.dataset.train, components=1)

    @property
    def labels(self) -> Labels:
        """Every label."""
        return np.arange(len(self.dataset.classes))

    def rows(self) -> Iterator[list[Any]]:
        """Each network by either rule, and their sums."""
        yield [f"{self.dataset.name}: judges", *[""] * 5, *(f"{j.performance:.1%}" for j in self.judges), "", ""]
        found: dict[str, list[Scores]] = {"median": [], "medoid": []}
        for name in RECIPES:
            network = self._taught(name)
            right = f"{evaluate(network, self.dataset.to_test_on).performance:.1%}"
            for rule, scores in self._scores(network).items():
                found[rule].append(scores)
                yield scores.row(f"{self.dataset.name}: {name}", right, rule)
        for rule, parts in found.items():
            yield Scores.joined(parts).row(f"{self.dataset.name}: all", "", rule)

    def _taught(self, name: str, epochs: int | None = None) -> Network:
        hidden, activations, biases, recipe, seed = RECIPES[name]
        sizes = [self.dataset.inputs, *hidden, len(self.dataset.classes)]
        fresh = Network.create(
            sizes,
            activation=activations,
            biases=biases,
            rng=seed,
            input_shape=self.dataset.input_shape,
            scaling=Scaling.book(self.dataset.maximum),
        )
        if epochs == 0:
            return fresh
        return train(fresh, self.dataset.train, recipe, epochs=300_000 // len(self.dataset.train), rng=seed)[0]

    def _scores(self, network: Network) -> dict[str, Scores]:
        statistics = fit_statistics(network, self.dataset.train, moments=self.moments)
        inputs = network.scale(self.dataset.train.images)
        logits = network.logits(inputs).astype(np.float64)
        middles = np.array([np.median(logits[read], axis=0) for read in images_read(logits)])
        starts = inputs[typical_images(logits)]
        return {
            rule: self._asked(replace(network, statistics=replace(statistics, typical=usual)), starts)
            for rule, usual in (("median", middles), ("medoid", statistics.typical))
        }

    def _asked(self, network: Network, starts: Array) -> Scores:
        result = back_query(network, self.labels, prior="data")
        again, real = self._last_resort(network, ~_as_asked(result), starts)
        ink = ink_of(network, result.images)
        return Scores(
            read=int(result.read_as_asked.sum()),
            within=int((result.logit_error <= CLOSE).sum()),
            worst=float(result.logit_error.max()),
            agreed=tuple(int(np.sum(judge.ask(ink) == self.labels)) for judge in self.judges),
            again=again,
            real=real,
            labels=len(self.labels),
        )

    def _last_resort(self, network: Network, failed: NDArray[np.bool_], starts: Array) -> tuple[int, int]:
        """How many of the failed searches succeed where they begin at a real image, and how many return it."""
        if not any(failed):
            return 0, 0
        result = back_query(network, self.labels[failed], prior="data", start=starts[failed])
        found = _as_asked(result)
        copy = self.real.nearness(ink_of(network, result.images), self.dataset.test).copy
        return int(np.sum(found & ~copy)), int(np.sum(found & copy))


def _as_asked(result: BackQuery) -> NDArray[np.bool_]:
    return result.read_as_asked & (result.logit_error <= CLOSE)


def typical() -> Section:
    """Each network, each rule, and the sums for each data set."""
    rows: list[list[Any]] = []
    for dataset in (peers.mnist(), animals.animals()):
        missing = [f"animals: {animals.MISSING}", *[""] * (len(COLUMNS) - 1)]
        rows += [missing] if dataset is None else Trial(dataset).rows()
    return "Typical answers by either rule (judges: Neighbours, Linear, Convolutional)", COLUMNS, rows
