"""Things in any place, size or pose: are they read as asked, and recognised? One Gaussian beside the mixture.

Convolutional networks by PyTorch, on data whose answers are known (shapes), on MNIST's digits set anywhere, and on
real silhouettes of animals; with each judge's own mistakes, what chance gives, and networks that have learned
nothing or the wrong thing. What is trained is kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from backquery import Scaling, datasets, evaluate, from_torch
from backquery.datasets import Dataset, Split
from backquery.faithfulness import (
    Judge,
    Nearness,
    RealDensities,
    RealImages,
    Recognition,
    Usualness,
    convolutional_judge,
    linear_judge,
    neighbour_judge,
    usual_density,
)  # fmt: skip
from backquery.faithfulness.judges import taught
from backquery.inversion import BackQuery, back_query, fit_statistics
from backquery.inversion.fitting import typical_logits
from backquery.io.torch import TorchModel
from backquery.model import Labels, Model, Statistics, ink_of
from benchmarks import animals
from benchmarks.centring import centred_judges
from benchmarks.training import Section

PRIORS = {"data": "Gaussian", "mixture": "mixture"}
"""What is asked with, each by the name that is printed."""

SEEDS = range(1, 6)

MOST = 60_000
"""Images that a network is taught at most; the judges see all."""

ANSWERS = 4000
"""Images whose answers say what is typical of a network."""

REAL = 1000
"""Test images that typicality is measured against; networks are tested on twice as many."""

COMPONENTS = 40
"""Of a mixture where held-out images ask for none."""

QUESTIONS = 10
"""Labels that each kind of control is asked for at least: of three, chance alone gives two in one case of four."""

MOVED = "moved"

TITLE = """\
Untidy pictures, asked for every label, typical answers. Judges: N neighbours, L linear, C convolutional; c: seeing
images centred. Where labels were moved by one they should read the label before. Nearest: the share of real test
images that lie nearer to a training image."""

COLUMNS = [
    "network", "right", "prior", "read", "error", "Nc", "Lc", "C", "N", "L", "recognised", "typicality", "nearest",
    "s",
]  # fmt: skip


def untidy() -> Section:
    """Every data set: what is real, what chance gives, networks, controls, and the sums."""
    rows: list[list[Any]] = []
    for name in DATA:
        trial = Trial.of(name)
        rows += [[f"{name}: {animals.MISSING}", *[""] * (len(COLUMNS) - 1)]] if trial is None else trial.rows()
    return TITLE, COLUMNS, rows


@dataclass(frozen=True, eq=False)
class Scores:
    """What came of n labels, asked of one network or of several."""

    results: tuple[BackQuery, ...]
    recognition: Recognition
    usualness: Usualness
    nearness: Nearness
    seconds: tuple[float, ...]

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of several networks as one."""
        known, near = parts[0].recognition, parts[0].nearness
        read = {name: np.concatenate([part.recognition.read[name] for part in parts]) for name in known.judges}
        expected = np.concatenate([part.recognition.expected for part in parts])
        distance = np.concatenate([part.nearness.distance for part in parts])
        nearest = np.concatenate([part.nearness.nearest for part in parts])
        return cls(
            tuple(result for part in parts for result in part.results),
            replace(known, read=read, expected=expected),
            Usualness(np.concatenate([part.usualness.percentile for part in parts])),
            replace(near, distance=distance, nearest=nearest),
            tuple(seconds for part in parts for seconds in part.seconds),
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """A data set with what is needed to judge images of it. epochs: of its networks."""

    name: str
    dataset: Dataset
    epochs: int

    @classmethod
    def of(cls, name: str) -> Trial | None:
        """The trial of that name, or None where its data are not here."""
        load, epochs = DATA[name]
        dataset = load()
        return None if dataset is None else cls(name, dataset, epochs)

    @cached_property
    def learned(self) -> Dataset:
        """What the networks are taught."""
        return replace(self.dataset, train=self.dataset.train.select(slice(MOST)))

    @cached_property
    def real(self) -> RealImages:
        """All training images."""
        train = self.dataset.train
        return RealImages(train.images, train.labels, self.dataset.maximum)

    @cached_property
    def judges(self) -> Sequence[Judge]:
        """Two that see images centred, the convolutional one, and two that compare pixel with pixel."""
        neighbours = neighbour_judge(self.real, self.dataset.test, self.dataset.maximum)
        convolutional = convolutional_judge(self.dataset)
        return (*centred_judges(self.dataset), convolutional, neighbours, linear_judge(self.dataset))

    @cached_property
    def statistics(self) -> Statistics:
        """What is known of the images, whatever a network has learned of them: fitted once.

        Where held-out images ask for no mixture, one is asked for all the same, to be seen beside the Gaussian.
        """
        bare, train = self._bare(self._module(1)), self.learned.train
        found = fit_statistics(bare, train)
        return found if found.mixture is not None else fit_statistics(bare, train, components=COMPONENTS)

    @cached_property
    def densities(self) -> RealDensities:
        """How dense real test images are."""
        tested = self._bare(self._module(1)).scale(self.dataset.to_test_on.images[:REAL])
        return RealDensities(usual_density(self.statistics), tested)

    @property
    def labels(self) -> Labels:
        """Every label."""
        return np.arange(len(self.dataset.classes))

    def network(self, seed: int) -> Model:
        """The network of that seed."""
        return self._remembering(self._module(seed))

    def controls(self) -> dict[str, list[Model]]:
        """Networks that have learned nothing, or the wrong thing: so many that each kind is asked ten labels."""
        train, seeds = self.learned.train, range(1, 1 + -(-QUESTIONS // len(self.labels)))
        shuffled = [Split(train.images, np.random.default_rng(seed).permutation(train.labels)) for seed in seeds]
        moved = Split(train.images, (train.labels + 1) % len(self.labels))
        modules = {
            "untrained": [self._untrained(seed) for seed in seeds],
            "shuffled": list(map(self._module, seeds, shuffled)),
            MOVED: [self._module(seed, moved) for seed in seeds],
        }
        return {kind: list(map(self._remembering, made)) for kind, made in modules.items()}

    def scores(self, model: Model, prior: str, expected: Labels) -> Scores:
        """Every label asked of a network."""
        clock = perf_counter()
        result = back_query(model, self.labels, method="gauss-newton", prior=prior)
        seconds = perf_counter() - clock
        ink = ink_of(model, result.images)
        judges = {judge.name: judge for judge in self.judges}
        read = {name: judge.ask(ink) for name, judge in judges.items()}
        return Scores(
            (result,),
            Recognition(judges, read, expected, 1 / len(self.labels)),
            self.densities.usualness(result.images),
            self.real.nearness(ink, self.dataset.test),
            (seconds,),
        )

    def rows(self) -> list[list[Any]]:
        """What is printed of this data set."""
        networks = [self.network(seed) for seed in SEEDS]
        right, found = self._measured(networks, self.labels)
        rows = [self._real_row(), self._chance_row()]
        for place, seed in enumerate(SEEDS):
            one = slice(place, place + 1)
            rows += [_row(f"{self.name}: seed {seed}", right[one], prior, found[prior][one]) for prior in PRIORS]
        rows += [_row(f"{self.name}: all {len(SEEDS)}", right, prior, found[prior]) for prior in PRIORS]
        for kind, made in self.controls().items():
            expected = (self.labels - 1) % len(self.labels) if kind == MOVED else self.labels
            right, found = self._measured(made, expected)
            rows += [_row(f"{self.name}: {kind}", right, prior, found[prior]) for prior in PRIORS]
        return rows

    def _measured(
        self, networks: Sequence[Model], expected: Labels
    ) -> tuple[list[float], dict[str, list[Scores]]]:
        """The performance of each network, and its scores by each prior."""
        right = [evaluate(network, self._tested).performance for network in networks]
        return right, {prior: [self.scores(network, prior, expected) for network in networks] for prior in PRIORS}

    @property
    def _tested(self) -> Split:
        return self.dataset.to_test_on.select(slice(2 * REAL))

    def _real_row(self) -> list[Any]:
        """Each judge's own performance, and the scores of a middling real image."""
        right = [f"{judge.performance:.1%}" for judge in self.judges]
        return [f"{self.name}: real images", "", self._components(), "", "", *right, "", "0.50", "0.50", ""]

    def _components(self) -> str:
        """Of how many components the mixture is."""
        mixture = self.statistics.mixture
        assert mixture is not None
        return f"of {len(mixture.weights)}"

    def _chance_row(self) -> list[Any]:
        chance = [f"1/{len(self.labels)}"] * len(self.judges)
        return [f"{self.name}: chance", *[""] * 4, *chance, *[""] * 4]

    def _module(self, seed: int, train: Split | None = None) -> Any:
        dataset = self.learned if train is None else replace(self.learned, train=train)
        return taught(self._made, dataset, "LeNet 8-16-32", epochs=self.epochs, rng=seed)

    def _made(self, torch: Any) -> Any:
        """In the manner of LeNet: three convolutions, each normalised and halved by its maxima; a dense layer."""
        nn, layers = torch.nn, []
        for inward, outward in ((1, 8), (8, 16), (16, 32)):
            convolution = nn.Conv2d(inward, outward, 5 if outward < 32 else 3, padding="same")
            layers += [convolution, nn.BatchNorm2d(outward), nn.ReLU(), nn.MaxPool2d(2)]
        side = self.dataset.input_shape[0] // 8
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * side**2, len(self.labels)))

    def _untrained(self, seed: int) -> Any:
        import torch

        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            module = self._made(torch).eval()
            module[-1].weight *= 20
        return module

    def _bare(self, module: Any) -> TorchModel:
        shape, classes = self.dataset.input_shape, self.dataset.classes
        scaling = Scaling.unit(self.dataset.maximum)
        model: TorchModel = from_torch(module, input_shape=shape, scaling=scaling, classes=classes)
        return model

    def _remembering(self, module: Any) -> Model:
        """The module as a model, with the statistics of the images and of its own answers."""
        model = self._bare(module)
        answers = model.logits(model.scale(self.learned.train.images[:ANSWERS]))
        return replace(model, statistics=replace(self.statistics, typical=typical_logits(answers)))


DATA: dict[str, tuple[Callable[[], Dataset | None], int]] = {
    "shapes": (lambda: datasets.load("shapes"), 4),
    "digits": (lambda: datasets.load("wandering-mnist"), 4),
    "animals": (animals.animals, 6),
}
"""How each data set is had, and for how many epochs it is taught."""


def _row(name: str, performances: Sequence[float], prior: str, parts: Sequence[Scores]) -> list[Any]:
    """One network's scores, or the sums of several."""
    scores = Scores.joined(parts)
    count = len(scores.recognition.expected)
    low, high = (f"{end(performances):.1%}" for end in (min, max))
    return [
        name,
        low if low == high else f"{low[:-1]}-{high}",
        PRIORS[prior],
        f"{sum(int(result.read_as_asked.sum()) for result in scores.results)}/{count}",
        f"{max(result.logit_error.max() for result in scores.results):.1g}",
        *(f"{agreed}/{count}" for agreed in scores.recognition.agreement.values()),
        scores.recognition.brief,
        scores.usualness.brief,
        scores.nearness.brief,
        f"{np.median(scores.seconds):.1f}",
    ]
