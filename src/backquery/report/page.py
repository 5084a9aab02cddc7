"""The page around the sections: one file, no address outside itself, light and dark, screen and paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backquery.report.markup import Html, paragraph, tag

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing may be fetched and nothing may run, whatever a model's names say."""


@dataclass(frozen=True)
class Section:
    """A chapter of the report: `key` is its anchor; `failed` says why there is no body, if there is none."""

    key: str
    title: str
    body: Html
    failed: str | None = None


def page(title: str, lead: Html, sections: Sequence[Section], contents: str, language: str) -> str:
    """The whole file; `contents` is the heading of its list of sections."""
    style = Path(__file__).with_name("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    overview = tag(
        "nav",
        tag("h2", contents, id="contents"),
        tag("ol", *(tag("li", tag("a", one.title, href=f"#{one.key}")) for one in sections)),
        aria_labelledby="contents",
    )
    header = tag("header", tag("h1", title), lead)
    main = tag("main", *(_chapter(one) for one in sections))
    return f"<!doctype html>\n{tag('html', head, tag('body', header, overview, main), lang=language)}\n"


def _chapter(one: Section) -> Html:
    body = one.body if one.failed is None else paragraph(one.failed, kind="failed")
    return tag("section", tag("h2", one.title, id=f"{one.key}-title"), body, id=one.key,
               aria_labelledby=f"{one.key}-title")  # fmt: skip
