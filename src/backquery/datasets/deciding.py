"""What the pixels of a data set mean is decided here, once, over all its images, both halves together.

Three things are decided, each from all the evidence there is: what was told, the type and the range of the
numbers, the borders of the images. What follows with certainty is used; what is only likely is used and said in
one line, with the option that overrules it; what contradicts itself, or the model, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.colours import Asked, Found, one_kind, square_colours
from backquery.datasets.dataset import Dataset, Labelled
from backquery.datasets.frames import border, frame_width, within_frame
from backquery.datasets.labels import classes_of, label_positions
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.pictures import USUAL_COLOUR_SHAPE, USUAL_SHAPE, Loose
from backquery.datasets.ranges import range_of, unsigned
from backquery.datasets.split import Split
from backquery.errors import DataError, assume
from backquery.model import Ground, Layout, Meaning, Model, Scaling

CERTAIN, LIKELY = 0.95, 0.75
"""Shares of the images that stand on the same ground, from which on it is the ground of all, and of nearly all."""

EXCEPTIONS = 0.01
"""Share of the images that stand on the other ground, from which on they are spoken of."""

GREY = 0.1
"""Of the whole range: so far from its end the ground may be without a word."""

CLEAR = 0.6
"""The share of an image's border that must be of one shade for its ground to be clear."""

SMALLEST = 5
"""Rows and columns from which on an image has a border and something inside it."""

MOST_LOOKED_AT = 10_000
"""Images, evenly over the data, whose borders are looked at."""

PIXELS_AT_ONCE = 2**24
"""Of images that are looked at, so many pixels at a time, so that memory stays small."""

BLANK = 12 / 255
"""Of the whole range: an image whose numbers vary by no more has nothing drawn on it."""

OFF_CENTRE = 1 / 28
"""Of a side: by so much more than half a pixel the centre of mass of a centred image may be off the middle."""


class Wanted(NamedTuple):
    """What a model's inputs are, as far as it says: the range, the ground, rows and columns, whether colours."""

    maximum: float | None = None
    ground: Ground | None = None
    shape: tuple[int, int] | None = None
    colours: Asked = Asked()

    @classmethod
    def by(cls, model: Model) -> Wanted:
        """What a model wants."""
        shape, colours = _shape_by(model)
        scaling = model.scaling or Scaling(1.0, 0.0)
        meaning = scaling.meaning or Meaning()
        return cls(None if model.scaling is None else scaling.maximum, meaning.ground, shape, colours)

    @classmethod
    def as_in(cls, dataset: Dataset) -> Wanted:
        """What more images for a data set have to be like."""
        height, width = dataset.input_shape[:2]
        return cls(dataset.maximum, dataset.meaning.ground, (height, width), Asked(dataset.colour))


@dataclass(frozen=True)
class Decision:
    """What was decided: the numbers for the two ends, whether they change places, and where images stand."""

    low: float
    high: float
    turned: bool
    transposed: bool
    ground: Ground | None
    said: tuple[str, ...]

    @property
    def maximum(self) -> float:
        """The raw pixel for full ink, or for white."""
        return self.high - self.low

    def raw(self, images: NDArray[Any]) -> NDArray[Any]:
        """Numbers as they stood, as raw pixels from 0 to `maximum`, of the same shape; beyond paper is paper."""
        if images.dtype.kind == "b":
            images = images.view(np.uint8)
        if self.transposed:
            images = np.ascontiguousarray(images.swapaxes(1, 2))
        if not self.turned:
            return np.maximum(images, self.low) - self.low if self.low else images
        if images.dtype == np.uint8 and self.high == 255:
            return np.uint8(255) - images
        # In wider numbers, as bytes would wrap round.
        wide = images.astype(np.float32 if images.dtype.itemsize < 4 else np.float64)
        turned: NDArray[Any] = self.high - np.minimum(wide, self.high)
        return turned


