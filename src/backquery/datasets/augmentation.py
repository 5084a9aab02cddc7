"""More images to train on: copies of those there are, turned a little or moved by a pixel.

The book's last experiment trains on every image and on its copies turned by 10 degrees either way (*Make Your Own
Neural Network*, part 3). What comes in at the edges is paper. Nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from backquery.datasets.split import Split
from backquery.errors import DataError
from backquery.model import Pixels
from backquery.model.declared import declared

CHUNK = 2048
"""Images turned at a time, so that memory stays small."""


@declared(DataError)
def rotate(split: Split, degrees: float) -> Split:
    """Every image turned by `degrees` about its middle, anticlockwise, by straight interpolation; the size stays.

    Whole pixels are rounded. Degrees that are not a finite number raise `DataError`.
    """
    from scipy.ndimage import rotate as turned

    if not isfinite(degrees):
        raise DataError(f"images are turned by a finite number of degrees; received {degrees}")
    images = np.empty_like(split.images)
    for begin in range(0, len(images), CHUNK):
        part = split.images[begin : begin + CHUNK]
        exact = np.float32 if part.dtype == np.uint8 else part.dtype
        found = turned(part.astype(exact), degrees, axes=(2, 1), reshape=False, order=1, cval=_paper(split))
        images[begin : begin + CHUNK] = np.rint(found) if part.dtype == np.uint8 else found
    return Split(images, split.labels)


@declared(DataError)
def shift(split: Split, down: int, right: int) -> Split:
    """Every image moved by whole pixels, `down` and to the `right`, or the other way where they are negative.

    What leaves the image is lost. Moving by a whole side or more raises `DataError`.
    """
    height, width = split.images.shape[1:3]
    if abs(down) >= height or abs(right) >= width:
        raise DataError(
            f"images of {height} x {width} pixels can be moved by less than that; "
            f"received {down} down, {right} to the right"
        )
    images = np.full_like(split.images, _paper(split))
    images[:, _to(down, height), _to(right, width)] = split.images[:, _to(-down, height), _to(-right, width)]
    return Split(images, split.labels)


@declared(DataError)
def augment(
    split: Split, *, rotations: Sequence[float] = (-10.0, 10.0), shifts: Sequence[tuple[int, int]] = ()
) -> Split:
    """Every image, followed by its copies: one for each of `rotations` (degrees) and of `shifts` (down, right).

    Images keep their order, so that a training in file order meets an image and its copies one after the other.
    What is no angle, or no whole number of pixels, raises `DataError`.
    """
    copies = [split, *(rotate(split, degrees) for degrees in rotations)]
    copies += [shift(split, down, right) for down, right in shifts]
    images: Pixels = np.stack([copy.images for copy in copies], axis=1)
    return Split(images.reshape(-1, *split.images.shape[1:]), np.repeat(split.labels, len(copies)))


def _paper(split: Split) -> float:
    """The lowest pixel there is: what blank paper is in these data."""
    return float(split.images.min())


def _to(offset: int, side: int) -> slice:
    """Where the rows or columns lie that have been moved by `offset` and are still in the image."""
    return slice(max(offset, 0), side + min(offset, 0))
