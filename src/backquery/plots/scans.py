"""Back queries: a grid of scans, and the smallest change of a given image."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from backquery.inversion.result import OUT_OF_REACH, STALLED
from backquery.plots.paper import NOT_READ, READ, as_picture, draw_ink, heading, tiles, wrapped, write_caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.inversion import BackQuery
    from backquery.model.protocol import Model

ASKED_FOR = {"typical": "its usual answers"}


def scan_grid(result: BackQuery, model: Model, *, title: str | None = None) -> Figure:
    """The back-queried images, each with the label asked, what the model reads and how surely, the outcome.

    Ink is drawn on the fixed scale from the input of blank paper to that of full ink, never stretched for
    one image. An image that is not read as asked has a heavy dashed frame and a cross.
    """
    count = len(result)
    columns = min(count, 5 if count <= 10 else ceil(count**0.5 * 1.3))
    captions = [wrapped(scan_captions(result, model, position)) for position in range(count)]
    lines = max(len(caption) for caption in captions)
    figure, axes = tiles(count, columns, as_picture(result.images[0], model).shape, lines)
    figure_title = title or (f"What the network sees: {int(result.read_as_asked.sum())} of {count} read as asked")
    asked = f"asked by {result.method} for {ASKED_FOR.get(result.question, result.question)}"
    heading(figure, figure_title, f"{asked}; black is ink, white is paper")
    for position, (ax, caption) in enumerate(zip(axes, captions, strict=True)):
        draw_ink(ax, as_picture(result.images[position], model), bool(result.read_as_asked[position]))
        write_caption(ax, caption)
    return figure


def scan_captions(result: BackQuery, model: Model, position: int) -> list[str]:
    """What stands under one scan: the label asked, what the model reads and how surely, the outcome."""
    label, read = int(result.labels[position]), int(result.read[position])
    asked = f"asked {model.classes[label]}" if label >= 0 else "asked a mixture"
    surely = f"reads {model.classes[read]}, {result.answers[position][read]:.3f}"
    mark = f"{READ} as asked" if result.read_as_asked[position] else f"{NOT_READ} not as asked"
    outcome = result.outcome[position]
    return [asked, surely, mark, outcome] if outcome in (STALLED, OUT_OF_REACH) else [asked, surely, mark]


def change_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query with `near`: the start image, the answer, and the change apart.

    In the change, grey is what stayed; darker is where ink came, lighter where ink went.
    """
    assert result.change is not None
    count = len(result)
    captions = [
        [wrapped(lines) for lines in (["the start image"], scan_captions(result, model, k), ["the change"])]
        for k in range(count)
    ]
    lines = max(len(caption) for row in captions for caption in row)
    figure, axes = tiles(3 * count, 3, as_picture(result.images[0], model).shape, lines)
    read = sum(map(bool, result.read_as_asked))
    heading(figure, f"{read} of {count} read as asked, by a small change", "change: grey stays, dark is ink added")
    for k, row in enumerate(captions):
        answer = as_picture(result.images[k], model)
        start = as_picture(result.images[k] - result.change[k], model)
        start_ax, answer_ax, change_ax = axes[3 * k : 3 * k + 3]
        draw_ink(start_ax, start, True)
        draw_ink(answer_ax, answer, bool(result.read_as_asked[k]))
        draw_ink(change_ax, 0.5 + (answer - start) / 2, True)
        for ax, caption in zip((start_ax, answer_ax, change_ax), row, strict=True):
            write_caption(ax, caption)
    return figure
