"""What is left of a damaged network: performance, the reading of scans, each label, and the scans themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backquery.plots.paper import (
    HAIRLINE,
    HEADING,
    INK,
    MARGIN,
    PENCIL,
    as_picture,
    bare,
    canvas,
    heading,
    name_width,
    new_figure,
    panel,
    place_ink,
    words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.experiments.damage import Damage, Stage
    from backquery.experiments.endurance import Endurance
    from backquery.intervals import Interval

LINES = {"random": "-", "heaviest": (0, (5, 2)), "evidence": (0, (1, 1.5))}
COLUMN, CURVES, READINGS = 3.0, 2.0, 0.9
"""Width of a column and heights of its two upper panels, in inches."""

LEFTMOST, NAMED = 0.68, 0.08
"""Where the names of curves begin at the right, and how high each is, in parts of the axes."""

SUBTITLE = (
    "removed at random, heaviest first, or those with most evidence for the right label first\n"
    "bands and bars: 95 % intervals; hairlines: single networks"
)

TILE, NAMES, MOST_TILES = 0.6, 1.55, 16
NARROWEST = 7.8
"""The subtitle has to find room."""


def damage_curves(damage: Damage) -> Figure:
    """One column for each kind of damage: performance, the round trip, and how much each label endures.

    Below stand the scans of the network itself as it loses nodes of its first hidden layer. Bands and bars are
    95 % intervals, hairlines the single networks. A scan that its own network does not read as asked is dashed.
    """
    kinds = list(dict.fromkeys((one.what, one.layer) for one in damage.endurances))
    tiles = min(damage.network.outputs, MOST_TILES)
    scans = (MARGIN + 0.35 + len(damage.stages) * (TILE + 0.04)) if damage.stages else 0.0
    labels = 0.16 * damage.network.outputs + 0.1
    left = MARGIN + max(0.45, name_width(damage.network.classes) + 0.1)
    needed = 2 * MARGIN + NAMES + tiles * TILE if damage.stages else 0.0
    width = max(left + COLUMN * len(kinds), needed, NARROWEST)
    height = HEADING + 0.45 + CURVES + 0.35 + READINGS + 0.85 + labels + 0.4 + scans
    figure = new_figure(width, height)
    step = (width - left) / len(kinds)
    for place, kind in enumerate(kinds):
        curves = damage.of(*kind)
        x, y = left + place * step, HEADING + 0.45
        axes = []
        for tall, gap in ((CURVES, 0.35), (READINGS, 0.85), (labels, 0.0)):
            axes.append(panel(figure, x, y, step - 0.55, tall))
            y += tall + gap
        _performance(axes[0], curves)
        _readings(axes[1], curves, len(damage.scans))
        _labels(axes[2], curves[0], damage.network.classes)
        if place:
            axes[2].set_yticklabels([])
    if damage.stages:
        _stages(figure, damage, tiles, height - scans)
    heading(figure, _title(damage), SUBTITLE)
    return figure


def _performance(ax: Axes, curves: tuple[Endurance, ...]) -> None:
    for one in curves:
        if len(one.right) > 1:
            runs = one.right.sum(axis=2) / one.images.sum()
            ax.plot(_across(one), 100 * runs.T, color=HAIRLINE, linewidth=0.3, zorder=1)
        _curve(ax, one, one.performance())
    _mark(ax, curves[0], curves[0].one_point())
    _mark(ax, curves[0], curves[0].half())
    _name_curves(ax, curves)
    ax.set_ylim(0, 102)
    ax.set_title(f"{_kind(curves[0])}: {_costs(curves[0])}", loc="left", pad=16, **words(9))
    ax.text(0, 1.03, "right answers, %", transform=ax.transAxes, **words(8, PENCIL))
    ax.tick_params(labelbottom=False)


def _readings(ax: Axes, curves: tuple[Endurance, ...], scans: int) -> None:
    for one in curves:
        _curve(ax, one, one.reading())
    ax.set_ylim(0, 105)
    ax.text(0, 1.06, f"of the intact network's {scans} scans read as asked, %", transform=ax.transAxes,
            **words(8, PENCIL))  # fmt: skip
    ax.set_xlabel(_axis(curves[0]), **words(8.5, PENCIL))


def _labels(ax: Axes, one: Endurance, classes: tuple[str, ...]) -> None:
    """For each label, the damage at random that halves its right answers."""
    for label in np.flatnonzero(one.images).tolist():
        _interval(ax, one, one.half(label), label)
    ax.set_ylim(len(classes) - 0.5, -0.7)
    ax.set_yticks(range(len(classes)), classes, **words(8))
    _scale(ax, one)
    ax.tick_params(axis="y", length=0)
    ax.text(
        0, 1.02, "until a label has lost half of its right answers", transform=ax.transAxes, **words(8, PENCIL)
    )


def _curve(ax: Axes, one: Endurance, band: Interval) -> None:
    shade = INK if one.order == "random" else PENCIL
    ax.fill_between(_across(one), 100 * band.low, 100 * band.high, color=shade, alpha=0.18, linewidth=0, zorder=2)
    ax.plot(_across(one), 100 * band.value, color=shade, linewidth=1.3, linestyle=LINES[one.order], zorder=3)
    _scale(ax, one)


def _name_curves(ax: Axes, curves: tuple[Endurance, ...]) -> None:
    """The names with their lines, in the corner without curves: those that fall late leave the lower left."""
    if len(curves) < 2:
        return
    room = NAMED * len(curves) + 0.02
    values = [(_across(one) / _across(one)[-1], one.performance().value) for one in curves]
    late = any(np.interp(LEFTMOST, x, value) > 1 - room for x, value in values)
    low = late and all(value[x < 1 - LEFTMOST].min() > room for x, value in values)
    left, top = (0.03, room) if low else (LEFTMOST, 1.05 - NAMED)
    for place, one in enumerate(curves):
        height = top - NAMED * place
        shade = INK if one.order == "random" else PENCIL
        ax.plot([left, left + 0.1], [height] * 2, transform=ax.transAxes, color=shade, linewidth=1.3,
                linestyle=LINES[one.order])  # fmt: skip
        ax.text(left + 0.12, height, one.order, transform=ax.transAxes, va="center", **words(8))


def _mark(ax: Axes, one: Endurance, found: Interval) -> None:
    """An amount on its curve, and its interval."""
    if found.value is not None:
        level = 100 * np.interp(found.value, one.amounts, one.performance().value)
        _interval(ax, one, found, level, strong=True)


def _interval(ax: Axes, one: Endurance, found: Interval, level: float, strong: bool = False) -> None:
    """An amount, if there is one, with its interval, which may end beyond what was tried."""
    if found.value is None:
        return
    width, size, above = (2.2, 4.0, 4) if strong else (1.0, 3.5, 2)
    scale = _across(one)[-1] / one.amounts[-1]
    high = one.amounts[-1] if found.high is None else found.high
    ax.plot([found.low * scale, high * scale], [level] * 2, color=INK, linewidth=width, zorder=above)
    ax.plot([found.value * scale], [level], "o", color=INK, markersize=size, zorder=above)


def _scale(ax: Axes, one: Endurance) -> None:
    """All that was tried, from nothing removed."""
    ax.set_xlim(0, _across(one)[-1])
    ax.locator_params(axis="x", integer=one.what == "nodes")
    bare(ax)


def _across(one: Endurance) -> np.ndarray:
    """What stands on the horizontal axis: numbers of nodes, or per cent."""
    return one.amounts if one.what == "nodes" else 100 * one.shares


def _axis(one: Endurance) -> str:
    return {
        "nodes": f"nodes removed, of {one.total}",
        "weights": f"weights removed, % of {one.total:,}",
        "noise": "noise, % of the spread of the weights",
    }[one.what]


def _kind(one: Endurance) -> str:
    return f"layer {one.layer}" if one.what == "nodes" else one.what


def _costs(one: Endurance) -> str:
    """The two numbers that the curve at random is read for."""
    point, half = one.one_point().value, one.half().value
    costs = f"{_amount(one, point)} until one point"
    return costs if point is None else f"{costs}, {_amount(one, half)} until half"


def _amount(one: Endurance, value: float | None) -> str:
    beyond, known = ("", value) if value is not None else (">", float(one.amounts[-1]))
    return beyond + (f"{known:.0f}" if one.what == "nodes" else f"{100 * known / one.total:.0f} %")


def _title(damage: Damage) -> str:
    one = damage.endurances[0]
    number, points = one.one_point().value, f"{100 * one.intact:.1f}"
    if number is None:
        return f"Whatever goes of the {one.what} at random, less than one point of {points} goes with it"
    if one.what == "noise":
        return f"Noise of {_amount(one, number)} of the weights' spread costs one point of {points}"
    if number == 0:
        return f"The first of {one.total:,} {one.what} to go costs more than one point of {points}"
    return f"{number:,.0f} of {one.total:,} {one.what} can go at random before one point of {points} does"


def _stages(figure: Figure, damage: Damage, tiles: int, top: float) -> None:
    """The damaged network's own scans, a row for each stage."""
    ax = canvas(figure, top)
    ax.text(MARGIN, 0.2, "What it sees itself, nodes removed at random", fontweight="bold", **words(9))
    for row, stage in enumerate(damage.stages):
        y = 0.35 + row * (TILE + 0.04)
        for line, text in enumerate(_stage_words(damage, stage)):
            ax.text(MARGIN, y + 0.2 + 0.16 * line, text, **words(8, INK if line == 0 else PENCIL))
        for label in range(tiles):
            ink = as_picture(stage.scans.images[label], damage.network)
            box = (MARGIN + NAMES + label * TILE + 0.02, y + 0.02, TILE - 0.06)
            place_ink(ax, ink, box, bool(stage.scans.read_as_asked[label]))


def _stage_words(damage: Damage, stage: Stage) -> list[str]:
    by_intact = int(np.sum(stage.read_by_intact == stage.scans.labels))
    return [
        f"{stage.removed} removed, {stage.performance:.1%}",
        f"{int(stage.scans.read_as_asked.sum())} of {len(stage.scans)} read as asked",
        f"{by_intact} by the intact one",
    ]
