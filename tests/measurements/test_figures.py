"""A figure that stands in several documents is the same in all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from measurements.figures import FIGURES, Figures, mismatches, quotes_of

from measurements import figures


def test_all_documents_say_what_the_origins_do() -> None:
    wrong = [
        f"{document}: {said} should be {wanted}"
        for document, text, corrected in mismatches()
        for said, wanted in zip(text.splitlines(), corrected.splitlines(), strict=True)
        if said != wanted
    ]
    assert not wrong, "\n".join(["python -m measurements.figures corrects this:", *wrong])


@pytest.mark.parametrize("shared", FIGURES, ids=lambda one: one.origin[1][:40])
def test_every_quote_is_found_once_in_every_language(shared: Figures) -> None:
    quotes = [*quotes_of(shared)]
    assert {quote.document for quote in quotes} >= {"README.md", "README.ru.md", "README.zh.md"}
    assert all(quote.spans for quote in quotes)


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "origin.md").write_text("We measured 3 of\n12, by -0.25 (12.34 s).", "utf-8")
    (tmp_path / "README.md").write_text("It was 31 of 34 in 12.3 s.", "utf-8")
    (tmp_path / "README.ru.md").write_text("Было 3 из 12,\nизменилось на \N{MINUS SIGN}0,3.", "utf-8")
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    quoted = (
        ("README.md", "It was {found} of {all} in {seconds:.1f} s."),
        ("README.ru.md", "Было {found} из {all}, изменилось на {change}."),
    )
    shared = Figures(("origin.md", "We measured {found} of {all}, by {change} ({seconds} s)."), quoted)
    monkeypatch.setattr(figures, "FIGURES", (shared,))
    return tmp_path


def test_what_differs_is_brought_to_the_origin_in_each_language(documents: Path) -> None:
    assert [document for document, *_ in mismatches()] == ["README.md", "README.ru.md"]
    assert figures.main() == 0
    assert (documents / "README.md").read_text("utf-8") == "It was 3 of 12 in 12.3 s."
    assert (documents / "README.ru.md").read_text("utf-8") == "Было 3 из 12,\nизменилось на \N{MINUS SIGN}0,25."
    assert [*mismatches()] == []


def test_a_sentence_that_is_gone_is_said(documents: Path) -> None:
    (documents / "README.md").write_text("Nothing.", "utf-8")
    with pytest.raises(ValueError, match=r"README\.md says 0 times, not once: It was"):
        [*mismatches()]
