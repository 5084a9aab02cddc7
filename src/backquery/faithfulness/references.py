"""References: small networks that learn the same labels in seconds, to tell what any network reads.

A feature of the data is read by every network that learned the labels; a shortcut only by its own. What others
read in the same images is therefore a control of whatever is said of one network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from backquery.errors import DataError
from backquery.faithfulness.judges import Judge, keep_made, made_before
from backquery.model import Array, Labels, Network, Progress, generator_of, labels_read
from backquery.model.activations import activation_named
from backquery.model.memory import need
from backquery.model.network import Layer
from backquery.training import MiniBatch, Online, Recipe, train

EDITION = 3
"""Of the recipes below: what was kept of another one is not used."""

LEVELS = 4080
"""Ink is rounded to so many steps, of which bytes and scikit-learn's sixteenths are whole multiples, so that
models of different scales are compared with the same references."""

MOST_IMAGES = 10_000
"""Images that are learned from at most."""

PATCHES, SIDES, CELLS, LARGE = 24, (3, 5), (2, 4), 16
"""Of a reference with filters: how many, how many pixels wide, and over how many the strongest answer is taken, in
images of fewer than so many rows or columns, and in larger ones."""

PART, PIXELS = 128, 2**19
"""Images filtered at a time, and fewer where these have more than so many pixels, so that memory stays small."""


OF_A_PIXEL, OF_AN_INPUT = 32, 5_000
"""Bytes that learning takes for each pixel of each image, which are moved and become inputs, and for each pixel
again, for the weights of the widest network, their means and their squares."""


@dataclass(frozen=True)
class Course:
    """How one reference learns: hidden nodes; by which recipe; from how many images, all epochs together; whether
    from the images moved by a pixel too; and whether it sees through filters."""

    name: str
    nodes: int
    recipe: Recipe
    steps: int = 60_000
    moved: bool = False
    filters: bool = False


COURSES = (
    Course("dense, online", 100, Online(0.02, "cross-entropy", shuffle=True, decay="linear")),
    Course("dense, Adam", 64, MiniBatch(0.001, batch_size=64)),
    Course("dense, moved images", 64, MiniBatch(0.001, batch_size=64), moved=True),
    Course("dense, Adam in haste", 128, MiniBatch(0.003, batch_size=64), steps=30_000),
    Course("filters, Adam", 64, MiniBatch(0.002, batch_size=64), steps=30_000, filters=True),
)
"""Adam most of all: it takes large steps where pixels are rare, and networks that learned by it read whole strokes
there, as most people's do."""


@dataclass(frozen=True, eq=False)
class References:
    """Networks trained on the same images, as judges that read ink (n, rows, columns, channels) from 0 to 1."""

    judges: tuple[Judge, ...]

    def shares(self, ink: Array, label: int) -> Array:
        """The share of images that each reads as `label`, (references,)."""
        return np.array([float(np.mean(judge.ask(ink) == label)) for judge in self.judges])

    def tried(self, ink: Array, labels: Labels) -> References:
        """The same with their performance on images `ink`, (n, rows, columns, channels), with `labels` (n,)."""
        return References(
            tuple(Judge.tried(judge.name, judge.ask, judge.ask(ink), labels) for judge in self.judges)
        )


def train_references(
    ink: Array, labels: Labels, outputs: int, *, keep: bool = True, progress: Progress | None = None
) -> References:
    """References for images `ink` (n, rows, columns, channels), 0 for paper to 1, and labels (n,) below `outputs`.

    They are kept in the user's cache, under a name that says images, labels and recipes, unless `keep` is False.
    `progress` is told (references that are ready, references in all). Images of another shape, or none, or
    not as many labels, raise `DataError`.
    """
    if ink.ndim != 4 or len(ink) != len(labels) or not len(ink):
        raise DataError(f"references need images (n, rows, columns, channels) with labels; received {ink.shape}")
    images, pixels = min(len(ink), MOST_IMAGES), prod(ink.shape[1:])
    need(
        pixels * (OF_A_PIXEL * images + OF_AN_INPUT),
        f"training networks to compare with on {images:,} images of {pixels:,} pixels",
        "fewer or smaller images need less",
    )
    levels = np.round(ink[:MOST_IMAGES] * LEVELS).clip(0, LEVELS).astype(np.uint16)
    names = np.asarray(labels[:MOST_IMAGES], np.int64)
    judges = []
    for place, course in enumerate(COURSES):
        name = _fingerprint(levels, names, outputs, course, place)
        sight = _sight(made_before(name), outputs, ink[:1])
        if sight is None:
            sight = _taught(levels, names, outputs, course, place)
            if keep:
                keep_made(name, sight.arrays())
        judges.append(Judge(course.name, sight.read))
        if progress is not None:
            progress(place + 1, len(COURSES))
    return References(tuple(judges))


