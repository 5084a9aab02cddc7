"""Judges for things that stand anywhere: what they read is first brought into the middle, and to one size.

Neighbours and lines compare pixel with pixel, so that a thing that stands elsewhere is another thing to them. What
is known of the images to be judged is used on real and on found ones alike, and no network has a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backquery.datasets import Dataset, Split
from backquery.faithfulness import Judge, RealImages, linear_judge, neighbour_judge
from backquery.model import Array

SIDE, REACH = 20, 2.2
"""Pixels of a side of centred images, and to how many standard deviations of the ink's places they reach."""

FAINT = 0.2
"""Ink below this share of an image's strongest is taken for paper."""

MOST = 20_000
"""Images that centred judges learn from at most."""


def centred_judges(dataset: Dataset) -> Sequence[Judge]:
    """Neighbours and a linear classifier that see images centred, both when they learn and when they judge."""
    assert dataset.test is not None
    train, test = (
        _centred_half(half, dataset.maximum) for half in (dataset.train.select(slice(MOST)), dataset.test)
    )
    seen = replace(dataset, train=train, test=test, maximum=255.0)
    judges = neighbour_judge(RealImages(train.images, train.labels, 255.0), test), linear_judge(seen)
    return [_centring(judge, dataset.input_shape) for judge in judges]


def _centring(judge: Judge, shape: tuple[int, ...]) -> Judge:
    return replace(judge, name=f"{judge.name}, centred", ask=lambda ink: judge.ask(centred(ink, shape)))


def centred(ink: Array, shape: tuple[int, ...]) -> Array:
    """Ink (n, inputs) from 0 to 1 as images (n, 20 * 20) whose ink lies about the middle and spreads alike."""
    images = np.asarray(ink, np.float64).reshape(-1, *shape)
    strong = np.where(images > FAINT * images.max(axis=(1, 2), keepdims=True), images, 0)
    mass = strong.sum(axis=(1, 2)) + np.finfo(float).tiny
    places = [np.arange(float(length)) for length in shape]
    along = [strong.sum(axis=2), strong.sum(axis=1)]
    middles = [line @ place / mass for line, place in zip(along, places, strict=True)]
    squares = [
        (line * (place - middle[:, None]) ** 2).sum(axis=1) / mass
        for line, place, middle in zip(along, places, middles, strict=True)
    ]
    step = np.maximum(np.sqrt(sum(squares) / 2), 0.5) * 2 * REACH / SIDE
    down, across = (_shares(middle, step, place) for middle, place in zip(middles, places, strict=True))
    found = down @ strong @ across.transpose(0, 2, 1)
    return found.clip(0, 1).reshape(len(images), -1)  # rounding may leave the range by a trifle


def _shares(middle: Array, step: Array, places: Array) -> Array:
    """How much each centred row takes of each row of the image, (n, 20, rows)."""
    wanted = middle[:, None] + step[:, None] * (np.arange(SIDE) - (SIDE - 1) / 2)
    far = np.abs(wanted[:, :, None] - places) / np.maximum(step, 1)[:, None, None]
    shares = np.maximum(0, 1 - far)
    return np.asarray(shares / np.maximum(shares.sum(axis=2, keepdims=True), 1))


def _centred_half(split: Split, maximum: float) -> Split:
    ink = split.images.reshape(len(split), -1).astype(np.float32) / np.float32(maximum)
    images = np.concatenate([centred(part, split.images.shape[1:]) for part in np.array_split(ink, 20)])
    return Split(np.rint(255 * images).astype(np.uint8).reshape(-1, SIDE, SIDE), split.labels)
