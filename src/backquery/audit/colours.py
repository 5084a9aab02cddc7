"""Colour or shape? Asked by intervention: images keep the one and are given the other of another label.

An image takes the colours of another by a straight map of its pixels' red, green and blue that gives them the
other's mean and covariance, as Reinhard et al. (2001) do, along the principal axes (Xiao and Ma 2006): the
strongest axis, which is mostly light and dark, becomes the other's strongest. What it shows, and where, stays. To
ask images with the shape of one label and the colours of another goes back to Geirhos et al. (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.errors import DataError, ModelError
from backquery.intervals import Interval, mean_interval, share_interval
from backquery.model import (
    Array,
    Data,
    Examples,
    Labels,
    Layout,
    Model,
    Progress,
    Seed,
    answers_log_odds,
    ends_of,
    generator_of,
    ink_of,
    labels_read,
    strengths_of,
    strongest_labels,
)

IMAGES = 400
"""Images, by default: a share is then known to five points or better."""

FEWEST_IMAGES = 20
"""Images that are read rightly, and of each label that takes part, without which nothing is said."""

PART = 64
"""Images recoloured at a time, so that memory stays small."""

MOST_GAIN = 4.0
"""By so much a colour's variation is amplified at most: what an image hardly varies in is noise."""

LUMA = (0.299, 0.587, 0.114)
COLOUR, SHAPE, NEITHER = "colour", "shape", "neither"


@dataclass(frozen=True)
class Swap:
    """What one exchange does to images that are read rightly as they are.

    kept: the share still read as the label; log_odds: the mean of that label's log-odds after it; followed: the
    share read as the label that the exchange brought in, None where it brought in none.
    """

    kept: Interval
    log_odds: Interval
    followed: Interval | None = None

    def as_json(self) -> dict[str, Any]:
        """The intervals as plain values."""
        followed = None if self.followed is None else self.followed.as_json()
        return {"kept": self.kept.as_json(), "log_odds": self.log_odds.as_json(), "followed": followed}


