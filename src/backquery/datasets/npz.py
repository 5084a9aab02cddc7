"""NumPy's files: archives (``.npz``), whatever names their arrays have, and single arrays beside one another."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.arrays import Stored, choose, read_chosen, same_set
from backquery.datasets.dataset import Labelled
from backquery.datasets.labels import MOST_CLASSES
from backquery.datasets.options import AS_FOUND, Reading
from backquery.errors import DataError

NPY = b"\x93NUMPY"
"""What a file with a single array begins with."""

Singles = Mapping[str, tuple[Path, Stored]]
"""Single arrays by the names of their files."""


def read_npz(path: Path, how: Reading = AS_FOUND) -> tuple[Labelled, Labelled | None, tuple[str, ...] | None]:
    """Train half, test half or None, and the names of the classes if the archive has them.

    Arrays are found by their names: MedMNIST's, Keras', ``X`` and ``y``, ``data`` and ``target`` and the like (as
    `names` knows them), or those that `how` names. Images are as `images_from_array` takes them, labels as
    `labels_from_array`. ``maximum``, one number, is the raw pixel for full ink. Archives with pickled objects, of
    more than 4 GiB, or with none of these names raise `DataError`, which lists what is there.
    """
    stored = stored_in(path)
    chosen = choose(stored, str(path), how)
    train, test = read_chosen(stored, chosen, str(path), how, maximum=_maximum(path, stored))
    told = next((name for name in ("classes", "class_names") if name in stored and name not in chosen.names), None)
    if told is not None and prod(stored[told].shape) > MOST_CLASSES:
        raise DataError(f"{path}: {told!r} names {prod(stored[told].shape):,} classes; {MOST_CLASSES} are allowed")
    names = None if told is None else stored[told].read()
    return train, test, None if names is None else tuple(str(name) for name in names.reshape(-1))


def stored_in(path: Path) -> dict[str, Stored]:
    """The arrays of an archive by name, or the one array of a ``.npy`` file by the file's name."""
    try:
        with path.open("rb") as stream:
            if stream.read(len(NPY)) == NPY:
                return {path.stem: _single(path)}
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            return {member.filename.removesuffix(".npy"): _member(archive, member, path) for member in members}
    except DataError:
        raise
    except Exception as error:  # broken archives raise whatever their bytes lead the readers to
        raise _broken(path, error) from error


def single_arrays(path: Path) -> Singles:
    """The file's only array and those of the files beside it, by the names of the files, if they make one set.

    KMNIST has ``kmnist-train-imgs.npz`` and ``kmnist-train-labels.npz`` with one array each; others have
    ``X.npy`` and ``y.npy``. Empty where the file holds several arrays.
    """
    if len(stored_in(path)) != 1:
        return {}
    found: dict[str, tuple[Path, Stored]] = {}
    for other in sorted(path.parent.iterdir()):
        if other.suffix == path.suffix and other.is_file() and same_set(other.stem, path.stem):
            arrays = list(stored_in(other).values())
            if len(arrays) == 1:
                found[other.stem] = (other, arrays[0])
    return found


def files_of(singles: Singles, source: Path, how: Reading) -> list[Path]:
    """The files among these that are read: images and labels of one half or two."""
    chosen = choose({name: array for name, (_, array) in singles.items()}, str(source), how)
    return [singles[name][0] for name in chosen.names]


def read_singles(singles: Singles, source: Path, how: Reading) -> tuple[Labelled, Labelled | None]:
    """The train half, and the test half or None, from single arrays."""
    stored = {name: array for name, (_, array) in singles.items()}
    return read_chosen(stored, choose(stored, str(source), how), str(source), how)


def _single(path: Path) -> Stored:
    with path.open("rb") as stream:
        shape, dtype = _header(stream, path.stat().st_size, str(path))

    def read() -> NDArray[Any]:
        with path.open("rb") as stream:
            return _array(stream, dtype, path, str(path))

    return Stored(shape, str(dtype), read)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Stored:
    where = f"{path}, array {member.filename.removesuffix('.npy')!r}"
    with archive.open(member) as stream:
        shape, dtype = _header(stream, member.file_size, where)

    def read() -> NDArray[Any]:
        with zipfile.ZipFile(path) as again, again.open(member) as stream:
            return _array(stream, dtype, path, where)

    return Stored(shape, str(dtype), read)


def _header(stream: IO[bytes], size: int, where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type, once they are known to match the size, so that no lie about it takes memory."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.itemsize:
        raise DataError(f"{where}: its values have no width; write it again with NumPy")
    expected, present = prod(shape) * dtype.itemsize, size - stream.tell()
    if expected != present and not dtype.hasobject:
        raise DataError(
            f"{where}: its header announces {expected} bytes, but it has {present}; write it again with NumPy"
        )
    return shape, dtype


def _array(stream: IO[bytes], dtype: np.dtype[Any], path: Path, where: str) -> NDArray[Any]:
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which are never unpickled; save numbers or text")
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if dtype.kind == "U" and np.any(np.ascontiguousarray(array).view(f"{dtype.byteorder}u4") > sys.maxunicode):
            raise ValueError("its text holds numbers that are no characters")
        return array
    except Exception as error:  # as above
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as {path.suffix or '.npz'} ({error}); write it again with NumPy")


def _maximum(path: Path, stored: Mapping[str, Stored]) -> float | None:
    if "maximum" not in stored:
        return None
    given = stored["maximum"].read()
    if given.size != 1 or given.dtype.kind not in "iuf":
        raise DataError(f"{path}: 'maximum' must be one number; received the shape {given.shape}")
    return float(given.reshape(()))
