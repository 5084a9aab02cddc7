"""What the README promises holds: its Python example runs, its commands exist, its pictures are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from backquery.cli.pages import find_page
from backquery.io import load_model

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_the_python_example_runs_and_finds_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    performance, read = capsys.readouterr().out.splitlines()
    assert float(performance.split("%")[0]) > 95
    assert read == "10 of 10 read as asked"
    assert (tmp_path / "scans.png").stat().st_size > 10_000


def test_the_commands_and_their_options_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("backquery ")]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        page = find_page([words[0], "--help"]) or ""
        assert page.startswith(f"Usage: backquery {words[0]}"), line
        assert all(word in page for word in words if word.startswith("-")), line


def test_the_pictures_are_there_and_the_accuracy_is_the_bundled_models() -> None:
    text = README.read_text("utf-8")
    pictures = re.findall(r"\]\((docs/[^)]+)\)", text)
    assert pictures
    assert all((ROOT / path).is_file() for path in pictures)
    assert f"{load_model('mnist').about['performance']:.2%}".replace("%", " %") in text


def test_the_audits_figures_are_those_that_were_measured() -> None:
    """Clean networks accused, and marks found in their place; translations hold the same numbers."""
    measured = " ".join((ROOT / "docs" / "measured.md").read_text("utf-8").split())
    accused, clean = re.findall(r"Of the clean networks (\d+) of (\d+)", measured)[0]
    found, marks = re.findall(r"small marks in ink or grey that work, (\d+) of (\d+)", measured)[0]
    said = " ".join(README.read_text("utf-8").split())
    assert f"of {clean} clean ones it accused {accused}" in said
    assert f"of {marks} whose mark in ink or grey works it found {found}, in the right place" in said
