"""The lessons' pictures, one function for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.lessons import (
    BackPropagationLesson,
    DescentLesson,
    ForwardLesson,
    OneHotLesson,
    SigmoidLesson,
    Told,
)
from backquery.lessons.descent import MINIMUM, far, function
from backquery.plots.paper import HAIRLINE, INK, PENCIL, bare, canvas, draw_ink, heading, new_figure, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.lessons.sigmoid import SigmoidCurve

SHADES = (HAIRLINE, PENCIL, INK)
NODE = 0.36
"""The radius of a node in the drawing of a network, in inches."""


def lesson_figure(lesson: Told) -> Figure:
    """The picture of any lesson's result."""
    return _FIGURES[type(lesson)](lesson)


def sigmoid_curves(lesson: SigmoidLesson) -> Figure:
    """Curves of several weights at the left, of several biases at the right, each named where there is room."""
    figure = new_figure(8.4, 3.5)
    titles = "the weight changes the slope", "the bias moves it"
    for x, curves, title in zip((0.06, 0.56), (lesson.by_weight, lesson.by_bias), titles, strict=True):
        ax = figure.add_axes((x, 0.14, 0.39, 0.58))
        _curves(ax, curves)
        ax.set_title(title, loc="left", pad=10, **words(9, PENCIL))
    slopes = " to ".join(f"{curve.steepest:g}" for curve in (lesson.by_weight[0], lesson.by_weight[-1]))
    middles = " to ".join(f"{curve.middle:g}" for curve in (lesson.by_bias[0], lesson.by_bias[-1]))
    heading(figure, f"Weights make slopes of {slopes}, biases move the middle from {middles}", "y = s(w x + b)")
    return figure


def _curves(ax: Axes, curves: tuple[SigmoidCurve, ...]) -> None:
    """The curves, with their names at the right, below them all."""
    weights = len({curve.weight for curve in curves}) > 1
    for place, curve in enumerate(curves):
        shade = SHADES[place % len(SHADES)]
        ax.plot(curve.x, curve.y, color=shade, linewidth=1.5)
        ax.plot([curve.middle], [0.5], "o", color=shade, markersize=3.5)
        height = 0.5 - 0.12 * place
        ax.plot([4.2, 5.0], [height] * 2, color=shade, linewidth=1.5)
        name = f"w = {curve.weight:g}" if weights else f"b = {curve.bias:g}"
        ax.text(5.3, height, name, va="center", **words(8.5))
    ax.set_xlim(curves[0].x[0], curves[0].x[-1])
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("x", **words(9, PENCIL))
    bare(ax)


def descent_path(lesson: DescentLesson) -> Figure:
    """The whole path at the left, and its way into the minimum at the right."""
    figure = new_figure(8.4, 3.5)
    whole, close = (figure.add_axes((x, 0.14, 0.39, 0.6)) for x in (0.07, 0.57))
    path, values = lesson.path, lesson.values
    _descent(whole, lesson, (min(-1.0, path.min()) - 0.2, max(4.0, path.max()) + 0.2))
    _descent(close, lesson, (-0.5, 3.3))
    close.set_ylim(-9, 8)
    # Beside the path, on the side where there is room.
    leftmost = path[0] < sum(whole.get_xlim()) / 2
    away, side = ((8, -11), "left") if leftmost else ((-8, -3), "right")
    whole.annotate(f"start {path[0]:g}", (path[0], values[0]), away, textcoords="offset points", ha=side,
                   **words(8.5))  # fmt: skip
    if lesson.converged and -0.5 <= path[-1] <= 3.3:
        close.annotate(f"end {path[-1]:.4f}", (path[-1], values[-1]), (0, -13), textcoords="offset points",
                       ha="center", **words(8.5))  # fmt: skip
    whole.set_title("the whole path", loc="left", pad=8, **words(9, PENCIL))
    close.set_title("near the minimum", loc="left", pad=8, **words(9, PENCIL))
    outcome = f"{lesson.steps} steps lead from {path[0]:g} to {far(path[-1])}"
    rest = "" if lesson.converged else ", and not to rest"
    precision = f"rate {lesson.rate:g}, until a step is smaller than {lesson.precision:g}"
    heading(figure, outcome + rest, f"f(x) = x^4 - 3 x^3 + 2, minimum at {MINIMUM:g}; {precision}")
    return figure


def _descent(ax: Axes, lesson: DescentLesson, sides: tuple[float, float]) -> None:
    x = np.linspace(*sides, 500)
    ax.plot(x, function(x), color=HAIRLINE, linewidth=1.5)
    ax.plot(lesson.path, lesson.values, "o-", color=INK, linewidth=0.7, markersize=3)
    ax.set_xlim(*sides)
    # Powers of ten stand with each number: one for all at the axis's end would lie under the titles.
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda number, _: f"{number:g}".replace("-", "\N{MINUS SIGN}"))
    ax.set_xlabel("x", **words(9, PENCIL))
    bare(ax)


