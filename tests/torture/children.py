"""Commands in processes of their own that can be killed, or whose writing fails, at any call.

A process is forked from this one, where all is loaded already: hundreds of them take a minute. What they write
goes through `interposer.c`, which has to be loaded before Python is: see `again`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from threading import Timer
from time import perf_counter

from backquery.kernels import build

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("interposer.c")
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "KERAS_BACKEND": "torch"}
MOST_CALLS = 100_000
PATIENCE = 120.0
"""Seconds after which a process hangs."""


class Action(IntEnum):
    """What is done at a call, in the words of `interposer.c`."""

    COUNT = 0
    KILL = 1
    """SIGKILL; of what is being written half is."""
    FAULT = 2
    """EIO, once."""
    SHORT = 3
    """Half is written, once, and said to be; the rest is to be written by another call."""
    FULL = 4
    """ENOSPC, and again for all that follows."""
    CUT = 5
    """Half is written and said to be, and then the disk is full."""
    PROTECTED = 6
    """EROFS, and again: the file system has become read-only."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, or minus a signal's number; which calls it made, one letter each.

    A letter is a capital where something was done at the call. hung: whether it had to be ended for its time.
    """

    code: int
    out: str
    err: str
    calls: str
    seconds: float
    hung: bool

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL and not self.hung


@contextmanager
def interposer() -> Iterator[Path]:
    """The compiled library."""
    compiler = next(build.compilers())
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "interposer.so"
        flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Werror"]
        subprocess.run([*compiler, *flags, "-o", library, SOURCE, "-ldl"], check=True)
        yield library


def again(library: Path, *arguments: str) -> int:
    """``python -m`` with the library loaded; its exit code."""
    environment = os.environ | QUIET | {"LD_PRELOAD": str(library)}
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, env=environment, check=False).returncode


def run(
    act: Callable[[], int],
    folder: Path,
    action: Action = Action.COUNT,
    at: int = 0,
    *,
    kill_after: float | None = None,
) -> Ended:
    """What becomes of `act` in a process whose calls below `folder` are watched.

    at: the number of the call, from 1, at which something is done; kill_after: seconds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out, err, calls = (Path(scratch) / name for name in ("out", "err", "calls"))
        # What is forked shares our objects: collecting them would copy every page.
        gc.freeze()
        begin = perf_counter()
        child = os.fork()
        if not child:
            _be(act, folder, action, at, out, err, calls)
        patience = PATIENCE if kill_after is None else kill_after
        timer = Timer(patience, os.kill, (child, signal.SIGKILL))
        timer.start()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        timer.join()
        seconds = perf_counter() - begin
        # What was killed at once has made none of them.
        texts = (path.read_text("utf-8", "replace") if path.exists() else "" for path in (out, err, calls))
        hung = kill_after is None and seconds >= patience
        return Ended(os.waitstatus_to_exitcode(status), *texts, seconds, hung)


def _be(act: Callable[[], int], folder: Path, action: Action, at: int, out: Path, err: Path, calls: Path) -> None:
    """The process: it never returns."""
    code = 99
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        library = ctypes.CDLL(None)
        library.arm(ctypes.c_char_p(os.fsencode(folder)), int(action), ctypes.c_long(at))
        code = act()
        letters = ctypes.create_string_buffer(MOST_CALLS)
        count = library.counted(letters, ctypes.c_long(MOST_CALLS))
        library.arm(b"", 0, ctypes.c_long(0))
        calls.write_bytes(letters.raw[:count])
    except BaseException:  # whatever it is, the process must not go on as if it were its parent
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
