"""The pixels of many labelled pictures: taken as they are where all have one size, else each brought to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled, need_room
from backquery.datasets.images import (
    FORMATS,
    prepare_image,
    read_brightness,
    read_colours,
    small_colours,
    upright_shape,
)
from backquery.datasets.photographs import Brightness
from backquery.errors import DataError

LARGEST_SIDE = 128
"""Pictures of one size are used pixel by pixel up to this height and width."""

USUAL_SHAPE = (28, 28)

USUAL_COLOUR_SHAPE = (32, 32)
"""What pictures in colour of many sizes are brought to."""

LOOKED_AT, LOOKED_AT_SIDE = 50, 32
"""Pictures, at most, whose colours are looked at, and the pixels of a side that they are scaled to for it."""

STRONG_COLOUR, COLOURFUL = 64, 0.2
"""Of 255, by how much red, green and blue differ in a strong colour, more than paper by lamplight; and the share
of a picture from which on such colours are more than ink."""

LUMA = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in brightness, by ITU-R 601."""

LOST = 18.0
"""Of 255: what is lost without colour, root mean square over all pixels, is no more than this by chance."""


@dataclass(frozen=True, eq=False)
class Loose:
    """Labelled pictures of different or large sizes, each to be brought to one shape when it is known how.

    paths: the pictures, or the bytes of their files; labels: (n,) as in `Labelled`; `source` is the folder, for
    messages; `colour` says whether they are to be read in colour.
    """

    paths: Sequence[Path | bytes]
    labels: NDArray[Any]
    source: str
    colour: bool = False
    brightness: bool = True

    def looked_at(self) -> Iterator[Brightness]:
        """Each picture in turn, (height, width), 0 for black to 255 for white."""
        return map(read_brightness, self.paths)

    def prepared(self, shape: tuple[int, int], ink: Literal["dark", "light"], centre: bool) -> NDArray[np.uint8]:
        """The pictures as raw pixels (n, height, width), or (n, height, width, 3) in colour, from 0 to 255.

        See `prepare_image`.
        """
        sides = (*shape, 3) if self.colour else shape
        images = np.empty((len(self.paths), *sides), np.uint8)
        for one, path in zip(images, self.paths, strict=True):
            one[...] = np.rint(prepare_image(path, sides, ink=ink, light="even", centre=centre))
        return images


def read_pictures(
    folders: Sequence[Path], found: Sequence[Sequence[tuple[Path | bytes, str]]], colour: bool | None = None
) -> Sequence[Labelled | Loose]:
    """The pictures found in each of the folders, with their labels: as they are if all have one size.

    In colour where that is told by `colour`, or is not told and most are (`are_in_colour`).
    """
    every = [path for half in found for path, _ in half]
    shape = _common_shape(every)
    for folder, half in zip(folders, found, strict=True):
        if not half:
            raise DataError(f"{folder}: no pictures in it or in its subfolders; {', '.join(FORMATS)} are read")
    colour = are_in_colour(every) if colour is None else colour
    halves = [
        ([path for path, _ in half], np.array([label for _, label in half]), str(folder))
        for folder, half in zip(folders, found, strict=True)
    ]
    if shape is None:
        return [Loose(*half, colour) for half in halves]
    read = _colours if colour else _brightness
    return [Labelled(read(paths), labels, source, brightness=True) for paths, labels, source in halves]


def are_in_colour(paths: Sequence[Path | bytes]) -> bool:
    """Whether pictures are in colour, by so many of them, evenly, that looking at them takes no time.

    They are where most have many strong colours, or where much is lost in grey over all of them together: the
    colours that do not follow from brightness by one straight line, as those of ink on paper do.
    """
    some = paths[:: max(1, -(-len(paths) // LOOKED_AT))]
    pixels = np.stack([small_colours(path, LOOKED_AT_SIDE) for path in some]).astype(np.float64)
    strong = np.ptp(pixels, axis=-1) > STRONG_COLOUR
    colourful = np.mean(strong, axis=(1, 2)) > COLOURFUL
    return bool(np.mean(colourful) > 0.5 or lost_in_grey(pixels.reshape(-1, 3)) > LOST)


def lost_in_grey(colours: NDArray[np.float64]) -> float:
    """How far colours (n, 3) are from those that a straight line gives to their brightness, root mean square."""
    brightness = colours @ np.array(LUMA)
    line = np.column_stack([np.ones(len(colours)), brightness])
    lost = colours - line @ np.linalg.lstsq(line, colours, rcond=None)[0]
    return float(np.sqrt(np.mean(np.sum(lost**2, axis=1))))


def _brightness(paths: Sequence[Path | bytes]) -> NDArray[np.uint8]:
    """Pictures of one size (n, height, width), 0 for black to 255 for white."""
    return _bytes([*upright_shape(paths[0])], read_brightness, paths)


def _colours(paths: Sequence[Path | bytes]) -> NDArray[np.uint8]:
    """Pictures of one size (n, height, width, 3): red, green and blue."""
    return _bytes([*upright_shape(paths[0]), 3], read_colours, paths)


def _bytes(
    shape: Sequence[int], read: Callable[[Path | bytes], NDArray[Any]], paths: Sequence[Path | bytes]
) -> NDArray[np.uint8]:
    """What is read of each path, one after the other, as rounded numbers are no more than bytes."""
    need_room((len(paths), *shape), 1, "these pictures")
    pixels = np.empty((len(paths), *shape), np.uint8)
    for one, path in zip(pixels, paths, strict=True):
        one[...] = np.rint(read(path))
    return pixels


def _common_shape(paths: Sequence[Path | bytes]) -> tuple[int, int] | None:
    """The height and width that all pictures have, or None if they differ or are large."""
    shapes = set()
    for path in paths:
        shapes.add(upright_shape(path))
        if len(shapes) > 1:
            return None
    shape = next(iter(shapes), None)
    return shape if shape is not None and max(shape) <= LARGEST_SIDE else None
