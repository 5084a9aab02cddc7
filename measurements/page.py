"""The page of figures: sections that can be measured anew one at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from backquery.files import replacing

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "measured.md"
PICTURES = DOCS / "measured"

HEAD = """\
# Measured

What texts about such networks claim, and what this program claims, measured. Every section is written by the
command that it names, from the experiments themselves; `make measure` writes them all. Intervals hold 95 %
unless a section says otherwise.
"""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are set right."""
    rules = [":--", *("--:" for _ in columns[1:])]
    lines = [columns, rules, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write_section(name: str, order: Sequence[str], text: str) -> None:
    """Put one section in its place on the page, and leave the others as they are."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else ""
    sections = dict(re.findall(r"<!-- (\S+) -->\n(.*?)<!-- /\1 -->\n", page, re.DOTALL))
    sections[name] = text.strip() + "\n"
    parts = [f"<!-- {key} -->\n{sections[key]}<!-- /{key} -->\n" for key in order if key in sections]
    with replacing(PAGE) as stream:
        stream.write("\n".join([HEAD, *parts]).encode())
