"""The curves of a sweep: performance against learning rate, epochs and hidden nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from backquery.plots.paper import HAIRLINE, INK, MARGIN, PENCIL, bare, heading, new_figure, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.experiments.sweep import Family, Point, Reached

PANEL, HIGH, TOP, BETWEEN = 3.3, 2.5, 1.05, 0.75
NAMES = {"learning_rate": "learning rate", "epochs": "epochs", "hidden": "hidden nodes"}


def sweep_curves(family: Family, *, epochs: int | None = None) -> Figure:
    """Each curve that the family's runs make, with its intervals; the lines of other settings in grey behind.

    With `epochs` the settings are compared after so many.
    """
    base = family.base(epochs)
    axes = [axis for axis in NAMES if len(family.curve(axis, base)) > 1] or ["hidden"]
    width = max(MARGIN + 0.35 + len(axes) * PANEL + (len(axes) - 1) * BETWEEN + MARGIN, 6.4)
    height = TOP + HIGH + 0.65
    figure = new_figure(width, height)
    for place, axis in enumerate(axes):
        left = (MARGIN + 0.35 + place * (PANEL + BETWEEN)) / width
        _panel(figure.add_axes((left, 0.65 / height, PANEL / width, HIGH / height)), family, axis, base)
    best, tried = family.best(epochs), len(family.settings(epochs))
    heading(figure, _title(best, tried), _subtitle(family, best, tried, epochs))
    return figure


def _panel(ax: Axes, family: Family, axis: str, base: Point) -> None:
    line, others = family.curve(axis, base), family.curves(axis, base)
    place = _places(axis, [reached for part in [line, *others] for reached in part])
    for other in others:
        ax.plot(list(map(place, other)), _percent(other), color=HAIRLINE, linewidth=0.9, zorder=1)
    _line(ax, line, place)
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
    ax.plot(list(map(place, line)), _percent(line), color=INK, linewidth=1.4, marker=marker, markersize=3.5)
    for reached in line:
        if reached.low is not None and reached.high is not None:
            bounds = [100 * reached.low, 100 * reached.high]
            ax.plot([place(reached)] * 2, bounds, color=INK, linewidth=1.0, solid_capstyle="butt")
    top = max(line, key=lambda reached: reached.performance)
    ax.annotate(
        f"{top.performance:.1%}", (place(top), 100 * (top.high or top.performance)), (0, 4),
        textcoords="offset points", ha="center", va="bottom", annotation_clip=False, **words(9),
    )  # fmt: skip
    ax.margins(x=0.06, y=0.12)


def _places(axis: str, points: Sequence[Reached]) -> Callable[[Reached], float]:
    """Where a point stands along its axis; hidden layers stand side by side, at equal steps."""
    if axis != "hidden":
        return lambda reached: getattr(reached.point, axis)
    nodes = sorted({reached.point.hidden for reached in points}, key=lambda text: [*map(int, text.split("-"))])
    return lambda reached: nodes.index(reached.point.hidden)


def _logarithmic(ax: Axes, values: list[float]) -> None:
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(values, [f"{value:g}" for value in values])


def _named(ax: Axes, line: Sequence[Reached], place: Callable[[Reached], float]) -> None:
    ax.set_xticks(list(map(place, line)), [reached.point.hidden for reached in line])


def _percent(line: Sequence[Reached]) -> list[float]:
    return [100 * reached.performance for reached in line]


def _others(point: Point, axis: str) -> str:
    """The rest of a point in words: ``0.1, 200 nodes``."""
    said = {
        "learning_rate": f"rate {point.learning_rate:g}",
        "epochs": f"{point.epochs} epoch{'s' if point.epochs > 1 else ''}",
        "hidden": f"{point.hidden} nodes",
    }
    return ", ".join(text for name, text in said.items() if name != axis)


def _title(best: Reached, tried: int) -> str:
    interval = "" if best.low is None or best.high is None else f" ({best.low:.2%} to {best.high:.2%})"
    return f"{best.performance:.2%}{interval} at {_others(best.point, '')}" + (
        f", the best of {tried} settings" if tried > 1 else ""
    )


def _subtitle(family: Family, best: Reached, tried: int, epochs: int | None) -> str:
    common, base = family.common, family.base(epochs)
    grey = "; grey: other settings" if any(family.curves(axis, base) for axis in NAMES) else ""
    seeds = f"means of {best.seeds} seeds, intervals of 95 %" if best.seeds > 1 else "one seed, so no interval"
    chosen = ", the best chosen on these same test images" if tried > 1 else ""
    return f"{common.data}, recipe {common.recipe}, {common.dtype}; {seeds}{chosen}{grey}"
