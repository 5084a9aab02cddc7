"""Every method beside its controls, with the scores."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from backquery.model import Array, Layout
from backquery.plots.paper import HEADING, MARGIN, PENCIL, canvas, heading, new_figure, place_ink, words

LETTERS = 15
"""Of a subtitle, in an inch."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.faithfulness import Comparison, Row


def comparison_table(comparison: Comparison) -> Figure:
    """Every method and every control in a row of images, one for each label, with its scores at the right.

    An image that the network does not read as the label asked for has a dashed frame. Below the first faithful
    row stand the real images nearest to it.
    """
    lines, layout = _comparison_lines(comparison), Layout.of(comparison.image_shape)
    columns, tile, names = len(comparison.classes), 0.62, 1.75
    shown = comparison.columns
    scores = [_heading_of(name, comparison) for name in shown]
    width = MARGIN + names + columns * tile + 0.2 + 0.92 * len(scores) + MARGIN
    explained = textwrap.wrap(_comparison_subtitle(comparison), int(LETTERS * (width - 2 * MARGIN)))
    tallest = 1 + max(name.count("\n") for name in scores)
    top, left = HEADING + 0.15 * (len(explained) - 1 + tallest), MARGIN + names
    height = top + 0.08 + sum(0.42 if row is None else tile + 0.06 for _, row, _ in lines) + MARGIN
    figure = new_figure(width, height)
    ax = canvas(figure)
    centres = [left + columns * tile + 0.2 + (k + 0.5) * 0.92 for k in range(len(scores))]
    for k, name in enumerate(comparison.classes):
        ax.text(left + (k + 0.5) * tile, top, name, ha="center", va="bottom", fontweight="bold", **words(9))
    for x, name in zip(centres, scores, strict=True):
        ax.text(x, top, name, ha="center", va="bottom", **words(8, PENCIL))
    y = top + 0.08
    for name, row, ink in lines:
        if row is None:
            ax.text(MARGIN, y + 0.3, name, va="center", fontweight="bold", **words(9.5))
            y += 0.42
            continue
        ax.text(MARGIN, y + tile / 2, textwrap.fill(name, 22), va="center", **words(8.5))
        nearest = ink is not row.ink
        for image, asked, read in zip(ink, row.asked, row.read, strict=True):
            box = (left + asked * tile + 0.04, y + 0.04, tile - 0.08)
            as_asked = nearest or bool(read == asked)
            place_ink(ax, layout.drawn(image), box, as_asked)
        for x, score in zip(centres, [] if nearest else shown, strict=False):
            told = textwrap.fill(row.told[score], LETTERS)
            ax.text(x, y + tile / 2, told, ha="center", va="center", **words(8.5))
        y += tile + 0.06
    heading(figure, _comparison_title(comparison), "\n".join(explained))
    return figure


def _comparison_lines(comparison: Comparison) -> list[tuple[str, Row | None, Array]]:
    """Headings (without a row) and rows in the order in which they are drawn, each with the ink to draw."""
    headings = {
        "method": "Methods",
        "images": "Controls: images",
        "network": "Controls: networks, by gauss-newton",
    }
    lines: list[tuple[str, Row | None, Array]] = []
    shown = False
    for kind, name in headings.items():
        rows = [row for row in comparison.rows if row.kind == kind]
        if rows:
            lines.append((name, None, np.zeros(0)))
        for row in rows:
            lines.append((row.name, row, row.ink))
            if row.name.startswith("gauss-newton") and not shown:
                lines.append(("real images nearest to these", row, comparison.nearest_ink[row.name]))
                shown = True
    return lines


def _heading_of(score: str, comparison: Comparison) -> str:
    """The name of a score; below a judge's stands how often it is right on real images."""
    trusted = [judge.trusted(comparison.chance) for judge in comparison.judges if judge.name == score]
    return "\n".join([score, *textwrap.wrap("".join(trusted), 14)])


def _comparison_title(comparison: Comparison) -> str:
    """How many images of each method are read as asked, the most first; of as many, those that also converged."""
    rows = [row for row in comparison.rows if row.kind == "method"]
    rows.sort(key=lambda row: (-row.read_as_asked, -_converged(row)))
    count, counts = len(comparison.classes), dict.fromkeys(row.read_as_asked for row in rows)
    if len(counts) == 1:
        return f"Read as asked: {rows[0].read_as_asked} of {count} images by every method"
    by = [f"{each} by {', '.join(_method(row) for row in rows if row.read_as_asked == each)}" for each in counts]
    return f"Read as asked, of {count} images: {'; '.join(by)}"


def _converged(row: Row) -> int:
    """How many images give the answers asked for; none of a method that promises none."""
    return 0 if row.result is None else row.result.outcome.count("converged")


def _method(row: Row) -> str:
    """The method and, in brackets, the question."""
    name, _, question = row.name.partition(", ")
    return f"{name} ({question})" if question else name


def _comparison_subtitle(comparison: Comparison) -> str:
    judges = f"judges: right on so many real test images, by chance on {comparison.chance:.0%}"
    return "; ".join(["dashed: not read as asked", judges, *comparison.meanings])