def forward_times(lesson: ForwardLesson) -> Figure:
    """Microseconds by loops and by matrices for each network, on a scale of powers of ten."""
    count = len(lesson.timings)
    figure = new_figure(7.2, 1.2 + 0.75 * count)
    height = figure.get_size_inches()[1]
    ax = figure.add_axes((0.17, 0.5 / height, 0.7, 0.72 * count / height))
    for row, one in enumerate(lesson.timings):
        published = "" if one.published is None else f" (published: {one.published:g})"
        bars = ((-0.18, one.loops, INK, f"by loops{published}"), (0.18, one.matrices, PENCIL, "by matrices"))
        for offset, time, shade, name in bars:
            ax.barh(row + offset, time, height=0.3, color=shade)
            ax.annotate(f"{time:,.0f} {name}", (time, row + offset), (5, 0), textcoords="offset points",
                        va="center", annotation_clip=False, **words(8, shade))  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(1, None)
    ax.set_yticks(range(count), ["-".join(map(str, one.sizes)) for one in lesson.timings], **words(9))
    ax.invert_yaxis()
    ax.set_xlabel("microseconds a pass", **words(9, PENCIL))
    bare(ax)
    last = lesson.timings[-1]
    title = f"Matrices answer {last.loops / last.matrices:.3g} times as fast as loops with {last.sizes[0]} inputs"
    heading(figure, title, "timed on this machine, the best of five")
    return figure


def one_hot_table(lesson: OneHotLesson) -> Figure:
    """One row for each label, one column for each output node."""
    rows, columns = lesson.vectors.shape
    width, height = 1.6 + 0.45 * columns, 1.35 + 0.45 * rows
    figure = new_figure(max(width, 5.6), height)
    width = figure.get_size_inches()[0]
    ax = figure.add_axes((0.9 / width, 0.2 / height, 0.45 * columns / width, 0.45 * rows / height))
    draw_ink(ax, lesson.vectors, True)
    for (row, column), number in np.ndenumerate(lesson.vectors):
        ax.text(column, row, f"{number:g}", ha="center", va="center", **words(8, "white" if number > 0.5 else INK))
    ax.set_xticks(range(columns), lesson.classes, **words(9))
    ax.set_yticks(range(rows), [f"label {lesson.classes[label]}" for label in lesson.labels], **words(9))
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    heading(figure, f"{rows} labels become {rows} vectors of {columns} numbers", "one column for each output node")
    return figure


def back_propagation_drawing(lesson: BackPropagationLesson) -> Figure:
    """The network with its signals in the nodes, its weights on the lines, and biases and errors at the nodes."""
    columns = [lesson.x, lesson.value("h1"), lesson.value("h2")]
    deltas = [None, lesson.value("d1"), lesson.value("d2")]
    tallest = max(map(len, columns))
    width, height = 8.2, 0.8 + 1.45 * tallest
    figure = new_figure(width, height)
    ax = canvas(figure)
    ax.set_ylim(0, height)
    places = [
        [(1.2 + 2.6 * column, 0.95 + 1.45 * (len(signals) - 1 - row)) for row in range(len(signals))]
        for column, signals in enumerate(columns)
    ]
    for column, layer in enumerate(lesson.before.layers):
        for (node, source), weight in np.ndenumerate(layer.weights):
            _draw_weight(ax, places[column][source], places[column + 1][node], float(weight))
    biases = [None, *(layer.biases for layer in lesson.before.layers)]
    for column, signals in enumerate(columns):
        for row, signal in enumerate(signals):
            _draw_node(ax, places[column][row], f"{signal:.4f}" if column else f"{signal:g}")
            for side, letter, numbers, form in ((1, "b", biases[column], "g"), (-1, "d", deltas[column], ".4f")):
                if numbers is not None:
                    x, y = places[column][row]
                    text = f"{letter} = {numbers[row]:{form}}"
                    ax.text(x, y + side * (NODE + 0.14), text, ha="center", va="center", **words(8.5, PENCIL))
    for row, target in enumerate(lesson.wanted):
        x, y = places[2][row]
        ax.text(x + 0.5, y, f"wanted {target:g}", va="center", **words(9, PENCIL))
    old, new = float(lesson.value("J")), float(lesson.value("J after"))
    title = f"One step lowers the error from {old:.4f} to {new:.4f}"
    told = "in the nodes: signals; on the lines: weights; above: biases b; beneath: errors d that come back"
    heading(figure, title, told)
    return figure


def _draw_weight(ax: Axes, start: tuple[float, float], end: tuple[float, float], weight: float) -> None:
    """A line with its weight written on paper a third of the way along, where lines have parted."""
    (x0, y0), (x1, y1) = start, end
    ax.plot([x0, x1], [y0, y1], color=HAIRLINE, linewidth=1, zorder=1)
    x, y = x0 + 0.32 * (x1 - x0), y0 + 0.32 * (y1 - y0)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ax.text(x, y, f"{weight:g}", ha="center", va="center", bbox=box, zorder=2, **words(8.5))


def _draw_node(ax: Axes, place: tuple[float, float], signal: str) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle(place, NODE, facecolor="white", edgecolor=INK, linewidth=1, zorder=3))
    ax.text(*place, signal, ha="center", va="center", zorder=4, **words(9))


_FIGURES: dict[type[Any], Callable[[Any], Figure]] = {
    SigmoidLesson: sigmoid_curves,
    DescentLesson: descent_path,
    ForwardLesson: forward_times,
    OneHotLesson: one_hot_table,
    BackPropagationLesson: back_propagation_drawing,
}
