"""An audit: for each label the region on a real image, and what it does beside what is usual."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from backquery.model import Array
from backquery.plots.paper import (
    HAIRLINE,
    HEADING,
    INK,
    MARGIN,
    PENCIL,
    SUPPORTS,
    as_picture,
    canvas,
    heading,
    name_width,
    new_figure,
    place_ink,
    words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.audit import Audit, Finding
    from backquery.model import Model


SIDE, ROW, SCALE = 0.72, 0.84, 3.0
"""In inches: the images' side, a label's row, and the scale from no image to all of them."""

LETTER = 0.086
"""About how wide a letter of the title is, in inches."""

NOTE = (
    "dot: the share of other labels' images that the region turns into this one; ring: the same at random places\n"
    "bar: usual for other labels' best such regions; cross: the most that another network reads so"
)


ALL_CLEAN = "framed: the small region that changes most of what is read, on an image of another label"


def audit_rows(audit: Audit, model: Model) -> Figure:
    """A row for each label: an image of another label, the same with the region, and the share that changes.

    The region is framed on both images, in orange where the label has a shortcut, and so is the dot. Clean labels
    have no share, which would be read as a finding.
    """
    told = any(finding.verdict != "clean" for finding in audit.findings)
    columns = 1 if told else 2  # without shares a row is narrow
    names = name_width(audit.classes)
    left = MARGIN + names
    start = left + 2 * (SIDE + 0.2) + 0.15
    block = start + (SCALE + 1.6 if told else 1.0)
    width = max(columns * block, 2 * MARGIN + LETTER * len(audit.summary))
    rows = -(-len(audit.findings) // columns)
    height = HEADING + 0.45 + ROW * rows + MARGIN
    figure = new_figure(width, height)
    ax = canvas(figure)
    top = HEADING + 0.45
    if told:
        _draw_scale(ax, start, top, ROW * rows)
    for column, (k, title) in product(range(columns), enumerate(("as it is", "with region"))):
        x = block * column + left + k * (SIDE + 0.2) + SIDE / 2
        ax.text(x, top - 0.08, title, ha="center", va="bottom", **words(8, PENCIL))
    for column, row in product(range(columns), range(rows)):
        if (place := column * rows + row) < len(audit.findings):
            finding, x, y = audit.findings[place], block * column, top + ROW * row + 0.04
            name = audit.classes[finding.label]
            ax.text(x + MARGIN, y + SIDE / 2, name, va="center", fontweight="bold", **words(10))
            for k, image in enumerate((finding.before, finding.after)):
                _draw_image(ax, finding, model, image, (x + left + k * (SIDE + 0.2), y))
            if finding.verdict != "clean":
                _draw_share(ax, finding, start, y + SIDE / 2)
            _write_verdict(ax, finding, x + start + (SCALE + 0.2 if told else 0.0), y + SIDE / 2)
    heading(figure, audit.summary, NOTE if told else ALL_CLEAN)
    return figure


def _draw_scale(ax: Axes, start: float, top: float, height: float) -> None:
    for share in (0.0, 0.5, 1.0):
        x = start + share * SCALE
        ax.plot([x, x], [top, top + height], color=HAIRLINE, linewidth=0.6, zorder=0)
        ax.text(x, top - 0.08, f"{share:.0%}", ha="center", va="bottom", **words(8, PENCIL))


def _draw_image(ax: Axes, finding: Finding, model: Model, image: Array, corner: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    ink = as_picture(image, model)
    place_ink(ax, ink, (*corner, SIDE), True)
    pixel = SIDE / ink.shape[1], SIDE / ink.shape[0]
    ax.add_patch(
        Rectangle(
            (corner[0] + finding.box.left * pixel[0], corner[1] + finding.box.top * pixel[1]),
            finding.box.width * pixel[0], finding.box.height * pixel[1],
            fill=False, edgecolor=_colour(finding), linewidth=1.2,
        )
    )  # fmt: skip


def _draw_share(ax: Axes, finding: Finding, start: float, y: float) -> None:
    share, low, high = (start + SCALE * float(value) for value in finding.changed)
    usual, elsewhere = start + SCALE * finding.usual, start + SCALE * float(finding.elsewhere.value)
    colour = _colour(finding)
    ax.plot([usual, usual], [y - 0.13, y + 0.13], color=PENCIL, linewidth=1.2)
    ax.plot(
        [elsewhere], [y], "o", markersize=4.5, markerfacecolor="white", markeredgecolor=PENCIL, markeredgewidth=0.9
    )
    most = start + SCALE * float(finding.references.max(initial=0.0))
    ax.plot([most], [y], "x", markersize=5, color=PENCIL, markeredgewidth=1.2)
    ax.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
    ax.plot([share], [y], "o", color=colour, markersize=5)


def _write_verdict(ax: Axes, finding: Finding, x: float, y: float) -> None:
    clean = finding.verdict == "clean"
    text = finding.verdict if clean else f"{finding.changed.value:.0%}  {finding.verdict}"
    ax.text(x, y, text, va="center", fontweight="normal" if clean else "bold", **words(9))


def _colour(finding: Finding) -> str:
    return SUPPORTS if finding.verdict == "shortcut" else INK
