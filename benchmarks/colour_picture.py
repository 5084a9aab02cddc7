"""``python -m benchmarks.colour_picture [docs]``: the documents' picture of colours asked for, made anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backquery.inversion import BackQuery
from backquery.plots.paper import (
    HEADING,
    MARGIN,
    PENCIL,
    canvas,
    heading,
    new_figure,
    place_ink,
    save_figure,
    words,
)
from benchmarks.colour import DATA, Taught, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES, TILE, ROW, BETWEEN = 1.95, 0.78, 0.96, 0.55
"""Inches: the names of the rows, a tile and its distance to the next row, and what is between two data sets."""


@dataclass(frozen=True)
class Row:
    """What a network gives for every label, under the name of how it was asked."""

    name: str
    taught: Taught
    result: BackQuery


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs") / "colour.png"
    made = {name: Trial.of(name, kind) for name, kind in DATA.items()}
    blocks = {name: (trial, list(rows(trial))) for name, trial in made.items() if trial is not None}
    labels = max(len(trial.labels) for trial, _ in blocks.values())
    height = sum(len(found) * ROW + BETWEEN for _, found in blocks.values())
    figure = new_figure(2 * MARGIN + NAMES + labels * TILE, HEADING + height)
    ax, top = canvas(figure), HEADING
    for trial, found in blocks.values():
        draw(ax, trial, found, top)
        top += len(found) * ROW + BETWEEN
    heading(
        figure,
        "What networks see when they say each label, in colour",
        "under each image: how many of three judges read it as asked; dashed: the network does not",
    )
    save_figure(figure, path)
    print(path)


def rows(trial: Trial) -> Iterator[Row]:
    """What is shown of a data set: back queries, then ascent for as long as is usual."""
    networks = {"": trial.standard}
    if trial.kind.attacked:
        networks = {"standard: ": trial.standard, "adversarial: ": trial.hardened}
    for kind, taught in networks.items():
        for prior in ("data", "natural"):
            yield Row(f"{kind}{prior}", taught, trial.asked(taught, prior, "typical")[0])
    for kind, taught in networks.items():
        yield Row(f"{kind}MACO", taught, trial.climbed(taught, "MACO")[0])


def draw(ax: Axes, trial: Trial, found: list[Row], top: float) -> None:
    """One data set: its labels, and a row for each way of asking."""
    for place, name in enumerate(trial.dataset.classes):
        middle = MARGIN + NAMES + (place + 0.5) * TILE
        ax.text(middle, top + 0.2, name, ha="center", va="bottom", fontweight="bold", **words(9))
    for number, row in enumerate(found):
        draw_row(ax, trial, row, top + 0.28 + number * ROW)


def draw_row(ax: Axes, trial: Trial, row: Row, top: float) -> None:
    """Images side by side, with what the judges say."""
    ax.text(MARGIN, top + TILE / 2, row.name, va="center", **words(8.5))
    known = trial.scores(row.result, row.taught.model, 0.0).recognition
    pictures = trial.pictures(row.taught.model, row.result.images).reshape(
        -1, *trial.dataset.train.images.shape[1:]
    )
    for place, picture in enumerate(pictures):
        left = MARGIN + NAMES + place * TILE
        place_ink(ax, picture, (left + 0.03, top, TILE - 0.06), bool(row.result.read_as_asked[place]))
        agreed = sum(int(read[place] == known.expected[place]) for read in known.read.values())
        said = f"{agreed} of {len(known.read)}"
        ax.text(left + TILE / 2, top + TILE + 0.04, said, ha="center", va="center", **words(7, PENCIL))


if __name__ == "__main__":
    main()
