"""Where things stand anywhere: when means over images tell what a pixel means, and the evidence of one image."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.evidence import learned

from backquery.datasets import Dataset, load
from backquery.evidence import (
    Evidence,
    ImageEvidence,
    caution,
    held_of,
    image_evidence,
    measure_evidence,
)
from backquery.evidence.measure import AGREEING
from backquery.model import Model, Network, Scaling, evaluate
from backquery.plots import evidence_maps, image_evidence_maps, save_figure
from backquery.training import MiniBatch, train
from measurements.page import table

if TYPE_CHECKING:
    from torch import nn

DATA = ("digits", "mnist", "shapes", "wandering-digits", "wandering-mnist")
CENTRED = ("digits", "mnist")
KINDS = ("ReLU 100, softmax", "the book's, 200", "LeNet", "strided convolutions")
SEEDS = (0, 1)
MOST, IMAGES, PICTURES = 12_000, 200, 20
"""Images to learn from; those of each label that evidence is measured on; and those asked about one by one."""


@dataclass(frozen=True)
class Trial:
    """What came of one network: how right it is, the evidence of means, and that of single images."""

    data: str
    kind: str
    model: Model
    right: float
    means: tuple[Evidence, ...]
    ones: list[ImageEvidence]

    @property
    def agreement(self) -> float:
        return float(np.mean([one.agreement for one in self.means]))

    @property
    def share(self) -> float:
        held, claims = held_of(each for one in self.means for each in one.interventions)
        return held / max(claims, 1)


def measure(pictures: Path) -> str:
    trials = list(_trials())
    shown = next(one for one in trials if (one.data, one.kind) == ("shapes", "LeNet"))
    save_figure(evidence_maps(shown.means, shown.model.input_shape), pictures / "evidence-shapes.png")
    save_figure(image_evidence_maps(_one_of_each(shown), shown.model), pictures / "evidence-one-shape.png")
    held = sum(one.held for each in trials for one in each.ones)
    claims = sum(len(one.claims) for each in trials for one in each.ones)
    return f"""\
## Where things stand anywhere

Command: `python -m measurements wandering`; {len(trials)} networks, {len(SEEDS)} of each kind, the convolutional
ones by PyTorch. Means over at most {IMAGES} images of a label, tested on others as above.

{textwrap.fill(_of_caution(trials), 115)}

In the last columns, each of {PICTURES} test images is asked for evidence of its own: how many claims held when
they were tried on it, and the mean change of the log-odds when its supporting ink, at most half of all, was taken
at once, with that of as much other ink. **{held:,} of {claims:,} claims held.**

{table(_HEADS, [_row(one) for one in trials])}

The LeNet on the shapes, by means over images, and by single ones:

![What each pixel means for the shapes on average, and what came of testing it](measured/evidence-shapes.png)

![What each pixel means in one circle, one square and one cross](measured/evidence-one-shape.png)
"""


def _of_caution(trials: Sequence[Trial]) -> str:
    warned = [one for one in trials if caution(one.means)]
    silent = [one for one in trials if not caution(one.means)]
    means = [f"{np.mean([one.share for one in some]):.0%}" for some in (warned, silent)]
    return (
        "Before anything is tested, the slopes themselves say how far images *agree* on what a pixel means: of "
        "the slopes of pixels called support or against, in those images where ink can be added or taken there, "
        f"the sum the claimed way over the sum of the sizes. Below {AGREEING:g} a caution is said. **It was said "
        f"of {len(warned)} networks, of whose claims {means[0]} held on average (at most "
        f"{max(one.share for one in warned):.0%}); of the {len(silent)} others' {means[1]} held (at least "
        f"{min(one.share for one in silent):.0%}). Of networks that read centred digits it was said "
        f"{sum(one.data in CENTRED for one in warned)} times.** Where things stand is not all: dense networks "
        "learn little that holds everywhere, and their pixels mean the same from image to image."
    )


_HEADS = (
    "data",
    "network",
    "right",
    "agreement",
    "claims of means held",
    "of one image",
    "support taken",
    "other ink",
)


def _row(one: Trial) -> list[str]:
    held, claims = held_of(each for every in one.means for each in every.interventions)
    own, tried = sum(each.held for each in one.ones), sum(len(each.claims) for each in one.ones)
    taken = [each for every in one.ones for each in every.claims if (each.region, each.action) == TAKEN]
    change, others = (np.mean([getattr(each, name) for each in taken]) for name in ("change", "others"))
    mind = " (caution)" if caution(one.means) else ""
    return [
        one.data, one.kind, f"{one.right:.1%}", f"{one.agreement:.2f}{mind}", f"{held} of {claims}",
        f"{own} of {tried}", f"{change:+.1f}", f"{others:+.1f}",
    ]  # fmt: skip


TAKEN = ("support", "ink taken")


def _one_of_each(trial: Trial) -> list[ImageEvidence]:
    """The first image of each label that is read as such."""
    return [next(each for each in trial.ones if each.read == label) for label in range(trial.model.outputs)]


def _trials() -> Iterator[Trial]:
    for name in DATA:
        dataset = load(name)
        dataset = replace(dataset, train=dataset.train.select(slice(MOST)))
        assert dataset.test is not None
        for kind in KINDS:
            for seed in SEEDS:
                model = _learned(kind, dataset, seed)
                means = measure_evidence(
                    model, dataset.train, held_out=dataset.test, measure="slope", images=IMAGES, rng=seed
                )
                inputs = model.scale(dataset.test.images[:PICTURES])
                ones = [image_evidence(model, x, rng=seed) for x in inputs]
                yield Trial(name, kind, model, evaluate(model, dataset.test).performance, means, ones)


def _learned(kind: str, dataset: Dataset, seed: int) -> Model:
    epochs = 40 if dataset.name == "digits" else 8
    if kind in KINDS[2:]:
        return _convolutional(kind, dataset, seed, epochs)
    sizes = [dataset.train.images[0].size, 200 if kind == KINDS[1] else 100, len(dataset.classes)]
    ends = {"input_shape": dataset.input_shape, "classes": dataset.classes, "rng": seed}
    if kind == KINDS[1]:
        fresh = Network.create(sizes, scaling=Scaling.book(dataset.maximum, dataset.meaning), **ends)
        return train(fresh, dataset.train, epochs=2 * epochs, rng=seed)[0]
    unit = Scaling.unit(dataset.maximum, dataset.meaning)
    fresh = Network.create(sizes, activation="relu", biases=True, scaling=unit, **ends)
    return train(fresh, dataset.train, MiniBatch(), epochs=2 * epochs, rng=seed)[0]


def _convolutional(kind: str, dataset: Dataset, seed: int, epochs: int) -> Model:
    make, side, labels = _lenet if kind == "LeNet" else _strided, dataset.input_shape[0], len(dataset.classes)
    return learned(lambda: make(side, labels), seed, dataset, epochs, "float64")


def _lenet(side: int, labels: int) -> nn.Module:
    """LeNet-5 with ReLU and max pooling; for images of 8 x 8 one with smaller kernels."""
    from torch import nn

    kernel, padding = (5, 0) if side > 8 else (3, 1)
    left = ((side // 2) - kernel + 1 + 2 * padding) // 2
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * left**2, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, labels),
    )  # fmt: skip


def _strided(side: int, labels: int) -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, labels),
    )  # fmt: skip
