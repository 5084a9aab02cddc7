"""Pictures in colour: what ``python -m benchmarks colour`` finds, and how it is done."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks import colour
from benchmarks.colour_networks import WORST
from benchmarks.stamps import TESTED, TRAINED
from benchmarks.untidy import MOVED

from measurements.page import table

Row = dict[str, Any]


def measure(pictures: Path) -> str:
    """The section as Markdown; its picture is drawn by ``python -m benchmarks.colour_picture docs``."""
    del pictures
    _, columns, rows = colour.colour()
    return section(columns, rows)


def section(columns: list[str], rows: list[list[Any]]) -> str:
    """The section that says what these rows of the benchmark do."""
    named = [dict(zip(columns, row, strict=True)) for row in rows]
    paragraphs = [_data(), _asked(), _found(named)]
    picture = (
        "![Scans in colour by prior, of networks taught plainly and at their worst, beside ascent](colour.png)"
    )
    return "\n\n".join(["## Colour", *(fill(text, 115) for text in paragraphs), table(columns, rows), picture])


def _data() -> str:
    return f"""\
Command: `python -m benchmarks colour`, and the picture by `python -m benchmarks.colour_picture docs`. The
*coloured digits* are those of MNIST, each in any of ten colours, whichever digit it is (`coloured-mnist`,
{colour.TAUGHT:,} to learn from), read by three convolutions with batch normalisation. The *things* are real
photographs: ten kinds of things, cut out for Tux Paint (Debian's package `tuxpaint-stamps-default`), in
some pose before pieces of two other photographs, 32 x 32, {TRAINED:,} to learn from and {TESTED:,} others,
of the same things in other poses, to be tested on. They are read by two residual networks of the same shape
with batch normalisation: one is taught plainly (*standard*), one what is shown at its worst (*adversarial*:
moved by up to {WORST.reach:g}, Euclidean, where colours go from 0 to 1, by one step of ascent). *Attacked*
is the share of {colour.ATTACKED} test images that are right at their worst, by {WORST.steps} steps."""


def _asked() -> str:
    return f"""\
Every network is asked for its ten labels, as it usually answers them or at 0.99, with the prior `data`
(mean and covariance of all images, no classes) and `natural` (which knows no data). Beside it stands ascent
with the Fourier parametrisation, as Lucent and MACO describe it, of the same networks: once for as long as
the back query with `data` took, once for {colour.colour_ascent.STEPS} steps. *Sure*: read as asked, at the
log-odds asked for or above. *Met*: all outputs' log-odds within {colour.SURE:g} of those asked for. Three
judges (N neighbours, L linear, C convolutional), which know none of the networks, say what they see; how
right they are about real test images, and what chance gives, stand first. Where labels were moved by one
they should see the label before. *Typicality* is the share of real images that are less usual, *nearest*
the share of real ones that lie nearer to a training image."""


def _found(rows: list[Row]) -> str:
    asked = [row for row in rows if row["asked"] in ("typical", "0.99")]
    learned = [row for row in asked if not str(row["network"]).endswith(("untrained", "shuffled", MOVED))]
    climbed = [row for row in rows if row["asked"] == "more"]
    worst = max(float(row["error"]) for row in learned)
    return f"""\
**Asked backwards of networks that learned, {_sum(learned, "read")} images are read as asked, and
{_sum(learned, "met")} give the very log-odds asked for (the worst is off by {worst:.1g}). By ascent
{_sum(climbed, "read")} are read as asked, {_sum(climbed, "sure")} at the confidence asked for or above,
{_sum(climbed, "met")} at the one asked for.** To be read as asked is not to be recognised: what the judges
make of the images stands beside it."""


def _sum(rows: list[Row], name: str) -> str:
    """Of how many: ``30 of 30``."""
    parts = [[int(number) for number in str(row[name]).split("/")] for row in rows]
    return f"{sum(found for found, _ in parts)} of {sum(count for _, count in parts)}"
