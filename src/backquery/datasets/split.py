"""One half of a data set: labelled images as a checked, frozen value, and how to part it in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError
from backquery.model import Labels, Pixels, Seed, brief, generator_of
from backquery.model.declared import declared, declared_value

HELD_OUT = 0.2
"""The share of each label's images to test on where the data have no test half."""


@declared_value(DataError)
@dataclass(frozen=True, eq=False)
class Split:
    """One half of a data set: raw images and their labels, both read-only.

    images: (n, height, width), uint8 or floating raw pixels, 0 for paper and the data set's maximum for ink, or
    (n, height, width, 3) for red, green and blue, 0 for none of it; labels: (n,), int64 positions into the data
    set's classes. Anything else raises `DataError`.
    """

    __repr__ = brief

    images: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        images, labels = _raw_pixels(self.images), _whole_labels(self.labels)
        if (images.ndim != 3 and images.shape[3:] != (3,)) or 0 in images.shape[1:]:
            raise DataError(
                "images must have the shape (n, height, width), or (n, height, width, 3) in colour; "
                f"received {images.shape}"
            )
        if len(images) != len(labels):
            raise DataError(f"every image needs one label: {len(images)} images, {len(labels)} labels")
        if not len(images):
            raise DataError("there are no images; at least one is needed")
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, which: ArrayLike | slice) -> Split:
        """The images that `which` picks: a slice, positions, or a Boolean mask of shape (n,)."""
        index = which if isinstance(which, slice) else np.asarray(which)
        return Split(self.images[index], self.labels[index])


@declared(DataError)
def split_off_test(split: Split, share: float = HELD_OUT, *, rng: Seed = None) -> tuple[Split, Split]:
    """Hold out a random `share` of each label's images: (the rest, the held out), both in their old order.

    At least one image of every label stays in the first half. A share that is not between 0 and 1, or holds out
    nothing, raises `DataError`.
    """
    if not 0 < share < 1:
        raise DataError(f"the share to hold out must lie between 0 and 1; received {share}")
    generator = generator_of(rng)
    held = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = np.flatnonzero(split.labels == label)
        count = min(round(share * len(members)), len(members) - 1)
        held[generator.choice(members, count, replace=False)] = True
    if not held.any():
        raise DataError(f"there are too few images ({len(split)}) to hold out {share} of them; give a test half")
    return split.select(~held), split.select(held)


def _raw_pixels(images: ArrayLike) -> Pixels:
    pixels = np.asarray(images)
    if pixels.dtype in (np.uint8, np.float32, np.float64):
        return pixels
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32 if pixels.dtype.itemsize < 4 else np.float64)
    if pixels.dtype.kind not in "biu":
        raise DataError(f"pixels must be numbers; received {pixels.dtype}")
    small = not pixels.size or (pixels.min() >= 0 and pixels.max() <= 255)
    return pixels.astype(np.uint8 if small else np.float64)


def _whole_labels(labels: ArrayLike) -> Labels:
    numbers = np.asarray(labels)
    if numbers.ndim != 1:
        raise DataError(f"labels must have the shape (n,); received {numbers.shape}")
    if numbers.size and numbers.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers; received {numbers.dtype}")
    return numbers.astype(np.int64)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.setflags(write=False)
    return view
