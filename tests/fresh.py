"""``python -m tests.fresh [BEGINNING ...]``: the README's commands where nothing is, and their times.

The last commit is cloned into an empty folder, with an empty home, an empty cache, and a path on which there is
only what this module lists: a Python with venv, make and what its lines need, and no compiler. Nothing of this
process's environment is kept but the way to the package index. Each line runs word for word that begins with one
of the words that are given, such as ``make``; by default those of make, and then those of the command line, on a
folder of pictures and a picture as the README supposes them, and with BACKQUERY_DATA, for where MNIST cannot be
fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.environments import ROOT, Environment

from tests.documents import commands

PROGRAMS = ("make", "sh", "test", "touch")
"""What there is besides Python."""

README = ROOT / "README.md"
INSTALLATIONS = dict(re.findall(r"`(\w+)` needs `(pip install [^`]+)`", README.read_text("utf-8")))
"""By the command that needs it: what is to be installed first."""

SUPPOSED = """\
from pathlib import Path
from PIL import Image
from backquery import datasets

mnist = datasets.load("mnist")
for position in range(1000):
    folder = Path("digits", str(mnist.train.labels[position]))
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 - mnist.train.images[position]).save(folder / f"{position}.png")
three = mnist.test.images[mnist.test.labels == 3][0]
Image.fromarray(255 - three).resize((280, 280)).save("my-three.png")
"""
"""Makes the files of one's own that the README's commands name."""

DATA = ("BACKQUERY_DATA",)
"""What tells the commands of MNIST."""

MAY_END_WITH = {"audit": (0, 3)}
"""Exit codes that are answers."""


def main(*beginnings: str) -> None:
    """Run each command, and say what it took; the first that fails ends it."""
    begun = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place / "clone")], check=True)
        (place / "supposed.py").write_text(SUPPOSED, "utf-8")
        bare = _bare(place)
        took = [
            (command, _seconds(command, place / "clone", bare))
            for beginning in beginnings or ("make ", "backquery ")
            for command in _commands(beginning)
        ]
    print("\n".join(f"{seconds:7.1f} s  {command}" for command, seconds in took))
    print(f"{perf_counter() - begun:7.1f} s  in all, on {os.cpu_count()} processors", flush=True)


def _bare(place: Path) -> dict[str, str]:
    """The variables of a shell in which nobody has done anything, after its programs and its home were made."""
    (place / "programs").mkdir()
    found = {name: shutil.which(name) for name in PROGRAMS} | {"python3": os.path.realpath(sys.executable)}
    for name, program in found.items():
        assert program, f"there is no {name} here"
        (place / "programs" / name).symlink_to(program)
    return Environment(place).variables(
        PATH=os.pathsep.join([str(place / "clone" / ".venv" / "bin"), str(place / "programs")])
    )


def _commands(beginning: str) -> Iterator[str]:
    """The README's lines that begin so, and what must come before."""
    lines = [line.words.partition("#")[0].strip() for line in commands(README) if line.words.startswith(beginning)]
    assert lines, f"README.md gives no command {beginning}"
    if beginning.startswith("backquery"):
        yield "python ../supposed.py"
    for line in lines:
        if line.split()[1] in INSTALLATIONS:
            yield INSTALLATIONS[line.split()[1]]
        yield line


def _seconds(command: str, folder: Path, variables: dict[str, str]) -> float:
    print(f"$ {command}", flush=True)
    # The tests must pass without real data.
    known = {} if command.startswith("make") else {name: os.environ[name] for name in DATA if name in os.environ}
    clock = perf_counter()
    code = subprocess.run(["sh", "-c", command], cwd=folder, env=variables | known).returncode
    if code not in MAY_END_WITH.get(command.split()[1], (0,)):
        raise SystemExit(f"exit code {code} after {perf_counter() - clock:.0f} s: {command}")
    return perf_counter() - clock


if __name__ == "__main__":
    main(*sys.argv[1:])
