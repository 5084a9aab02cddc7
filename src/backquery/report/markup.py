"""HTML from plain values: whatever is not markup already is escaped, so that no name can smuggle any in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from backquery.errors import valid

EMPTY = ("img", "meta", "br", "line", "circle", "rect")
"""Elements that hold nothing; drawings need them closed, and pages do not mind."""


class Html(str):
    """Text that is markup, and stands in a page as it is."""

    __slots__ = ()


def joined(parts: Iterable[Any]) -> Html:
    """The parts one after the other: markup as it is, anything else escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(valid(str(part))) for part in parts))


def tag(name: str, /, *content: Any, **attributes: Any) -> Html:
    """An element. Attributes that are None are left out; a trailing underscore is dropped (``class_``)."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opening = "".join(f' {key}="{escape(valid(str(value)))}"' for key, value in given.items())
    return Html(f"<{name}{opening}/>" if name in EMPTY else f"<{name}{opening}>{joined(content)}</{name}>")


def paragraph(*content: Any, kind: str | None = None) -> Html:
    """A paragraph."""
    return tag("p", *content, class_=kind)


def lead(text: str) -> Html:
    """The number that a section is about, first of all."""
    return paragraph(text, kind="lead")


def reading(*parts: Any, told: Iterable[tuple[str, str]]) -> Html:
    """Markup, and under it sentences, each after its heading: what it shows, and what it does not."""
    sentences = (paragraph(tag("b", heading), sentence) for heading, sentence in told)
    return joined([*parts, tag("div", *sentences, class_="reading")])


def table(columns: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str, *, kind: str | None = None) -> Html:
    """A table under its caption, each row beginning with its name, short ones filled up; a narrow page scrolls."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    full = ([*row, *[""] * (len(columns) - len(row))] for row in rows)
    body = (tag("tr", tag("th", row[0], scope="row"), *(_cell(cell) for cell in row[1:])) for row in full)
    inner = tag("table", tag("thead", head), tag("tbody", *body), class_=kind, aria_label=caption)
    wide = tag("div", inner, class_="wide", tabindex="0", role="region", aria_label=caption)
    return joined([paragraph(caption, kind="caption"), wide])


def _cell(cell: Any) -> Html:
    return cell if isinstance(cell, Html) and cell.startswith("<td") else tag("td", cell)


def facts(rows: Iterable[tuple[str, Any]]) -> Html:
    """Names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def items(lines: Iterable[Any]) -> Html:
    """A list."""
    return tag("ul", *(tag("li", line) for line in lines))
