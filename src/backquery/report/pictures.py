"""Pictures inside the page: small images pixel by pixel, figures as they are plotted."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import assume
from backquery.model import Array
from backquery.notes import Notes, NotesError
from backquery.plots.paper import NOT_READ, READ, figure_bytes, fonts_with
from backquery.report.markup import Html, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.report.subject import Subject
    from backquery.report.words import Words


Say = Callable[..., str]
"""A sentence by its key, with its values."""

KINDS = {"png": "image/png", "svg": "image/svg+xml"}


def pixels(picture: Array, alt: str, *, kind: str | None = None) -> Html:
    """A picture (rows, columns) of ink, or (rows, columns, 3) of colours, from 0 to 1, one pixel for each number.

    Ink is drawn as everywhere: none is white, full ink black, never stretched.
    """
    from PIL import Image

    shades = np.clip(picture if picture.ndim == 3 else 1 - picture, 0, 1)
    stream = io.BytesIO()
    Image.fromarray(np.rint(255 * shades).astype(np.uint8)).save(stream, "PNG", optimize=True)
    rows, columns = picture.shape[:2]
    classes = "pixels" if kind is None else f"pixels {kind}"
    return tag("img", src=_uri(stream.getvalue(), "png"), alt=alt, width=columns, height=rows, class_=classes)


def scan_tile(ink: Array, alt: str, caption: str, as_asked: bool) -> Html:
    """A scan with what is read in it; one that is not read as asked has a dashed frame and a cross."""
    mark = READ if as_asked else NOT_READ
    image = pixels(ink, alt, kind=None if as_asked else "missed")
    return tile(image, f"{caption}\N{NO-BREAK SPACE}{mark}")


def tile(image: Html, caption: str) -> Html:
    """A small picture with what is to be said of it."""
    return tag("figure", image, tag("figcaption", caption), class_="tile")


def tiles(each: Iterable[Html]) -> Html:
    """Small pictures side by side."""
    return tag("div", *each, class_="tiles")


def plotted(subject: Subject, figure: Figure, alt: str, *, kind: str = "svg") -> Html:
    """A figure of `plots`, on its white paper, its words in the report's language.

    Figures that are mostly pixels are better as png.
    """
    _translate(figure, subject.words, subject.classes)
    image = tag("img", src=_uri(figure_bytes(figure, kind), kind), alt=alt)
    return tag("div", image, class_="wide paper", tabindex="0", role="region", aria_label=alt)


def _translate(figure: Figure, words: Words, classes: Sequence[str]) -> None:
    """Say the figure's words in the language, but the labels' names; leave them where no font has its signs."""
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter, ScalarFormatter

    if words.language == "en":
        return
    english = {text: text.get_text() for text in figure.findobj(Text) if text.get_text() not in ("", *classes)}
    other = {text: words.drawn(said) for text, said in english.items()}
    families = fonts_with("".join(other.values()))
    if families is None:
        _say_no_font(words.language)
        return
    for text, said in other.items():
        if said != english[text]:
            text.set(text=said, fontfamily=families)
    for axis in (one for ax in figure.axes for one in (ax.xaxis, ax.yaxis)):
        if type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(FuncFormatter(lambda value, _: words.figure(f"{value:.10g}")))


@cache
def _say_no_font(language: str) -> None:
    assume(
        f"no installed font has the signs of --language {language}: the plots stay in English; install one that "
        "has them, such as Noto Sans CJK"
    )


def in_python(say: Say, notes: Notes, draw: Callable[..., Figure], /, *given: Any) -> Html:
    """The lines that make the same in Python, and `draw` it, folded away; nothing where no line can say it."""
    from backquery.plots import save_figure

    figure = object()
    notes.note("figure", figure, draw, *given)
    notes.note("", None, save_figure, figure, "figure.png")
    try:
        lines = str(notes)
    except NotesError:
        return Html("")
    return tag("details", tag("summary", say("python")), tag("pre", tag("code", lines)))


def _uri(content: bytes, kind: str) -> str:
    return f"data:{KINDS[kind]};base64,{b64encode(content).decode()}"
