"""Compiled kernels: arrays in, arrays out; what calls them validates first.

The C files beside this one are compiled when the package is built, once for each type of numbers and each width of
vectors, into one library (see `build`). Where that failed, or it cannot be loaded, the exact block algorithm in
NumPy does the work.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.errors import TrainingError

Array = NDArray[Any]

LINE = 64
"""Bytes of a cache line, which the kernels' rows are padded to."""

LIBRARY = "BACKQUERY_KERNELS"
"""The variable that names another library, or is empty for none."""

WIDTH = "BACKQUERY_VECTORS"
"""The variable that chooses the vectors' width among `widths`, by default the widest."""


@once
def _library() -> ctypes.CDLL | None:
    built = next(Path(__file__).parent.glob("compiled.*"), None)
    path = os.environ.get(LIBRARY, built and str(built))
    try:
        return ctypes.CDLL(path) if path else None
    except OSError:
        return None


def available() -> bool:
    """Whether the library is here; where it is not, NumPy does the work."""
    return _library() is not None


@once
def widths() -> tuple[str, ...]:
    """The widths of vectors that this machine can compute with, widest first; none without the library."""
    library = _library()
    if library is None:
        return ()
    library.widths.restype = ctypes.c_char_p
    return tuple(library.widths().decode().split())


def width() -> str:
    """The width in use: the widest, or what BACKQUERY_VECTORS asks for; "" without the library."""
    if not available():
        return ""
    asked = os.environ.get(WIDTH)
    if asked and asked not in widths():
        raise TrainingError(f"{WIDTH} is {asked!r}, but this machine computes with {', '.join(widths())}")
    return asked or widths()[0]


class _Training(ctypes.Structure):
    """`struct training` of online.c."""

    _fields_ = (
        ("layers", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("codes", ctypes.c_void_p),
        ("leaks", ctypes.c_void_p),
        ("biased", ctypes.c_void_p),
        ("loss", ctypes.c_int64),
        ("background", ctypes.c_double),
        ("starts", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("targets", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("later", ctypes.c_void_p),
        ("biases", ctypes.c_void_p),
        ("totals", ctypes.c_void_p),
        ("room", ctypes.c_void_p),
    )


class OnlineTraining:
    """The arrays of one training, as `struct training` of online.c describes them, bound to the kernel.

    All but `layers`, `loss` and `background` are contiguous arrays, in the types that are said there; `places` may
    be None. They are kept here, and written to in place.
    """

    def __init__(self, dtype: np.dtype[Any], loss: int, background: float, **arrays: Array | None) -> None:
        self._arrays = arrays
        pointers = {name: None if a is None else a.ctypes.data for name, a in arrays.items()}
        sizes = arrays["sizes"]
        assert sizes is not None
        self._training = _Training(layers=len(sizes) - 1, loss=loss, background=background, **pointers)
        bytes_of_room = function("room", dtype, ctypes.c_int64)(ctypes.byref(self._training))
        self._room = aligned(np.zeros(bytes_of_room, np.uint8))
        self._training.room = self._room.ctypes.data
        self._train = function("train", dtype, ctypes.c_int64)

    def train(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int:
        """One step for each image of `order`; the position of the first that diverged, or -1."""
        order = np.ascontiguousarray(order)
        return int(
            self._train(
                ctypes.byref(self._training),
                ctypes.c_void_p(order.ctypes.data),
                ctypes.c_int64(len(order)),
                ctypes.c_double(rate),
                ctypes.c_double(rate_after),
            )
        )


def compress(inputs: Array, background: float) -> tuple[Array, Array, Array]:
    """The elements of `inputs` (n, pixels) that differ from `background`, less it, as sparse rows.

    Returns starts (n + 1,), places and values (elements,), as compressed sparse rows have them.
    """
    blank = inputs.dtype.type(background)
    return _compressed("compress", inputs, int(np.count_nonzero(inputs != blank)), inputs.dtype, background)


def compress_pixels(pixels: NDArray[np.uint8], gain: float, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """The inked pixels of raw images (n, pixels), times `gain`, as the sparse rows of `compress`."""
    return _compressed("compress_pixels", pixels, int(np.count_nonzero(pixels)), dtype, gain)


def _compressed(
    name: str, images: Array, used: int, dtype: np.dtype[Any], number: float
) -> tuple[Array, Array, Array]:
    images = np.ascontiguousarray(images)
    starts = np.empty(len(images) + 1, np.int64)
    places, values = np.empty(used + 1, np.uint32), np.empty(used + 1, dtype)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (images, starts, places, values)]
    counts = (ctypes.c_int64(n) for n in images.shape)
    function(name, dtype)(pointers[0], *counts, ctypes.c_double(number), *pointers[1:])
    return starts, places[:used], values[:used]


def aligned(values: Array) -> Array:
    """A copy (n,) that begins at a cache line."""
    room = np.empty(values.nbytes + LINE, np.uint8)
    skip = -room.ctypes.data % LINE
    copy = room[skip : skip + values.nbytes].view(values.dtype)
    copy[:] = values
    return copy


def function(name: str, dtype: DTypeLike, result: Any = None) -> Any:
    """The library's function of that name for a type of numbers, in the width in use."""
    function = getattr(_library(), f"{name}_{np.dtype(dtype).name}_{width()}")
    function.restype = result
    return function