def assemble(
    name: str,
    found: Sequence[Found],
    classes: Sequence[str] | None = None,
    how: Reading = AS_FOUND,
    wanted: Wanted | None = None,
) -> Dataset:
    """A data set from one half or two that were read.

    Without `classes` they are those that are there (`classes_of`).
    """
    names = classes_of([half.labels for half in found], found[0].source) if classes is None else tuple(classes)
    found = one_kind(unsigned(found, how), how, None if wanted is None else wanted.colours)
    decision = decide(found, how, wanted)
    halves = [
        Split(pixels, label_positions(half.labels, names, half.source))
        for half, pixels in zip(found, _pixels(found, decision, wanted), strict=True)
    ]
    meaning = Meaning(decision.ground, None, decision.said)
    dataset = Dataset(name, halves[0], halves[1] if halves[1:] else None, names, decision.maximum, meaning)
    return replace(dataset, meaning=replace(meaning, centred=_are_centred(dataset)))


def decide(found: Sequence[Found], how: Reading = AS_FOUND, wanted: Wanted | None = None) -> Decision:
    """What the numbers of all halves together mean; what is not certain is said (`assume`)."""
    numbers = [half for half in found if isinstance(half, Labelled) and half.images.size]
    low, high, range_said = range_of(numbers, how, None if wanted is None else wanted.maximum)
    turned, ground, ground_said = _ground(found, low, high, how, wanted)
    transposed, orientation_said = _orientation(found, how)
    said = tuple(filter(None, (range_said, ground_said, orientation_said)))
    return Decision(low, high, turned, transposed, ground, said)


def _pixels(found: Sequence[Found], decision: Decision, wanted: Wanted | None) -> Iterator[NDArray[Any]]:
    usual = USUAL_COLOUR_SHAPE if found[0].colour else USUAL_SHAPE
    shape = usual if wanted is None or wanted.shape is None else wanted.shape
    for half in found:
        if isinstance(half, Loose):
            yield half.prepared(shape, "dark" if decision.turned else "light", decision.ground != "none")
        else:
            yield decision.raw(half.images)


def _ground(
    found: Sequence[Found], low: float, high: float, how: Reading, wanted: Wanted | None
) -> tuple[bool, Ground | None, str]:
    """Whether the numbers are turned round, on what ground images stand, and how that is known."""
    if found[0].colour:
        return _in_colour(found[0].source, how)
    if how.ink != "auto":
        return how.ink == "dark", "one", f"the ink was told to be {how.ink}"
    if wanted is not None and wanted.ground == "none":
        return False, "none", "pictures are taken as they are, as the model's own were"
    votes = [_votes(half, BLANK * (high - low)) for half in found]
    votes_bright, votes_clear = (np.concatenate(each) for each in zip(*votes, strict=True))
    clear = 2 * votes_clear.sum() >= len(votes_clear)
    counted = votes_bright[votes_clear] if clear else votes_bright
    bright, images = int(counted.sum()), len(counted)
    share = bright / images if images else 0.0
    firm = CERTAIN if wanted is None else LIKELY
    agreed = not clear or _agree([half_bright[half_clear] for half_bright, half_clear in votes])
    if 1 - firm < share < firm or not agreed or not (clear or _are_pictures(found)):
        return _mixed(found[0].source, bright, images, wanted, bool(clear))
    ground: Ground | None = "one" if wanted is None else wanted.ground
    if not images:
        _say_blank(found)
    elif wanted is not None:
        _say_grey(found, low, high, share > 0.5)
    return share > 0.5, ground, _one_ground(found, bright, images, share)


def _in_colour(source: str, how: Reading) -> tuple[bool, Ground | None, str]:
    """Nothing is turned over in colour; `DataError` where it was asked for."""
    if how.ink == "dark":
        raise DataError(
            f"{source}: the images are in colour, where 0 is black and no ink is turned over; --no-colour (in "
            "Python Reading(colour=False)) takes them in grey"
        )
    return False, "none", "the images are in colour, and are taken as they are"


