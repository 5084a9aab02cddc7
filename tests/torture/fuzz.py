"""Input that Atheris damages, guided by which lines of the readers it reaches, for a bounded time a kind.

``python -m tests.torture fuzz`` gives each kind a process of its own. What an input must not do (see `bounds`),
and the first input for each way of doing it, is told; kept in ``found/`` beside this file it becomes a test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from tests.bounds import excess_of

LONGEST = 2**16
"""Bytes of an input."""

HANG = 60
"""Seconds after which an input ends the process that reads it."""


@dataclass
class Found:
    """How often each kind was read, and in how many ways that went wrong."""

    executions: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def harmless(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        kinds = ", ".join(f"{count:,} of {kind}" for kind, count in self.executions.items())
        return "\n".join(
            [f"{sum(self.executions.values()):,} inputs ({kinds}): {len(self.wrong)} wrong", *self.wrong]
        )


def main(seconds: int, seed: int, kinds: list[str], kept: Path) -> Found:
    """Read damaged input of each kind for so many seconds; what was wrong is kept in a folder for each kind."""
    from tests.torture.inputs import KINDS

    found = Found()
    possible = [kind for kind in kinds or KINDS if all(map(find_spec, KINDS[kind].needs))]
    with ThreadPoolExecutor(os.cpu_count()) as several:
        list(several.map(lambda kind: _fuzz(found, kind, seconds, seed, kept / kind), possible))
    return found


def _fuzz(found: Found, kind: str, seconds: int, seed: int, kept: Path) -> None:
    # Not in the process that fuzzes, which loads what it instruments.
    from tests.torture.children import QUIET, ROOT

    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        command = [sys.executable, "-m", "tests.torture.fuzz", kind, str(kept), corpus]
        command += [
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-max_len={LONGEST}",
            f"-timeout={HANG}",
            f"-report_slow_units={HANG}",
        ]
        command += ["-rss_limit_mb=8192", "-print_final_stats=1", f"-artifact_prefix={kept}/"]
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | QUIET,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    said = ended.stdout + ended.stderr
    counts = re.findall(r"number_of_executed_units: *(\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
    found.executions[kind] = int(counts[-1]) if counts else 0
    found.wrong += [f"{kind}: {line}" for line in re.findall(r"^WRONG (.*)$", said, re.MULTILINE)]
    if ended.returncode:
        found.wrong.append(f"{kind}: ended with {ended.returncode}: {said[-1500:]}")


def _be(kind: str, kept: Path, corpus: str, flags: list[str]) -> None:
    """The process: it never returns."""
    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["backquery"]):
        from tests.torture import inputs
    seen: set[str] = set()
    folder = Path(tempfile.mkdtemp())
    sound = inputs.KINDS[kind].sound(folder)
    (Path(corpus) / "sound").write_bytes(sound)
    if kind == "frames":
        for number in range(len(inputs.ASKED)):
            inputs.frames(Path(corpus) / f"frame{number}", number)
    for path in (inputs.FOUND / kind).glob("*"):
        (Path(corpus) / path.name).write_bytes(path.read_bytes())
    path = folder / f"damaged{inputs.KINDS[kind].suffix}"
    path.write_bytes(sound)
    inputs.read(kind, path)  # what is loaded the first time costs more than any input

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            excess = excess_of(lambda: inputs.read(kind, path))
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            tell(f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"[:300], content)
            return
        if excess:
            tell(excess, content)

    def tell(what: str, content: bytes) -> None:
        way = re.sub(r"\d+", "0", what)[:80]
        if way not in seen:
            seen.add(way)
            name = sha256(content).hexdigest()[:12]
            (kept / name).write_bytes(content)
            print(f"WRONG {' '.join(what.split())}: {name}", flush=True)

    atheris.Setup([sys.argv[0], corpus, *flags], read)
    atheris.Fuzz()


if __name__ == "__main__":
    _be(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
