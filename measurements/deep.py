"""Large and deep networks asked backwards: whether they answer, and at what cost in time and memory."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.deep import ASKED, COLUMNS, SPREAD, THREADS, TOLERANCE, deep

from measurements.page import table

ABOUT = f"""\
A module of the shape of ResNet-18 and one of a small vision transformer (ViT-Ti/16), both of 3 x 224 x 224
pixels and 1,000 labels, and three convolutions (32-64-64) of 3 x 32 x 32 pixels and ten labels, have random
weights; their batch normalisation and last layer are set by pieces of two photographs, so that each output
varies by {SPREAD:g} from image to image. Nothing was learned, so the images show nothing: what counts is
whether the search comes to an answer. The first {ASKED} labels are asked for at 0.99 under `natural`, one
at a time, on {THREADS} cores. *Verified*: the label's log-odds against all other outputs lie within
{TOLERANCE:g} of those asked for, in float64, and no other output is stronger. The memory is the most that
the process held from the first question on, PyTorch and the network included, and what it held before."""


def measure(_pictures: Path) -> str:
    """The section as Markdown."""
    _, _, rows = deep()
    return section(rows)


def section(rows: list[list[Any]]) -> str:
    """The section that says what these rows of the benchmark do."""
    about = fill(ABOUT.replace("\n", " "), 115)
    return f"""\
## Large and deep

Command: `python -m benchmarks deep`.

{about}

{fill(verdict(rows), 115)}

{table(COLUMNS, rows)}
"""


def verdict(rows: list[list[Any]]) -> str:
    """How many answers hold, and the longest that one took."""
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    held = [int(part) for row in named for part in row["verified"].split("/")]
    devices = dict.fromkeys(row["device"] for row in named)
    slowest = [max((row for row in named if row["device"] == device), key=_seconds) for device in devices]
    took = ", ".join(f"{row['worst s']} s ({row['network']}, {row['device']})" for row in slowest)
    return f"**{sum(held[::2])} of {sum(held[1::2])} answers are verified; the slowest took {took}.**"


def _seconds(row: dict[str, Any]) -> float:
    return float(row["worst s"])
