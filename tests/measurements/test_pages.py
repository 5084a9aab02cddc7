"""The index of the pages that are written to be linked: one of them can be played within it."""

from __future__ import annotations

from html.parser import HTMLParser

from measurements.pages import SHOWN, index


def test_the_index_embeds_a_page_by_name_and_loads_it_late() -> None:
    found: list[dict[str, str | None]] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "iframe":
                found.append(dict(attrs))

    text = index([f'<li><a href="{SHOWN}.html">one</a></li>'])
    Frames().feed(text)
    (frame,) = found
    assert (frame["src"], frame["loading"]) == (f"{SHOWN}.html", "lazy")
    assert frame["title"] and f'<a href="{SHOWN}.html">one</a>' in text
