"""The tests lie as the source does: who knows where a thing is made knows where it is tested."""

from __future__ import annotations

from pathlib import Path

import backquery

TESTS, SOURCE = Path(__file__).parent, Path(backquery.__file__).parent
ELSEWHERE = {Path("reference"), Path("measurements"), Path("io/keras2"), Path("torture")}
"""What mirrors no package: slow twins, written from the formulas alone, what only `measurements/` needs, files of
a program that cannot be installed beside the others, with what made them, and kills, faults and damaged input of
all that is written and read."""


def folders(root: Path, marker: str) -> set[Path]:
    """The folders under `root` that hold a file of this name or pattern themselves."""
    return {path.parent.relative_to(root) for path in root.rglob(marker)} - {Path()}


def test_every_folder_of_tests_mirrors_one_of_the_source() -> None:
    assert {folder for folder in folders(TESTS, "*.py") if not (SOURCE / folder).is_dir()} == ELSEWHERE


def test_every_package_has_a_folder_with_tests() -> None:
    assert folders(SOURCE, "__init__.py") - folders(TESTS, "test_*.py") == set()
