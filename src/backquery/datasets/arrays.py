"""Images and labels among arrays that have names: which belong together, and in which order their sides stand.

What archives, single ``.npy`` files and ``.mat`` files have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import MEMORY_LIMIT, Labelled, need_room
from backquery.datasets.labels import labels_from_array
from backquery.datasets.names import Half, beside, pairs, said
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.table import makes_images
from backquery.errors import DataError, assume
from backquery.model import Layout, Shape

ABOUT_THE_OTHERS = ("classes", "maximum", "class_names")
"""Arrays under these names say something about the others."""

COLOURS = (3, 4)
"""So many channels have pictures in colour: red, green and blue, and perhaps how opaque they are."""

MOST_NAMED = 20
"""So many arrays are listed in a message."""


class Stored(NamedTuple):
    """An array that lies in a file: its shape and type are known, its values are read when they are needed."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], NDArray[Any]]


class Chosen(NamedTuple):
    """The names of the arrays of images and of labels, for the train half, and the test half if there is one."""

    train: tuple[str, str]
    test: tuple[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.train, *(self.test or ()))


def choose(stored: Mapping[str, Stored], source: str, how: Reading) -> Chosen:
    """Which arrays to read: those that `how` names, else those whose names tell, else the only ones that fit.

    Where that leaves it open, `DataError` lists what is there.
    """
    if how.images is not None or how.labels is not None:
        return Chosen(_named(stored, source, how))
    others = [name for name in stored if name.lower() not in ABOUT_THE_OTHERS]
    chosen = _by_names(others, source) or _by_names(stored, source) or _by_shapes(stored, source)
    if chosen is None:
        raise DataError(f"{source}: which arrays are the images and their labels? {_listing(stored)}")
    return chosen


