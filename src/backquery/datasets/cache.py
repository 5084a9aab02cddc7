"""What was parsed once is kept under the user's cache, known by the content of the file it came from.

A file is recognised by its path, size and times, which costs nothing; failing that by its content's hash,
so that a moved or copied file is known again. The cache only saves time: whatever goes wrong with it, the
file is parsed as if there were none.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backquery.errors import BackqueryError
from backquery.files import replacing, user_cache

MOST_KEPT = 8
"""Of each kind, this many matrices are kept; the ones longest unused are removed."""

_SETTLED = 100_000_000
"""Nanoseconds: a file changed more recently may change again without its times telling."""


def remembered(path: Path, kind: str, parse: Callable[[Path], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """``parse(path)``, a matrix of bytes, from the cache if this content was parsed before.

    `kind` names the parser and its version. What comes from the cache is mapped from disk, read-only.
    """
    cache = user_cache()
    if cache is None:
        return parse(path)
    store = cache / kind
    before = path.stat()
    pointer = store / _identity(path, before)
    matrix = _recall(store, _read_pointer(pointer))
    if matrix is not None:
        return matrix
    digest = content_hash(path)
    matrix = _recall(store, digest)
    parsed = parse(path) if matrix is None else matrix
    # A file that changed while it was parsed is not remembered.
    if _identity(path, path.stat()) == pointer.name:
        with suppress(OSError, BackqueryError):
            store.mkdir(parents=True, exist_ok=True)
            # The matrix first: a process killed in between must not leave a pointer to nothing.
            if matrix is None:
                _keep(store, digest, parsed)
            if time.time_ns() - before.st_mtime_ns > _SETTLED:
                with replacing(pointer) as stream:
                    stream.write(digest.encode())
    return parsed


def content_hash(path: Path) -> str:
    """BLAKE2b of a file's content, 40 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).hexdigest()


def _identity(path: Path, status: os.stat_result) -> str:
    facts = (path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.blake2b(repr(facts).encode(), digest_size=20).hexdigest() + ".known"


def _read_pointer(pointer: Path) -> str | None:
    try:
        digest = pointer.read_text("ascii")
    except (OSError, ValueError):
        return None
    # It becomes a file's name, and must not lead out of the folder.
    return digest if len(digest) == 40 and digest.isalnum() else None


def _recall(store: Path, digest: str | None) -> NDArray[np.uint8] | None:
    if digest is None:
        return None
    kept = store / f"{digest}.npy"
    try:
        matrix = np.load(kept, mmap_mode="r", allow_pickle=False)
    except Exception:  # damaged files raise whatever their bytes lead NumPy to
        return None
    if matrix.dtype != np.uint8 or matrix.ndim != 2:
        return None
    with suppress(OSError):
        os.utime(kept)
    return np.asarray(matrix)


def _keep(store: Path, digest: str, matrix: NDArray[np.uint8]) -> None:
    with replacing(store / f"{digest}.npy") as stream:
        np.lib.format.write_array(stream, matrix, allow_pickle=False)
    for suffix, most in ((".npy", MOST_KEPT), (".known", 4 * MOST_KEPT)):
        by_age = sorted(store.glob(f"*{suffix}"), key=lambda kept: kept.stat().st_mtime, reverse=True)
        for old in by_age[most:]:
            old.unlink(missing_ok=True)
