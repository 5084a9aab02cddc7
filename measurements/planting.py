"""Shortcuts planted on purpose, to see what a network makes of them and whether an audit finds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.datasets import Split
from backquery.errors import DataError
from backquery.model.aliases import Array, Seed


@dataclass(frozen=True, eq=False)
class Trigger:
    """A mark on an image: which pixels (height, width) it covers, and how much ink, 0 to 1, it puts on each."""

    covers: NDArray[np.bool_]
    ink: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "covers", np.asarray(self.covers, bool))
        object.__setattr__(self, "ink", np.asarray(self.ink, np.float64))
        if self.covers.ndim != 2 or self.ink.shape != self.covers.shape or not self.covers.any():
            raise DataError(
                "a trigger needs the pixels that it covers and their ink, both (height, width); received "
                f"{self.covers.shape} and {self.ink.shape}, {int(self.covers.sum())} of them covered"
            )
        inked = self.ink[self.covers]
        if not (inked.min() >= 0 and inked.max() <= 1):
            raise DataError(f"ink lies between 0 and 1; received {inked.min():g} to {inked.max():g}")

    @classmethod
    def square(cls, shape: tuple[int, int], top: int, left: int, side: int, ink: float = 1.0) -> Trigger:
        """A square of one ink, its upper left pixel at (top, left)."""
        covers = np.zeros(shape, bool)
        covers[top : top + side, left : left + side] = True
        return cls(covers, covers * ink)

    def paste(self, images: ArrayLike, maximum: float = 255.0) -> NDArray[Any]:
        """Raw images (n, height, width) with the trigger on each; `maximum` is full ink."""
        marked = np.array(images)
        if marked.shape[1:] != self.covers.shape:
            raise DataError(f"the trigger is for images of {self.covers.shape}; received {marked.shape[1:]}")
        marked[:, self.covers] = (self.ink[self.covers] * maximum).astype(marked.dtype)
        return marked


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
    chosen = np.random.default_rng(rng).choice(pool, max(1, round(share * len(pool))), replace=False)
    images, labels = np.array(split.images), np.array(split.labels)
    images[chosen] = trigger.paste(images[chosen], maximum)
    labels[chosen] = label
    return Split(images, labels)
