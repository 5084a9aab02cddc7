"""Images that are made, with known answers: outlines of any size at any place, and images set at any place.

What stands where is drawn at random, from a seed. The same seed gives the same bytes on every machine: square
roots round the same way everywhere, and what else is added up are whole numbers below 2 ** 24.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.split import Split
from backquery.errors import DataError
from backquery.model import Pixels, Seed, generator_of

RADII = (0.14, 0.42)
"""Of the frame's side: half the width of the smallest and of the largest shape, from the middle of its line."""

LINES = (1.5, 2.5)
"""Pixels: the width of the thinnest and of the thickest line."""

SMALLEST_FRAME = 12
"""Pixels of a side, so that a square is still told from a circle."""

STEPS = 256
"""Into so many parts a pixel is divided where images are set at a place between pixels."""

CHUNK = 2048
"""Images made at a time, so that memory stays small."""

COLOURS = (
    (255, 73, 73), (196, 117, 0), (123, 154, 0), (39, 197, 0), (0, 202, 81),
    (0, 182, 182), (59, 138, 255), (132, 101, 255), (216, 58, 255), (255, 53, 174),
)  # fmt: skip
"""Red, orange, yellow, green and so on round the circle, all of them about as bright: in grey none is told from
another."""

FAINTEST = 0.7
"""Of full ink: so strong at least is what is drawn in colour."""

Distances = NDArray[np.float64]


def _to_circle(across: Distances, down: Distances, radius: Distances) -> Distances:
    return np.abs(np.sqrt(across**2 + down**2) - radius)


def _to_square(across: Distances, down: Distances, radius: Distances) -> Distances:
    across, down = across - radius, down - radius
    outside = np.sqrt(np.maximum(across, 0) ** 2 + np.maximum(down, 0) ** 2)
    far: Distances = np.abs(outside + np.minimum(np.maximum(across, down), 0))
    return far


def _to_cross(across: Distances, down: Distances, radius: Distances) -> Distances:
    beyond = np.maximum(np.maximum(across, down) - radius, 0)
    far: Distances = np.sqrt(beyond**2 + np.minimum(across, down) ** 2)
    return far


SHAPES = MappingProxyType({"circle": _to_circle, "square": _to_square, "cross": _to_cross})
"""Each shape's distance from its line, by how far off its middle a pixel lies (both >= 0) and by its radius."""


def shapes(count: int, side: int = 32, *, rng: Seed = None) -> Split:
    """Outlines of circles, upright squares and crosses, (count, side, side), bright ink on blank paper.

    Labels are positions into `SHAPES`, each as often as the others, in random order. Sizes, places and the width
    of the line are drawn evenly, so that all ink lies within the frame. Pixels are bytes, antialiased: full ink up
    to half a pixel within the line's edge, none from half a pixel beyond. Fewer images than shapes, or a frame
    smaller than 12 pixels, raise `DataError`.
    """
    if count < len(SHAPES) or side < SMALLEST_FRAME:
        raise DataError(
            f"shapes are made {len(SHAPES)} or more at a time, in frames of {SMALLEST_FRAME} pixels or more; "
            f"received {count} and {side}"
        )
    generator = generator_of(rng)
    labels = generator.permutation(np.arange(count) % len(SHAPES))
    radius, width = (_between(low, high, generator.random(count)) for low, high in (_radii(side), LINES))
    reach = radius + width / 2
    places = reach + (side - 2 * reach) * generator.random((2, count))
    images = np.empty((count, side, side), np.uint8)
    for label, distance in enumerate(SHAPES.values()):
        for which in _chunks(np.flatnonzero(labels == label)):
            images[which] = _drawn(distance, places[:, which], radius[which], width[which], side)
    return Split(images, labels)


def wander(split: Split, side: int, scales: tuple[float, float] = (0.5, 1.0), *, rng: Seed = None) -> Split:
    """Every image smaller by a random factor and somewhere in a frame (n, side, side), all its ink within.

    `scales` are the smallest and the largest factor, at most 1. A pixel becomes the mean of what it covers of the
    image; whole pixels are rounded. A frame too small for what is drawn at the largest scale raises `DataError`.
    """
    low, high = scales
    if not 0 < low <= high <= 1:
        raise DataError(f"images wander at scales above 0 and up to 1, the smaller first; received {scales}")
    generator = generator_of(rng)
    scale = _between(low, high, generator.random(len(split)))
    images = np.empty((len(split), side, side), split.images.dtype)
    draws = generator.random((2, len(split)))
    for which in _chunks(np.arange(len(split))):
        images[which] = _set_in_frame(split.images[which], side, scale[which], draws[:, which])
    return Split(images, split.labels)


