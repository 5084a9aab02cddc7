"""Frames: lines around images that are no paper, though they lie on the border; the ground is what lies within."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEEPEST = 8
"""A frame is no wider than this part of an image's shorter side."""

UNIFORM, OPPOSITE = 0.95, 0.8
"""Shares of a ring of pixels: a frame's, that is of one shade, and the one within, that is of the other."""

ALL = 0.75
"""Images have a frame if this share of them has one of the same width."""


def frame_width(images: NDArray[Any]) -> int:
    """How many pixels wide the frame around nearly all images (n, height, width) is; 0 if there is none."""
    deepest = min(images.shape[1:]) // DEEPEST
    if not deepest or not len(images):
        return 0
    numbers = images.astype(np.float32)
    flat = numbers.reshape(len(numbers), -1)
    above = numbers > ((flat.max(axis=1) + flat.min(axis=1)) / 2)[:, None, None]
    # Of each ring, from the outermost inwards, the share that is on the outermost one's side.
    outer = border(above, 0).mean(axis=1) > 0.5
    alike = np.stack([np.mean(border(above, deep) == outer[:, None], axis=1) for deep in range(deepest + 1)])
    for width in range(1, deepest + 1):
        # The innermost line of a wider frame may be half of each shade.
        framed = (alike[: max(1, width - 1)] >= UNIFORM).all(axis=0) & (alike[width] <= 1 - OPPOSITE)
        if framed.mean() >= ALL:
            return width
    return 0


def within_frame(images: NDArray[Any], width: int) -> NDArray[Any]:
    """What lies within a frame of that width."""
    return images[:, width:-width, width:-width] if width else images


def border(images: NDArray[Any], deep: int = 0) -> NDArray[Any]:
    """The outermost pixels (n, count) of images, or those so deep within."""
    inner = within_frame(images, deep)
    edges = (inner[:, 0], inner[:, -1], inner[:, 1:-1, 0], inner[:, 1:-1, -1])
    return np.concatenate(edges, axis=1)
