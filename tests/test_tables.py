"""The tables of what is read hold what tests say that they show, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import tables


# Modules that need a package that is missing show no rows.
@pytest.mark.needs("keras", "onnx", "pyarrow", "skops", "torch")
def test_the_tables_hold_the_rows_of_the_tests() -> None:
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--tables", "print", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    printed = collected.stdout.splitlines()
    for table in tables.TABLES:
        told = {line.removeprefix(f"{table} ") for line in printed if line.startswith(f"{table} | ")}
        written = tables.written_rows(tables.document(table).read_text("utf-8"))
        assert told, collected.stdout[-2000:]
        assert set(written) == told and len(written) == len(told), f"{table}: make tables"
