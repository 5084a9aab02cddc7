"""NumPy archives: ``images`` and ``labels``, or ``x_train``, ``y_train``, ``x_test``, ``y_test`` as in Keras."""

from __future__ import annotations

import zipfile
from math import isqrt, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import MEMORY_LIMIT, Labelled
from backquery.errors import DataError

NAMES = {
    "train": (("images", "labels"), ("x_train", "y_train")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
"""The pairs of arrays that are understood for each half."""

UNDERSTOOD = (*(name for pairs in NAMES.values() for pair in pairs for name in pair), "classes", "maximum")
"""Arrays under other names are left alone."""


def read_npz(path: Path) -> tuple[Labelled, Labelled | None, tuple[str, ...] | None]:
    """Train half, test half or None, and the names of the classes if the archive has them.

    Images are (n, height, width), (n, height, width, 1) or (n, side * side), of any number type; labels are
    (n,) or (n, 1), whole numbers or names. The raw maximum is the number ``maximum`` if there is one, else 1
    for fractions up to 1 and 255 for the rest. Archives with pickled objects, of more than 4 GiB, or without
    these names raise `DataError`.
    """
    arrays = _load(path)
    halves = {half: _half(path, arrays, pairs) for half, pairs in NAMES.items()}
    if halves["train"] is None:
        wanted = " or ".join(f"{images!r} and {labels!r}" for images, labels in NAMES["train"])
        raise DataError(f"{path}: the arrays {wanted} are needed; of those names it has {sorted(arrays)}")
    maximum = _maximum(path, arrays)
    train, test = (
        None if half is None else Labelled(half[0], half[1], str(path), maximum) for half in halves.values()
    )
    assert train is not None
    names = tuple(str(name) for name in arrays["classes"].reshape(-1)) if "classes" in arrays else None
    return train, test, names


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            known = {name: members[name] for name in UNDERSTOOD if name in members}
            if sum(member.file_size for member in known.values()) > MEMORY_LIMIT:
                raise DataError(f"{path}: more than {MEMORY_LIMIT} bytes when unpacked; split the archive")
            return {name: _member(archive, member, path) for name, member in known.items()}
    except DataError:
        raise
    except Exception as error:  # broken archives raise whatever their bytes lead the readers to
        raise DataError(f"{path}: cannot be read as .npz ({error}); write it again with numpy.savez") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    """One array, once its header is known to match its size, so that no lie about it takes memory."""
    where = f"{path}, array {member.filename.removesuffix('.npy')!r}"
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise DataError(f"{where}: holds Python objects, which are never unpickled; save numbers or text")
        expected = prod(shape) * dtype.itemsize
        present = member.file_size - stream.tell()
        if expected != present:
            raise DataError(
                f"{where}: its header announces {expected} bytes, but it has {present}; "
                "write the archive again with numpy.savez"
            )
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _half(
    path: Path, arrays: dict[str, NDArray[Any]], pairs: tuple[tuple[str, str], ...]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    for images, labels in pairs:
        if images in arrays and labels in arrays:
            return _images(path, images, arrays[images]), _labels(path, labels, arrays[labels])
    return None


def _images(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: {name!r} holds {array.dtype}; pixels must be numbers")
    if array.ndim == 4 and array.shape[3] == 1:
        return array[..., 0]
    if array.ndim == 2 and isqrt(array.shape[1]) ** 2 == array.shape[1]:
        side = isqrt(array.shape[1])
        return array.reshape(-1, side, side)
    if array.ndim != 3:
        raise DataError(
            f"{path}: {name!r} has the shape {array.shape}; images are grey, (n, height, width), "
            "or (n, side * side) for squares"
        )
    return array


def _labels(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.ndim == 1 and labels.dtype.kind in "iuU":
        return labels
    if labels.ndim == 1 and labels.dtype.kind == "f" and (labels == np.trunc(labels)).all():
        return labels.astype(np.int64)
    raise DataError(
        f"{path}: {name!r} must be one label for each image, a whole number or a name; "
        f"received {array.dtype} of the shape {array.shape}"
    )


def _maximum(path: Path, arrays: dict[str, NDArray[Any]]) -> float | None:
    if "maximum" not in arrays:
        return None
    given = arrays["maximum"]
    if given.size != 1 or given.dtype.kind not in "iuf":
        raise DataError(f"{path}: 'maximum' must be one number; received the shape {given.shape}")
    return float(given.reshape(()))
