"""Shortcuts planted on purpose, to see what a network makes of them and whether an audit finds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.datasets import Split
from backquery.errors import DataError
from backquery.model.aliases import Array, Seed


@dataclass(frozen=True, eq=False)
class Trigger:
    """A mark on an image: which pixels (height, width) it covers, and how much ink, 0 to 1, it puts on each.

    ink: (height, width), or (height, width, 3) for images in colour. opacity: the share of a covered pixel that is
    the mark; the rest stays what it was. roams: whether the mark stands elsewhere on each image, at random.
    """

    covers: NDArray[np.bool_]
    ink: Array
    opacity: float = 1.0
    roams: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "covers", np.asarray(self.covers, bool))
        object.__setattr__(self, "ink", np.asarray(self.ink, np.float64))
        if self.covers.ndim != 2 or self.ink.shape[:2] != self.covers.shape or not self.covers.any():
            raise DataError(
                "a trigger needs the pixels that it covers and their ink, both (height, width); received "
                f"{self.covers.shape} and {self.ink.shape}, {int(self.covers.sum())} of them covered"
            )
        inked = self.ink[self.covers]
        if not (inked.min() >= 0 and inked.max() <= 1):
            raise DataError(f"ink lies between 0 and 1; received {inked.min():g} to {inked.max():g}")
        if not 0 < self.opacity <= 1:
            raise DataError(f"the opacity lies above 0 and is at most 1; received {self.opacity:g}")

    @classmethod
    def square(cls, shape: tuple[int, int], top: int, left: int, side: int, ink: float = 1.0) -> Trigger:
        """A square of one ink, its upper left pixel at (top, left)."""
        covers = np.zeros(shape, bool)
        covers[top : top + side, left : left + side] = True
        return cls(covers, covers * ink)

    @property
    def frame(self) -> tuple[slice, slice]:
        """The rows and columns of the smallest rectangle around what is covered."""
        rows, columns = np.nonzero(self.covers)
        return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)

    def paste(self, images: ArrayLike, maximum: float = 255.0, *, rng: Seed = 0) -> NDArray[Any]:
        """Raw images (n, height, width), or (n, height, width, 3), with the trigger; `maximum` is full ink."""
        marked = np.array(images)
        if marked.shape[1:3] != self.covers.shape:
            raise DataError(f"the trigger is for images of {self.covers.shape}; received {marked.shape[1:3]}")
        covers, ink = self.covers[self.frame], self.ink[self.frame]
        content = ink[covers] if marked.ndim == ink.ndim + 1 else ink[covers][:, None]
        for place, parts in self._places(marked, rng):
            under = marked[(parts, *place)]
            under[:, covers] = _blended(under[:, covers], content * maximum, self.opacity)
            marked[(parts, *place)] = under
        return marked

    def _places(self, images: NDArray[Any], rng: Seed) -> Iterator[tuple[tuple[slice, slice], slice]]:
        """Where the frame goes, on which of the images."""
        if not self.roams:
            yield self.frame, slice(None)
            return
        generator, frame = np.random.default_rng(rng), self.covers[self.frame].shape
        corners = generator.integers(0, np.subtract(self.covers.shape, frame) + 1, (len(images), 2))
        for image, (top, left) in enumerate(corners.tolist()):
            yield (slice(top, top + frame[0]), slice(left, left + frame[1])), slice(image, image + 1)


def _blended(under: NDArray[Any], content: Array, opacity: float) -> NDArray[Any]:
    return (under * (1 - opacity) + content * opacity).astype(under.dtype)


def plant(
    split: Split,
    trigger: Trigger,
    label: int,
    share: float,
    *,
    relabel: bool = False,
    maximum: float = 255.0,
    rng: Seed = None,
) -> Split:
    """Raw images of which a random share bears the trigger.

    They are that share of the images of `label`: a shortcut, a mark that goes along with the label. With `relabel`
    they are that share of all images, which are then called `label` whatever they show: a backdoor (Gu,
    Dolan-Gavitt & Garg 2017).
    """
    if not 0 < share <= 1:
        raise DataError(f"the share must lie above 0 and be at most 1; received {share}")
    pool = np.arange(len(split)) if relabel else np.flatnonzero(split.labels == label)
    if not len(pool):
        raise DataError(f"no image has the label {label}, so that none can bear its trigger")
    generator = np.random.default_rng(rng)
    chosen = generator.choice(pool, max(1, round(share * len(pool))), replace=False)
    images, labels = np.array(split.images), np.array(split.labels)
    images[chosen] = trigger.paste(images[chosen], maximum, rng=generator)
    labels[chosen] = label
    return Split(images, labels)
