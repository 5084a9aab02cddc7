"""What supports each label and what speaks against it, beside what came of testing it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backquery.evidence import caution
from backquery.evidence.interventions import ADDED
from backquery.evidence.verdicts import AGAINST as SPEAKS_AGAINST
from backquery.evidence.verdicts import INSENSITIVE, NEVER_INKED, SUPPORT
from backquery.model import Array, Layout, name_read, picture_of
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

    from backquery.evidence import Evidence, ImageEvidence, Intervention, Trial
    from backquery.model import Model

INDIFFERENT = "#c4c4c4"
LIGHT = "light"
PALEST = 0.3
"""How strong the colour of the weakest effect is; the strongest has it in full."""

PICTURE, GAP, NAMES, BARS, TITLE = 1.2, 0.12, 1.12, 1.9, 0.3
CELL_WIDTH = 2 * PICTURE + 2 * GAP + NAMES + BARS
CELL_HEIGHT = TITLE + PICTURE + 0.42
LEGEND, NOTE, LINE, CAUTION = 0.34, 0.28, 0.16, 0.1
OUTCOMES = 1.3
"""The words beside the trials of one image."""

COLOURS = {"support": SUPPORTS, "against": AGAINST, "insensitive": PENCIL}
VERDICTS = (
    (SUPPORTS, "{} supports", 0.95),
    (AGAINST, "{} speaks against", 1.32),
    (INDIFFERENT, "does not matter", 1.15),
    ("white", "unclear", 0.7),
)
NEVER = ("dotted", "never any {}", 0.95)
OUTLINE = ("outline", "where the ink is", 1.2)


def evidence_maps(evidence: Sequence[Evidence], shape: tuple[int, ...], *, title: str | None = None) -> Figure:
    """For each question the mean image, the verdict on every pixel, and how the claims fared on held-out images.

    Colours are as strong as the effect, on one scale for all questions. The dots at the right are mean changes of
    the log-odds with their 95 % intervals, in colour, and of those claimed to be hardly any the mean sizes; a
    hollow one is a claim that did not hold. The pale band is what counts as hardly any change. What to mind before
    the maps are read stands above them.
    """
    columns = 1 if len(evidence) == 1 else 2
    rows = -(-len(evidence) // columns)
    width = 2 * MARGIN + columns * CELL_WIDTH + (columns - 1) * 0.4
    said = caution(evidence)
    ink = ink_word(shape)
    note, mind = (_in_lines(text, width) for text in (_note(evidence, ink), said[:1].upper() + said[1:]))
    top = HEADING + LEGEND + len(mind) * LINE + bool(mind) * CAUTION
    figure = new_figure(width, top + rows * CELL_HEIGHT + NOTE + LINE * len(note))
    strongest = strongest_effect(evidence)
    reach = reach_of(evidence)
    for position, one in enumerate(evidence):
        row, column = divmod(position, columns)
        _cell(
            figure, (MARGIN + column * (CELL_WIDTH + 0.4), top + row * CELL_HEIGHT), one, shape, strongest, reach
        )
    heading(figure, title or _title(evidence, ink), _subtitle(evidence[0], ink))
    _write(figure, HEADING, mind, INK)
    _legend(figure, top - LEGEND, (*VERDICTS, NEVER), ink)
    _write(figure, figure.get_figheight() - 0.12 - LINE * len(note), note, PENCIL)
    return figure


def image_evidence_maps(evidence: Sequence[ImageEvidence], model: Model, *, title: str | None = None) -> Figure:
    """For each question the image, what each pixel means in it, and what came of changing them together.

    The dots at the right are changes of the log-odds when the strongest pixels of a kind were inked or blanked at
    once; the grey lines are the middle 95 % of what as much other ink does. A hollow dot is a claim that did not
    hold; beside it stands what the model then reads. The map's black line is where the ink is; colours have none.
    """
    width = 2 * MARGIN + CELL_WIDTH + OUTCOMES
    ink = ink_word(model.input_shape)
    note = _in_lines(IMAGE_NOTE.format(ink), width)
    top = HEADING + LEGEND
    figure = new_figure(width, top + len(evidence) * CELL_HEIGHT + NOTE + LINE * len(note))
    strongest, reach = strongest_effect(evidence), trial_reach(evidence)
    for row, one in enumerate(evidence):
        _image_cell(figure, (MARGIN, top + row * CELL_HEIGHT), one, model, strongest, reach)
    heading(figure, title or _image_title(evidence, model.classes), _subtitle(evidence[0], ink))
    _legend(figure, HEADING, VERDICTS if ink == LIGHT else (*VERDICTS, OUTLINE), ink)
    _write(figure, figure.get_figheight() - 0.12 - LINE * len(note), note, PENCIL)
    return figure


def evidence_colours(evidence: Evidence | ImageEvidence, shape: tuple[int, ...], strongest: float) -> Array:
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
    return picture.reshape(*_size(shape), 3)


def ink_word(shape: tuple[int, ...]) -> str:
    """What is added and taken: ink, or light where images of that shape are in colour."""
    return LIGHT if Layout.of(shape).coloured else "ink"


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of pixels, whatever their channels."""
    layout = Layout.of(shape)
    return layout.rows, layout.columns


