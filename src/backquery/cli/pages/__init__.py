"""Help pages, kept as text so that they are shown at once, without loading what the commands need.

They are what Cyclopts makes of the commands' signatures and docstrings: ``python -m backquery.cli.pages``
writes them anew after a change, and a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PAGES = Path(__file__).parent

NAMES = (
    "demo", "data", "data list", "data fetch", "data inspect", "train", "test", "query", "scan", "compare",
    "evidence", "audit", "damage", "timeline", "sweep", "sweep show", "lesson", "report", "studio", "page",
    "prior", "info", "convert",
)  # fmt: skip
COMMANDS = ((), *(tuple(name.split()) for name in NAMES))
"""The words of every command, as the help has them; no words are the whole command line."""


def find_page(arguments: Sequence[str]) -> str | None:
    """The page that these arguments ask for: a command followed by --help or -h, or a mere group of commands."""
    command = tuple(arguments)
    if command and command[-1] in ("--help", "-h"):
        command = command[:-1]
    elif command not in ((), ("data",)):
        return None
    if command not in COMMANDS:
        return None
    try:
        return page_path(command).read_text("utf-8")
    except OSError:
        return None


def page_path(command: Sequence[str]) -> Path:
    """The file of a command's page."""
    return PAGES / f"{'-'.join(('backquery', *command))}.txt"
