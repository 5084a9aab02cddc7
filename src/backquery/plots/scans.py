"""Back queries: a grid of scans, and the smallest change of a given image."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from backquery.inversion.result import FAILED
from backquery.model import Layout, name_read
from backquery.plots.paper import as_picture, pixels_mean, scan_caption
from backquery.plots.sheets import Sheet, Tile, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.inversion import BackQuery
    from backquery.model import Model

ASKED_FOR = {"typical": "its usual answers"}


def scan_grid(result: BackQuery, model: Model, *, title: str | None = None) -> Figure:
    """The back-queried images, each with the label asked, what the model reads and how surely, the outcome.

    Ink is drawn on the fixed scale from the input of blank paper to that of full ink, and colours on that from
    black to white, never stretched for one image. An image that is not read as asked has a heavy dashed frame and
    a cross.
    """
    return figure_of(scan_sheet(result, model, title=title))


def scan_sheet(result: BackQuery, model: Model, *, title: str | None = None) -> Sheet:
    """What `scan_grid` draws."""
    count = len(result)
    asked = f"asked by {result.method} for {ASKED_FOR.get(result.question, result.question)}"
    return Sheet(
        title or f"What the network sees: {int(result.read_as_asked.sum())} of {count} read as asked",
        f"{asked}; {pixels_mean(model)}",
        [
            Tile(as_picture(image, model), scan_captions(result, model, position), bool(as_asked))
            for position, (image, as_asked) in enumerate(zip(result.images, result.read_as_asked, strict=True))
        ],
        min(count, 5 if count <= 10 else ceil(count**0.5 * 1.3)),
    )


def scan_captions(result: BackQuery, model: Model, position: int) -> list[str]:
    """What stands under one scan: the label asked, what the model reads and how surely, the outcome."""
    label, read = int(result.labels[position]), int(result.read[position])
    asked = model.classes[label] if label >= 0 else "a mixture"
    surely, outcome = result.answers[position][read], result.outcome[position]
    caption = scan_caption(asked, name_read(model.classes, read), surely, bool(result.read_as_asked[position]))
    return [*caption, outcome] if outcome in FAILED else caption


def change_grid(result: BackQuery, model: Model) -> Figure:
    """For each question of a back query with `near`: the start image, the answer, and the change apart.

    In the change, grey is what stayed; darker is where ink came, lighter where ink went. Where images are in
    colour, so is the change: what came of a colour is lighter, what went is darker.
    """
    return figure_of(change_sheet(result, model))


def change_sheet(result: BackQuery, model: Model) -> Sheet:
    """What `change_grid` draws."""
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
    meaning = "what came of a colour is lighter, what went darker" if coloured else "dark is ink added"
    return Sheet(title, f"change: grey stays, {meaning}", shown, 3)
