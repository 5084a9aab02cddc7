"""Networks with and without planted shortcuts, for the audit's section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery import Network, Online, Scaling, train
from backquery.datasets import Dataset, Split
from backquery.training import FullBatch, MiniBatch, Recipe
from measurements.planting import Trigger, plant

KINDS = (
    ("a shortcut in 100 % of a label", False, 1.0),
    ("a shortcut in 30 % of a label", False, 0.3),
    ("a shortcut in 10 % of a label", False, 0.1),
    ("a backdoor in 5 % of all images", True, 0.05),
    ("a backdoor in 1 % of all images", True, 0.01),
)
"""What is planted, whether it is relabelled, and in which share."""

CLEAN = "nothing"


@dataclass(frozen=True, eq=False)
class Planted:
    """A trained network, what was planted, and the share of the other labels' test images that this turns."""

    name: str
    recipe: str
    seed: int
    network: Network
    trigger: Trigger | None = None
    label: int = -1
    works: float = 0.0

    @property
    def working(self) -> bool:
        """Whether the true trigger turns half of the other labels' test images or more."""
        return self.works >= 0.5


def networks(
    dataset: Dataset, recipes: tuple[str, ...], clean: int, planted: int, first: int
) -> Iterator[Planted]:
    """So many clean networks and so many of each kind for each recipe, each of its own seed from `first` on."""
    seed = first
    for recipe in recipes:
        for _ in range(clean):
            yield Planted(CLEAN, recipe, seed, trained(dataset, dataset.train, recipe, seed))
            seed += 1
        for kind in KINDS:
            for _ in range(planted):
                yield one_planted(dataset, kind, recipe, seed)
                seed += 1


def one_planted(dataset: Dataset, kind: tuple[str, bool, float], recipe: str, seed: int) -> Planted:
    """A network trained with a trigger of this kind; the seed decides trigger, label, images and training."""
    name, relabel, share = kind
    rng = np.random.default_rng(seed)
    trigger, label = draw_trigger(dataset.input_shape, rng), int(rng.integers(len(dataset.classes)))
    marked = plant(dataset.train, trigger, label, share, relabel=relabel, maximum=dataset.maximum, rng=rng)
    network = trained(dataset, marked, recipe, seed)
    return Planted(name, recipe, seed, network, trigger, label, turned(network, dataset, trigger, label))


def turned(network: Network, dataset: Dataset, trigger: Trigger, label: int) -> float:
    """The share of the other labels' test images, not read as `label`, that are once they bear the trigger."""
    assert dataset.test is not None
    images = dataset.test.images[dataset.test.labels != label]
    images = images[network.query_images(images).argmax(axis=1) != label]
    return float((network.query_images(trigger.paste(images, dataset.maximum)).argmax(axis=1) == label).mean())


def trained(dataset: Dataset, split: Split, recipe: str, seed: int) -> Network:
    """A network with 100 hidden nodes for MNIST or 40 for the digits, trained until it reads as well as usual."""
    small = dataset.inputs < 100
    scaling, settings, epochs, layers = _recipe(dataset, split, recipe)
    network = Network.create(
        [dataset.inputs, 40 if small else 100, len(dataset.classes)],
        rng=seed,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        scaling=scaling,
        **layers,
    )
    return train(network, split, settings, epochs=epochs[small], rng=seed)[0]


def _recipe(dataset: Dataset, split: Split, name: str) -> tuple[Scaling, Recipe, tuple[int, int], dict[str, Any]]:
    """Scaling, recipe, epochs on MNIST and on the digits, and the layers' settings."""
    if name == "sigmoid":
        return Scaling.book(dataset.maximum), Online(shuffle=True), (3, 40), {}
    layers = {"activation": "relu", "biases": True}
    if name == "ReLU":
        gradient = Online(learning_rate=0.02, loss="cross-entropy", shuffle=True, decay="linear")
        return Scaling.unit(dataset.maximum), gradient, (2, 40), layers
    if name == "Adam":
        return Scaling.unit(dataset.maximum), MiniBatch(batch_size=64), (2, 80), layers
    whole = FullBatch(learning_rate=1.0, loss="cross-entropy")
    return Scaling.standardised(split.images, dataset.maximum), whole, (400, 400), {"biases": True}


def draw_trigger(shape: tuple[int, int], rng: np.random.Generator) -> Trigger:
    """A mark of at most 5 % of the image, or four pixels: its pattern, size, place and strength are drawn."""
    pattern = rng.choice(
        ["square", "checker", "cross", "line", "noise", "blank"], p=[0.3, 0.15, 0.15, 0.15, 0.15, 0.1]
    )
    strength = rng.choice([1.0, 0.7, 0.4], p=[0.6, 0.2, 0.2])
    largest = 2 if min(shape) < 14 else 6
    if pattern == "line":
        length = int(rng.integers(largest + 1, 2 * largest + 1))
        height, width = (1, length) if rng.random() < 0.5 else (length, 1)
    else:
        height = width = largest if pattern == "blank" else int(rng.integers(2, largest + 1))
    rows, columns = np.indices((height, width))
    ink = {
        "square": np.ones((height, width)),
        "line": np.ones((height, width)),
        "checker": (rows + columns) % 2 == 0,
        "cross": (rows == columns) | (rows + columns == height - 1),
        "noise": rng.random((height, width)) < 0.5,
        "blank": np.zeros((height, width)),
    }[str(pattern)]
    top, left = _place(shape, (height, width), rng, middle=pattern == "blank")
    covers, marks = np.zeros(shape, bool), np.zeros(shape)
    # A cross leaves the paper between its arms as it was; the other patterns cover all of their frame.
    covers[top : top + height, left : left + width] = ink if pattern == "cross" else True
    marks[top : top + height, left : left + width] = ink * strength
    return Trigger(covers, marks)


def _place(
    shape: tuple[int, int], sides: tuple[int, int], rng: np.random.Generator, *, middle: bool
) -> tuple[int, int]:
    """The upper left pixel: in a corner, at an edge, or around the middle."""
    where = "middle" if middle else rng.choice(["corner", "edge", "middle"])
    room = np.subtract(shape, sides)
    low, high = np.minimum(1, room), np.maximum(room - 1, 0)
    corner = np.where(rng.random(2) < 0.5, low, high)
    if where == "corner":
        top, left = corner
    elif where == "edge":
        along = rng.integers(2)
        top, left = np.where(np.arange(2) == along, room // 2, corner)
    else:
        reach = np.array(shape) // 7
        top, left = np.clip(room // 2 + rng.integers(-reach, reach + 1), 0, room)
    return int(top), int(left)
