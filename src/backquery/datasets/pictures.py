"""The pixels of many labelled pictures: taken as they are where all have one size, else each brought to one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backquery.datasets.dataset import Labelled
from backquery.datasets.images import FORMATS, ink_is_dark, prepare_image, read_brightness, upright_shape
from backquery.errors import DataError

LARGEST_SIDE = 128
"""Pictures of one size are used pixel by pixel up to this height and width."""

USUAL_SHAPE = (28, 28)


def read_pictures(folders: Sequence[Path], found: Sequence[Sequence[tuple[Path, str]]]) -> list[Labelled]:
    """The pictures found in each of the folders, with their labels; all folders have one shape of images."""
    shape = _common_shape([path for half in found for path, _ in half])
    return [_read(folder, half, shape) for folder, half in zip(folders, found, strict=True)]


def _read(folder: Path, found: Sequence[tuple[Path, str]], shape: tuple[int, int] | None) -> Labelled:
    if not found:
        raise DataError(f"{folder}: no pictures in it or in its subfolders; {', '.join(FORMATS)} are read")
    paths = [path for path, _ in found]
    labels = np.array([label for _, label in found])
    if shape is None:
        images = np.stack([prepare_image(path, USUAL_SHAPE) for path in paths])
        return Labelled(np.rint(images).astype(np.uint8), labels, str(folder))
    brightness = [read_brightness(path) for path in paths]
    dark = 2 * sum(map(ink_is_dark, brightness)) >= len(paths)
    pixels = np.rint(np.stack(brightness)).astype(np.uint8)
    return Labelled(255 - pixels if dark else pixels, labels, str(folder))


def _common_shape(paths: Sequence[Path]) -> tuple[int, int] | None:
    """The height and width that all pictures have, or None if they differ or are large."""
    shapes = set()
    for path in paths:
        shapes.add(upright_shape(path))
        if len(shapes) > 1:
            return None
    shape = next(iter(shapes), None)
    return shape if shape is not None and max(shape) <= LARGEST_SIDE else None
