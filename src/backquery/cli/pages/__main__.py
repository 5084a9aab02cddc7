"""Write the help pages anew: ``python -m backquery.cli.pages``."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from cyclopts import App

from backquery.cli.app import build_app
from backquery.cli.pages import COMMANDS, page_path

WIDTH = 80


def render_page(command: Sequence[str]) -> str:
    """The help of one command, as Cyclopts writes it now."""
    from rich.console import Console

    text = StringIO()
    console = Console(file=text, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    app = build_app()
    for words in COMMANDS:
        _load(app, words)
    app.help_print(list(command), console=console)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n") + "\n"


def _load(app: App, words: Sequence[str]) -> None:
    """Load a command, so that the page of the group it belongs to can say what it does."""
    for word in words:
        app = app[word]


def write_pages() -> None:
    """Write all pages anew."""
    for command in COMMANDS:
        page_path(command).write_text(render_page(command), "utf-8")


if __name__ == "__main__":
    write_pages()