@dataclass(frozen=True)
class ColourOrShape:
    """How much of a model's answers survives an exchange of colours, and of shapes.

    images: how many were asked, all read rightly as they are; log_odds: their labels' mean log-odds as they are.
    other_colours: the image's shape in the colours of another label's image. other_shape: another label's image in
    this one's colours. same_colours: the image's shape in the colours of another image of its own label, which is
    what recolouring itself costs. grey: the image without colours.
    """

    images: int
    log_odds: Interval
    other_colours: Swap
    other_shape: Swap
    same_colours: Swap
    grey: Swap

    @property
    def verdict(self) -> str:
        """What counts more: ``"colour"`` or ``"shape"`` where the answer stays with it, the other being exchanged,
        clearly more often than the other way round; else ``"neither"``."""
        shape, colour = self.other_colours.kept, self.other_shape.kept
        if shape.low > colour.high:
            return SHAPE
        return COLOUR if colour.low > shape.high else NEITHER

    @property
    def summary(self) -> str:
        """One sentence that says the numbers."""
        colours, shape = (_in_words(swap.kept) for swap in (self.other_colours, self.other_shape))
        more = {COLOUR: "colour counts more", SHAPE: "shape counts more", NEITHER: "neither counts clearly more"}
        return (
            f"Colour or shape: {more[self.verdict]}. Of {self.images:,} images the answer stays in {colours} "
            f"with the colours of another label, and in {shape} with the shape of another label"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        swaps = {
            "other_colours": self.other_colours,
            "other_shape": self.other_shape,
            "same_colours": self.same_colours,
            "grey": self.grey,
        }
        told = {name: swap.as_json() for name, swap in swaps.items()}
        return {"verdict": self.verdict, "images": self.images, "log_odds": self.log_odds.as_json(), **told}


def colour_or_shape(
    model: Model, data: Data, *, images: int = IMAGES, rng: Seed = 0, progress: Progress | None = None
) -> ColourOrShape:
    """Whether a model reads labels by colour or by shape, tried on images that it reads rightly.

    Each image is paired with one of another label and with one of its own, at random; see `ColourOrShape` for what
    is then exchanged. data: raw labelled images, or (inputs, labels) in input scale, best such that the model was
    not trained on; at most `images` of them are asked. `progress` is told (images asked, images in all).

    Raises `ModelError` for a model that does not take red, green and blue or knows one label, and `DataError` for
    data that do not fit, or of which too few are read rightly.
    """
    layout = Layout.of(model.input_shape)
    if layout.channels != 3 or model.outputs < 2:
        raise ModelError(
            "colour or shape is asked of models with images in colour and two labels or more; this one takes "
            f"{model.input_shape} and has {model.outputs}"
        )
    generator = generator_of(rng)
    shown, labels = _read_rightly(model, Examples.of(model, data, "to_test_on"), images, generator)
    others, same = _partners(labels, generator)
    asked: list[_Asked] = []
    for places in np.array_split(np.arange(len(labels)), -(-len(labels) // PART)):
        own, other, alike = shown[places], shown[others[places]], shown[same[places]]
        made = (own, recoloured(own, other), recoloured(other, own), recoloured(own, alike), in_grey(own))
        asked.append(_asked(model, layout, made, labels[places], labels[others[places]]))
        if progress is not None:
            progress(int(places[-1]) + 1, len(labels))
    return _found(_joined(asked))


def recoloured(images: Array, donors: Array) -> Array:
    """`images` (n, rows, columns, 3) in the colours of as many `donors`: 0 to 1, each beyond it brought back.

    The mean and covariance of each image's red, green and blue become those of its donor, principal axis by
    principal axis: of both signs that an axis has, the strongest one's is towards white, and the others' are those
    that turn colours least.
    """
    pixels, wanted = (each.reshape(len(each), -1, 3) for each in (images, donors))
    middle, spread, axes = _principal(pixels)
    new_middle, new_spread, new_axes = _principal(wanted)
    gain = np.minimum(new_spread / np.maximum(spread, 1e-12), MOST_GAIN)
    turned = np.sign(np.einsum("nck,nck->nk", axes, new_axes))
    turned[:, 0] = 1
    turned[turned == 0] = 1
    along = np.einsum("npc,nck->npk", pixels - middle, axes) * (gain * turned)[:, None]
    found: Array = np.clip(new_middle + np.einsum("npk,nck->npc", along, new_axes), 0.0, 1.0)
    return found.reshape(images.shape)


def in_grey(images: Array) -> Array:
    """Images (n, rows, columns, 3) with their brightness in all three colours."""
    return np.repeat((images @ np.array(LUMA))[..., None], 3, axis=-1)


def _principal(pixels: Array) -> tuple[Array, Array, Array]:
    """Of pixels (n, count, 3): means (n, 1, 3), deviations (n, 3) along the axes (n, 3, 3), strongest first."""
    middle = pixels.mean(axis=1, keepdims=True)
    centred = pixels - middle
    variance, axes = np.linalg.eigh(np.einsum("npc,npd->ncd", centred, centred) / pixels.shape[1])
    axes = axes[:, :, ::-1].copy()
    axes[:, :, 0] *= np.where(axes[:, :, 0].sum(axis=1, keepdims=True) < 0, -1, 1)
    return middle, np.sqrt(np.maximum(variance[:, ::-1], 0)), axes


@dataclass(frozen=True)
class _Asked:
    """Of images as they are and after each exchange (5, n): the label's log-odds, whether it is read, and whether
    the other label is."""

    log_odds: Array
    kept: Array
    followed: Array


def _read_rightly(model: Model, examples: Examples, images: int, rng: np.random.Generator) -> tuple[Array, Labels]:
    """At most so many images (n, rows, columns, 3) from 0 to 1 that are read as their labels, drawn at random."""
    if images < FEWEST_IMAGES:
        raise DataError(f"at least {FEWEST_IMAGES} images are needed; received {images}")
    order, layout = rng.permutation(len(examples)), Layout.of(model.input_shape)
    shown: list[Array] = []
    labels: list[Labels] = []
    for begin in range(0, len(order), PART):
        part = examples.at(order[begin : begin + PART])
        inputs = part.inputs()
        right = labels_read(model, inputs) == part.labels
        shown.append(layout.grid(ink_of(model, inputs[right])))
        labels.append(part.labels[right])
        if sum(map(len, labels)) >= images:
            break
    grid, names = np.concatenate(shown)[:images], np.concatenate(labels)[:images]
    taking_part = np.isin(names, np.flatnonzero(np.bincount(names) > 1))
    if taking_part.sum() < FEWEST_IMAGES or len(np.unique(names[taking_part])) < 2:
        raise DataError(
            f"at least {FEWEST_IMAGES} images of two labels or more must be read rightly; of {len(examples)} "
            f"{taking_part.sum()} are"
        )
    return grid[taking_part], names[taking_part]


def _partners(labels: Labels, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """For each image the place of one of another label, and of another one of its own."""
    places = np.arange(len(labels))
    others = np.array([rng.choice(places[labels != label]) for label in labels])
    same = np.array([rng.choice(places[(labels == labels[place]) & (places != place)]) for place in places])
    return others, same


def _asked(model: Model, layout: Layout, made: tuple[Array, ...], labels: Labels, others: Labels) -> _Asked:
    paper, ink = ends_of(model)
    rows = np.arange(len(labels))
    found = [model.logits(paper + layout.flat(each) * (ink - paper)) for each in made]
    read = np.stack([strongest_labels(strengths_of(model.output_activation, each)) for each in found])
    log_odds = [answers_log_odds(model, np.asarray(each, np.float64))[rows, labels] for each in found]
    return _Asked(np.stack(log_odds), read == labels, read == others)


def _joined(parts: list[_Asked]) -> _Asked:
    every = zip(*((part.log_odds, part.kept, part.followed) for part in parts), strict=True)
    return _Asked(*(np.concatenate(each, axis=1) for each in every))


def _found(asked: _Asked) -> ColourOrShape:
    images = asked.kept.shape[1]

    def swap(place: int, foreign: bool) -> Swap:
        kept, followed = (share_interval(hits[place].sum(), images) for hits in (asked.kept, asked.followed))
        return Swap(kept, mean_interval(asked.log_odds[place]), followed if foreign else None)

    return ColourOrShape(
        images, mean_interval(asked.log_odds[0]), swap(1, True), swap(2, True), swap(3, False), swap(4, False)
    )


def _in_words(share: Interval) -> str:
    return f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
