"""Fresh virtual environments with an empty home, as a person has them who just installed the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
KEPT = re.compile(r"PATH|PIP_\w+|\w+_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|SYSTEMROOT|TE?MP", re.I)
"""What such an environment keeps of this process's variables: the way to programs and to the package index."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment in a folder, with a home of its own."""

    folder: Path
    home: str = "home"

    @classmethod
    def fresh(cls, folder: Path) -> Environment:
        """Make one, with nothing but pip."""
        venv.create(folder, with_pip=True)
        return cls(folder)

    def __post_init__(self) -> None:
        self.room.mkdir(exist_ok=True)

    @property
    def room(self) -> Path:
        """The home, where programs run unless told otherwise."""
        return self.folder / self.home

    @property
    def programs(self) -> Path:
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin")

    def variables(self, **more: str) -> dict[str, str]:
        """All that its programs are told, with `more` instead of or besides what is kept."""
        kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
        home = {"HOME": str(self.room), "USERPROFILE": str(self.room)}
        return kept | home | {"PYTHONUTF8": "1"} | more

    def run(self, program: str, *arguments: object, cwd: Path | None = None, **more: str) -> str:
        """What one of its programs prints; its standard error is shown if it fails."""
        command = [str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=cwd or self.room, env=self.variables(**more), capture_output=True, text=True
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def seconds(self, program: str, *arguments: object, **more: str) -> float:
        """Wall time of one of its programs."""
        clock = perf_counter()
        self.run(program, *arguments, **more)
        return perf_counter() - clock

    def install(self, *requirements: object, **more: str) -> float:
        """Seconds of an installation by pip."""
        return self.seconds("python", "-m", "pip", "install", "--quiet", *requirements, **more)

    def megabytes(self) -> float:
        """The size of all that is installed."""
        files = (path for path in (self.folder / "lib").rglob("*") if path.is_file() and not path.is_symlink())
        return sum(path.stat().st_size for path in files) / 1e6