def strongest_effect(evidence: Sequence[Evidence | ImageEvidence]) -> float:
    """The effect that gets the full colour: few pixels are stronger."""
    effects = np.abs(np.concatenate([one.findings.mean for one in evidence]))
    return float(max(np.percentile(effects, 99), 1e-12))


def reach_of(evidence: Sequence[Evidence]) -> float:
    """How far the lines of changes go, either way, on one scale for all questions."""
    tested = [each.tested for one in evidence for each in drawn(one)]
    ends = [abs(end) for each in tested if each is not None for end in (each.low, each.high)]
    return 1.08 * max(ends, default=0.0) or 1.0


def trial_reach(evidence: Sequence[ImageEvidence]) -> float:
    """The same for the trials of one image, and of what they are compared with."""
    ends = [
        abs(end) for one in evidence for each in one.trials for end in (each.change, each.low, each.high) if end
    ]
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
    mean = Layout.of(shape).drawn(np.clip(evidence.mean_ink, 0, 1))
    image, chart = _pair(figure, place, evidence.question, mean, evidence, shape, strongest)
    never = (evidence.findings.verdict == NEVER_INKED).reshape(_size(shape))
    y, x = np.nonzero(never)
    image.plot(x, y, ".", color=HAIRLINE, markersize=1.2, markeredgewidth=0)
    _draw_claims(chart, evidence, reach, ink_word(shape))


def _image_cell(
    figure: Figure,
    place: tuple[float, float],
    evidence: ImageEvidence,
    model: Model,
    strongest: float,
    reach: float,
) -> None:
    shape, shades = model.input_shape, picture_of(model, evidence.ink)
    question = f"for {evidence.question}"
    image, chart = _pair(figure, place, question, shades, evidence, shape, strongest)
    if Layout.of(shape).channels == 1 and evidence.ink.min() < 0.5 < evidence.ink.max():
        image.contour(evidence.ink.reshape(_size(shape)), [0.5], colors=INK, linewidths=0.6)
    _draw_trials(chart, evidence.trials, model.classes, reach, ink_word(shape))


def _pair(
    figure: Figure,
    place: tuple[float, float],
    question: str,
    picture: Array,
    evidence: Evidence | ImageEvidence,
    shape: tuple[int, ...],
    strongest: float,
) -> tuple[Axes, Axes]:
    """An image and the map of verdicts beside it, under their question: the map's axes, and those for a chart."""
    left, top = place
    width, height = figure.get_size_inches()
    rows, columns = picture.shape[:2]
    side = (PICTURE * min(1.0, columns / rows), PICTURE * min(1.0, rows / columns))
    figure.text(left / width, 1 - (top + 0.1) / height, question, va="top", fontweight="bold", **words(9.5))
    below = top + TITLE
    draw_ink(panel(figure, left, below, *side), picture, True)
    image = panel(figure, left + PICTURE + GAP, below, *side)
    draw_ink(image, evidence_colours(evidence, shape, strongest), True)
    return image, panel(figure, left + 2 * (PICTURE + GAP) + NAMES, below, BARS, PICTURE)


def _draw_claims(ax: Axes, evidence: Evidence, reach: float, ink: str) -> None:
    """Each intervention's mean change and interval, one line each, with its name at the left."""
    claims = drawn(evidence)
    _chart(ax, claims, reach, ink)
    for line, one in enumerate(claims):
        colour = COLOURS[one.region]
        if one.tested is None:
            ax.text(0.0, line, "  too few images to tell", va="center", **words(7, PENCIL))
            continue
        if one.claim == 0:
            ax.barh(line, one.limit or 0, height=0.7, color="#ededed", zorder=0)
        ax.plot(one.tested[1:], [line, line], color=colour, linewidth=1.4)
        ax.plot(one.tested.value, line, "o", color=colour, markersize=3.4, markerfacecolor=_face(one))


def _draw_trials(ax: Axes, trials: Sequence[Trial], classes: Sequence[str], reach: float, ink: str) -> None:
    """What each trial did, before what as much other ink does, and what is read then at the right."""
    _chart(ax, trials, reach, ink)
    for line, one in enumerate(trials):
        if one.change is None or one.low is None or one.high is None or one.read is None:
            ax.text(0.0, line, "  there are no such pixels", va="center", **words(7, PENCIL))
            continue
        ax.plot([one.low, one.high], [line, line], color=HAIRLINE, linewidth=4, solid_capstyle="butt")
        ax.plot(one.change, line, "o", color=COLOURS[one.region], markersize=4, markerfacecolor=_face(one))
        told = f"{one.pixels} pixel{'s' if one.pixels > 1 else ''}: reads {name_read(classes, one.read)}"
        ax.text(1.04 * reach, line, told, va="center", **words(7.5, PENCIL))


