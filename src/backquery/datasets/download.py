"""One file from the first mirror that has it, whole and with the published checksum, or nothing at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backquery.errors import DownloadError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

TIMEOUT = 30.0
"""Seconds to wait for a mirror to answer, and between two parts of its answer."""

_PIECE = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """A file as its publisher has it: its name, and its checksum as ``"sha256:..."`` or ``"md5:..."``."""

    name: str
    checksum: str


def fetch_file(file: RemoteFile, mirrors: Sequence[str], folder: Path, *, console: Console | None = None) -> Path:
    """The file in `folder`, from the first mirror (an address that the name is put after) that gives it whole.

    A transfer that fails, breaks off or has the wrong checksum leaves nothing behind, and the next mirror is
    tried. Progress is drawn on `console`, standard error by default, if that is a terminal. If no mirror has
    the file, or the folder cannot be written, `DownloadError` gives the reason for each.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make the folder {folder} ({error.strerror or error})") from error
    failures = []
    for mirror in mirrors:
        try:
            return _from_mirror(file, mirror + file.name, folder, console)
        # Errors of requests are OSErrors; pooch raises ValueError for a wrong checksum.
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}{file.name}: {_reason(error)}")
    raise DownloadError("; ".join(failures) or f"there is no mirror for {file.name}")


def _from_mirror(file: RemoteFile, address: str, folder: Path, console: Console | None) -> Path:
    import pooch

    with _quiet(pooch.get_logger()), _bar(file.name, console) as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=_PIECE, timeout=TIMEOUT)
        return Path(pooch.retrieve(address, file.checksum, file.name, folder, downloader=downloader))


def _reason(error: Exception) -> str:
    """A few words instead of the library's own, which name the same address three times over."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT:g} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return "not the published file (wrong checksum)"
    return str(getattr(error, "strerror", None) or error)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _bar(name: str, console: Console | None) -> Iterator[_Bar | None]:
    """What pooch reports its progress to, or None where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, name)


class _Bar:
    """A Rich bar with the four methods that pooch calls."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, count: int) -> None:
        self._total = count
        # A server need not say how long its answer will be: the bar then only moves.
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.refresh()
