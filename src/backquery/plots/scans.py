"""Back queries: a grid of scans, and the smallest change of a given image."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from backquery.inversion.result import OUT_OF_REACH, STALLED
from backquery.model import ground_of, name_read
from backquery.plots.paper import SHADES_MEAN, as_picture, draw_ink, heading, scan_caption, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.inversion import BackQuery
    from backquery.model import Model

ASKED_FOR = {"typical": "its usual answers"}


def scan_grid(result: BackQuery, model: Model, *, title: str | None = None) -> Figure:
    """The back-queried images, each with the label asked, what the model reads and how surely, the outcome.

    Ink is drawn on the fixed scale from the input of blank paper to that of full ink, never stretched for
    one image. An image that is not read as asked has a heavy dashed frame and a cross.
    """
    count = len(result)
    columns = min(count, 5 if count <= 10 else ceil(count**0.5 * 1.3))
    captions = [scan_captions(result, model, position) for position in range(count)]
    figure, axes = tiles(captions, columns, as_picture(result.images[0], model).shape)
    figure_title = title or (f"What the network sees: {int(result.read_as_asked.sum())} of {count} read as asked")
    asked = f"asked by {result.method} for {ASKED_FOR.get(result.question, result.question)}"
    heading(figure, figure_title, f"{asked}; {SHADES_MEAN[ground_of(model)]}")
    for position, ax in enumerate(axes):
        draw_ink(ax, as_picture(result.images[position], model), bool(result.read_as_asked[position]))
    return figure


def scan_captions(result: BackQuery, model: Model, position: int) -> list[str]:
    """What stands under one scan: the label asked, what the model reads and how surely, the outcome."""
    label, read = int(result.labels[position]), int(result.read[position])
    asked = model.classes[label] if label >= 0 else "a mixture"
    surely, outcome = result.answers[position][read], result.outcome[position]
    caption = scan_caption(asked, name_read(model.classes, read), surely, bool(result.read_as_asked[position]))
    return [*caption, outcome] if outcome in (STALLED, OUT_OF_REACH) else caption


def change_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query with `near`: the start image, the answer, and the change apart.

    In the change, grey is what stayed; darker is where ink came, lighter where ink went.
    """
    assert result.change is not None
    count = len(result)
    captions = [
        caption
        for k in range(count)
        for caption in (["the start image"], scan_captions(result, model, k), ["the change"])
    ]
    figure, axes = tiles(captions, 3, as_picture(result.images[0], model).shape)
    read = sum(map(bool, result.read_as_asked))
    heading(figure, f"{read} of {count} read as asked, by a small change", "change: grey stays, dark is ink added")
    for k in range(count):
        answer = as_picture(result.images[k], model)
        start = as_picture(result.images[k] - result.change[k], model)
        draw_ink(axes[3 * k], start, True)
        draw_ink(axes[3 * k + 1], answer, bool(result.read_as_asked[k]))
        draw_ink(axes[3 * k + 2], 0.5 + (answer - start) / 2, True)
    return figure
