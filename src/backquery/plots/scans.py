"""Back queries: a grid of scans, and the smallest change of a given image."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from backquery.inversion.result import FAILED
from backquery.model import Layout, name_read
from backquery.plots.paper import NOT_READ, READ, as_picture, pixels_mean, scan_caption
from backquery.plots.sheets import Sheet, Tile, figure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from backquery.inversion import BackQuery, Kept
    from backquery.model import Array, Model

ASKED_FOR = {"typical": "its usual answers"}


def scan_grid(result: BackQuery, model: Model, *, title: str | None = None) -> Figure:
    """The back-queried images, each with the label asked, what the model reads and how surely, the outcome.

    Ink is drawn on the fixed scale from the input of blank paper to that of full ink, and colours on that from
    black to white, never stretched for one image. An image that is not read as asked has a heavy dashed frame and
    a cross.
    """
    return figure_of(scan_sheet(result, model, title=title))


def scan_sheet(result: BackQuery, model: Model, *, title: str | None = None) -> Sheet:
    """What `scan_grid` draws, as one picture of captioned images."""
    count = len(result)
    asked = f"asked by {result.method} for {ASKED_FOR.get(result.question, result.question)}"
    return Sheet(
        title or f"What the network sees: {int(result.read_as_asked.sum())} of {count} read as asked",
        f"{asked}; {pixels_mean(model)}",
        [
            Tile(as_picture(image, model), scan_captions(result, model, position), bool(as_asked))
            for position, (image, as_asked) in enumerate(zip(result.images, result.read_as_asked, strict=True))
        ],
        _columns(count),
    )


def _columns(count: int) -> int:
    """How many of so many images stand in a row."""
    return min(count, 5 if count <= 10 else ceil(count**0.5 * 1.3))


def scan_captions(result: BackQuery, model: Model, position: int) -> list[str]:
    """What stands under one scan: the label asked, what is read and how surely, limits that hold it."""
    label, read = int(result.labels[position]), int(result.read[position])
    asked = model.classes[label] if label >= 0 else "a mixture"
    surely, outcome = result.answers[position].max(), result.outcome[position]
    caption = scan_caption(asked, name_read(model.classes, read), surely, bool(result.read_as_asked[position]))
    held = [] if result.active is None else list(result.active[position])
    failed = [outcome] if outcome in FAILED else []
    if failed and result.read_as_asked[position]:
        # Nobody can tell what to believe of a picture that is as asked and was not found.
        caption, failed = caption[:-1], [f"label as asked, answers {outcome}"]
    return [*caption, *held, *failed]


def change_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query with `near`: the start image, the answer, and the change apart.

    In the change, grey is what stayed; darker is where ink came, lighter where ink went. Where images are in
    colour, so is the change: what came of a colour is lighter, what went is darker.
    """
    return figure_of(change_sheet(result, model))


def change_sheet(result: BackQuery, model: Model) -> Sheet:
    """What `change_grid` draws, as one picture of captioned images."""
    assert result.change is not None
    shown = []
    for k in range(len(result)):
        answer = as_picture(result.images[k], model)
        start = as_picture(result.images[k] - result.change[k], model)
        shown += [
            Tile(start, ["the start image"]),
            Tile(answer, scan_captions(result, model, k), bool(result.read_as_asked[k])),
            Tile(0.5 + (answer - start) / 2, ["the change"]),
        ]
    title = f"{sum(map(bool, result.read_as_asked))} of {len(result)} read as asked, by a small change"
    coloured = Layout.of(model.input_shape).coloured
    meaning = (
        "what came of a colour is lighter, what went darker"
        if coloured
        else "dark is ink added, light is ink taken away"
    )
    return Sheet(title, f"change: grey stays, {meaning}", shown, 3)


