"""Can a network give the answers that are typical of it? The median of each number, or those of one image."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.typical import COLUMNS, typical

from measurements.page import table

ABOUT = """\
A label's typical answers were the median of each of the log-odds that a network gives to the real images it reads
as that label; no image need be able to give all of them at once. Now they are those of one such image, the medoid:
the distances from it to the others, in units of their own spread, add up to the least. Ten networks each on MNIST
and on silhouettes of animals were asked for all ten labels by either rule, under one mean and covariance.

*Within 1e-3*: how many images give all log-odds as asked. *Worst*: the largest error of any. N, L, C: how many are
read as asked by neighbours, a linear and a convolutional judge. Where not all log-odds are as asked, the search
begins once more at the real image whose answers they are: *again* says how often that helps, *real images* how
often it gives that image again, give or take what nobody sees, which counts as not found."""


def measure(_pictures: Path) -> str:
    _, _, rows = typical()
    return f"""\
## Typical answers that can be had

Command: `python -m benchmarks typical`; the animals by `pip install --no-deps animal-mnist`.

{ABOUT}

{table(COLUMNS, rows)}

{fill(verdict(rows), 115)}
"""


def verdict(rows: list[list[Any]]) -> str:
    found = {rule: sums(rows, rule) for rule in ("median", "medoid")}
    of, by = found["medoid"], found["median"]
    return (
        f"**By the medoid {of['within']} of {of['labels']} images give all log-odds as asked, by the median "
        f"{by['within']}.** The judges read {of['judges']} of them as asked, by the median {by['judges']}. Begun "
        f"at the real image, {of['again']} more are found, and {of['real']} are that image again."
    )


def sums(rows: list[list[Any]], rule: str) -> dict[str, Any]:
    """What was found in all data sets by one rule, from the rows as they are printed."""
    summed = [row for row in rows if row[0].endswith(": all") and row[2] == rule]
    within, labels = (sum(int(row[4].split("/")[part]) for row in summed) for part in (0, 1))
    *judges, again, real = (sum(row[column] for row in summed) for column in range(6, len(COLUMNS)))
    agreed = ", ".join(map(str, judges))
    return {"within": within, "labels": labels, "judges": agreed, "again": again, "real": real}
