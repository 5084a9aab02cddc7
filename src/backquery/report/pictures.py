"""Pictures inside the page: small images pixel by pixel, figures as they are plotted."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.model import Array
from backquery.notes import Notes, NotesError
from backquery.plots.paper import NOT_READ, READ, figure_bytes
from backquery.report.markup import Html, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def plotted(figure: Figure, alt: str, *, kind: str = "svg") -> Html:
    """A figure of `plots`, on its white paper; figures that are mostly pixels are better as png."""
    image = tag("img", src=_uri(figure_bytes(figure, kind), kind), alt=alt)
    return tag("div", image, class_="wide paper", tabindex="0", role="region", aria_label=alt)


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