@dataclass(frozen=True, eq=False)
class _Sight:
    """A network of one hidden layer, and the filters (count, side, side, channels) before it, if it has any."""

    network: Network
    filters: Array | None

    def read(self, ink: Array) -> Labels:
        """The labels (n,) of images (n, rows, columns, channels)."""
        found = [labels_read(self.network, _seen(part, self.filters)) for part in _parts(ink)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        layers = {
            f"{kind} {place}": np.asarray(values)
            for place, layer in enumerate(self.network.layers)
            for kind, values in (("weights", layer.weights), ("biases", layer.biases))
        }
        return layers if self.filters is None else {**layers, "filters": self.filters}


def _sight(arrays: Mapping[str, NDArray[Any]], outputs: int, ink: Array) -> _Sight | None:
    """The reference that was kept as `arrays`; None where they are not those of one that reads such images."""
    try:
        hidden, last = (
            Layer(arrays[f"weights {place}"], arrays[f"biases {place}"], activation_named(name))
            for place, name in enumerate(("relu", "softmax"))
        )
        found = _Sight(Network((hidden, last)), arrays.get("filters"))
        found.read(ink)
    except (KeyError, ValueError):
        return None
    finite = all(np.isfinite(values).all() for values in arrays.values())
    return found if finite and found.network.outputs == outputs else None


def _taught(levels: NDArray[np.uint16], labels: Labels, outputs: int, course: Course, rng: int) -> _Sight:
    if course.moved:
        levels, labels = np.concatenate([levels, _moved(levels, rng)]), np.tile(labels, 2)
    filters = _patches(levels, rng) if course.filters else None
    inputs = np.concatenate([_seen(part / np.float32(LEVELS), filters) for part in _parts(levels)])
    network = Network.create([inputs.shape[1], course.nodes, outputs], activation="relu", biases=True, rng=rng)
    epochs = -(-course.steps // len(labels))
    return _Sight(train(network, (inputs, labels), course.recipe, epochs=epochs, rng=rng)[0], filters)


def _parts(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Images (n, rows, columns, channels), so many at a time that filtering them takes little memory."""
    at_once = max(1, min(PART, PIXELS // prod(images.shape[1:])))
    return (images[begin : begin + at_once] for begin in range(0, len(images), at_once))


def _moved(levels: NDArray[np.uint16], rng: int) -> NDArray[np.uint16]:
    """Each image moved by at most a pixel each way, its border drawn out."""
    drawn_out = np.pad(levels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    top, left = generator_of(rng).integers(0, 3, (2, len(levels), 1))
    rows, columns = top + np.arange(levels.shape[1]), left + np.arange(levels.shape[2])
    moved: NDArray[np.uint16] = drawn_out[
        np.arange(len(levels))[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return moved


def _seen(ink: Array, filters: Array | None) -> Array:
    """What a network is given of images (n, rows, columns, channels): all pixels, or what filters answer.

    Each filter's answers are kept where they are above zero, and of each cell the strongest: one layer of a
    convolutional network whose filters are patches of images, as in Coates, Lee & Ng (2011).
    """
    if filters is None:
        return ink.reshape(len(ink), -1).astype(np.float32)
    side, cell = filters.shape[1], CELLS[min(ink.shape[1:3]) >= LARGE]
    windows = sliding_window_view(ink.astype(np.float32), (side, side), axis=(1, 2))
    answers = np.tensordot(windows, filters, axes=([3, 4, 5], [3, 1, 2]))
    rows, columns = (-(-length // cell) for length in answers.shape[1:3])
    room = ((0, 0), (0, rows * cell - answers.shape[1]), (0, columns * cell - answers.shape[2]), (0, 0))
    cells = np.pad(np.maximum(answers, 0), room).reshape(len(ink), rows, cell, columns, cell, -1)
    return np.asarray(cells.max(axis=(2, 4)).reshape(len(ink), -1))


def _patches(levels: NDArray[np.uint16], rng: int) -> Array:
    """Filters (count, side, side, channels): patches of the images, those that vary, of mean 0 and length 1."""
    generator = generator_of(rng)
    side = min(SIDES[min(levels.shape[1:3]) >= LARGE], *levels.shape[1:3])
    room = np.array(levels.shape[1:3]) - side + 1
    images = generator.integers(len(levels), size=20 * PATCHES)
    corners = generator.integers(room, size=(len(images), 2))
    drawn = np.stack(
        [
            levels[image, top : top + side, left : left + side]
            for image, (top, left) in zip(images, corners, strict=True)
        ]
    ).astype(np.float32)
    drawn -= drawn.mean(axis=(1, 2, 3), keepdims=True)
    length = np.sqrt((drawn**2).sum(axis=(1, 2, 3)))
    most = np.sort(generator.permutation(len(drawn))[: 2 * PATCHES])
    chosen = most[np.argsort(-length[most], kind="stable")[:PATCHES]]
    return np.asarray(drawn[chosen] / np.maximum(length[chosen], 1.0)[:, None, None, None], np.float32)


def _fingerprint(levels: NDArray[np.uint16], labels: Labels, outputs: int, course: Course, rng: int) -> str:
    content = hashlib.sha256(levels.tobytes())
    content.update(labels.tobytes())
    content.update(f"{EDITION} {course} {levels.shape} {outputs} {rng}".encode())
    return f"reference-{content.hexdigest()[:32]}.safetensors"
