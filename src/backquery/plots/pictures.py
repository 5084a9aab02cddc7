"""How pictures become a network's inputs: step by step, with what it answers. In colour there is but one step."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from backquery.model import UNREAD, Array, Layout, labels_read, name_read
from backquery.plots.paper import (
    HEADING,
    LINE,
    MARGIN,
    PENCIL,
    SHADES,
    as_picture,
    canvas,
    framed,
    heading,
    name_width,
    new_figure,
    panel,
    words,
)
from backquery.plots.performance import draw_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.datasets.images import Preparation
    from backquery.model import Model

MOST_PICTURES = 20
"""So many are drawn, the first ones."""

MOST_BARS = 10
"""So many answers are drawn, the strongest ones."""

STEPS = ("the picture, in grey", "the paper's light", "ink found", "what the network sees")
STEPS_IN_COLOUR = ("the picture", "what the network sees")
WIDE, TALL, GAP, BARS = 1.9, 1.5, 0.22, 1.9
NAME, COLUMNS, BETWEEN = 0.26, 0.26, 0.24

LIGHT: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "antialiased", "aspect": "equal"}
"""How brightness, or a picture in colour, is drawn: as the camera saw it, never stretched."""

NOTHING = "nothing"
"""What is read in a blank picture."""

LONGEST = 90
"""Letters of a title, or of a picture's name."""

FINEST = 480
"""The longest side, in pixels, that a picture is drawn with."""


def query_steps(prepared: Sequence[Preparation], names: Sequence[str], answers: ArrayLike, model: Model) -> Figure:
    """For each picture a row: as given, its paper's light, the ink, the network's input, and the answers as bars.

    Pictures in colour are taken as they are: as given, the network's input, and the answers.

    `prepared` comes from `prepare_steps`, `answers` (pictures, outputs) from the model's `query`. Of more than
    20 pictures the first 20 are drawn, of more than 10 answers the strongest 10; the figure says so.
    """
    values = np.asarray(answers, np.float64)
    drawn = min(len(prepared), MOST_PICTURES)
    steps = STEPS_IN_COLOUR if Layout.of(model.input_shape).coloured else STEPS
    left = MARGIN + len(steps) * (WIDE + GAP) + name_width(model.classes)
    row = NAME + TALL + BETWEEN
    figure = new_figure(left + BARS + 0.35 + MARGIN, HEADING + COLUMNS + drawn * row)
    _column_heads(figure, steps, left)
    for k in range(drawn):
        top = HEADING + COLUMNS + k * row
        _name(figure, top, names[k], prepared[k].uneven)
        _draw_steps(figure, top + NAME, prepared[k], model)
        order = strongest_of(values[k])
        bars = panel(figure, left, top + NAME, BARS, TALL * len(order) / MOST_BARS)
        draw_bars(bars, values[k][order], [model.classes[label] for label in order], 8, read=not prepared[k].blank)
    labels = labels_read(model, model.scale([one.pixels for one in prepared]))
    read = [
        NOTHING if one.blank else name_read(model.classes, label)
        for one, label in zip(prepared, labels, strict=True)
    ]
    heading(figure, _title(read, values), _subtitle(prepared, model))
    return figure


def strongest_of(answers: Array) -> list[int]:
    """The labels of the strongest answers (outputs,), at most `MOST_BARS`, in the order of the labels."""
    return sorted(np.argsort(-answers, kind="stable")[:MOST_BARS].tolist())


def _draw_steps(figure: Figure, top: float, one: Preparation, model: Model) -> None:
    small, inputs = one.within(FINEST), as_picture(model.scale(one.pixels[None])[0], model)
    found = (small.paper, LIGHT), (small.ink / 255, {**SHADES, "interpolation": "antialiased"})
    coloured = Layout.of(model.input_shape).coloured
    given = small.given / 255 if coloured else small.given  # colours are drawn from 0 to 1
    shown: tuple[tuple[Array, dict[str, Any]], ...] = (
        (given, LIGHT),
        *(() if coloured else found),
        (inputs, SHADES),
    )
    for column, (values, look) in enumerate(shown):
        _draw(figure, (MARGIN + column * (WIDE + GAP), top), values, look)


def _draw(figure: Figure, place: tuple[float, float], values: Array, look: dict[str, Any]) -> Axes:
    """An image as large as fits into its room, in the room's upper left corner."""
    height, width = values.shape[:2]
    scale = min(WIDE / width, TALL / height)
    ax = panel(figure, *place, width * scale, height * scale)
    ax.imshow(values, **look)
    ax.set(xticks=[], yticks=[])
    framed(ax)
    return ax


def _column_heads(figure: Figure, steps: Sequence[str], bars: float) -> None:
    ax = canvas(figure)
    places = [MARGIN + column * (WIDE + GAP) for column in range(len(steps))]
    for place, text in zip((*places, bars), (*steps, "its answers"), strict=True):
        ax.text(place, HEADING + LINE / 2, text, va="center", **words(8.5, PENCIL))


def _name(figure: Figure, top: float, name: str, uneven: bool) -> None:
    ax = canvas(figure)
    shorter = name if len(name) <= LONGEST else f"{name[: LONGEST - 12]}...{name[-9:]}"
    said = ax.text(MARGIN, top + NAME / 2, shorter, va="center", fontweight="bold", **words(8.5))
    if uneven:
        style = {"xycoords": said, "textcoords": "offset points", "va": "center", **words(8.5, PENCIL)}
        ax.annotate("a photograph in uneven light", (1, 0.5), (8, 0), **style)


def _title(read: Sequence[str], values: Array) -> str:
    if read == [NOTHING]:
        return "Nothing to read: the picture is blank"
    if read == [name_read((), UNREAD)]:
        return f"No reading: two labels tie, {values.max():.2f}"
    if len(read) == 1:
        return f"Read as {read[0]}, {values.max():.2f}"
    return shorten(f"Read as {', '.join(read[:MOST_PICTURES])}", LONGEST, placeholder=" ...")


def _subtitle(prepared: Sequence[Preparation], model: Model) -> str:
    classes, cleaned = len(model.classes), sum(one.uneven for one in prepared)
    parts = ["no shadows taken away" if not cleaned else f"shadows taken away from {cleaned} of {len(prepared)}"]
    if Layout.of(model.input_shape).coloured:
        parts = ["in colour, as they are"]
    if len(prepared) > MOST_PICTURES:
        parts.append(f"the first {MOST_PICTURES} of {len(prepared)} pictures")
    if classes > MOST_BARS:
        parts.append(f"the strongest {MOST_BARS} of {classes} answers")
    return "; ".join(parts)
