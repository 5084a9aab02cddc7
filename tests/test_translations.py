"""A translation says what the original says: its code, numbers, links, outline, written as its language does."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("studio", "lessons", "how-to-choose"))]
LANGUAGES = ("ru", "zh")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
OUTLINE = re.compile(r"^(#+|-|\||!|```\w*)(?= |\[|$)", re.MULTILINE)
CODE = re.compile(r"^```(?s:.*?)^```$|(?<!`)`[^`\n]+`(?!`)|^    .*$", re.MULTILINE)
TARGET = re.compile(r"\]\([^)]*\)")
NOT_DECIMAL = r"(?:Python|раздел)\s\d+\.\d+|\d+(?:\.\d+){2,}"
"""Numbers that name something keep their point."""
WHOLE = re.compile(r"(\d+)\s+(million|миллион\w*|万)")

Cells = list[list[Counter[str]]]


def translation(page: Path, language: str) -> Path:
    return page.with_suffix(f".{language}.md")


def read(page: Path) -> str:
    return page.read_text("utf-8")


def prose(text: str) -> str:
    """What is read as language: no code, no addresses."""
    return TARGET.sub("]", CODE.sub("", text))


def in_english(text: str, language: str = "en") -> str:
    """The text with its numbers as English writes them, in figures; those in code are left as they stand."""
    pieces, end = [], 0
    for code in [*CODE.finditer(text), None]:
        words = WHOLE.sub(in_figures, text[end : code.start() if code else None])
        if language == "ru":
            words = re.sub(r"(?<=\d),(?=\d)", ".", words)
            words = re.sub(r"(?<=\d)\u00a0(?=\d{3}(?!\d))", ",", words)
        pieces += [words, code[0] if code else ""]
        end = code.end() if code else end
    return "".join(pieces)


def in_figures(number: re.Match[str]) -> str:
    return str(int(number[1]) * (10**4 if number[2] == "万" else 10**6))


def code(text: str) -> list[str]:
    """The code blocks with their languages, without the comments."""
    return [
        "\n".join(re.sub(r"(^|\s+)# .*", "", line) for line in block.splitlines())
        for block in re.findall(r"^```(\w+\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def spans(text: str) -> Counter[str]:
    """What stands between single backticks, though a line may end in it."""
    return Counter(" ".join(span.split()) for span in SPAN.findall(text))


def tables(text: str) -> Cells:
    """The numbers of each cell, row by row."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[Counter(NUMBER.findall(cell)) for cell in row.strip("|").split("|")] for row in rows]


def languages(page: Path) -> set[str]:
    """The file names of a page in all languages."""
    return {page.name, *(translation(page, language).name for language in LANGUAGES)}


def links(text: str, page: Path) -> Counter[tuple[str, str]]:
    """Pictures and links with their targets, but for those to the other languages, and without anchors."""
    found = re.findall(r"(!?)\[[^]]*\]\(([^)#]*)(?:#[^)]*)?\)", text)
    return Counter(link for link in found if link[1] not in languages(page))


def anchors(text: str) -> set[str]:
    """The names under which the headings of a page are found."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def the_translations() -> list[object]:
    return [pytest.param(page, language, id=f"{page.stem}.{language}") for page in PAGES for language in LANGUAGES]


@pytest.mark.parametrize(("page", "language"), the_translations())
def test_a_translation_says_what_the_original_says(page: Path, language: str) -> None:
    original, translated = read(page), read(translation(page, language))
    assert code(translated) == code(original)
    numbers, expected = in_english(translated, language), in_english(original)
    assert tables(numbers) == tables(expected)
    assert Counter(NUMBER.findall(numbers)) == Counter(NUMBER.findall(expected))
    assert spans(translated) == spans(original)
    assert OUTLINE.findall(translated) == OUTLINE.findall(original)


def test_there_is_something_to_compare() -> None:
    readme = read(PAGES[0])
    assert len(code(readme)) == 3
    assert len(tables(readme)) > 10
    assert sum(mark == "!" for mark, _ in links(readme, PAGES[0]).elements()) >= 2
    assert all(code(read(page)) and len(OUTLINE.findall(read(page))) > 5 for page in PAGES)


@pytest.mark.parametrize(("page", "language"), the_translations())
def test_a_translation_links_to_what_the_original_does_in_its_own_language(page: Path, language: str) -> None:
    there = links(read(translation(page, language)), page)
    expected: Counter[tuple[str, str]] = Counter()
    for (picture, target), count in links(read(page), page).items():
        ours = re.sub(r"\.md$", f".{language}.md", re.sub(r"\.png$", f"-{language}.png", target))
        expected[picture, ours if (page.parent / ours).is_file() else target] += count
    assert there == expected
    assert sum(there.values()) >= 2


@pytest.mark.parametrize("page", [*PAGES, *(translation(page, one) for page in PAGES for one in LANGUAGES)],
                         ids=lambda page: page.stem)  # fmt: skip
def test_each_language_links_to_the_other_two_and_every_anchor_is_there(page: Path) -> None:
    text, stem = read(page), page.name.split(".")[0]
    top = text.splitlines()[2]
    names = languages(page.with_name(f"{stem}.md")) - {page.name}
    assert set(re.findall(r"\]\(([^)]+)\)", top)) == names
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", text):
        assert anchor in anchors(read(page.parent / target if target else page)), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_russian_has_decimal_commas_and_spaces_that_do_not_break(page: Path) -> None:
    words = re.sub(NOT_DECIMAL, "", prose(read(translation(page, "ru"))))
    assert re.findall(r"\d\.\d", words) == []
    assert (
        re.findall(r"\d[^\u00a0\u202f]?%", words) == []
    )  # "97,28 %", and the space is one that holds them together
    assert re.findall(r"\d \d{3}\b", words) == []
    assert re.findall(r'"[^"\n]*"', words) == []  # quotation marks are «these»


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_chinese_has_full_width_punctuation_and_no_space_before_per_cent(page: Path) -> None:
    words = prose(read(translation(page, "zh")))
    assert re.findall(r"\d\s+%", words) == []
    assert re.findall(r"[\u4e00-\u9fff][,;:?!()]|[,;:?!(][\u4e00-\u9fff]", words) == []
    assert re.findall(r"[\u4e00-\u9fff]\.(?:\s|$)", words) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize(("language", "only"), [("ru", "по-английски"), ("zh", "只有英文")])
def test_where_only_english_exists_is_said(page: Path, language: str, only: str) -> None:
    assert only in read(translation(page, language))
