"""What supports each label and what speaks against it, beside what came of testing it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backquery.evidence.verdicts import AGAINST as SPEAKS_AGAINST
from backquery.evidence.verdicts import INSENSITIVE, NEVER_INKED, SUPPORT
from backquery.model import Array, Layout
from backquery.plots.paper import (
    AGAINST,
    HAIRLINE,
    HEADING,
    INK,
    MARGIN,
    PENCIL,
    SUPPORTS,
    bare,
    draw_ink,
    heading,
    new_figure,
    panel,
    words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.evidence import Evidence, Intervention


INDIFFERENT = "#c4c4c4"
PALEST = 0.3
"""How strong the colour of the weakest effect is; the strongest has it in full."""

PICTURE, GAP, NAMES, BARS, TITLE = 1.2, 0.12, 1.12, 1.9, 0.3
CELL_WIDTH = 2 * PICTURE + 2 * GAP + NAMES + BARS
CELL_HEIGHT = TITLE + PICTURE + 0.42
LEGEND, NOTE, LINE = 0.34, 0.28, 0.16


def evidence_maps(evidence: Sequence[Evidence], shape: tuple[int, ...], *, title: str | None = None) -> Figure:
    """For each question the mean image, the verdict on every pixel, and how the claims fared on held-out images.

    Colours are as strong as the effect, on one scale for all questions. The dots at the right are mean changes of
    the log-odds with their 95 % intervals, in colour, and of those claimed to be hardly any the mean sizes; a
    hollow one is a claim that did not hold. The pale band is what counts as hardly any change.
    """
    columns = 1 if len(evidence) == 1 else 2
    rows = -(-len(evidence) // columns)
    width = 2 * MARGIN + columns * CELL_WIDTH + (columns - 1) * 0.4
    note = _note(evidence, width)
    height = HEADING + LEGEND + rows * CELL_HEIGHT + NOTE + LINE * len(note)
    figure = new_figure(width, height)
    strongest = strongest_effect(evidence)
    reach = reach_of(evidence)
    for position, one in enumerate(evidence):
        row, column = divmod(position, columns)
        place = (MARGIN + column * (CELL_WIDTH + 0.4), HEADING + LEGEND + row * CELL_HEIGHT)
        _cell(figure, place, one, shape, strongest, reach)
    heading(figure, title or _title(evidence), _subtitle(evidence))
    _legend(figure)
    figure.text(MARGIN / width, 0.12 / height, "\n".join(note), va="bottom", linespacing=1.35, **words(8, PENCIL))
    return figure


def evidence_colours(evidence: Evidence, shape: tuple[int, ...], strongest: float) -> Array:
    """The verdicts as a picture (rows, columns, 3) of red, green and blue from 0 to 1.

    Orange supports, blue speaks against, both in full at the effect `strongest`; grey does not matter; what is
    unclear, or was never inked, stays paper.
    """
    from matplotlib.colors import to_rgb

    findings = evidence.findings
    strength = PALEST + (1 - PALEST) * np.clip(np.abs(findings.mean) / strongest, 0, 1)
    picture = np.ones((len(findings.mean), 3))
    for verdict, colour in ((SUPPORT, SUPPORTS), (SPEAKS_AGAINST, AGAINST)):
        here = findings.verdict == verdict
        picture[here] = 1 - strength[here, None] * (1 - np.array(to_rgb(colour)))
    picture[findings.verdict == INSENSITIVE] = to_rgb(INDIFFERENT)
    return picture.reshape(*Layout.of(shape).picture, 3)


def strongest_effect(evidence: Sequence[Evidence]) -> float:
    """The effect that gets the full colour: few pixels are stronger."""
    effects = np.abs(np.concatenate([one.findings.mean for one in evidence]))
    return float(max(np.percentile(effects, 99), 1e-12))


def reach_of(evidence: Sequence[Evidence]) -> float:
    """How far the lines of changes go, either way, on one scale for all questions."""
    tested = [each.tested for one in evidence for each in drawn(one)]
    ends = [abs(end) for each in tested if each is not None for end in (each.low, each.high)]
    return 1.08 * max(ends, default=0.0) or 1.0


def drawn(evidence: Evidence) -> list[Intervention]:
    """The interventions that are shown: those that claim anything."""
    return [one for one in evidence.interventions if one.claim is not None]


def _cell(
    figure: Figure,
    place: tuple[float, float],
    evidence: Evidence,
    shape: tuple[int, ...],
    strongest: float,
    reach: float,
) -> None:
    left, top = place
    width, height = figure.get_size_inches()
    rows, columns = Layout.of(shape).picture
    side = (PICTURE * min(1.0, columns / rows), PICTURE * min(1.0, rows / columns))
    figure.text(
        left / width, 1 - (top + 0.1) / height, evidence.question, va="top", fontweight="bold", **words(9.5)
    )
    below = top + TITLE
    draw_ink(panel(figure, left, below, *side), np.clip(evidence.mean_ink, 0, 1).reshape(rows, columns), True)
    _draw_map(panel(figure, left + PICTURE + GAP, below, *side), evidence, shape, strongest)
    _draw_claims(panel(figure, left + 2 * (PICTURE + GAP) + NAMES, below, BARS, PICTURE), evidence, reach)


def _draw_map(ax: Axes, evidence: Evidence, shape: tuple[int, ...], strongest: float) -> None:
    draw_ink(ax, evidence_colours(evidence, shape, strongest), True)
    never = (evidence.findings.verdict == NEVER_INKED).reshape(Layout.of(shape).picture)
    y, x = np.nonzero(never)
    ax.plot(x, y, ".", color=HAIRLINE, markersize=1.2, markeredgewidth=0)


def _draw_claims(ax: Axes, evidence: Evidence, reach: float) -> None:
    """Each intervention's mean change and interval, one line each, with its name at the left."""
    colours = {"support": SUPPORTS, "against": AGAINST, "insensitive": PENCIL}
    claims = drawn(evidence)
    ax.axvline(0.0, color=HAIRLINE, linewidth=0.8, zorder=0)
    for line, one in enumerate(claims):
        colour = colours[one.region]
        if one.tested is None:
            ax.text(0.0, line, "  too few images to tell", va="center", **words(7, PENCIL))
            continue
        if one.claim == 0:
            ax.barh(line, one.limit or 0, height=0.7, color="#ededed", zorder=0)
        face = colour if one.held else "white"
        ax.plot(one.tested[1:], [line, line], color=colour, linewidth=1.4)
        ax.plot(one.tested.value, line, "o", color=colour, markersize=3.4, markerfacecolor=face)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(len(claims) - 0.4, -0.6)
    ax.set_yticks(range(len(claims)), [f"{one.region}, {sign_of(one)} ink" for one in claims], **words(7.5))
    bare(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelcolor=INK, labelsize=7.5)
    ax.tick_params(axis="x", labelsize=7, length=2)
    ax.set_xlabel("change of the log-odds", labelpad=1, **words(7, PENCIL))


