"""``python -m benchmarks.untidy_picture [docs]``: the documents' picture of untidy things asked for, made anew."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backquery.model import Array, ink_of
from backquery.plots.paper import (
    HEADING,
    MARGIN,
    PENCIL,
    canvas,
    figure_bytes,
    heading,
    new_figure,
    place_ink,
    words,
)
from benchmarks.untidy import PRIORS, Scores, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = ("shapes", "digits")
NAMES, TILE, BETWEEN, ROW = 1.15, 0.72, 0.3, 0.98
JUDGES = 3
"""The first of them, which look for a thing wherever it stands."""

COLOURS = 32
"""Enough for ink."""


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs") / "untidy.png"
    trials = [trial for trial in map(Trial.of, SHOWN) if trial is not None]
    labels = sum(len(trial.labels) for trial in trials)
    rows = ["real images", "one Gaussian", "mixture"]
    width = MARGIN + NAMES + labels * TILE + (len(trials) - 1) * BETWEEN + MARGIN
    figure = new_figure(width, HEADING + 0.25 + len(rows) * ROW + 0.1)
    ax = canvas(figure)
    for number, name in enumerate(rows):
        ax.text(MARGIN, HEADING + 0.25 + number * ROW + TILE / 2, name, va="center", **words(8.5))
    left = MARGIN + NAMES
    for trial in trials:
        draw(ax, trial, left)
        left += len(trial.labels) * TILE + BETWEEN
    heading(
        figure,
        "Things that stand anywhere, in any size: what a convolutional network sees when it says each label",
        "under each image: how many of three judges read it as asked; dashed: the network does not",
    )
    save(figure_bytes(figure, "png"), path)


def draw(ax: Axes, trial: Trial, left: float) -> None:
    """The columns of one data set: its labels, a real image of each, and the answers of its first network."""
    model = trial.network(1)
    for place, name in enumerate(trial.dataset.classes):
        middle = left + (place + 0.5) * TILE
        ax.text(middle, HEADING + 0.2, name, ha="center", va="bottom", fontweight="bold", **words(9))
    draw_row(ax, real_images(trial), left, 0)
    for number, prior in enumerate(PRIORS, 1):
        scores = trial.scores(model, prior, trial.labels)
        ink = ink_of(model, scores.results[0].images).reshape(-1, *trial.dataset.input_shape)
        draw_row(ax, ink, left, number, scores)


def real_images(trial: Trial) -> Array:
    """The first test image of each label, as ink."""
    test = trial.dataset.to_test_on
    return np.stack([test.images[test.labels == label][0] for label in trial.labels]) / trial.dataset.maximum


def draw_row(ax: Axes, ink: Array, left: float, number: int, scores: Scores | None = None) -> None:
    """Images side by side, with what the judges say where they were asked."""
    top = HEADING + 0.25 + number * ROW
    for place, image in enumerate(ink):
        as_asked = scores is None or bool(scores.results[0].read_as_asked[place])
        place_ink(ax, image, (left + place * TILE + 0.03, top, TILE - 0.06), as_asked)
        if scores is not None:
            known = scores.recognition
            agreed = sum(int(read[place] == known.expected[place]) for read in [*known.read.values()][:JUDGES])
            said = f"{agreed} of {JUDGES}"
            ax.text(
                left + (place + 0.5) * TILE, top + TILE + 0.06, said, ha="center", va="center", **words(7, PENCIL)
            )


def save(picture: bytes, path: Path) -> None:
    """The picture in few greys, which is a third of its size."""
    from PIL import Image

    Image.open(BytesIO(picture)).convert("L").quantize(COLOURS).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