def _shape_by(model: Model) -> tuple[tuple[int, int] | None, Asked]:
    """Rows and columns of a model's images, and whether it takes colours, as far as its shape tells."""
    layout = Layout.of(model.input_shape)
    shape = (layout.rows, layout.columns)
    if layout.known:
        return (shape, Asked(layout.channels == 3)) if layout.channels in (1, 3) else (None, Asked())
    side = square_colours(layout.inputs)
    return shape if side is None else (side, side), Asked(inputs=layout.inputs)


def _votes(half: Found, blank: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What `grounds` says of the images of one half."""
    nothing = np.zeros(0, np.bool_)
    votes = [(nothing, nothing)]
    widths = []
    for images in _looked_at(half):
        widths.append(frame_width(images))
        votes.append(grounds(within_frame(images, widths[-1]), blank))
    if widths and np.mean(np.array(widths) > 0) >= LIKELY:
        _say_framed(half, max(widths))
    bright, clear = zip(*votes, strict=True)
    return np.concatenate(bright), np.concatenate(clear)


def _say_framed(half: Found, width: int) -> None:
    becomes = "cut off" if isinstance(half, Loose) else "left in the images as ink; cut it off if it is none"
    assume(
        f"{half.source}: a frame, {width} {'pixel' if width == 1 else 'pixels'} wide, is drawn around the images: "
        f"it is {becomes}, and the ground is what lies within; --ink says otherwise"
    )


def _agree(halves: Sequence[NDArray[np.bool_]]) -> bool:
    """Whether nearly all images of every half stand on the same ground."""
    shares = [float(bright.mean()) for bright in halves if len(bright)]
    return all(share <= 1 - LIKELY for share in shares) or all(share >= LIKELY for share in shares)


def _one_ground(found: Sequence[Found], bright: int, images: int, share: float) -> str:
    """In words, and said where it is not certain: numbers, other than pictures, are seldom dark ink on white."""
    turned = share > 0.5
    which = "images" if images == sum(len(half.labels) for half in found) else "images looked at"
    ground = "bright" if turned else "dark"
    said = f"{max(bright, images - bright):,} of {images:,} {which} stand on {ground} ground"
    said += ", which becomes 0, and their ink full" if turned else ""
    if (turned and not _are_pictures(found)) or EXCEPTIONS <= share <= 1 - EXCEPTIONS:
        other = "light keeps the numbers" if turned else "dark turns the numbers"
        assume(f"{found[0].source}: {said}; --ink {other} (in Python Reading(ink=...))")
    return said


def _mixed(
    source: str, bright: int, images: int, wanted: Wanted | None, clear: bool
) -> tuple[bool, Ground | None, str]:
    """Images on different grounds, or, where that is not clear, on none that could be told: nothing is turned."""
    ground: Ground | None = "none" if wanted is None else wanted.ground
    if not clear:
        return False, ground, "the images stand on no one ground, and are taken as they are"
    said = f"{bright:,} images stand on bright ground, {images - bright:,} on dark"
    if ground == "one":
        raise DataError(
            f"{source}: {said}, but the model's own images all stood on one; say what was drawn with --ink dark "
            "or --ink light (in Python Reading(ink=...)), sort the pictures, or name a half of its own with --test"
        )
    assume(
        f"{source}: {said}: they are taken as they are, 0 for black; if all are ink on one paper, say --ink dark "
        "or --ink light (in Python Reading(ink=...))"
    )
    return False, ground, f"{said}, and are taken as they are"


def _say_blank(found: Sequence[Found]) -> None:
    """One line where nothing is drawn on any image, though they are large enough to tell."""
    numbers = [half.images for half in found if isinstance(half, Labelled) and half.images.size]
    if numbers and min(numbers[0].shape[1:]) >= SMALLEST:
        assume(f"{found[0].source}: every image is blank: all its numbers are nearly the same")


def _say_grey(found: Sequence[Found], low: float, high: float, turned: bool) -> None:
    """One line where the ground, which a model knows at the end of the scale, lies far from there."""
    looked = [images for half in found if isinstance(half, Labelled) for images in _looked_at(half)]
    borders = [border(within_frame(images, frame_width(images))).ravel() for images in looked]
    if not borders:
        return
    ground = float(np.median(np.concatenate(borders)))
    if abs(ground - (high if turned else low)) > GREY * (high - low):
        told = f"{low:g},{ground:g}" if turned else f"{ground:g},{high:g}"
        assume(
            f"{found[0].source}: the ground is at {ground:g} of {low:g} to {high:g}, and is taken for faint ink; "
            f"--range {told} (in Python Reading(pixel_range=({told}))) takes it for paper"
        )


def _are_pictures(found: Sequence[Found]) -> bool:
    return any(half.brightness for half in found)


def grounds(images: NDArray[Any], blank: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of images (n, height, width) that vary by more than `blank`: which stand on bright ground, which clearly.

    An image's ground is what most of its border is nearer to, its darkest or its brightest pixel; it is clear
    where most of the border lies within a quarter of the way.
    """
    numbers = images.astype(np.float32)
    flat = numbers.reshape(len(numbers), -1)
    darkest, brightest = flat.min(axis=1), flat.max(axis=1)
    drawn = (brightest - darkest > blank) & (min(numbers.shape[1:]) >= SMALLEST)
    edges, darkest = border(numbers)[drawn], darkest[drawn, None]
    height = (edges - darkest) / (brightest[drawn, None] - darkest)
    extreme = np.maximum(np.mean(height < 0.25, axis=1), np.mean(height > 0.75, axis=1))
    return np.mean(height > 0.5, axis=1) >= 0.5, extreme >= CLEAR


def _looked_at(half: Found) -> Iterator[NDArray[Any]]:
    """The images of one half, or so many of them, evenly, that looking at them takes no time."""
    if isinstance(half, Loose):
        yield from (brightness[None] for brightness in half.looked_at())
    elif len(half.images):
        yield from _some(half.images)


def _some(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """At most `MOST_LOOKED_AT` of the images, evenly, no more at a time than `PIXELS_AT_ONCE` allow."""
    some = images[:: max(1, -(-len(images) // MOST_LOOKED_AT))]
    at_once = max(1, PIXELS_AT_ONCE // prod(images.shape[1:]))
    for begin in range(0, len(some), at_once):
        yield some[begin : begin + at_once]


def _orientation(found: Sequence[Found], how: Reading) -> tuple[bool, str]:
    """Whether images are stored column by column, and how that is known."""
    if how.transposed is not None:
        return how.transposed, "the orientation was told"
    if not any(isinstance(half, Labelled) and half.transposed for half in found):
        return False, ""
    said = "files of this kind hold each image column by column, and are turned upright"
    assume(f"{found[0].source}: {said}; --no-transposed (in Python Reading(transposed=False)) says otherwise")
    return True, said


def _are_centred(dataset: Dataset) -> bool | None:
    """Whether nearly every image's centre of mass lies in its middle; None where nothing is drawn."""
    if dataset.meaning.ground != "one":
        return False
    off = np.concatenate([_off_centre(images.astype(np.float32)) for images in _some(dataset.train.images)])
    if not len(off):
        return None
    return bool(np.mean(off <= OFF_CENTRE * min(dataset.input_shape[:2])) >= CERTAIN)


def _off_centre(ink: NDArray[Any]) -> NDArray[Any]:
    """How far from its middle the centre of mass of each image lies that has any, in pixels."""
    mass = ink.sum(axis=(1, 2))
    ink, mass = ink[mass > 0], mass[mass > 0]
    off = np.zeros(len(ink))
    for axis, side in ((1, ink.shape[2]), (2, ink.shape[1])):
        place = ink.sum(axis=axis) @ np.arange(side) / mass
        off = np.maximum(off, np.abs(place - side / 2) - 0.5)
    return off
