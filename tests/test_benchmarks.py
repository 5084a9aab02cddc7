"""Every benchmark and measurement can be loaded: what they take of the package is still there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("benchmarks", "measurements")
    for path in (ROOT / folder).glob("*.py")
    if path.stem not in ("__init__", "__main__")
)


@pytest.mark.needs("torch", "sklearn", "playwright", "real data")
@pytest.mark.parametrize("module", MODULES)
def test_it_can_be_loaded(module: str) -> None:
    assert import_module(module).__doc__
