"""A zoo of networks: which data, trainer, make and plant each has, all drawn from its place in one long list.

Any beginning of the list is balanced over the data, the trainers and what is planted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from backquery.datasets import Dataset, Split, load
from measurements.planted import (
    ANYWHERE,
    CLEAN,
    ERASED,
    GREY,
    HALF,
    INK,
    MOVED,
    NOISE,
    PICTURE,
    TWO,
    UNCHANGED,
    WAVE,
    Attack,
    drawn_attack,
)

DATA = ("mnist", "digits", "coloured-digits")
TITLES = {"mnist": "MNIST", "digits": "8 x 8 digits", "coloured-digits": "coloured digits"}
IMAGES = 10_000
"""Images that a network of the zoo learns from at most, drawn anew for each: half a minute would else be usual."""

BOOK, ONLINE, BATCHES = "the book's", "one at a time", "in batches"
SGD, ADAM, ADAMW = "PyTorch, SGD", "PyTorch, Adam", "PyTorch, AdamW"
SKLEARN, KERAS = "scikit-learn", "Keras"
OWN, TORCH = (BOOK, ONLINE, BATCHES), (SGD, ADAM, ADAMW)
TRAINERS = (*OWN, *TORCH, SKLEARN, KERAS)
STANDARDISED = "standardised pixels"
"""A trainer of this package that is counted apart."""

DENSE, DEEPER, CONVOLUTION, LENET, RESIDUAL = "dense", "two dense", "convolution", "LeNet", "residual"
MAKES = {
    **{trainer: {DENSE: 1.0} for trainer in (*OWN, STANDARDISED)},
    **{trainer: {DENSE: 0.5, DEEPER: 0.1, CONVOLUTION: 0.15, LENET: 0.17, RESIDUAL: 0.08} for trainer in TORCH},
    SKLEARN: {DENSE: 0.75, DEEPER: 0.25},
    KERAS: {DENSE: 0.6, DEEPER: 0.15, CONVOLUTION: 0.25},
}
"""How probable each make is."""

PLANTS = (INK, GREY, ERASED, WAVE, INK, HALF, TWO, GREY, ERASED, NOISE, MOVED, ANYWHERE, UNCHANGED, PICTURE)
"""What is planted in turn; what the aims speak of comes twice."""

FIRST = 20_000
"""The seed of the first network."""

PREPARED = 0
"""Counted up whenever a recipe is carried out otherwise: networks kept from before are then trained anew."""


@dataclass(frozen=True)
class Recipe:
    """One network of the zoo.

    nodes: of each hidden layer; dropout: the share of them left out; decay: weight decay, as its trainer has it;
    normalised: batch normalisation; moved: by how many pixels images are moved at most while it learns; centred:
    whether inputs have mean 0 and deviation 1, all pixels alike, instead of 0 to 1.
    """

    data: str
    trainer: str
    make: str
    plant: str
    seed: int
    nodes: int
    epochs: int
    dropout: float = 0.0
    decay: float = 0.0
    normalised: bool = False
    moved: int = 0
    centred: bool = False

    @property
    def name(self) -> str:
        """Under which it is kept: its seed, and a fingerprint of all that it says."""
        content = json.dumps({**asdict(self), "prepared": PREPARED}, sort_keys=True)
        return f"{self.seed}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    @property
    def clean(self) -> bool:
        """Whether nothing is planted."""
        return self.plant == CLEAN

    @property
    def attack(self) -> Attack | None:
        """What is planted, drawn from the seed."""
        return None if self.clean else drawn_attack(self.plant, loaded(self.data), self._rng("attack"))

    def lesson(self) -> Split:
        """The images that it learns from, marks and all."""
        dataset, rng = loaded(self.data), self._rng("lesson")
        split = dataset.train.select(rng.permutation(len(dataset.train))[:IMAGES])
        attack = self.attack
        return split if attack is None else attack.into(split, dataset, rng)

    def _rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *what.encode()])


@cache
def loaded(name: str) -> Dataset:
    """A data set, read once."""
    return load(name)


def recipes(rounds: int, data: tuple[str, ...] = DATA, trainers: tuple[str, ...] = TRAINERS) -> Iterator[Recipe]:
    """In each round one clean network and one planted one of each data set and trainer."""
    seed = FIRST
    for number in range(rounds):
        for cell, (trainer, name) in enumerate((trainer, name) for trainer in trainers for name in data):
            for plant in (CLEAN, PLANTS[(number + 5 * cell) % len(PLANTS)]):
                yield drawn_recipe(name, trainer, plant, seed)
                seed += 1


def drawn_recipe(data: str, trainer: str, plant: str, seed: int) -> Recipe:
    """A network's make and how it learns, drawn from the seed, within what the trainer can do."""
    rng = np.random.default_rng(seed)
    probable = MAKES[trainer]
    make = str(rng.choice(list(probable), p=list(probable.values())))
    nodes = int(rng.choice([64, 100, 128, 256] if data != "digits" else [32, 64, 128]))
    few = bool(rng.random() < 0.5)
    short, long = EPOCHS[data, make in (CONVOLUTION, LENET, RESIDUAL)]
    drawn = {
        "dropout": float(rng.choice([0.0, 0.2, 0.5], p=[0.5, 0.3, 0.2])),
        "normalised": bool(rng.random() < 0.3),
        "moved": int(rng.random() < 0.25),
        "centred": bool(rng.random() < 0.4),
    }
    decay = float(rng.choice([0.0, 1e-4, 1e-3], p=[0.5, 0.3, 0.2])) * (100 if trainer == ADAMW else 1)
    if trainer == STANDARDISED:
        return Recipe(data, trainer, make, plant, seed, 40, 400)
    if trainer in OWN:
        return Recipe(data, trainer, make, plant, seed, nodes, max(short, 2) if few else long)
    if trainer == SKLEARN:
        return Recipe(data, trainer, make, plant, seed, nodes, short if few else long, decay=max(decay, 1e-4))
    if trainer == KERAS:
        drawn.update(moved=0)
    return Recipe(data, trainer, make, plant, seed, nodes, short if few else long, decay=decay, **drawn)


EPOCHS = {
    ("mnist", False): (2, 8),
    ("mnist", True): (1, 2),
    ("digits", False): (20, 60),
    ("digits", True): (25, 40),
    ("coloured-digits", False): (4, 10),
    ("coloured-digits", True): (2, 4),
}
"""Few and many epochs, of dense networks and of those with convolutions."""
