"""A network while it learns: one picture a moment, a film strip of some moments, an animation of all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backquery.files import replacing
from backquery.model import Layout, name_read
from backquery.plots.paper import (
    HEADING,
    MARGIN,
    PENCIL,
    canvas,
    check_picture_path,
    draw_ink,
    heading,
    legible,
    name_width,
    new_figure,
    place_ink,
    scan_caption,
    tiles,
    words,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from backquery.experiments.timeline import Frame, Timeline

ANIMATIONS = {".gif": "GIF", ".apng": "PNG"}
"""Suffixes that animations are written under, and what Pillow calls the formats."""

STRIP = 9
"""Moments on a film strip."""

PACE, HOLD = 400, 4000
"""Milliseconds that a frame is shown, and the last one."""

RESOLUTION = 100


def timeline_frame(timeline: Timeline, position: int) -> Figure:
    """One moment: a scan of each label, what the network reads in it, and how much it has learned by then."""
    frame, layout = timeline.frames[position], Layout.of(timeline.image_shape)
    # Every frame has room for the longest caption of all, so that nothing jumps.
    lines = max(len(wrapped(caption)) for each in timeline.frames for caption in _captions(timeline, each))
    figure, axes = tiles(_captions(timeline, frame), min(len(frame.ink), 5), layout.drawn_shape, lines)
    heading(figure, _moment(frame), _subtitle(timeline))
    for ax, ink, as_asked in zip(axes, frame.ink, frame.read_as_asked, strict=True):
        draw_ink(ax, layout.drawn(ink), bool(as_asked))
    return figure


def film_strip(timeline: Timeline) -> Figure:
    """Some moments side by side, the first and the last among them: a column each, a row for each label."""
    picked = np.unique(np.linspace(0, len(timeline) - 1, STRIP).round().astype(int))
    frames = [timeline.frames[position] for position in picked]
    tile, left, top = 0.78, MARGIN + name_width(timeline.classes), HEADING + 0.2
    layout = Layout.of(timeline.image_shape)
    rows = len(timeline.classes)
    width, height = max(left + len(frames) * tile + MARGIN, 6.4), top + rows * tile + 0.62 + MARGIN / 2
    figure = new_figure(width, height)
    ax = canvas(figure)
    for label, name in enumerate(timeline.classes):
        ax.text(left - 0.1, top + (label + 0.5) * tile, name, ha="right", va="center", **words(9, PENCIL))
    for column, frame in enumerate(frames):
        centre = left + (column + 0.5) * tile
        ax.text(centre, top - 0.08, f"{frame.updates:,}", ha="center", fontweight="bold", **words(8.5))
        for label, ink in enumerate(frame.ink):
            box = (left + column * tile + 0.04, top + label * tile + 0.04, tile - 0.08)
            place_ink(ax, layout.drawn(ink), box, bool(frame.read_as_asked[label]))
        below = top + rows * tile + 0.22
        ax.text(centre, below, f"{frame.performance:.1%}", ha="center", **words(8.5))
        ax.text(centre, below + 0.19, _as_asked(frame), ha="center", **words(8, PENCIL))
    ax.text(
        left, top + rows * tile + 0.62, "share of test images right, and scans read as asked", **words(8, PENCIL)
    )
    heading(figure, _story(timeline), f"scans after so many updates, {_subtitle(timeline)}; dashed: not as asked")
    return figure


def save_animation(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write all frames, one after the other, as .gif or .apng, whole or not at all; the last one stays longer."""
    kind = ANIMATIONS[check_animation_path(path).suffix.lower()]
    mode = "RGB" if Layout.of(timeline.image_shape).coloured else "L"
    pictures = [_pixels(timeline_frame(timeline, position), mode) for position in range(len(timeline))]
    pace = [PACE] * (len(pictures) - 1) + [HOLD]
    # Not into the file: Pillow takes no notice of how much of what it writes is written.
    content = io.BytesIO()
    pictures[0].save(content, format=kind, save_all=True, append_images=pictures[1:], duration=pace, loop=0)
    with replacing(path) as stream:
        stream.write(content.getvalue())


def check_animation_path(path: str | os.PathLike[str]) -> Path:
    """`path`, if its suffix is one that animations are written in; else `OutputError`."""
    return check_picture_path(path, ANIMATIONS, "animations")


def _pixels(figure: Figure, mode: str) -> Image:
    """The figure as pixels: grey ones, where those are all the colours that it has."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL.Image import fromarray

    figure.set_dpi(RESOLUTION)
    canvas = FigureCanvasAgg(figure)
    with legible(figure):
        canvas.draw()
    return fromarray(np.asarray(canvas.buffer_rgba())).convert(mode)


def _captions(timeline: Timeline, frame: Frame) -> list[list[str]]:
    """Under each scan the same as under all scans: asked, read and how surely, the outcome."""
    read = [name_read(timeline.classes, label) for label in frame.read]
    return [*map(scan_caption, timeline.classes, read, frame.answers, frame.read_as_asked)]


def _moment(frame: Frame) -> str:
    updates = f"{frame.updates:,} update{'' if frame.updates == 1 else 's'}"
    return f"After {updates}: {frame.performance:.1%} right, {_as_asked(frame)} read as asked"


def _story(timeline: Timeline) -> str:
    first, last = timeline.frames[0], timeline.frames[-1]
    return (
        f"From {first.performance:.1%} to {last.performance:.1%} right, and from {_as_asked(first)} scans read as "
        f"asked to {_as_asked(last)}"
    )


def _as_asked(frame: Frame) -> str:
    return f"{int(frame.read_as_asked.sum())} of {len(frame.read)}"


def _subtitle(timeline: Timeline) -> str:
    return f"asked by {timeline.method} while it learns {timeline.data}"