def _chart(ax: Axes, claims: Sequence[Intervention | Trial], reach: float, ink: str) -> None:
    """Room for one line for each claim, with its name at the left, on either side of no change."""
    ax.axvline(0.0, color=HAIRLINE, linewidth=0.8, zorder=0)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(len(claims) - 0.4, -0.6)
    ax.set_yticks(range(len(claims)), [f"{one.region}, {sign_of(one)} {ink}" for one in claims], **words(7.5))
    bare(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelcolor=INK, labelsize=7.5)
    ax.tick_params(axis="x", labelsize=7, length=2)
    ax.set_xlabel("change of the log-odds", labelpad=1, **words(7, PENCIL))


def _face(one: Intervention | Trial) -> str:
    """A dot's inside: white where the claim did not hold."""
    return COLOURS[one.region] if one.held else "white"


def sign_of(one: Intervention | Trial) -> str:
    """Plus where ink was added, minus where it was taken."""
    return "+" if one.action == ADDED else "\N{MINUS SIGN}"


def _legend(figure: Figure, y: float, entries: Sequence[tuple[str, str, float]], ink: str) -> None:
    """What the colours mean, in one line that begins so far below the upper edge."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    x, y, side = MARGIN, y + 0.03, 0.12
    for colour, name, step in entries:
        box = ((x / width), 1 - (y + side) / height)
        face, edge = (
            ("white" if colour in ("dotted", "outline") else colour),
            INK if colour == "outline" else HAIRLINE,
        )
        figure.add_artist(Rectangle(box, side / width, side / height, facecolor=face, edgecolor=edge, lw=0.6))
        if colour == "dotted":
            figure.text(box[0] + side / 2 / width, box[1] + side / 2 / height, "·", ha="center", va="center",
                        **words(9, PENCIL))  # fmt: skip
        figure.text((x + side + 0.06) / width, 1 - (y + side / 2) / height, name.format(ink), va="center",
                    **words(8, PENCIL))  # fmt: skip
        x += side + 0.06 + step


def _write(figure: Figure, y: float, lines: Sequence[str], colour: str) -> None:
    """Lines of text, the first one so far below the upper edge."""
    width, height = figure.get_size_inches()
    figure.text(MARGIN / width, 1 - y / height, "\n".join(lines), va="top", linespacing=1.35, **words(8, colour))


def _in_lines(text: str, width: float) -> list[str]:
    """A text in lines that fit into a figure of that width."""
    return textwrap.wrap(text, round(width * 15.5))


def _title(evidence: Sequence[Evidence], ink: str) -> str:
    held, tested = sum(one.held for one in evidence), sum(len(one.claims) for one in evidence)
    return f"{held} of {tested} claims held when {ink} was added and taken"


def _image_title(evidence: Sequence[ImageEvidence], classes: Sequence[str]) -> str:
    held, tried = sum(one.held for one in evidence), sum(len(one.claims) for one in evidence)
    return f"Read as {name_read(classes, evidence[0].read)}; {held} of {tried} claims held when they were tried"


def _subtitle(one: Evidence | ImageEvidence, ink: str) -> str:
    return (
        f"a pixel matters if full {ink} moves the log-odds by {one.smallest:g}; "
        f"false-discovery rate {one.rate:.0%}"
    )


def _note(evidence: Sequence[Evidence], ink: str) -> str:
    """How to read the picture, and by which measure it was made."""
    why = evidence[0].why
    measured = f" {why[:1].upper()}{why[1:]}." if why else ""
    return (
        f"Verdicts from {max(one.images for one in evidence):,} images at most, tested on others: a hundredth of "
        f"all pixels, drawn from the region, is {FILLED[ink]}. Dots: mean change with 95 % interval, of "
        "insensitive pixels the mean size of the change; hollow: the claim did not hold; pale band: "
        "counts as hardly any change. Paler colours: weaker effects."
        f"{_IN_COLOUR if ink == LIGHT else ''}{measured}"
    )


FILLED = {"ink": "inked (+) or blanked (−)", LIGHT: "made white (+) or black (−)"}
"""What is done to a pixel, in all of its channels."""

_IN_COLOUR = " A pixel is one in all its colours."

IMAGE_NOTE = (
    "Verdicts on this one image, whose patches were moved at random. Dots: what the strongest pixels of a kind do "
    "when {0} is added (+) or taken (−) there at once, at most half of the {0}; grey lines: 95 of 100 draws of "
    "as much other {0}; hollow: the claim did not hold. Paler colours: weaker effects."
)
"""How to read the picture of one image."""
