"""Grey or in colour: how the one becomes the other, so that both halves are alike and as a model takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.datasets.options import Reading
from backquery.datasets.pictures import LUMA, Loose
from backquery.errors import DataError, assume

Found = Labelled | Loose
"""What a reader brings: numbers, or pictures that have yet to be brought to one size."""

BY_HAND = "--colour or --no-colour (in Python Reading(colour=...)) says otherwise"


class Asked(NamedTuple):
    """Whether a model takes colours, as far as it is known, and how many inputs it has if only that is known."""

    colour: bool | None = None
    inputs: int | None = None


def one_kind(found: Sequence[Found], how: Reading, asked: Asked | None = None) -> list[Found]:
    """All halves in grey or all in colour: as the model takes them, else as was told, else as they are.

    What is not told, and nowhere certain, is said. `DataError` where the model takes grey and colours were told.
    """
    there = any(half.colour and not _is_grey(half) for half in found)
    wanted = None if asked is None else _wanted(found, asked)
    if how.colour and wanted is False:
        raise DataError(f"{found[0].source}: the model takes grey images, and colours were asked for (--colour)")
    seen = there if how.colour is None else how.colour
    colour = seen if wanted is None else wanted
    if how.colour is None:
        _say(found, there, wanted)
    grey = [half if seen else in_grey(half) for half in found]
    return [in_colour(half) if colour else in_grey(half) for half in grey]


def in_grey(half: Found) -> Found:
    """The same half without colours."""
    if isinstance(half, Loose):
        return replace(half, colour=False)
    return replace(half, images=luma(half.images)) if half.colour else half


def in_colour(half: Found) -> Found:
    """The same half in colour: what is grey in three equal ones."""
    if isinstance(half, Loose):
        return replace(half, colour=True)
    return half if half.colour else replace(half, images=equal_colours(half.images))


def luma(images: NDArray[Any]) -> NDArray[Any]:
    """Brightness (...) of colours (..., 3) by ITU-R 601; of bytes as Pillow has it, bit by bit."""
    if images.dtype == np.uint8:
        return _luma_of_bytes(images)
    kind = images.dtype if images.dtype.kind == "f" else np.dtype(np.float64)
    grey: NDArray[Any] = images.astype(kind) @ np.array(LUMA, kind)
    return np.rint(grey).astype(images.dtype) if images.dtype.kind in "iu" else grey


def _luma_of_bytes(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = np.empty(images.shape[:-1], np.uint8)
    # Image by image, as the sums take four times the memory.
    for one, becomes in zip(images, grey, strict=True):
        becomes[...] = (one.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32) + 0x8000) >> 16
    return grey


def equal_colours(images: NDArray[Any]) -> NDArray[Any]:
    """Grey images (...) in three equal colours (..., 3)."""
    return np.repeat(images[..., None], 3, axis=-1)


def square_colours(inputs: int) -> int | None:
    """The side of a square image in colour with so many numbers; None where there is none."""
    side = isqrt(inputs // 3)
    return side if 3 * side**2 == inputs else None


def _is_grey(half: Found) -> bool:
    """Whether all three colours of all numbers are the same."""
    if isinstance(half, Loose):
        return not half.colour
    red, green, blue = np.moveaxis(half.images, -1, 0)
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def _wanted(found: Sequence[Found], asked: Asked) -> bool | None:
    """Whether the model takes colours: as it says itself, or as only one of both has as many numbers."""
    if asked.inputs is None:
        return asked.colour
    pixels = {prod(half.images.shape[1:3]) for half in found if isinstance(half, Labelled)}
    if pixels in ({asked.inputs}, {asked.inputs / 3}):
        return pixels != {asked.inputs}
    return square_colours(asked.inputs) is not None


def _say(found: Sequence[Found], there: bool, wanted: bool | None) -> None:
    source = found[0].source
    if there and wanted is False:
        assume(f"{source}: the images are in colour, and are taken in grey, as the model takes them")
    elif there and wanted is None and any(half.brightness for half in found):
        assume(f"{source}: the pictures are in colour, and are read so; {BY_HAND}")
    elif wanted and not there:
        assume(f"{source}: the images are grey, and the model takes them in three equal colours")
