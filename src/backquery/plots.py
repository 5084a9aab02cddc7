"""Results as Matplotlib figures: ink on paper, the number said in the title, nothing that does not inform.

Every function returns a `matplotlib.figure.Figure` of its own and leaves Matplotlib's global state alone, so
that figures can be made in threads and servers. Sizes are in inches.
"""

from __future__ import annotations

import os
import textwrap
import warnings
from functools import cache
from math import ceil, isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import OutputError
from backquery.files import replacing
from backquery.inversion.result import OUT_OF_REACH, STALLED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from backquery.evaluation import Evaluation
    from backquery.faithfulness import Comparison, Row
    from backquery.inversion import BackQuery
    from backquery.model import Model
    from backquery.training import History

Array = NDArray[np.floating[Any]]

INK, PENCIL, HAIRLINE = "#1a1a1a", "#6b6b6b", "#c9c9c9"
SUPPORTS, AGAINST = "#D55E00", "#0072B2"
"""The two accents, safe for colour-blind eyes, each with its one meaning everywhere."""

FORMATS = (".png", ".svg", ".pdf")
READ, NOT_READ = "\N{CHECK MARK}", "\N{BALLOT X}"

# The first that are installed are used, each for the signs that those before it lack.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei")

ASKED_FOR = {"typical": "its usual answers"}

TILE, GAP, MARGIN, HEADING = 1.35, 0.3, 0.3, 0.75
LINE = 1 / 6
"""The distance of two lines of a caption."""


def scan_grid(result: BackQuery, model: Model, *, title: str | None = None) -> Figure:
    """The back-queried images, each with the label asked, what the model reads and how surely, the outcome.

    Ink is drawn on the fixed scale from the input of blank paper to that of full ink, never stretched for
    one image. An image that is not read as asked has a heavy dashed frame and a cross.
    """
    count = len(result)
    columns = min(count, 5 if count <= 10 else ceil(count**0.5 * 1.3))
    captions = [_wrapped(scan_captions(result, model, position)) for position in range(count)]
    lines = max(len(caption) for caption in captions)
    figure, axes = _tiles(count, columns, _picture(result.images[0], model).shape, lines)
    figure_title = title or (f"What the network sees: {int(result.read_as_asked.sum())} of {count} read as asked")
    asked = f"asked by {result.method} for {ASKED_FOR.get(result.question, result.question)}"
    _heading(figure, figure_title, f"{asked}; black is ink, white is paper")
    for position, (ax, caption) in enumerate(zip(axes, captions, strict=True)):
        _draw_ink(ax, _picture(result.images[position], model), bool(result.read_as_asked[position]))
        _write_caption(ax, caption)
    return figure


def scan_captions(result: BackQuery, model: Model, position: int) -> list[str]:
    """What stands under one scan: the label asked, what the model reads and how surely, the outcome."""
    label, read = int(result.labels[position]), int(result.read[position])
    asked = f"asked {model.classes[label]}" if label >= 0 else "asked a mixture"
    surely = f"reads {model.classes[read]}, {result.answers[position][read]:.3f}"
    mark = f"{READ} as asked" if result.read_as_asked[position] else f"{NOT_READ} not as asked"
    outcome = result.outcome[position]
    return [asked, surely, mark, outcome] if outcome in (STALLED, OUT_OF_REACH) else [asked, surely, mark]


