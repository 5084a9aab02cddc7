"""The curves of a sweep: performance against learning rate, epochs and hidden nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import TYPE_CHECKING

from backquery.plots.paper import HAIRLINE, INK, MARGIN, PENCIL, bare, heading, new_figure, panel, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.experiments.sweep import Family, Point, Reached

PANEL, HIGH, TOP, BETWEEN = 3.3, 2.5, 1.05, 0.75
NARROWEST = 9.4
"""The subtitle has to find room."""
LABEL = 11
"""Points that a label is high."""
TINY = 0.01
NAMES = {"learning_rate": "learning rate", "epochs": "epochs", "hidden": "hidden nodes"}


def sweep_curves(family: Family, *, epochs: int | None = None) -> Figure:
    """Each curve that the family's runs make, with its intervals; the lines of other settings in grey behind.

    With `epochs` the settings are compared after so many.
    """
    base = family.base(epochs)
    axes = [axis for axis in NAMES if len(family.curve(axis, base)) > 1] or ["hidden"]
    gaps = MARGIN + 0.35 + (len(axes) - 1) * BETWEEN + MARGIN
    width = max(gaps + len(axes) * PANEL, NARROWEST)
    wide = (width - gaps) / len(axes)
    figure = new_figure(width, TOP + HIGH + 0.65)
    best, tried = family.best(epochs), len(family.settings(epochs))
    for place, axis in enumerate(axes):
        left = MARGIN + 0.35 + place * (wide + BETWEEN)
        _panel(panel(figure, left, TOP, wide, HIGH), family, axis, base, best)
    heading(figure, _title(best, tried), _subtitle(family, best, tried, epochs))
    return figure


def _panel(ax: Axes, family: Family, axis: str, base: Point, best: Reached) -> None:
    line, others = family.curve(axis, base), family.curves(axis, base)
    place = _places(axis, [reached for part in [line, *others] for reached in part])
    for other in others:
        ax.plot(list(map(place, other)), _wrong(other), color=HAIRLINE, linewidth=0.9, zorder=1)
        if best in other:
            ax.plot(place(best), *_wrong([best]), color=PENCIL, marker="o", markersize=4.5)
    _line(ax, line, place)
    _scale(ax, [*line, best] if any(best in other for other in others) else line)
    _label_best(ax, line, place)
    if axis == "learning_rate" and len(line) > 1:
        _logarithmic(ax, [reached.point.learning_rate for reached in line])
    elif axis == "hidden":
        _named(ax, line, place)
    else:
        ax.locator_params(axis="x", integer=axis == "epochs")
    bare(ax)
    ax.set_xlabel(NAMES[axis], **words(9, PENCIL))
    ax.set_title(f"right answers, %, at {_others(base, axis)}", **words(9, PENCIL), loc="left")


def _line(ax: Axes, line: Sequence[Reached], place: Callable[[Reached], float]) -> None:
    """The curve in ink, each mean in its interval."""
    marker = "o" if len(line) <= 30 else None
    ax.plot(list(map(place, line)), _wrong(line), color=INK, linewidth=1.4, marker=marker, markersize=3.5)
    for reached in line:
        if reached.low is not None and reached.high is not None:
            bounds = [max(100 - 100 * bound, TINY) for bound in (reached.low, reached.high)]
            ax.plot([place(reached)] * 2, bounds, color=INK, linewidth=1.0, solid_capstyle="butt")
    ax.margins(x=0.06)


def _label_best(ax: Axes, line: Sequence[Reached], place: Callable[[Reached], float]) -> None:
    """The curve's best mean stands over its interval, or as high as the panel goes."""
    top = max(line, key=lambda reached: reached.performance)
    tip = max(100 - 100 * (top.performance if top.high is None else top.high), TINY)
    most, least = ax.get_ylim()
    above = 72 * HIGH * min(log(most / tip) / log(most / least), 1.0)
    ax.annotate(
        f"{top.performance:.1%}", (place(top), 0), (0, min(above + 7, 72 * HIGH - LABEL)),
        xycoords=ax.get_xaxis_transform(), textcoords="offset points", ha="center", va="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, **words(9),
    )  # fmt: skip


def _scale(ax: Axes, line: Sequence[Reached]) -> None:
    """Upwards is better: a share of wrong answers that halves is always the same step, so that 98 lies as far
    from 96 as 80 from 60. Intervals much wider than the curve is high run out of the picture."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    wrong = _wrong(line)
    room = max((max(wrong) / min(wrong)) ** 0.15, 1.15)
    least, most = min(wrong) / room**1.5, min(max(wrong) * room, 100.0)
    ax.set_yscale("log")
    ax.set_ylim(most, least)
    ticks = [step * 10.0**power for power in (-2, -1, 0, 1) for step in (1, 2, 5)]
    shown = [tick for tick in ticks if least <= tick <= most]
    # Within a narrow range this scale is as good as even.
    ax.yaxis.set_major_locator(FixedLocator(shown) if len(shown) > 2 else MaxNLocator(5))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 - value:g}"))


def _places(axis: str, points: Sequence[Reached]) -> Callable[[Reached], float]:
    """Where a point stands along its axis; hidden layers stand side by side, at equal steps."""
    if axis != "hidden":
        return lambda reached: getattr(reached.point, axis)
    nodes = sorted({reached.point.hidden for reached in points}, key=lambda text: [*map(int, text.split("-"))])
    return lambda reached: nodes.index(reached.point.hidden)


def _logarithmic(ax: Axes, values: list[float]) -> None:
    """Each value has its tick, and its name where there is room for it."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    room, last, names = (values[-1] / values[0]) ** 0.085, 0.0, []
    for value in values:
        names.append(f"{value:g}" if value >= last * room else "")
        last = value if names[-1] else last
    ax.set_xticks(values, names)


def _named(ax: Axes, line: Sequence[Reached], place: Callable[[Reached], float]) -> None:
    ax.set_xticks(list(map(place, line)), [reached.point.hidden for reached in line])


def _wrong(line: Sequence[Reached]) -> list[float]:
    """Per cent, and never nothing, which has no place on a scale of halves."""
    return [max(100 - 100 * reached.performance, TINY) for reached in line]


def _others(point: Point, axis: str) -> str:
    """The rest of a point in words: ``0.1, 200 nodes``."""
    said = {
        "learning_rate": f"rate {point.learning_rate:g}",
        "epochs": _epochs(point),
        "hidden": f"{point.hidden} nodes",
    }
    return ", ".join(text for name, text in said.items() if name != axis)


def _epochs(point: Point) -> str:
    return f"{point.epochs} epoch{'s' if point.epochs > 1 else ''}"


def _title(best: Reached, tried: int) -> str:
    interval = "" if best.low is None or best.high is None else f" ({best.low:.2%} to {best.high:.2%})"
    chosen = f", the best of {tried} settings" if tried > 1 else ""
    at = f"after {_epochs(best.point)} at {_others(best.point, 'epochs')}"
    return f"{best.performance:.2%}{interval} {at}{chosen}"


def _subtitle(family: Family, best: Reached, tried: int, epochs: int | None) -> str:
    common, base = family.common, family.base(epochs)
    others = [other for axis in NAMES for other in family.curves(axis, base)]
    dot = ", the dot the best" if any(best in other for other in others) else ""
    grey = f"; grey: others{dot}" if others else ""
    seeds = f"means of {best.seeds} seeds, intervals of 95 %" if best.seeds > 1 else "one seed, so no interval"
    chosen = ", the best chosen on these same test images" if tried > 1 else ""
    return f"{common.data}, recipe {common.recipe}, {common.dtype}; {seeds}{chosen}{grey}"
