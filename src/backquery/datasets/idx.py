"""IDX, the format of MNIST's own files: a big-endian header, then the values, gzipped or not.

Four bytes 0, 0, type and number of dimensions, then each dimension as an unsigned 32-bit number. Source: the
description by LeCun, Cortes and Burges on MNIST's home page.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import MEMORY_LIMIT, Labelled, need_room
from backquery.errors import DataError
from backquery.files import replacing

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The third byte of the header, and the values it announces."""

HALVES = {"train": "train", "test": "t10k"}
"""What MNIST calls the two halves in its files' names."""

_IMAGES = re.compile(r"(?P<set>.*?)(?P<half>train|t10k|test)-images[-.]idx3-ubyte(?:\.gz)?")

MOST_DIMENSIONS = 8
BEST_COMPRESSION = 1032
"""Deflate cannot make anything smaller than by this factor, so a header that says more is not true."""


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, of the shape its header gives, in native byte order.

    The header is checked against the size of the file before any memory is taken for the values. A file that
    is not IDX, is cut short, longer than its header says, or larger than 4 GiB raises `DataError`.
    """
    try:
        with _opened(path) as stream:
            dtype, shape = _header(stream, path)
            # Where one length is 0 the others are too much for NumPy all the same.
            _check_memory(path, prod(max(length, 1) for length in shape) * dtype.itemsize)
            _check_size(path, _header_bytes(len(shape)) + prod(shape) * dtype.itemsize)
            need_room(shape, dtype.itemsize, str(path))
            values = np.empty(shape, dtype)
            _fill(stream, values, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as IDX ({error}); fetch or copy the file again") from error
    return values.astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: Path, values: NDArray[Any]) -> None:
    """Write an array as IDX, gzipped if the name ends in ``.gz``; types that IDX lacks raise `DataError`."""
    codes = {np.dtype(text).newbyteorder("="): code for code, text in TYPES.items()}
    code = codes.get(values.dtype.newbyteorder("="))
    if code is None or not 1 <= values.ndim <= MOST_DIMENSIONS:
        raise DataError(
            f"IDX holds {', '.join(str(dtype) for dtype in codes)} in 1 to {MOST_DIMENSIONS} dimensions; "
            f"received {values.dtype} in {values.ndim}"
        )
    header = struct.pack(f">4B{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    content = header + values.astype(TYPES[code]).tobytes()
    with replacing(path) as stream:
        # A fixed time makes the same array give the same bytes.
        stream.write(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_pair(images: Path, labels: Path) -> Labelled:
    """Images (n, height, width), or (n, height, width, 3) in colour, and labels (n,) from two files."""
    pixels, numbers = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 and pixels.shape[3:] != (3,):
        raise DataError(
            f"{images}: the shape {pixels.shape}; images have three axes, (n, height, width), and in colour a "
            "fourth of length 3"
        )
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise DataError(f"{labels}: labels must be one row of whole numbers")
    if len(pixels) != len(numbers):
        raise DataError(f"{images} holds {len(pixels)} images, but {labels} {len(numbers)} labels")
    return Labelled(pixels, numbers, str(images))


def sets_in(folder: Path) -> dict[str, list[tuple[Path, Path]]]:
    """The pairs of files, train half first, of each data set whose files lie in the folder under MNIST's names.

    A set is known by what stands before ``train`` in its names: nothing for MNIST, ``emnist-letters-`` for one of
    EMNIST's. Sets without a train half are left out.
    """
    named = [match for path in sorted(folder.iterdir()) if (match := _IMAGES.fullmatch(path.name))]
    halves = {(match["set"], match["half"]) for match in named}
    return {
        name: pairs
        for name in sorted({name for name, half in halves if half == "train"})
        if (pairs := _halves(folder, name)) and find_pair(folder, f"{name}train")
    }


def pairs_of(images: Path) -> list[tuple[Path, Path]] | None:
    """The pairs of the halves that a file of images belongs to, itself first; None without its labels.

    Only a train half brings its test half with it.
    """
    match = _IMAGES.fullmatch(images.name)
    pair = find_pair(images.parent, f"{match['set']}{match['half']}") if match else None
    labels = labels_beside(images) if pair is None else pair[1]
    if labels is None:
        return None
    train = match is not None and match["half"] == "train"
    return [(images, labels), *(_halves(images.parent, match["set"])[1:] if match and train else [])]


def _halves(folder: Path, name: str) -> list[tuple[Path, Path]]:
    return find_pairs(folder, (f"{name}train", f"{name}t10k", f"{name}test"))[:2]


def find_pairs(folder: Path, prefixes: Iterable[str] = tuple(HALVES.values())) -> list[tuple[Path, Path]]:
    """The pairs that `find_pair` finds, in the order of the prefixes."""
    pairs = (find_pair(folder, prefix) for prefix in prefixes)
    return [pair for pair in pairs if pair is not None]


def find_pair(folder: Path, prefix: str) -> tuple[Path, Path] | None:
    """The files of images and labels whose names start so, unpacked or gzipped, or None."""
    images, labels = (
        next(filter(Path.is_file, (folder / name for name in _spellings(prefix, kind))), None)
        for kind in ("images-idx3", "labels-idx1")
    )
    return None if images is None or labels is None else (images, labels)


def labels_beside(images: Path) -> Path | None:
    """The file of labels that belongs to a file of images by its name, gzipped or not, or None."""
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    candidates = (images.with_name(name), images.with_name(f"{name}.gz"))
    return next((path for path in candidates if path != images and path.is_file()), None)


def is_idx(head: bytes) -> bool:
    """Whether these first bytes of a file (unpacked) are an IDX header's."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= MOST_DIMENSIONS


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The first bytes of a file's content, unpacked if it is gzipped; fewer if there are not so many."""
    try:
        with _opened(path) as stream:
            return stream.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _spellings(prefix: str, kind: str) -> Iterator[str]:
    for joint in ("-", "."):
        stem = f"{prefix}-{joint.join(kind.rsplit('-', 1))}-ubyte"
        yield from (stem, f"{stem}.gz")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield unpacked  # type: ignore[misc]


def _header(stream: IO[bytes], path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(4)
    if not is_idx(start):
        raise DataError(f"{path}: not an IDX file; it starts with {start.hex(' ') or 'nothing'}")
    dimensions = stream.read(4 * start[3])
    if len(dimensions) < 4 * start[3]:
        raise DataError(f"{path}: cut short in the header; fetch or copy the file again")
    return np.dtype(TYPES[start[2]]), struct.unpack(f">{start[3]}I", dimensions)


def _header_bytes(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _check_memory(path: Path, expected: int) -> None:
    if expected > MEMORY_LIMIT:
        raise DataError(f"{path}: its header announces {expected} bytes; at most {MEMORY_LIMIT} are read")


def _check_size(path: Path, expected: int) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    if expected > size * BEST_COMPRESSION if zipped else expected != size:
        raise DataError(
            f"{path}: its header announces {expected} bytes, but the file has {size}; fetch or copy the file again"
        )


def _fill(stream: IO[bytes], values: NDArray[Any], path: Path) -> None:
    target = values.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < len(target):
        # A gzip stream may give less than there is room for.
        count = stream.readinto(target[filled:])  # type: ignore[attr-defined]
        if not count:
            raise DataError(
                f"{path}: cut short, {filled} of {len(target)} bytes of values; fetch or copy the file again"
            )
        filled += count
    # Only reading past the end makes gzip compare its checksum, too.
    if stream.read(1):
        raise DataError(f"{path}: longer than its header says; fetch or copy the file again")