def confusion_matrix(evaluation: Evaluation, classes: tuple[str, ...]) -> Figure:
    """How often each true label (rows) was read as each label (columns); mistakes are shaded by their number.

    The right answers stand on the diagonal in bold and are not shaded, since they would drown the mistakes.
    """
    confusion = np.asarray(evaluation.confusion)
    size = len(classes)
    mistakes = confusion * (1 - np.eye(size, dtype=confusion.dtype))
    side = max(3.2, min(0.5 * size, 14.0))
    names = _name_width(classes)
    left, top = MARGIN + 0.3 + names, HEADING + 0.3 + (names if names > 0.4 else 0.2)
    width, height = left + side + MARGIN, top + side + MARGIN
    figure = _figure(width, height)
    ax = figure.add_axes((left / width, MARGIN / height, side / width, side / height))
    ax.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(int(mistakes.max()), 1) * 1.25, interpolation="nearest")
    _label_cells(ax, confusion, float(mistakes.max()))
    _class_ticks(ax, classes)
    ax.set_xlabel("read as", color=PENCIL, fontfamily=_fonts(), fontsize=9)
    ax.set_ylabel("truth", color=PENCIL, fontfamily=_fonts(), fontsize=9)
    ax.xaxis.set_label_position("top")
    _heading(figure, _confusion_title(evaluation, classes), f"{evaluation.images:,} images; mistakes are shaded")
    return figure


def learning_curves(history: History) -> Figure:
    """Performance and loss after each epoch, each curve named where it ends."""
    epochs = [record.epoch for record in history.epochs]
    figure = _figure(8.4, 3.6)
    performance, loss = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.08, right=0.88, top=0.74, bottom=0.15, wspace=0.5)
    tested = [100 * record.test_accuracy for record in history.epochs if record.test_accuracy is not None]
    trained = [100 * record.train_accuracy for record in history.epochs]
    _curves(performance, epochs, {"test": tested, "train": trained} if tested else {"train": trained}, ".2f")
    _curves(loss, epochs, {"loss": [record.loss for record in history.epochs]}, ".3g")
    performance.set_title("right answers, %", **_words(10, PENCIL), loc="left")
    loss.set_title("loss", **_words(10, PENCIL), loc="left")
    _heading(figure, _history_title(history), f"{history.seconds:.1f} s of training, kernel {history.kernel}")
    return figure


def answer_bars(answers: ArrayLike, classes: tuple[str, ...], *, title: str | None = None) -> Figure:
    """The answers (outputs,) to one image as bars, one for each label; the strongest is in full ink."""
    values = np.asarray(answers, np.float64).ravel()
    left, bars = MARGIN + 0.1 + _name_width(classes), 0.26 * len(classes)
    width, height = left + 3.0 + 2 * MARGIN, 0.5 + bars + MARGIN / 2
    figure = _figure(width, height)
    ax = figure.add_axes((left / width, MARGIN / 2 / height, 3.0 / width, bars / height))
    strongest = int(values.argmax())
    shades = [INK if k == strongest else HAIRLINE for k in range(len(classes))]
    ax.barh(range(len(classes)), values, color=shades, height=0.7)
    ax.set_xlim(min(0.0, float(values.min())), max(1.0, float(values.max())))
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_yticks(range(len(classes)), classes, **_words(9))
    for k, value in enumerate(values):
        ax.annotate(
            f"{value:.2f}", (max(value, 0.0), k), (4, 0), textcoords="offset points", va="center", **_words(8)
        )
    ax.set_frame_on(False)
    ax.tick_params(length=0, bottom=False, labelbottom=False)
    ax.axvline(0.0, color=PENCIL, linewidth=0.8)
    _heading(figure, title or f"Read as {classes[strongest]}, {values[strongest]:.2f}", "")
    return figure


