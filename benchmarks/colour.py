"""Pictures in colour: are they read as asked, and recognised? Beside ascent, in the same time.

A convolutional network on coloured digits, and two residual ones on photographs of things (`stamps`), one of
which was taught what is shown at its worst; with each judge's own mistakes, what chance gives, and networks that
have learned nothing or the wrong thing. What is trained is kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from backquery import Scaling, evaluate, from_torch
from backquery.datasets import Dataset, Split, coloured
from backquery.faithfulness import Judge, RealDensities, RealImages, Recognition, usual_density
from backquery.inversion import BackQuery, Targets, back_query, confidence, fit_statistics, typical
from backquery.inversion.fitting import Moments, moments_of
from backquery.inversion.result import CLIMBED, round_trip
from backquery.io.torch import TorchModel
from backquery.model import IN_COLOUR, Array, Labels, Layout, ink_of
from benchmarks import colour_ascent, colour_networks, peers, stamps
from benchmarks.colour_networks import Attack, Make
from benchmarks.training import Section
from benchmarks.untidy import MOVED, Scores

ASKED = (("data", "typical"), ("natural", "typical"), ("natural", "0.99"))
"""Each prior with each question that the networks are asked."""

CONTROLLED = ASKED[:2]
"""What the controls are asked."""

TAUGHT, ANSWERS, REAL, ATTACKED = 20_000, 4000, 1000, 500
"""Digits that are learned from, images whose answers say what is typical, and test images that typicality is
measured against and that are attacked."""

SURE = 1e-3
"""By how much log-odds may be off those asked for."""

TITLE = """\
Colour, asked for every label. Judges: N neighbours, L linear, C convolutional; where labels were moved by one they
should read the label before. Attacked: right at its worst within a distance of 1. Sure: read as asked at the
log-odds asked for or above; met: all outputs' are within 1e-3 of those asked for. Nearest: the share of real test
images that lie nearer to a training image."""

COLUMNS = [
    "network", "right", "attacked", "by", "asked", "read", "sure", "met", "error", "N", "L", "C", "recognised",
    "typicality", "nearest", "s",
]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """How a data set is had, which network reads it, for how many epochs it is taught, plainly and attacked."""

    load: Callable[[], Dataset | None]
    make: Make
    epochs: int
    attacked: int = 0


def _coloured_digits() -> Dataset:
    """The first of `coloured-mnist`: digits in any of ten colours, whichever digit it is."""
    halves = peers.mnist().train.select(slice(TAUGHT)), peers.mnist().test
    train, test = (coloured(half, rng=seed) for seed, half in enumerate(halves))
    return Dataset("coloured-mnist", train, test, peers.mnist().classes, meaning=IN_COLOUR)


DATA = {
    "coloured digits": Kind(_coloured_digits, colour_networks.plain, 2),
    "things": Kind(stamps.stamps, colour_networks.residual, 4, 8),
}
"""The data sets."""


def colour() -> Section:
    """Every data set: what is real, what chance gives, networks, ascent, and controls."""
    rows: list[list[Any]] = []
    for name, kind in DATA.items():
        trial = Trial.of(name, kind)
        rows += [_filled(f"{name}: {stamps.MISSING}")] if trial is None else trial.rows()
    return TITLE, COLUMNS, rows


@dataclass(frozen=True, eq=False)
class Taught:
    """A module, the model that it is asked as, and how often it is right, also at its worst."""

    module: Any
    model: TorchModel
    right: float
    attacked: float


@dataclass(frozen=True, eq=False)
class Trial:
    """A data set with what is needed to judge images of it."""

    name: str
    kind: Kind
    dataset: Dataset

    @classmethod
    def of(cls, name: str, kind: Kind) -> Trial | None:
        """The trial of that name, or None where its data are not here."""
        dataset = kind.load()
        return None if dataset is None else cls(name, kind, dataset)

    @property
    def labels(self) -> Labels:
        """Every label."""
        return np.arange(len(self.dataset.classes))

    @property
    def test(self) -> Split:
        """What networks are tested on."""
        return self.dataset.to_test_on.select(slice(2 * REAL))

    @cached_property
    def real(self) -> RealImages:
        """All training images."""
        train = self.dataset.train
        return RealImages(train.images, train.labels, self.dataset.maximum)

    @cached_property
    def judges(self) -> dict[str, Judge]:
        """By their names."""
        return {judge.name: judge for judge in colour_networks.colour_judges(self.dataset, self.kind.epochs + 1)}

    @cached_property
    def moments(self) -> Moments:
        """What is known of the images, whatever a network has learned of them: one Gaussian, fitted once."""
        bare = self._bare(colour_networks.fresh(self.kind.make, self.dataset))
        return moments_of(bare, self.dataset.train, components=1)

    @cached_property
    def densities(self) -> RealDensities:
        """How dense real test images are."""
        model = self.standard.model
        assert model.statistics is not None
        return RealDensities(usual_density(model.statistics), model.scale(self.test.images[:REAL]))

    @cached_property
    def standard(self) -> Taught:
        """The network as it is usually taught."""
        return self.taught()

    @cached_property
    def hardened(self) -> Taught:
        """The network of the same shape that was taught what is shown at its worst."""
        return self.taught(attack=Attack())

    def taught(self, train: Split | None = None, attack: Attack | None = None) -> Taught:
        """A network that has seen all training images, or others."""
        dataset = self.dataset if train is None else replace(self.dataset, train=train)
        epochs = self.kind.epochs if attack is None else self.kind.attacked
        return self._known(colour_networks.taught(self.kind.make, dataset, epochs, attack=attack))

    def controls(self) -> Iterator[tuple[str, Taught]]:
        """Networks that have learned nothing, or the wrong thing."""
        train, rng = self.dataset.train, np.random.default_rng(1)
        yield "untrained", self._known(colour_networks.untrained(self.kind.make, self.dataset))
        yield "shuffled", self.taught(Split(train.images, rng.permutation(train.labels)))
        yield MOVED, self.taught(Split(train.images, (train.labels + 1) % len(self.labels)))

    def asked(self, taught: Taught, prior: str, question: str) -> tuple[BackQuery, float]:
        """Every label asked of a network, and the seconds that it took."""
        targets, clock = self.targets(taught.model, question), perf_counter()
        result = back_query(taught.model, targets, method="gauss-newton", prior=prior)
        return result, perf_counter() - clock

    def climbed(self, taught: Taught, way: str, seconds: float = np.inf) -> tuple[BackQuery, float]:
        """Every label climbed for, for 512 steps or so many seconds."""
        import torch

        real = colour_networks.as_tensor(torch, self.dataset.train.images[:REAL], self.dataset.maximum)
        found = colour_ascent.climbed(torch, taught.module, real, self.labels, way, seconds=seconds)
        images = found.images.reshape(len(self.labels), -1).astype(np.float64)
        targets, steps = self.targets(taught.model, "typical"), np.full(len(images), found.steps)
        outcome = [CLIMBED] * len(images)
        result = round_trip(taught.model, targets, images, method=way, outcome=outcome, steps=steps)
        return result, found.seconds

    def targets(self, model: TorchModel, question: str) -> Targets:
        """Typical answers, or a confidence."""
        asked = typical if question == "typical" else confidence
        return asked(model, self.labels)

    def scores(self, result: BackQuery, model: TorchModel, seconds: float, moved: bool = False) -> Scores:
        """What came of every label."""
        ink = self.pictures(model, result.images)
        read = {name: judge.ask(ink) for name, judge in self.judges.items()}
        expected = (self.labels - moved) % len(self.labels)
        return Scores(
            (result,),
            Recognition(self.judges, read, expected, 1 / len(self.labels)),
            self.densities.usualness(result.images),
            self.real.nearness(ink, self.dataset.test),
            (seconds,),
        )

    def pictures(self, model: TorchModel, images: Array) -> Array:
        """Inputs (n, inputs) as ink in the order of the data set's images, one pixel after the other."""
        grid = Layout.of(model.input_shape).grid(ink_of(model, images))
        return grid.reshape(len(images), -1)

    def rows(self) -> list[list[Any]]:
        """What is printed of this data set."""
        rows = [self._real_row(), self._chance_row(), *self._network_rows("standard", self.standard)]
        if self.kind.attacked:
            rows += self._network_rows("adversarial", self.hardened)
        for name, control in self.controls():
            rows += [self._row(name, control, *asked) for asked in CONTROLLED]
        return rows

    def _network_rows(self, name: str, taught: Taught) -> Iterator[list[Any]]:
        """One network asked in every way, and climbed for as long, and for as long as is usual."""
        found = [self.asked(taught, *asked) for asked in ASKED]
        for asked, one in zip(ASKED, found, strict=True):
            yield self._scored(name, taught, *asked, *one)
        for way in colour_ascent.KINDS:
            for seconds in (found[0][1], np.inf):
                result, took = self.climbed(taught, way, seconds)
                yield self._scored(name, taught, f"{way}, {result.steps[0]} steps", "more", result, took)

    def _row(self, name: str, taught: Taught, prior: str, question: str) -> list[Any]:
        return self._scored(name, taught, prior, question, *self.asked(taught, prior, question))

    def _scored(
        self, name: str, taught: Taught, by: str, asked: str, result: BackQuery, seconds: float
    ) -> list[Any]:
        scores = self.scores(result, taught.model, seconds, moved=name == MOVED)
        count = len(result)
        return [
            f"{self.name}: {name}", f"{taught.right:.1%}", f"{taught.attacked:.1%}", by, asked,
            f"{int(result.read_as_asked.sum())}/{count}", f"{int(sure(result).sum())}/{count}",
            f"{int(np.sum(result.logit_error <= SURE))}/{count}", f"{result.logit_error.max():.1g}",
            *(f"{agreed}/{count}" for agreed in scores.recognition.agreement.values()),
            scores.recognition.brief, scores.usualness.brief, scores.nearness.brief, f"{seconds:.1f}",
        ]  # fmt: skip

    def _real_row(self) -> list[Any]:
        """Each judge's own performance, and the scores of a middling real image."""
        right = [f"{judge.performance:.1%}" for judge in self.judges.values()]
        return [f"{self.name}: real images", *[""] * 8, *right, "", "0.50", "0.50", ""]

    def _chance_row(self) -> list[Any]:
        return [f"{self.name}: chance", *[""] * 8, *[f"1/{len(self.labels)}"] * 3, *[""] * 4]

    def _known(self, module: Any) -> Taught:
        """The module as a model with the statistics of the images and of its own answers."""
        bare = self._bare(module)
        known = self.dataset.train.select(slice(ANSWERS))
        model = replace(bare, statistics=fit_statistics(bare, known, components=1, moments=self.moments))
        attacked = colour_networks.right_at_its_worst(
            module, self.test.select(slice(ATTACKED)), self.dataset.maximum
        )
        return Taught(module, model, evaluate(bare, self.test).performance, attacked)

    def _bare(self, module: Any) -> TorchModel:
        rows, columns, channels = self.dataset.train.images.shape[1:]
        scaling, classes = Scaling.unit(self.dataset.maximum), self.dataset.classes
        shape = (channels, rows, columns)
        model: TorchModel = from_torch(module, input_shape=shape, scaling=scaling, classes=classes)
        return model


def sure(result: BackQuery) -> Any:
    """Which images (n,) are read as asked at the log-odds asked for, or above."""
    assert result.targets is not None
    given, wanted = (_logits(answers, result.labels) for answers in (result.answers, result.targets))
    return result.read_as_asked & (given >= wanted - SURE)


def _logits(answers: Array, labels: Labels) -> Array:
    """Those of each row's own label, against the sum of all others, which 1 - p would round away."""
    own = np.take_along_axis(answers, labels[:, None], axis=1)[:, 0]
    others = answers.copy()
    np.put_along_axis(others, labels[:, None], 0.0, axis=1)
    return np.asarray(np.log(own) - np.log(np.maximum(others.sum(axis=1), np.finfo(float).tiny)))


def _filled(said: str) -> list[Any]:
    return [said, *[""] * (len(COLUMNS) - 1)]
