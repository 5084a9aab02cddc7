"""The tables of what is read, in docs/your-own-model.md and docs/your-own-data.md: each row is a test's own.

A test says what it shows by ``@pytest.mark.reads("model", "what people bring", "what it becomes")``. `make tables`
runs these tests and, if all of them pass, writes their rows, in the order of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

MARKER = "reads"
DOCS = Path(__file__).parents[1] / "docs"
TABLES = ("model", "data")
BEGIN, END = "<!-- written by make tables -->", "<!-- end of what make tables writes -->"
HEAD = "| what you bring | what becomes of it |\n|---|---|\n"


def document(table: str) -> Path:
    return DOCS / f"your-own-{table}.md"


def rows(item: pytest.Item, table: str) -> list[str]:
    """The lines of the table that a test answers for."""
    told = [marker.args for marker in item.iter_markers(MARKER)]
    return [f"| {what} | {becomes} |" for where, what, becomes in told if where == table]


def written_rows(text: str) -> list[str]:
    """The lines that stand in a document's table."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    return [line for line in inside.splitlines() if line.startswith("| ")][1:]


def told(items: Sequence[pytest.Item]) -> list[str]:
    """All lines of all tables, each behind its table's name."""
    return [f"{table} {line}" for table in TABLES for item in items for line in rows(item, table)]


def write(items: Sequence[pytest.Item]) -> None:
    for table in TABLES:
        path = document(table)
        before, _, rest = path.read_text("utf-8").partition(BEGIN)
        new = "\n".join(dict.fromkeys(line for item in items for line in rows(item, table)))
        path.write_text(f"{before}{BEGIN}\n{HEAD}{new}\n{END}{rest.partition(END)[2]}", "utf-8")
