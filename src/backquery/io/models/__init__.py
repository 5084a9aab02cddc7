"""The trained networks that come with the package, each known by its name."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".safetensors"


def bundled() -> tuple[str, ...]:
    """The names of the bundled models, in alphabetical order."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob(f"*{SUFFIX}")))


def bundled_path(name: str) -> Path | None:
    """The file of the bundled model called `name`, or None where there is none of that name."""
    return Path(__file__).parent / f"{name}{SUFFIX}" if name in bundled() else None