def change_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query with `near`: the start image, the answer, and the change apart.

    In the change, grey is what stayed; darker is where ink came, lighter where ink went.
    """
    assert result.change is not None
    count = len(result)
    captions = [
        [_wrapped(lines) for lines in (["the start image"], scan_captions(result, model, k), ["the change"])]
        for k in range(count)
    ]
    lines = max(len(caption) for row in captions for caption in row)
    figure, axes = _tiles(3 * count, 3, _picture(result.images[0], model).shape, lines)
    read = sum(map(bool, result.read_as_asked))
    _heading(
        figure, f"{read} of {count} read as asked, by a small change", "change: grey stays, dark is ink added"
    )
    for k, row in enumerate(captions):
        answer = _picture(result.images[k], model)
        start = _picture(result.images[k] - result.change[k], model)
        start_ax, answer_ax, change_ax = axes[3 * k : 3 * k + 3]
        _draw_ink(start_ax, start, True)
        _draw_ink(answer_ax, answer, bool(result.read_as_asked[k]))
        _draw_ink(change_ax, 0.5 + (answer - start) / 2, True)
        for ax, caption in zip((start_ax, answer_ax, change_ax), row, strict=True):
            _write_caption(ax, caption)
    return figure


def comparison_table(comparison: Comparison) -> Figure:
    """Every method and every control in a row of images, one for each label, with its scores at the right.

    An image that the network does not read as the label asked for has a dashed frame. Below the first faithful
    row stand the real images nearest to it.
    """
    lines = _comparison_lines(comparison)
    columns = len(comparison.classes)
    tile, names, judges = 0.62, 1.75, [judge.name for judge in comparison.judges]
    scores = ["read as asked", *judges, "worst error", "typicality", "obeys"]
    width = MARGIN + names + columns * tile + 0.2 + 0.92 * len(scores) + MARGIN
    height = HEADING + 0.38 + sum(0.42 if row is None else tile + 0.06 for _, row, _ in lines) + MARGIN
    figure = _figure(width, height)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    top, left = HEADING + 0.3, MARGIN + names
    for k, name in enumerate(comparison.classes):
        ax.text(left + (k + 0.5) * tile, top, name, ha="center", va="bottom", fontweight="bold", **_words(9))
    for k, name in enumerate(scores):
        x = left + columns * tile + 0.2 + (k + 0.5) * 0.92
        ax.text(x, top, name, ha="center", va="bottom", **_words(8, PENCIL))
    y = top + 0.08
    for name, row, ink in lines:
        if row is None:
            ax.text(MARGIN, y + 0.3, name, va="center", fontweight="bold", **_words(9.5))
            y += 0.42
            continue
        ax.text(MARGIN, y + tile / 2, textwrap.fill(name, 22), va="center", **_words(8.5))
        nearest = ink is not row.ink
        for k, image in enumerate(ink):
            box = (left + k * tile + 0.04, y + 0.04, tile - 0.08)
            as_asked = nearest or bool(row.read[k] == row.asked[k])
            _place_ink(ax, image.reshape(_picture_shape(comparison.image_shape)), box, as_asked)
        for k, text in enumerate([] if nearest else _comparison_scores(row, judges)):
            x = left + columns * tile + 0.2 + (k + 0.5) * 0.92
            ax.text(x, y + tile / 2, text, ha="center", va="center", **_words(8.5))
        y += tile + 0.06
    _heading(figure, _comparison_title(comparison), _comparison_subtitle(comparison))
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
    for kind, heading in headings.items():
        rows = [row for row in comparison.rows if row.kind == kind]
        if rows:
            lines.append((heading, None, np.zeros(0)))
        for row in rows:
            lines.append((row.name, row, row.ink))
            if row.name.startswith("gauss-newton") and not shown:
                lines.append(("real images nearest to these", row, comparison.nearest_ink[row.name]))
                shown = True
    return lines


def _comparison_scores(row: Row, judges: list[str]) -> list[str]:
    error = row.worst_error
    return [
        f"{row.read_as_asked} of {len(row.asked)}",
        *(f"{row.agreement(judge)}" for judge in judges),
        "" if error is None else f"{error:.1g}" if error < 0.01 else f"{error:.1f}",
        f"{float(np.median(row.typicality)):.2f}",
        "" if row.obedience is None else f"{row.obedience.obeyed:.0%}",
    ]


def _comparison_title(comparison: Comparison) -> str:
    rows = [row for row in comparison.rows if row.kind == "method"]
    best = max(rows, key=lambda row: (row.read_as_asked, -(row.worst_error or 0.0)))
    worst = min(rows, key=lambda row: row.read_as_asked)
    count = len(comparison.classes)
    return (
        f"The network reads {best.read_as_asked} of {count} images by {best.name} as asked, "
        f"and {worst.read_as_asked} of {count} by {worst.name}"
    )


def _comparison_subtitle(comparison: Comparison) -> str:
    judges = ", ".join(
        judge.name if judge.performance is None else f"{judge.name} ({judge.performance:.1%} of real test images)"
        for judge in comparison.judges
    )
    return f"dashed: not read as asked; error: in log-odds; typicality: 0.5 for the usual image; judges: {judges}"


def _place_ink(ax: Axes, ink: Array, box: tuple[float, float, float], as_asked: bool) -> None:
    """An image in the square (left, top, side), with the frame that says how it is read."""
    from matplotlib.patches import Rectangle

    left, top, side = box
    ax.imshow(
        ink, cmap="Greys", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal",
        extent=(left, left + side, top + side, top),
    )  # fmt: skip
    frame = Rectangle((left, top), side, side, fill=False, linewidth=0.5, edgecolor=HAIRLINE)
    if not as_asked:
        frame.set(linewidth=1.2, edgecolor=INK, linestyle=(0, (3, 2)))
    ax.add_patch(frame)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write `figure` to `path` as its suffix says (.png, .svg or .pdf), whole or not at all."""
    from matplotlib import rc_context

    kind = check_picture_path(path).suffix.lower().lstrip(".")
    undated = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with replacing(path) as stream, warnings.catch_warnings(), rc_context({"svg.hashsalt": "backquery"}):
        # A class name in a script that no installed font has is drawn as boxes; the picture is still worth having.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(stream, format=kind, dpi=160, metadata=undated)


