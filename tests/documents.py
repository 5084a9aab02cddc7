"""The documents' blocks of code, run as a reader would run them: a page from top to bottom, in one folder.

A comment before a block says what of it is run by ``make docs`` alone, and what is not run, with the reason:

    <!--
    long: backquery report; backquery compare
    not run: backquery studio: it serves until it is ended
    -->

``python -m tests.documents docs/tutorial.md`` runs a page and draws its pictures anew: those in a folder called as
the page, by the names that its commands write.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
TRANSLATED = re.compile(r"\.(ru|zh)$")  # the same code, see test_translations
EVERY = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in EVERY if not TRANSLATED.search(page.stem)]

BLOCK = re.compile(
    r"(?:^<!--(?P<said>[^>]*?)-->\n+)?^```(?P<language>python|sh|console|text)\n(?P<code>.*?)^```$", re.M | re.S
)
OTHERS = {
    "make ": "make: .ci/run runs what the README promises, in a fresh clone",
    "pip install": "it installs: `make wheels` and .ci/run do so, in fresh environments",
    "python3 -m venv": "it installs: `make wheels` and .ci/run do so, in fresh environments",
    ". .venv": "it installs: `make wheels` and .ci/run do so, in fresh environments",
    "jupyter ": "it serves until it is ended: tests/test_notebooks.py runs the notebooks",
    "dask ": "it serves until it is ended: tests/experiments/sweep starts such a cluster",
    "python -m measurements": "an experiment of minutes or hours: `make measure` runs them",
    "python -m benchmarks": "a comparison of minutes: `make bench`",
}
"""Other programs' commands, by how they begin, and why no block runs them."""

WRITTEN = {"measured": "an experiment of an hour or more: `make measure` writes the page from it"}
"""Pages that a program writes from what it ran."""

DATA_PLACE = {"train": 1, "timeline": 1, "sweep": 1, "test": 2, "compare": 2, "evidence": 2, "audit": 2}
DATA_PLACE |= {"damage": 2, "report": 2}
"""The word of a command that names its data."""


class Line(NamedTuple):
    """A command: its words, whether it is run by ``make docs`` alone, and why it is not run, or nothing."""

    words: str
    long: bool
    reason: str

    @property
    def arguments(self) -> list[str]:
        """The words behind the program."""
        return shlex.split(self.words, comments=True)[1:]

    @property
    def needs(self) -> list[str]:
        """What there must be beside the base."""
        words = self.arguments
        place = DATA_PLACE.get(words[0])
        fetched = place is not None and words[place : place + 1] == ["mnist"]
        return ["real data"] * fetched + ["distributed", "filelock"] * (words[0] == "sweep")


@dataclass(frozen=True)
class Block:
    """A block of code that begins below line `line` of a page."""

    page: str
    line: int
    language: str
    code: str
    said: str

    @property
    def commands(self) -> list[Line]:
        """The lines of a shell, those that go on joined."""
        if self.language not in ("sh", "console"):
            return []
        lines = [line.removeprefix("$ ") for line in self.code.replace("\\\n", " ").splitlines()]
        return [self._command(line) for line in lines if line.strip() and not line.startswith("#")]

    def _command(self, words: str) -> Line:
        long = any(words.startswith(one) for one in self._entries("long"))
        reasons = (one.split(": ", 1) for one in self._entries("not run"))
        reason = next((why for begins, why in reasons if words.startswith(begins)), "")
        other = next((why for begins, why in OTHERS.items() if words.startswith(begins)), "")
        return Line(words, long, WRITTEN.get(self.page) or reason or other)

    def _entries(self, kind: str) -> list[str]:
        lines = re.findall(rf"^{kind}: (.*)$", self.said, re.MULTILINE)
        return [entry.strip() for line in lines for entry in line.split(";")]


def blocks(page: Path) -> list[Block]:
    """All blocks of code of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.stem,
            text.count("\n", 0, found.start("code")),
            found["language"],
            found["code"],
            found["said"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def commands(page: Path) -> Iterator[Line]:
    """All commands of a page."""
    for block in blocks(page):
        yield from block.commands


def wanted(lines: Iterable[Line], *, long: bool) -> list[Line]:
    """Those commands that are run, the long ones only where they are asked for."""
    return [line for line in lines if not line.reason and (long or not line.long)]


def run_page(page: Path, call: Callable[[list[str]], str], *, long: bool) -> None:
    """Run a page in the current folder; `call` runs one command of ours and gives what it printed.

    A block of text after commands is what they print, but for its numbers, and ``...`` for what is left out.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = None
    for block in blocks(page):
        if block.language == "python":
            # Empty lines before the code make an error name the line of the page.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
        elif block.language == "text" and printed is not None:
            lacking = [line for line in unnumbered(block.code) if line not in [*unnumbered(printed), "..."]]
            assert not lacking, f"{page.name}: the commands above no longer print {lacking}"
        elif block.commands:
            printed = "".join(call(line.arguments) for line in wanted(block.commands, long=long))


def unnumbered(text: str) -> list[str]:
    """The lines of a text without their numbers."""
    return [" ".join(re.sub(r"\d[\d.e-]*", "#", line).split()) for line in text.splitlines() if line.strip()]


def lay_out(folder: Path) -> None:
    """What readers bring along: pictures, a folder of them, and a model."""
    import numpy as np
    from PIL import Image, ImageDraw
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        picture = Image.fromarray((255 - image * 15).astype(np.uint8))
        for kind in ("digits", "mine"):
            path = folder / kind / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    for name, label in {"my-three.png": 3, "my-four.png": 4, "four.png": 4, "my-seven.png": 7}.items():
        ink = Image.fromarray((255 - digits.images[list(digits.target).index(label)] * 15).astype(np.uint8))
        ink.resize((160, 160), Image.Resampling.BICUBIC).save(folder / name)
    light = np.tile(np.linspace(220, 60, 400), (300, 1))
    photograph = Image.fromarray(light.astype(np.uint8))
    ImageDraw.Draw(photograph).line([(195, 60), (195, 240)], fill=30, width=16)
    photograph.save(folder / "photo.jpg")
    shutil.copy(ROOT / "src/backquery/io/models/mnist.safetensors", folder / "mine.safetensors")


def draw_anew(page: Path) -> None:
    """Run a page as a reader would, and keep the pictures that it shows."""

    def call(arguments: list[str]) -> str:
        print("backquery", *arguments, flush=True)
        ran = subprocess.run([sys.executable, "-m", "backquery", *arguments], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        lay_out(Path(folder))
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        run_page(page, call, long=True)
        for name in re.findall(rf"\]\({page.stem.removeprefix('the-')}/([\w-]+\.png)\)", page.read_text("utf-8")):
            (page.parent / page.stem.removeprefix("the-")).mkdir(exist_ok=True)
            shutil.copy(name, page.parent / page.stem.removeprefix("the-") / name)


if __name__ == "__main__":
    draw_anew(Path(sys.argv[1]).resolve())
