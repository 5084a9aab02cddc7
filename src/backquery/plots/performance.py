"""How well a network reads: confusions, learning curves, the answers to one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.model import Array, finite_answer
from backquery.plots.paper import (
    HAIRLINE,
    HEADING,
    INK,
    MARGIN,
    PENCIL,
    bare,
    framed,
    heading,
    kept_apart,
    name_width,
    new_figure,
    panel,
    words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backquery.model import Evaluation
    from backquery.training import History


def confusion_matrix(evaluation: Evaluation, classes: tuple[str, ...]) -> Figure:
    """How often each true label (rows) was read as each label (columns); mistakes are shaded by their number.

    The right answers stand on the diagonal in bold and are not shaded, since they would drown the mistakes.
    """
    confusion = np.asarray(evaluation.confusion)
    size = len(classes)
    mistakes = confusion * (1 - np.eye(size, dtype=confusion.dtype))
    side = max(3.2, min(0.5 * size, 14.0))
    names = name_width(classes)
    left, top = MARGIN + 0.3 + names, HEADING + 0.3 + (names if names > 0.4 else 0.2)
    figure = new_figure(left + side + MARGIN, top + side + MARGIN)
    ax = panel(figure, left, top, side, side)
    ax.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(int(mistakes.max()), 1) * 1.25, interpolation="nearest")
    _label_cells(ax, confusion, float(mistakes.max()))
    _class_ticks(ax, classes)
    ax.set_xlabel("read as", **words(9, PENCIL))
    ax.set_ylabel("truth", **words(9, PENCIL))
    ax.xaxis.set_label_position("top")
    heading(figure, _confusion_title(evaluation, classes), f"{evaluation.images:,} images; mistakes are shaded")
    return figure


def learning_curves(history: History) -> Figure:
    """Performance and loss after each epoch, each curve named where it ends."""
    epochs = [record.epoch for record in history.epochs]
    figure = new_figure(8.4, 3.6)
    performance, loss = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.08, right=0.88, top=0.74, bottom=0.15, wspace=0.5)
    tested = [100 * record.test_accuracy for record in history.epochs if record.test_accuracy is not None]
    trained = [100 * record.train_accuracy for record in history.epochs]
    _curves(performance, epochs, {"test": tested, "train": trained} if tested else {"train": trained}, ".2f")
    _curves(loss, epochs, {"loss": [record.loss for record in history.epochs]}, ".3g")
    performance.set_title("right answers, %", **words(10, PENCIL), loc="left")
    loss.set_title("loss", **words(10, PENCIL), loc="left")
    # A history from a model file knows no clock.
    clock = f"{history.seconds:.1f} s of training, " if history.seconds else ""
    heading(figure, _history_title(history), f"{clock}kernel {history.kernel}")
    return figure


def answer_bars(answers: ArrayLike, classes: tuple[str, ...], *, title: str | None = None) -> Figure:
    """The answers (outputs,) to one image as bars, one for each label; the strongest is in full ink."""
    values = finite_answer(np.asarray(answers, np.float64).ravel())
    left, bars = MARGIN + 0.1 + name_width(classes), 0.26 * len(classes)
    figure = new_figure(left + 3.0 + 2 * MARGIN, 0.5 + bars + MARGIN / 2)
    ax = panel(figure, left, 0.5, 3.0, bars)
    draw_bars(ax, values, classes)
    strongest = np.flatnonzero(values == values.max())
    read = f"Read as {classes[strongest[0]]}" if len(strongest) == 1 else "No reading: two labels tie"
    heading(figure, title or f"{read}, {values.max():.2f}", "")
    return figure


def draw_bars(ax: Axes, values: Array, names: Sequence[str], size: float = 9, *, read: bool = True) -> None:
    """Answers as bars with names and numbers, in words of that size; the strongest is in full ink where `read`."""
    shades = [INK if read and value == values.max() else HAIRLINE for value in values]
    ax.barh(range(len(names)), values, color=shades, height=0.7)
    ax.set_xlim(min(0.0, float(values.min())), max(1.0, float(values.max())))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names, **words(size))
    for k, value in enumerate(values):
        ax.annotate(
            f"{value:.2f}",
            (max(value, 0.0), k),
            (4, 0),
            textcoords="offset points",
            va="center",
            **words(size - 1),
        )
    ax.set_frame_on(False)
    ax.tick_params(length=0, bottom=False, labelbottom=False)
    ax.axvline(0.0, color=PENCIL, linewidth=0.8)


def _label_cells(ax: Axes, confusion: NDArray[np.int64], most: float) -> None:
    if len(confusion) > 20:
        return
    for (row, column), number in np.ndenumerate(confusion):
        if number:
            right = row == column
            colour = "white" if not right and number > 0.6 * most else INK
            weight = "bold" if right else "normal"
            ax.text(column, row, f"{number}", ha="center", va="center", fontweight=weight, **words(7.5, colour))


def _class_ticks(ax: Axes, classes: tuple[str, ...]) -> None:
    style = words(9 if len(classes) <= 20 else 6)
    rotation = 90 if name_width(classes) > 0.4 else 0
    ax.set_xticks(range(len(classes)), classes, rotation=rotation, **style)
    ax.set_yticks(range(len(classes)), classes, **style)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    framed(ax)


def _confusion_title(evaluation: Evaluation, classes: tuple[str, ...]) -> str:
    worst = evaluation.worst_confusions(1)
    if not worst:
        return f"{evaluation.performance:.2%} right"
    truth, read, count = worst[0]
    return f"{evaluation.performance:.2%} right; most often {classes[truth]} is read as {classes[read]} ({count})"


def _history_title(history: History) -> str:
    last = history.epochs[-1]
    tested = last.test_accuracy
    share = f"{last.train_accuracy:.2%} on the training set" if tested is None else f"{tested:.2%} on the test set"
    return f"{share} after {last.epoch:,} epoch{'s' if last.epoch > 1 else ''}"


def _curves(ax: Axes, epochs: list[int], curves: dict[str, list[float]], digits: str) -> None:
    """Thin lines, each named at its end; the names keep clear of one another."""
    for shade, values in zip((INK, PENCIL), curves.values(), strict=False):
        marker = "o" if len(epochs) < 20 else None
        ax.plot(epochs, values, color=shade, linewidth=1.4, marker=marker, markersize=3.5)
    ax.set_xlim(epochs[0] - 0.2, epochs[-1] + 0.2)
    ends = {name: values[-1] for name, values in curves.items()}
    for shade, (name, end, nudge) in zip((INK, PENCIL), kept_apart(ax, ends), strict=False):
        ax.annotate(
            f"{name} {end:{digits}}", (epochs[-1], end), (8, nudge), textcoords="offset points",
            va="center", annotation_clip=False, **words(9, shade),
        )  # fmt: skip
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel("epoch", **words(9, PENCIL))
    bare(ax)
