"""Evidence on dense, convolutional and colour networks: how many claims hold, by slopes and by finite ink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from backquery import Scaling, datasets
from backquery.datasets import Dataset
from backquery.evidence import measure_evidence
from backquery.io.torch import from_torch
from backquery.model import Model, evaluate
from benchmarks.training import Section

if TYPE_CHECKING:
    from torch import nn

MOST, EPOCHS, SEEDS = 15_000, 3, range(2)
"""Training images of MNIST, and how often they are learned."""

IMAGES = 400
"""Images of each label, in either half."""

MEASURES = {"slopes": "slope", "finite ink": "path", "as the trial tells": None}


def evidence() -> Section:
    """Claims about ten labels that held on held-out images, for each measure alone and for the one chosen."""
    data = datasets.load("mnist")
    data = replace(data, train=data.train.select(slice(MOST)))
    rows = [_row(name, seed, data) for name in NETWORKS for seed in SEEDS]
    measured = [f"{name}{what}" for name in MEASURES for what in ("", ", pixels")]
    heads = ["network", "right", *measured, "taken", "CPU s"]
    return "Evidence by PyTorch's networks: claims that held on held-out images, pixels of a verdict", heads, rows


def _row(name: str, seed: int, data: Dataset) -> list[Any]:
    import torch

    torch.set_num_threads(1)  # seconds of the processor are counted
    model = learned(NETWORKS[name], seed, data, EPOCHS, "float32")
    right = evaluate(model, data.test).performance  # type: ignore[arg-type]
    cells: list[Any] = [f"{name}, seed {seed}", f"{right:.1%}"]
    for measure in MEASURES.values():
        begun = process_time()
        found = measure_evidence(model, data.train, held_out=data.test, measure=measure, images=IMAGES, rng=seed)
        seconds = process_time() - begun
        held, claims = sum(one.held for one in found), sum(len(one.claims) for one in found)
        said = np.mean([sum(one.counts[each] for each in VERDICTS) for one in found])
        cells += [f"{held} of {claims}", f"{said:.0f}"]
    return [*cells, found[0].measure, f"{seconds:.0f}"]


VERDICTS = ("support", "against", "insensitive")


def learned(
    make: Callable[[], nn.Module], seed: int, data: Dataset, epochs: int, dtype: Literal["float64", "float32"]
) -> Model:
    """A PyTorch module that learned grey images, 64 at a time by Adam, as a model in that precision."""
    import torch

    torch.manual_seed(seed)
    module = make()
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    pixels = torch.tensor(data.train.images / data.maximum, dtype=torch.float32)[:, None]
    labels = torch.tensor(data.train.labels)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(pixels[rows]), labels[rows]).backward()
            optimizer.step()
    scaling = Scaling.unit(data.maximum, data.meaning)
    shape = data.input_shape
    return from_torch(module.eval(), input_shape=shape, scaling=scaling, classes=data.classes, dtype=dtype)


def _dense() -> nn.Module:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))


def _lenet() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _strided() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, 10),
    )  # fmt: skip


NETWORKS = {"dense, ReLU 200": _dense, "LeNet": _lenet, "strided, batch norm": _strided}