def sign_of(one: Intervention) -> str:
    """Plus where ink was added, minus where it was taken."""
    return "+" if one.action.endswith("added") else "\N{MINUS SIGN}"


def _legend(figure: Figure) -> None:
    """What the colours mean, in one line under the heading."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    x, y, side = MARGIN, HEADING + 0.03, 0.12
    entries = (
        (SUPPORTS, "ink supports", 0.95),
        (AGAINST, "ink speaks against", 1.32),
        (INDIFFERENT, "does not matter", 1.15),
        ("white", "unclear", 0.7),
        ("dotted", "never inked", 0.95),
    )
    for colour, name, step in entries:
        box = ((x / width), 1 - (y + side) / height)
        face = "white" if colour == "dotted" else colour
        figure.add_artist(Rectangle(box, side / width, side / height, facecolor=face, edgecolor=HAIRLINE, lw=0.6))
        if colour == "dotted":
            figure.text(box[0] + side / 2 / width, box[1] + side / 2 / height, "·", ha="center", va="center",
                        **words(9, PENCIL))  # fmt: skip
        figure.text((x + side + 0.06) / width, 1 - (y + side / 2) / height, name, va="center", **words(8, PENCIL))
        x += side + 0.06 + step


def _title(evidence: Sequence[Evidence]) -> str:
    held, tested = sum(one.held for one in evidence), sum(len(one.claims) for one in evidence)
    return f"{held} of {tested} claims held when ink was added and taken"


def _subtitle(evidence: Sequence[Evidence]) -> str:
    one = evidence[0]
    return (
        f"a pixel matters if full ink moves the log-odds by {one.smallest:g}; false-discovery rate {one.rate:.0%}"
    )


def _note(evidence: Sequence[Evidence], width: float) -> list[str]:
    """How to read the picture, in lines that fit under it."""
    text = (
        f"Verdicts from {max(one.images for one in evidence):,} images at most, tested on others: a hundredth of "
        "all pixels, drawn from the region, is inked (+) or blanked (−). Dots: mean change with 95 % "
        "interval, of insensitive pixels the mean size of the change; hollow: the claim did not hold; pale band: "
        "counts as hardly any change. Paler colours: weaker effects."
    )
    return textwrap.wrap(text, round(width * 15.5))