def check_picture_path(path: str | os.PathLike[str]) -> Path:
    """`path`, if its suffix is one that pictures are written in; else `OutputError`."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"pictures are written as {', '.join(FORMATS)}; received {path}")
    return path


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _tiles(count: int, columns: int, shape: tuple[int, ...], lines: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes for images of that shape above `lines` lines of text, in inches, row by row."""
    rows, caption = -(-count // columns), lines * LINE + 0.16
    tile_height = TILE * min(max(shape[0] / shape[1], 0.25), 4.0)
    width = max(2 * MARGIN + columns * TILE + (columns - 1) * GAP, 5.6)
    height = HEADING + rows * (tile_height + caption) + (rows - 1) * GAP / 2 + MARGIN / 2
    figure = _figure(width, height)
    axes = []
    for position in range(count):
        row, column = divmod(position, columns)
        left = MARGIN + column * (TILE + GAP)
        top = HEADING + row * (tile_height + caption + GAP / 2)
        box = (left / width, 1 - (top + tile_height) / height, TILE / width, tile_height / height)
        axes.append(figure.add_axes(box))
    return figure, axes


def _heading(figure: Figure, title: str, subtitle: str) -> None:
    width, height = figure.get_size_inches()
    place = {"x": MARGIN / width, "ha": "left", "va": "top"}
    figure.text(y=1 - 0.15 / height, s=title, fontweight="bold", **place, **_words(11))
    figure.text(y=1 - 0.41 / height, s=subtitle, **place, **_words(8.5, PENCIL))


def _draw_ink(ax: Axes, ink: Array, as_asked: bool) -> None:
    ax.imshow(ink, cmap="Greys", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(color=HAIRLINE, linewidth=0.6)
    if not as_asked:
        ax.add_patch(_warning_frame(ax))


def _warning_frame(ax: Axes) -> Rectangle:
    """A heavy dashed line with a little paper between it and the image."""
    from matplotlib.patches import Rectangle

    away = 0.05 / TILE
    return Rectangle(
        (-away, -away), 1 + 2 * away, 1 + 2 * away, transform=ax.transAxes, fill=False, clip_on=False,
        edgecolor=INK, linewidth=1.6, linestyle=(0, (4, 2)),
    )  # fmt: skip


def _write_caption(ax: Axes, lines: list[str]) -> None:
    for number, text in enumerate(lines):
        ax.annotate(
            text, (0, 0), (0, -6 - 72 * LINE * number), xycoords="axes fraction", textcoords="offset points",
            ha="left", va="top", fontweight="bold" if number == 0 else "normal", **_words(8.5),
        )  # fmt: skip


def _wrapped(lines: list[str]) -> list[str]:
    """`lines` broken to the width of a tile; a word longer than that stays whole."""
    return [part for line in lines for part in textwrap.wrap(line, 22, break_long_words=False)]


def _picture(inputs: Array, model: Model) -> Array:
    """One image as ink (rows, columns) from 0 to 1, on the model's own scale of inputs."""
    ink = np.clip(inputs, 0.0, 1.0) if model.scaling is None else model.scaling.ink(inputs)
    return ink.reshape(_picture_shape(model.input_shape))


def _picture_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns to draw: channels below one another, a bare vector as a square where it is one."""
    if len(shape) > 1:
        return prod(shape[:-1]), shape[-1]
    side = isqrt(shape[0])
    return (side, side) if side * side == shape[0] else (1, shape[0])


def _label_cells(ax: Axes, confusion: NDArray[np.int64], most: float) -> None:
    if len(confusion) > 20:
        return
    for (row, column), number in np.ndenumerate(confusion):
        if number:
            right = row == column
            colour = "white" if not right and number > 0.6 * most else INK
            weight = "bold" if right else "normal"
            ax.text(column, row, f"{number}", ha="center", va="center", fontweight=weight, **_words(7.5, colour))


def _class_ticks(ax: Axes, classes: tuple[str, ...]) -> None:
    words = _words(9 if len(classes) <= 20 else 6)
    rotation = 90 if _name_width(classes) > 0.4 else 0
    ax.set_xticks(range(len(classes)), classes, rotation=rotation, **words)
    ax.set_yticks(range(len(classes)), classes, **words)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for spine in ax.spines.values():
        spine.set(color=HAIRLINE, linewidth=0.6)


def _name_width(classes: tuple[str, ...]) -> float:
    """About how wide the longest name is at nine points."""
    return 0.1 + 0.085 * max(map(len, classes))


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
    return f"{share} after {len(history.epochs)} epoch{'s' if len(history.epochs) > 1 else ''}"


def _curves(ax: Axes, epochs: list[int], curves: dict[str, list[float]], digits: str) -> None:
    """Thin lines, each named at its end; the names keep clear of one another."""
    for shade, values in zip((INK, PENCIL), curves.values(), strict=False):
        marker = "o" if len(epochs) < 20 else None
        ax.plot(epochs, values, color=shade, linewidth=1.4, marker=marker, markersize=3.5)
    ax.set_xlim(epochs[0] - 0.2, epochs[-1] + 0.2)
    ends = {name: values[-1] for name, values in curves.items()}
    for shade, (name, end, nudge) in zip((INK, PENCIL), _kept_apart(ax, ends), strict=False):
        ax.annotate(
            f"{name} {end:{digits}}", (epochs[-1], end), (8, nudge), textcoords="offset points",
            va="center", annotation_clip=False, **_words(9, shade),
        )  # fmt: skip
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel("epoch", **_words(9, PENCIL))
    _bare(ax)


def _kept_apart(ax: Axes, ends: dict[str, float]) -> list[tuple[str, float, float]]:
    """Each name with its value and by how many points to move it, so that two names do not overlap."""
    if len(ends) < 2:
        return [(name, end, 0.0) for name, end in ends.items()]
    (first, one), (second, other) = ends.items()
    low, high = ax.get_ylim()
    apart = abs(one - other) / (high - low) * ax.get_window_extent().height / ax.figure.dpi * 72
    nudge = max(0.0, 12.0 - apart) / 2 * (1 if one >= other else -1)
    return [(first, one, nudge), (second, other, -nudge)]


def _bare(ax: Axes) -> None:
    """Only the axes that carry numbers, in thin lines."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=HAIRLINE, linewidth=0.8)
    ax.tick_params(color=HAIRLINE, labelcolor=PENCIL, labelsize=8, width=0.8)


def _words(size: float, colour: str = INK) -> dict[str, Any]:
    return {"fontsize": size, "color": colour, "fontfamily": _fonts(), "parse_math": False}


@cache
def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [name for name in FONTS if name in installed] or ["sans-serif"]