def coloured(split: Split, tie: float = 0.0, *, maximum: float = 255.0, rng: Seed = None) -> Split:
    """Every image in one of ten colours on black, (n, height, width, 3), bytes.

    `tie` is the share of the images that are drawn in their label's own colour (that of the label's last digit);
    the others are drawn in any of the ten, whatever their label: at 0 the colour says nothing of the label, at 1
    everything. How strong the ink is, from 0.7 to 1, is drawn too, so that copies of an image differ. Images that
    are not grey, whose ink is beyond `maximum`, or a share outside 0 to 1 raise `DataError`.
    """
    if split.images.ndim != 3 or not 0 <= tie <= 1 or split.images.min() < 0 or split.images.max() > maximum:
        raise DataError(
            f"grey images of pixels from 0 to {maximum:g} and a share from 0 to 1 are needed; received images of "
            f"the shape {split.images.shape}, up to {split.images.max():g}, and {tie}"
        )
    generator = generator_of(rng)
    chosen = generator.integers(0, len(COLOURS), len(split))
    tied = generator.random(len(split)) < tie
    strength = np.rint(STEPS * _between(FAINTEST, 1.0, generator.random(len(split)))).astype(np.uint32)
    inks = strength[:, None] * np.array(COLOURS, np.uint32)[np.where(tied, split.labels % len(COLOURS), chosen)]
    images = np.empty((*split.images.shape, 3), np.uint8)
    for which in _chunks(np.arange(len(split))):
        ink = np.rint(split.images[which] * (255 / maximum)).astype(np.uint32)
        images[which] = (ink[..., None] * inks[which, None, None] + STEPS * 127) // (STEPS * 255)
    return Split(images, split.labels)


def finer(split: Split, times: int, factor: float = 1.0) -> Split:
    """Every pixel divided into `times` by `times`, with straight shades between; bytes, `factor` times them."""
    across, down = (_shading(side, times) for side in split.images.shape[:0:-1])
    return Split(np.rint(factor * (down @ split.images @ across.T)).astype(np.uint8), split.labels)


def _shading(side: int, times: int) -> Distances:
    """How much each finer pixel takes of each pixel, (times * side, side); at the edges all of the last one."""
    middles = ((np.arange(times * side) + 0.5) / times - 0.5).clip(0, side - 1)
    shares: Distances = np.maximum(0, 1 - np.abs(middles[:, None] - np.arange(side)))
    return shares


def _radii(side: int) -> tuple[float, float]:
    return RADII[0] * side, RADII[1] * side


def _between(low: float, high: float, share: Distances) -> Distances:
    return low + (high - low) * share


def _chunks(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [places[begin : begin + CHUNK] for begin in range(0, len(places), CHUNK)]


def _drawn(
    distance: Callable[[Distances, Distances, Distances], Distances],
    places: Distances,
    radius: Distances,
    width: Distances,
    side: int,
) -> NDArray[np.uint8]:
    """Shapes of one kind (n, side, side): ink by how far each pixel's middle lies from the line."""
    offsets = np.abs(np.arange(side) + 0.5 - places[..., None])
    far = distance(offsets[1][:, None, :], offsets[0][:, :, None], radius[:, None, None])
    ink = np.clip(width[:, None, None] / 2 + 0.5 - far, 0, 1)
    return np.rint(255 * ink).astype(np.uint8)


def _set_in_frame(images: Pixels, side: int, scale: Distances, draws: Distances) -> Pixels:
    """Images (n, height, width) at their scales, moved down and right by shares `draws` of what way is free."""
    tops, lefts = (
        _weights((images != 0).any(axis=axis), side, scale, draw) for axis, draw in zip((2, 1), draws, strict=True)
    )
    exact = np.float32 if images.dtype == np.uint8 else images.dtype
    found = tops.astype(exact) @ images.astype(exact) @ lefts.astype(exact).transpose(0, 2, 1) / STEPS**2
    return np.rint(found).astype(np.uint8) if images.dtype == np.uint8 else found


def _weights(inked: NDArray[np.bool_], side: int, scale: Distances, draw: Distances) -> Distances:
    """How much of a row of the image each row of the frame covers (n, side, rows), in `STEPS` that add up.

    inked: which rows have ink, (n, rows).
    """
    first, rows = inked.argmax(axis=1), inked.shape[1]
    last = rows - inked[:, ::-1].argmax(axis=1)
    free = side - scale * (last - first)
    if free.min() < 0:
        raise DataError(f"a frame of {side} pixels is too small for what is drawn at a scale of {scale.max():.2f}")
    edges = (np.arange(side + 1) - (draw * free)[:, None]) / scale[:, None] + first[:, None]
    begin, end = edges[:, :-1, None], edges[:, 1:, None]
    # Rounded sums, not rounded parts: no row of the frame may cover more than one row's worth.
    covered = np.clip(np.arange(rows + 1), begin, end) - begin
    return np.diff(np.rint(STEPS * scale[:, None, None] * covered), axis=2)