def many_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query for `many` images, in a row: the likeliest image, the draws, the spread.

    In the spread, white pixels are the same in all draws, and black ones are as often blank as full: what is fixed
    by the answer, and what is free.
    """
    return figure_of(many_sheet(result, model))


def many_sheet(result: BackQuery, model: Model) -> Sheet:
    """What `many_grid` draws, as one picture of captioned images."""
    assert result.likeliest is not None
    many, shown = result.many or 1, []
    for question in range(len(result.likeliest)):
        rows = range(question * many, (question + 1) * many)
        drawn = [as_picture(result.images[row], model) for row in rows]
        shown += [
            _scan_tile(result.likeliest, model, question, "likeliest"),
            *(_scan_tile(result, model, row, f"draw {result.draw[row] + 1}") for row in rows),  # type: ignore[index]
            Tile(_spread(drawn), ["what is free", f"apart: {result.apart[question]:.2f}"]),
        ]
    title = f"Many images for each answer: {int(result.read_as_asked.sum())} of {len(result)} read as asked"
    subtitle = (
        f"{pixels_mean(model)}; at the end of each row how freely a pixel varies: white is fixed by the answer, "
        "black is as often blank as full"
    )
    return Sheet(title, subtitle, shown, many + 2)


def _scan_tile(result: BackQuery, model: Model, position: int, name: str) -> Tile:
    caption = [*scan_captions(result, model, position), name]
    return Tile(as_picture(result.images[position], model), caption, bool(result.read_as_asked[position]))


def _spread(drawn: list[Array]) -> Array:
    """The standard deviation (rows, columns) of each pixel, as a share of the largest there can be, a half."""
    deviation = 2 * np.std(drawn, axis=0)
    return np.asarray(deviation.mean(axis=2) if deviation.ndim == 3 else deviation)


def layer_grid(result: BackQuery, model: Model, names: Sequence[str], signals: Sequence[float]) -> Figure:
    """The images that answer questions of `hidden_node` or `channel`, each with its name and signal asked for.

    `names` and `signals` are one for each. Below stands by how much the signal is off, and what the model reads in
    the image. One that does not give the signal has a heavy dashed frame and a cross.
    """
    return figure_of(layer_sheet(result, model, names, signals))


def layer_sheet(result: BackQuery, model: Model, names: Sequence[str], signals: Sequence[float]) -> Sheet:
    """What `layer_grid` draws, as one picture of captioned images, `names` and `signals` as there."""
    shown = []
    for k, (name, signal) in enumerate(zip(names, signals, strict=True)):
        met = bool(result.read_as_asked[k])
        mark = f"{READ} as asked" if met else f"{NOT_READ} {result.outcome[k]}"
        caption = [
            f"{name}: {signal:.3g}",
            f"off by {result.error[k]:.2g}",
            _read(model, result.read[k], result.answers[k]),
            mark,
        ]
        shown.append(Tile(as_picture(result.images[k], model), caption, met))
    title = f"What a layer looks for: {int(result.read_as_asked.sum())} of {len(result)} give the signal asked for"
    return Sheet(title, f"{result.question}; {pixels_mean(model)}", shown, _columns(len(result)))


def kept_grid(kept: Kept, model: Model) -> Figure:
    """For each image of `kept_by_layer`: the image, what the layer kept of it, and the difference apart.

    Grey is what the layer has not forgotten; darker is where the kept image has more ink, lighter where less.
    Where images are in colour, so is the difference: lighter where the kept image has more of a colour.
    """
    return figure_of(kept_sheet(kept, model))


def kept_sheet(kept: Kept, model: Model) -> Sheet:
    """What `kept_grid` draws, as one picture of captioned images."""
    shown = []
    for k in range(len(kept)):
        original, image = (as_picture(images[k], model) for images in (kept.originals, kept.images))
        off = f"signals off by {kept.error[k]:.1%}"
        shown += [
            Tile(original, ["the image", _read(model, kept.original_read[k], kept.original_answers[k])]),
            Tile(image, ["what was kept", _read(model, kept.read[k], kept.answers[k]), off], bool(kept.within[k])),
            Tile(0.5 + (image - original) / 2, ["the difference"]),
        ]
    signals = " x ".join(map(str, kept.shape))
    title = f"What layer {kept.layer} kept, {signals} signals"
    return Sheet(title, f"the likeliest image of the same signals; {pixels_mean(model)}", shown, 3)


def _read(model: Model, read: int, answers: Array) -> str:
    """What is read in an image, and how surely."""
    return f"reads {name_read(model.classes, read)}, {answers.max():.3f}"