def read_chosen(
    stored: Mapping[str, Stored], chosen: Chosen, source: str, how: Reading = AS_FOUND, **known: Any
) -> tuple[Labelled, Labelled | None]:
    """The train half, and the test half or None, with what is `known` of all the images (`Labelled`)."""
    if sum(_size(stored[name]) for name in chosen.names) > MEMORY_LIMIT:
        raise DataError(f"{source}: more than {MEMORY_LIMIT} bytes when unpacked; split the file")
    halves = [stored[images] for images, _ in filter(None, chosen)]
    pixels = sum(prod(half.shape) for half in halves)
    need_room((pixels,), sum(map(_size, halves)) // max(1, pixels), source)

    def half(images: str, labels: str) -> Labelled:
        targets = labels_from_array(stored[labels].read(), f"{source}: {labels!r}")
        pixels = images_from_array(stored[images].read(), len(targets), f"{source}: {images!r}", how.shape)
        return Labelled(pixels, targets, source, **known)

    return half(*chosen.train), None if chosen.test is None else half(*chosen.test)


def images_from_array(array: NDArray[Any], count: int, where: str, shape: Shape | None = None) -> NDArray[Any]:
    """Images (count, height, width) from an array that holds them first to last or last to first, flat or not.

    (n, height, width), with 1 for a channel behind n or at the end, and (n, side * side), or rows of pixels that
    make images of `shape`; or n at the end, as MATLAB has it. With 3 for a channel behind n or at the end they are
    in colour, and become (count, height, width, 3); a fourth channel must say that nothing is transparent. Any
    other array, and numbers of images and labels that differ, raise `DataError`.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} holds {array.dtype}; pixels must be numbers")
    if _is_last_to_first(array.shape, count):
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    images = _with_channels_last(_as_told(array, shape, where), where)
    if images.ndim != 3 and images.shape[3:] != (3,):
        raise DataError(
            f"{where} has the shape {array.shape}; images are (n, height, width), (n, height, width, 3) in "
            "colour, or (n, side * side) for squares; --shape 20,28 or 32,32,3 (in Python Reading(shape=...)) "
            "says what image a row makes"
        )
    if len(images) != count:
        raise DataError(f"{where} holds {len(images)} images, but there are {count} labels; each image needs one")
    return images


def _is_last_to_first(shape: tuple[int, ...], count: int) -> bool:
    """Whether the images are counted by the last side, and cannot be by the first."""
    if len(shape) < 2 or shape[-1] != count or shape[0] == count:
        return False
    return (
        count > max(shape[:-1])
        or (len(shape) == 2 and makes_images(shape[0]) and not makes_images(count))
        or (len(shape) == 4 and shape[2] in COLOURS and shape[3] not in COLOURS)
    )


def _as_told(array: NDArray[Any], shape: Shape | None, where: str) -> NDArray[Any]:
    """Rows of pixels as images: of the shape that was told, or else square."""
    if array.ndim != 2:
        return array
    if shape is not None:
        if prod(shape) != array.shape[1]:
            raise DataError(
                f"{where} holds rows of {array.shape[1]} pixels, which make no image of the shape {shape}"
            )
        return array.reshape(-1, *shape)
    side = isqrt(array.shape[1])
    return array.reshape(-1, side, side) if makes_images(array.shape[1]) else array


def _with_channels_last(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Images (n, height, width), or (n, height, width, 3) in colour, wherever their channels stand."""
    if array.ndim != 4:
        return array
    for axis in (3, 1):
        if array.shape[axis] == 1:
            return np.squeeze(array, axis)
    layout = Layout.of(array.shape[1:])
    if layout.channels not in COLOURS:
        return array
    images = np.moveaxis(array, 1, -1) if layout.channels_first else array
    if layout.channels == 4:
        images = _without_transparency(images, where)
    return np.ascontiguousarray(images)


def _without_transparency(images: NDArray[Any], where: str) -> NDArray[Any]:
    opacity = images[..., 3]
    if (opacity != opacity.max()).any():
        raise DataError(
            f"{where} holds pictures that are transparent in parts, shape {images.shape}; lay them on a ground, "
            "and save red, green and blue alone"
        )
    return images[..., :3]


def _named(stored: Mapping[str, Stored], source: str, how: Reading) -> tuple[str, str]:
    images = how.images or beside(str(how.labels), stored, kind="images")
    labels = how.labels or beside(str(how.images), stored, kind="labels")
    for option, name in (("--images", images), ("--labels", labels)):
        if name is None or name not in stored:
            missing = f"there is no array {name!r}" if name else f"{option} is needed, too"
            raise DataError(f"{source}: {missing}; {_listing(stored)}")
    return str(images), str(labels)


def _by_names(names: Mapping[str, Stored] | list[str], source: str) -> Chosen | None:
    """The halves by their names, if there is one set of them; what is left out of it is said."""
    sets: dict[tuple[str, ...], dict[Half | None, tuple[str, str]]] = {}
    for (half, rest), pair in pairs(names).items():
        sets.setdefault(rest, {})[half] = pair
    halves = next(iter(sets.values())) if len(sets) == 1 else sets.get(())
    if halves is None:
        return None
    order: tuple[Half | None, ...] = ("train", None, "test", "validation")
    train, *others = [halves[half] for half in order if half in halves]
    test = next((halves[half] for half in ("test", "validation") if halves.get(half) in others), None)
    if unused := [images for images, _ in others if (images, _) != test]:
        assume(
            f"{source}: {' and '.join(map(repr, unused))} left out, as there are train and test images without; "
            "--images and --labels read them instead"
        )
    return Chosen(train, test)


def _by_shapes(stored: Mapping[str, Stored], source: str) -> Chosen | None:
    """The only array that can be images with the only one that can be their labels, which is said."""
    several = [name for name, array in stored.items() if array.shape and _count(array) > 1]
    labels = [name for name in several if prod(stored[name].shape) == max(stored[name].shape)]
    images = [name for name in several if name not in labels]
    fitting = [(i, k) for i in images for k in labels if _count(stored[i]) == _count(stored[k])]
    if len(fitting) != 1:
        return None
    assume(
        f"{source}: {fitting[0][0]!r} was taken for the images and {fitting[0][1]!r} for their labels, by their "
        "shapes; --images and --labels say otherwise"
    )
    return Chosen(fitting[0])


def _count(array: Stored) -> int:
    return max(array.shape) if prod(array.shape) == max(array.shape) else array.shape[0]


def _size(array: Stored) -> int:
    try:
        return prod(array.shape) * np.dtype(array.dtype).itemsize
    except TypeError:  # records, of which no reader makes images
        return prod(array.shape)


def _listing(stored: Mapping[str, Stored]) -> str:
    there = [f"{name} {array.dtype} {array.shape}" for name, array in stored.items()]
    more = f", and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return f"it has {', '.join(there[:MOST_NAMED]) or 'none'}{more}; choose with --images NAME --labels NAME"


def same_set(name: str, other: str) -> bool:
    """Whether two names of files differ at most in their half and in what they hold."""
    return said(name).rest == said(other).rest
