"""``python -m tests.kernels.torture``: the kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer.

At every width of vectors that this machine has. First faults are planted in copies of the sources, and each must
be caught: a watchman who sleeps is worse than none.

AddressSanitizer sees what the kernels read and write outside of NumPy's arrays, which `malloc` gave, and outside
of each array in the room that a training works in: fences lie between them (`taken` in online.c), and around what
`kernels.aligned` makes (below). It does not see one row of a matrix run into the next, nor what was never written.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

from backquery import kernels
from backquery.kernels import build

ROOT = Path(__file__).parents[2]
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TESTS = ("tests/kernels/test_kernels.py", "tests/training/test_training.py", "tests/training/test_resume.py")
LEFT_OUT = "not full_batch and not real_processes and not command and not numpy"
"""What trains by other means, or in processes of its own."""

FAULTS = {
    "an array too short": ("block->signals = taken(&place, nodes", "block->signals = taken(&place, (nodes - 1)"),
    "one pixel too many": ("pixel < it->sizes[0]; pixel++) {", "pixel <= it->sizes[0]; pixel++) {"),
    "biases before the first": ("load(it->biases + k);", "load(it->biases + k - LANES);"),
    "a shift by all bits": ("own = (set)1 << slot;", "own = (set)1 << (slot + 8 * (int)sizeof(set));"),
}
"""Each as a text of online.c, and what is put in its place."""

TRAINING = """
from tests.kernels import torture
torture.pytest_configure()
import numpy as np
from backquery import Network, train
inputs = np.where(np.random.default_rng(0).random((70, 50)) < 0.3, 0.7, 0.01)
train(Network.create([50, 37, 3], rng=0, biases=True), (inputs, np.arange(70) % 3), epochs=1)
"""


def pytest_configure() -> None:
    """Put fences around the arrays that begin at a cache line; pytest calls this, given `-p`."""
    begin_at_a_line = kernels.aligned

    def fenced(values: kernels.Array) -> kernels.Array:
        copy = begin_at_a_line(values)
        room: Any = copy.base
        begin, end = copy.ctypes.data, copy.ctypes.data + copy.nbytes
        regions = [(room.ctypes.data, begin), (end, room.ctypes.data + room.nbytes)]
        for first, last in regions:
            _fence("poison", first, last)
            # NumPy gives small pieces of memory out again without asking `malloc`.
            weakref.finalize(room, _fence, "unpoison", first, last)
        return copy

    kernels.aligned = fenced


def _fence(what: str, begin: int, end: int) -> None:
    act = getattr(ctypes.CDLL(None), f"__asan_{what}_memory_region")
    act(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin))


def main() -> None:
    """Compile, plant and be caught, test."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / build.NAME
        environment = _environment(library, build.build(library, SANITIZERS, trial=True))
        for fault, (right, wrong) in FAULTS.items():
            _plant(Path(folder) / "planted", library, right, wrong)
            report = _run(environment, "-c", TRAINING)
            if not re.search("AddressSanitizer|runtime error", report.stderr):
                sys.exit(f"not caught: {fault}\n{report.stderr}")
            print(f"caught: {fault}", flush=True)
        build.build(library, SANITIZERS)
        for width in kernels.widths():
            print(f"{width}:", flush=True)
            quietly = ["-q", "-p", __spec__.name, "-p", "no:cacheprovider", "-k", LEFT_OUT]
            arguments = ["-m", "pytest", *quietly, *TESTS]
            if _run(environment | {kernels.WIDTH: width}, *arguments, shown=True).returncode:
                sys.exit(f"not clean: {width}")


def _environment(library: Path, compiler: str) -> dict[str, str]:
    """This process's, without real data, which take long, and with the sanitizers' library."""
    tell = [*shlex.split(compiler), "-print-file-name=libasan.so"]
    runtime = subprocess.run(tell, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_file():
        sys.exit(f"{compiler} has no libasan.so; choose GCC by {build.FORCED}=gcc")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BACKQUERY_")}
    # Python itself leaves memory behind.
    return kept | {kernels.LIBRARY: str(library), "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}


def _plant(folder: Path, library: Path, right: str, wrong: str) -> None:
    """Compile the widest vectors from sources with a fault."""
    shutil.copytree(build.HERE, folder, dirs_exist_ok=True)
    source = (folder / "online.c").read_text("utf-8")
    if right not in source:
        sys.exit(f"online.c has no {right!r} any more: plant the fault elsewhere")
    (folder / "online.c").write_text(source.replace(right, wrong), "utf-8")
    code = f"import build, pathlib; build.build(pathlib.Path({str(library)!r}), {SANITIZERS}, trial=True)"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def _run(environment: dict[str, str], *arguments: str, shown: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=not shown, text=True, check=False)


if __name__ == "__main__":
    main()
