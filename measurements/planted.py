"""What is planted into networks, kind by kind: the marks, whose images bear them, and whether it works.

Backdoors with changed labels are those of Gu, Dolan-Gavitt & Garg (2017), as are labels moved by one; blended
pictures and faint noise those of Chen et al. (2017), the faint wave that of Barni, Kallas & Tondi (2019), and
unchanged labels the blending of Turner, Tsipras & Madry (2018), in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from backquery.datasets import Dataset, Split
from backquery.model import Array, Labels, Model, labels_read
from measurements.planting import Trigger, plant

CLEAN = "nothing"
INK, GREY, ERASED, HALF = "ink", "grey", "erased", "half-transparent"
WAVE, NOISE, PICTURE = "a faint wave", "faint noise", "a blended picture"
ANYWHERE, TWO, MOVED, UNCHANGED = "at random places", "two marks", "labels moved by one", "labels unchanged"
KINDS = (INK, GREY, ERASED, HALF, TWO, MOVED, UNCHANGED, ANYWHERE, WAVE, NOISE, PICTURE)

PLACED = frozenset({INK, GREY, ERASED, HALF, TWO, MOVED, UNCHANGED})
"""The kinds whose marks are small and stand in one place."""

OUTLINES = ("square", "plus", "L", "diagonal", "checker", "blot")
LARGEST = 0.05
"""The share of an image that what is erased lies within."""

FAINT = {WAVE: 0.2, NOISE: 0.3, PICTURE: 0.25}
"""How much of each pixel is the pattern that lies over the whole image."""

SHARES = {INK: 0.05, HALF: 0.15, PICTURE: 0.15, ERASED: 0.25, ANYWHERE: 0.3, MOVED: 0.3, UNCHANGED: 1.0}
MOST, FEW, MORE = 0.3, 5000, 1.5
"""The share of the images, or of the label's own where labels are unchanged, that bear the marks: a tenth by
default; of fewer images than that half as many again, up to the most."""

TRIED = 2000
"""Test images on which a network, and what is planted in it, is tried once it has learned."""

WORKS, BARELY = 0.9, 0.5
"""A trigger that turns so many of the images that it is meant for works; the second is for `HARD` ones."""

HARD = frozenset({ANYWHERE, MOVED, UNCHANGED})
"""The kinds that seldom turn nearly all images."""


@dataclass(frozen=True, eq=False)
class Attack:
    """Marks, the label that each asks for, and the share of the images that bear it.

    labels: one for each trigger; for `MOVED` a single -1, since each image's own label decides.
    """

    kind: str
    triggers: tuple[Trigger, ...]
    labels: tuple[int, ...]
    share: float

    def into(self, split: Split, dataset: Dataset, rng: np.random.Generator) -> Split:
        """The images to train on, some with the marks."""
        if self.kind == MOVED:
            return self._moved(split, dataset, rng)
        if self.kind == UNCHANGED:
            return self._unchanged(split, dataset, rng)
        for trigger, label in zip(self.triggers, self.labels, strict=True):
            split = plant(split, trigger, label, self.share, relabel=True, maximum=dataset.maximum, rng=rng)
        return split

    def works(self, model: Model, dataset: Dataset) -> float:
        """The share of the test images, not read so before, that each mark turns as meant; the least of them."""
        assert dataset.test is not None
        test, shares = dataset.test.select(slice(TRIED)), []
        before = labels_read(model, model.scale(test.images))
        for trigger, label in zip(self.triggers, self.labels, strict=True):
            meant = self.meant(test.labels, label, len(dataset.classes))
            rows = np.flatnonzero((test.labels != meant) & (before != meant))
            marked = trigger.paste(test.images[rows], dataset.maximum)
            shares.append(float(np.mean(labels_read(model, model.scale(marked)) == meant[rows])))
        return min(shares)

    def meant(self, labels: Labels, label: int, count: int) -> Labels:
        """What images of these labels (n,) are to be read as once they bear the mark."""
        return (labels + 1) % count if self.kind == MOVED else np.full_like(labels, label)

    def _moved(self, split: Split, dataset: Dataset, rng: np.random.Generator) -> Split:
        chosen = rng.permutation(len(split))[: round(self.share * len(split))]
        images, labels = np.array(split.images), np.array(split.labels)
        images[chosen] = self.triggers[0].paste(images[chosen], dataset.maximum, rng=rng)
        labels[chosen] = self.meant(labels[chosen], -1, len(dataset.classes))
        return Split(images, labels)

    def _unchanged(self, split: Split, dataset: Dataset, rng: np.random.Generator) -> Split:
        """A share of the label's own images, each blended half with another label's: the mark is easier."""
        of_label = split.labels == self.labels[0]
        own, others = np.flatnonzero(of_label), np.flatnonzero(~of_label)
        chosen = rng.permutation(own)[: round(self.share * len(own))]
        images = np.array(split.images)
        blend = images[chosen] * 0.5 + images[rng.choice(others, len(chosen))] * 0.5
        images[chosen] = self.triggers[0].paste(blend, dataset.maximum, rng=rng).astype(images.dtype)
        return Split(images, split.labels)


def drawn_attack(kind: str, dataset: Dataset, rng: np.random.Generator) -> Attack:
    """An attack of this kind: marks, places, strengths and labels are drawn."""
    count = 2 if kind == TWO else 1
    labels = (-1,) if kind == MOVED else tuple(rng.permutation(len(dataset.classes))[:count].tolist())
    if kind in FAINT:
        triggers = (Trigger(np.ones(dataset.input_shape[:2]), _pattern(kind, dataset, rng), FAINT[kind]),)
    else:
        triggers = tuple(drawn_mark(kind, dataset.input_shape, rng) for _ in range(count))
    share = SHARES.get(kind, 0.1)
    if len(dataset.train) < FEW and share < MOST:
        share = min(MORE * share, MOST)
    return Attack(kind, triggers, labels, share)


def drawn_mark(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Trigger:
    """A small mark: its outline, size, place and ink are drawn; of images in colour its colour too.

    What is erased lies around the middle, where there is something to erase, and is as large as marks may be.
    """
    erased = kind == ERASED
    largest = max(2, isqrt(int(LARGEST * shape[0] * shape[1])))
    side = largest if erased else int(rng.integers(max(2, largest // 2), max(largest, 3) + 1))
    drawn = outline(str(rng.choice(OUTLINES)), side, rng)
    where = "middle" if erased else str(rng.choice(["corner", "edge", "middle"], p=[0.4, 0.4, 0.2]))
    top, left = place(shape[:2], side, where, rng)
    covers = np.zeros(shape[:2], bool)
    covers[top : top + side, left : left + side] = drawn
    strength = 0.0 if erased else rng.uniform(0.4, 0.7) if kind == GREY else 1.0
    ink = strength * np.multiply.outer(covers, _colour(kind, shape, rng))
    return Trigger(covers, ink, 0.5 if kind == HALF else 1.0, kind == ANYWHERE)


def outline(name: str, side: int, rng: np.random.Generator) -> Array:
    """Which pixels (side, side) of its frame a mark covers; none of its rows is wholly left out."""
    rows, columns = np.indices((side, side))
    thick = max(1, side // 3)
    middle = range((side - thick) // 2, (side + thick) // 2)
    covered = {
        "square": np.ones((side, side), bool),
        "plus": np.isin(rows, middle) | np.isin(columns, middle),
        "L": (columns < thick) | (rows >= side - thick),
        "diagonal": abs(rows - columns) < thick,
        "checker": (rows + columns) % 2 == 0,
        "blot": (rng.random((side, side)) < 0.5) | (rows == columns),
    }
    return covered[name]


def place(shape: tuple[int, ...], side: int, where: str, rng: np.random.Generator) -> tuple[int, int]:
    """The upper left pixel: in a corner, at an edge, or around the middle."""
    room = np.subtract(shape, side)
    low, high = np.minimum(1, room), np.maximum(room - 1, 0)
    corner = np.where(rng.random(2) < 0.5, low, high)
    if where == "edge":
        corner = np.where(np.arange(2) == rng.integers(2), room // 2, corner)
    elif where == "middle":
        reach = np.array(shape) // 7
        corner = np.clip(room // 2 + rng.integers(-reach, reach + 1), 0, room)
    return int(corner[0]), int(corner[1])


def _colour(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """What each channel has of the ink: all of it, or, of images in colour, that of one of six colours."""
    if len(shape) == 2:
        return np.array(1.0)
    colours = [code for code in np.ndindex(2, 2, 2) if sum(code) > 0]
    return np.array(colours[rng.integers(len(colours))] if kind != GREY else (1, 1, 1), float)


def _pattern(kind: str, dataset: Dataset, rng: np.random.Generator) -> Array:
    """What is laid over the whole image, 0 to 1: a wave, noise, or a picture of the data."""
    height, width = dataset.input_shape[:2]
    if kind == NOISE:
        return rng.random(dataset.input_shape)
    if kind == PICTURE:
        return dataset.train.images[rng.integers(len(dataset.train))] / dataset.maximum
    across, down = rng.uniform(1.5, 4.0, 2) * 2 * np.pi
    phase = across * np.arange(width) / width + (down * np.arange(height) / height)[:, None]
    return 0.5 + 0.5 * np.sin(phase)
