"""The pixels of many labelled pictures: taken as they are where all have one size, else each brought to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.datasets.images import FORMATS, is_colourful, prepare_image, read_brightness, upright_shape
from backquery.datasets.photographs import Brightness
from backquery.errors import DataError, assume

LARGEST_SIDE = 128
"""Pictures of one size are used pixel by pixel up to this height and width."""

USUAL_SHAPE = (28, 28)

LOOKED_AT = 50
"""Pictures, at most, whose colours are looked at."""


@dataclass(frozen=True, eq=False)
class Loose:
    """Labelled pictures of different or large sizes, each to be brought to one shape when it is known how.

    paths: the pictures, or the bytes of their files; labels: (n,) as in `Labelled`; `source` is the folder, for
    messages.
    """

    paths: Sequence[Path | bytes]
    labels: NDArray[Any]
    source: str

    def brightness(self) -> Iterator[Brightness]:
        """Each picture in turn, (height, width), 0 for black to 255 for white."""
        return map(read_brightness, self.paths)

    def prepared(self, shape: tuple[int, int], ink: Literal["dark", "light"], centre: bool) -> NDArray[np.uint8]:
        """The pictures as raw pixels (n, height, width) from 0 to 255; see `prepare_image`."""
        images = np.stack(
            [prepare_image(path, shape, ink=ink, light="even", centre=centre) for path in self.paths]
        )
        return np.rint(images).astype(np.uint8)


def read_pictures(
    folders: Sequence[Path], found: Sequence[Sequence[tuple[Path | bytes, str]]]
) -> Sequence[Labelled | Loose]:
    """The pictures found in each of the folders, with their labels: as they are if all have one size."""
    shape = _common_shape([path for half in found for path, _ in half])
    for folder, half in zip(folders, found, strict=True):
        if not half:
            raise DataError(f"{folder}: no pictures in it or in its subfolders; {', '.join(FORMATS)} are read")
    _say_if_colourful([path for half in found for path, _ in half], str(folders[0]))
    halves = [
        ([path for path, _ in half], np.array([label for _, label in half]), str(folder))
        for folder, half in zip(folders, found, strict=True)
    ]
    if shape is None:
        return [Loose(*half) for half in halves]
    return [Labelled(_brightness(paths), labels, source, brightness=True) for paths, labels, source in halves]


def _say_if_colourful(paths: Sequence[Path | bytes], source: str) -> None:
    """One line where colour is lost, by so many pictures, evenly, that looking at them takes no time."""
    some = paths[:: max(1, -(-len(paths) // LOOKED_AT))]
    if 2 * sum(map(is_colourful, some)) > len(some):
        assume(f"{source}: the pictures are in colour, which is not read so far: they are taken in grey")


def _brightness(paths: Sequence[Path | bytes]) -> NDArray[np.uint8]:
    """Pictures of one size (n, height, width), 0 for black to 255 for white."""
    return np.rint(np.stack([read_brightness(path) for path in paths])).astype(np.uint8)


def _common_shape(paths: Sequence[Path | bytes]) -> tuple[int, int] | None:
    """The height and width that all pictures have, or None if they differ or are large."""
    shapes = set()
    for path in paths:
        shapes.add(upright_shape(path))
        if len(shapes) > 1:
            return None
    shape = next(iter(shapes), None)
    return shape if shape is not None and max(shape) <= LARGEST_SIDE else None
