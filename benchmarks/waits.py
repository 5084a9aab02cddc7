"""How long a person waits for whole commands, now and at an earlier revision, in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from benchmarks.environments import ROOT
from benchmarks.training import Section

RUNS = 3

BEFORE = "3b86a05"
"""The last revision before these waits were complained of; BACKQUERY_BEFORE names another one."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

LEARNED = """
import sys
sys.path.insert(0, {examples!r})
import torch
from convolutional_network import as_model, convolutional_network, datasets, learn

def network():
    mnist = datasets.load("mnist").train
    torch.manual_seed(0)
    module = convolutional_network()
    module.load_state_dict(torch.load({weights!r}))
    return as_model(module.eval(), mnist)

if __name__ == "__main__":
    mnist = datasets.load("mnist").train
    torch.manual_seed(0)
    torch.save(learn(convolutional_network(), mnist.images, mnist.labels).state_dict(), {weights!r})
"""
"""A user's own network: that of `examples/convolutional_network.py`, learned once."""

OWN = "learned:network"

COMMANDS: dict[str, tuple[str, ...]] = {
    "train mnist": ("train", "mnist", "--seed", "1", "-o", "m.safetensors"),
    "compare mnist": ("compare", "mnist", "mnist", "-o", "c.png"),
    "compare, a convolutional network": ("compare", OWN, "mnist", "-o", "c.png"),
    "audit mnist": ("audit", "mnist", "mnist", "-o", "a.png"),
    "audit, a convolutional network": ("audit", OWN, "mnist", "-o", "a.png"),
    "evidence mnist": ("evidence", "mnist", "mnist", "-o", "e.png"),
    "evidence, a convolutional network": ("evidence", OWN, "mnist", "-o", "e.png"),
    "report mnist --quick": ("report", "mnist", "mnist", "--quick", "-o", "r.html"),
    "report mnist": ("report", "mnist", "mnist", "-o", "r.html"),
    "timeline mnist": ("timeline", "mnist", "--seed", "1", "-o", "t.gif"),
    "damage mnist": ("damage", "mnist", "mnist", "-o", "d.png"),
    "sweep of two": ("sweep", "mnist", "--hidden", "50,100", "--epochs", "1", "--seeds", "1", "-o", "sweep"),
}

FIRST = ("compare mnist", "audit mnist")
"""What learns judges or references, and keeps them: also measured with an empty cache."""


@dataclass
class Tree:
    """A working tree whose commands are run, with a cache of its own."""

    source: Path
    folder: Path
    asked: Path
    caches: int = field(default=0)

    def run(self, words: tuple[str, ...], *, first: bool = False) -> tuple[float, float]:
        """Seconds of wall and of processor time of one command; a `first` one finds an empty cache."""
        self.caches += first
        work = self.folder / f"work{self.caches}-{perf_counter()}"
        work.mkdir(parents=True)
        variables = {name: value for name, value in os.environ.items() if name not in THREADS}
        variables["PYTHONPATH"] = os.pathsep.join((str(self.source / "src"), str(self.asked)))
        variables["XDG_CACHE_HOME"] = str(self.folder / (f"cache{self.caches}" if first else "cache"))
        clock = perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "backquery", *words], cwd=work, env=variables,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        assert status == 0, f"{' '.join(words)} failed"
        return perf_counter() - clock, used.ru_utime + used.ru_stime


def waits() -> Section:
    """Each command once unmeasured, then before and now in turn; BACKQUERY_WAITS names some of the commands."""
    wanted = os.environ.get("BACKQUERY_WAITS")
    names = wanted.split(";") if wanted else list(COMMANDS)
    rows = []
    with _trees() as trees:
        for name in names:
            for first in (True, False) if name in FIRST else (False,):
                if not first:
                    for tree in trees:
                        tree.run(COMMANDS[name])
                rounds = [[tree.run(COMMANDS[name], first=first) for tree in trees] for _ in range(RUNS)]
                rows.append([f"{name}, first time" if first else name, *_told(rounds)])
                print(rows[-1], file=sys.stderr, flush=True)
    columns = ["command", "now, s", "before, s", "ratio", "now, processor s", "before, processor s", "ratio "]
    return f"Waits, now and at {_before()}, medians of {RUNS} runs in turn", columns, rows


def _told(rounds: list[list[tuple[float, float]]]) -> list[str]:
    """For wall and processor time the medians, and that of the rounds' ratios."""
    told = []
    for kind in range(2):
        now, before = ([each[tree][kind] for each in rounds] for tree in range(2))
        ratio = statistics.median(one / other for one, other in zip(before, now, strict=True))
        told += [f"{statistics.median(now):.1f}", f"{statistics.median(before):.1f}", f"{ratio:.2f}"]
    return told


@contextmanager
def _trees() -> Iterator[tuple[Tree, Tree]]:
    """The working tree, and the revision before with its kernels built; both ask the same network."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        archive = subprocess.run(["git", "archive", _before()], cwd=ROOT, check=True, capture_output=True).stdout
        source, asked = here / "source", here / "asked"
        source.mkdir()
        asked.mkdir()
        subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
        build = source / "src" / "backquery" / "kernels" / "build.py"
        subprocess.run([sys.executable, build], check=True, capture_output=True)
        module = asked / "learned.py"
        weights = str(asked / "learned.pt")
        module.write_text(LEARNED.format(examples=str(ROOT / "examples"), weights=weights), encoding="utf-8")
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, module], check=True, env=variables)
        yield Tree(ROOT, here / "now", asked), Tree(source, here / "before", asked)


def _before() -> str:
    return os.environ.get("BACKQUERY_BEFORE", BEFORE)
