"""Names in pictures: no file format refuses them, and letters that no font has are told of once."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.dom.minidom import parse

import pytest
from matplotlib import font_manager

from backquery.errors import AssumptionWarning
from backquery.plots import paper

COMMANDS = "zero\x1b[31m \x00\x07\x85 three\u202e \ufffe"


def named(text: str):
    figure = paper.new_figure(3, 1)
    figure.text(0.1, 0.5, text, **paper.words(9))
    return figure


@pytest.fixture
def latin_only(monkeypatch: pytest.MonkeyPatch):
    """As on a machine without Chinese letters."""
    monkeypatch.setattr(paper, "FONTS", ("DejaVu Sans",))
    paper.fonts.cache_clear()
    yield
    paper.fonts.cache_clear()


def test_a_name_with_commands_in_it_leaves_a_drawing_whole(tmp_path: Path) -> None:
    for kind in paper.FORMATS:
        paper.save_figure(named(COMMANDS), tmp_path / f"names{kind}")
    written = (tmp_path / "names.svg").read_text("utf-8")
    assert parse(str(tmp_path / "names.svg")) and "\x1b" not in written and "zero\ufffd[31m" in written


def test_letters_that_no_font_has_are_told_of_once(latin_only: None, tmp_path: Path) -> None:
    with pytest.warns(
        AssumptionWarning, match="no font here has the letters \u4e94\u5b57: boxes are drawn"
    ) as told:
        paper.save_figure(named("\u4e94\u5b57 \u4e94"), tmp_path / "names.png")
    assert len(told) == 1


@pytest.mark.needs("a Chinese font")
def test_a_font_installed_since_matplotlib_made_its_list_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    family = next(reversed(paper.fonts_with("\u4e94\u5b57") or []))
    fonts = font_manager.fontManager
    path = font_manager.findfont(family)
    monkeypatch.setattr(fonts, "ttflist", [font for font in fonts.ttflist if "DejaVu" in font.name])
    for kept in (paper.fonts, paper.fonts_with, paper.list_new_fonts, fonts._findfont_cached):
        kept.cache_clear()
    found = next(reversed(paper.fonts_with("\u4e94\u5b57") or []))
    assert found == family and font_manager.findfont(family) == path


def test_other_warnings_of_the_drawing_are_passed_on() -> None:
    with pytest.warns(UserWarning, match="something else"), paper.legible(named("three")):
        warnings.warn("something else", UserWarning, stacklevel=1)
