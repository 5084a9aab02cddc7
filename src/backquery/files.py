"""Files that are either written whole or left as they were, and the folder for what can be made again."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import time
from typing import IO, Any

from backquery.errors import BackqueryError, OutputError

UNFINISHED = ".backquery-{}.part"
"""The name of a file that is being written."""

WAITING = ".{}.{}.backquery"
"""The name of a file that takes the place of another soon, and counts already: see `replace_together`."""

DAY = 24 * 60 * 60
"""Seconds. What has not been finished for so long never will be: whoever wrote it was killed."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes the place of `path` once the block has ended well.

    The bytes are written beside `path`, flushed to the disk and then moved into place, so that a reader sees
    the old file or the new one and never a part. If anything fails, what was written is removed and the old
    file stays. `OutputError` says what kept the file from being written.
    """
    target = check_writable(path)
    _remove_forgotten(target.parent)
    beside = _name_beside(target)
    try:
        # Never a file or a link that somebody else has put there.
        with beside.open("xb") as stream:
            yield stream
            stream.flush()
            # Before the move, or a power cut could leave the new name with none of the content.
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
        _flush_folder(target.parent)
    except BackqueryError:
        raise
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def save_arrays(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays to an .npz file, as `replacing` does.

    It is made before it is written: an archive that cannot be finished complains when it is forgotten, too.
    """
    import numpy as np

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    with replacing(path) as stream:
        stream.write(content.getvalue())


def replace_together(folder: Path, contents: Mapping[str, bytes], index: str, listed: bytes) -> None:
    """Write files that belong together, by their names, and the file `index` that says by `listed` which do.

    All are written beside their places first; then `index` is replaced, and with it the new ones count; then they
    are moved. Whoever reads finds what is not in its place yet by `waiting`: so there are the old files or the new
    ones, whole, whenever the process is killed. `OutputError` says what kept them from being written.
    """
    beside = {name: folder / WAITING.format(name, secrets.token_hex(6)) for name in contents}
    try:
        for name, content in contents.items():
            target = check_writable(folder / name)
            with beside[name].open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                shutil.copymode(target, beside[name])
        _flush_folder(folder)
        with replacing(folder / index) as stream:
            stream.write(listed)
        for name, path in beside.items():
            path.replace(folder / name)
        _flush_folder(folder)
        _remove_old(folder, WAITING.format("*", "*"), DAY)
    except OSError as error:
        raise error if isinstance(error, BackqueryError) else _output_error(folder / index, error) from error
    finally:
        with suppress(OSError):
            if not (folder / index).is_file() or (folder / index).read_bytes() != listed:
                for path in beside.values():
                    path.unlink(missing_ok=True)


def waiting(folder: Path, name: str) -> list[Path]:
    """What may have been written to take the place of a file, and was not moved, since the process was killed."""
    return sorted(folder.glob(WAITING.format(name, "*")))


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Where a file of this name would be written (links followed), or `OutputError` if it could not be.

    Worth asking before a long computation. A file is made beside `path` and removed again, because only
    that tells for sure; `path` itself is not touched.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {path}: it is not a regular file; choose another name")
        # Moving over it would succeed all the same, because that asks only the folder.
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"cannot write {path}: the file is write-protected; choose another name")
        beside = _name_beside(target)
        beside.touch(exist_ok=False)
        beside.unlink()
    except BackqueryError:
        raise
    except OSError as error:
        raise _output_error(path, error) from error
    return target


def remove_unfinished(folder: Path, age: float = 0.0) -> None:
    """Remove what a killed process left half written, `age` seconds ago or more.

    Without an age no other process may be writing to the folder.
    """
    _remove_old(folder, UNFINISHED.format("*"), age)


def _remove_old(folder: Path, names: str, age: float) -> None:
    for unfinished in folder.glob(names):
        with suppress(OSError):
            if time() - unfinished.stat().st_mtime >= age:
                unfinished.unlink()


@cache
def _remove_forgotten(folder: Path) -> None:
    """Remove, once for each folder, what processes that were killed long ago left half written."""
    remove_unfinished(folder, DAY)


def _name_beside(target: Path) -> Path:
    """A name in the same folder that nobody uses, and short enough however long the target's own is."""
    return target.with_name(UNFINISHED.format(secrets.token_hex(6)))


def _flush_folder(folder: Path) -> None:
    """Make the move itself last through a power cut, where the system lets folders be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    folder = Path(path).parent
    if os.path.islink(path) or os.path.islink(folder):  # noqa: PTH114 (Path.is_symlink raises for long names)
        folder = Path(os.path.realpath(path)).parent
    reasons = {
        errno.ENOENT: f"there is no folder {folder}; make it first",
        errno.ENOTDIR: f"{folder} is not a folder; choose another name",
        errno.EACCES: f"no permission to write in {folder}; choose another folder",
        errno.EROFS: f"{folder} is on a read-only file system; choose another folder",
        errno.ENOSPC: "the disk is full; free some space or choose another folder",
    }
    reasons[errno.EPERM] = reasons[errno.EACCES]
    otherwise = f"{error.strerror or error}; choose another name or folder"
    return OutputError(f"cannot write {path}: {reasons.get(error.errno or 0, otherwise)}")


def user_cache() -> Path | None:
    """The folder for what can be made or fetched again, or None where the user has no home."""
    place = os.environ.get("XDG_CACHE_HOME", "")
    if not place and sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA", "")
    elif not place:
        home = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
        place = os.path.expanduser(home)  # noqa: PTH111 (Path.expanduser raises without a home)
    return Path(place) / "backquery" if Path(place).is_absolute() else None
