"""Help is shown at once, from pages that say what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backquery import __version__
from backquery.cli.pages import COMMANDS, find_page, page_path
from backquery.cli.pages.__main__ import render_page
from tests.conftest import Run

HEAVY = {"numpy", "scipy", "numba", "matplotlib", "sklearn", "PIL", "cyclopts", "rich", "safetensors", "pooch"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command) or "backquery")
def test_the_kept_help_pages_are_what_the_commands_say_of_themselves(command: tuple[str, ...]) -> None:
    kept = page_path(command).read_text("utf-8")
    assert kept == render_page(command), "write them anew: python -m backquery.cli.pages"
    assert kept.startswith("Usage: backquery")
    assert max(map(len, kept.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments", [["--help"], ["scan", "--help"], ["data", "inspect", "-h"], ["--version"], []]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from backquery.cli import main; code = main(sys.argv[1:]); "
        f"print(code, *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert answer.stderr.split() == ["0"]
    assert answer.stdout == (f"{__version__}\n" if arguments == ["--version"] else find_page(arguments))


def test_help_is_found_after_other_arguments_too(run: Run) -> None:
    code, out, _ = run("train", "digits", "--help")
    assert code == 0
    assert "--learning-rate" in out
