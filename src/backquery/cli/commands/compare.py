"""``backquery compare``: every method against every score, with the controls in the same table."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli.options import AsJson, Data, Model, Picture, TestHalf, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, check_outputs, give, save_picture, say, table

if TYPE_CHECKING:
    from backquery.faithfulness import Comparison, Row

KINDS = {"method": "methods", "images": "control images", "network": "control networks"}

Controls = Annotated[
    bool, Parameter(help="Also train networks that know nothing, or the wrong thing, and ask them the same.")
]
SeedNumber = Annotated[int, decides("the controls")]


def compare(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture,
    controls: Controls = True,
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Ask a network backwards by every method, and score every image beside its controls.

    Judges of other families (nearest neighbours, a linear one, and with PyTorch a convolutional one) are trained
    on the same training images. The controls say what a score is worth: real images, class means, noise, and
    networks that have learned nothing. For example: `backquery compare mnist mnist -o compare.png`

    With --json: rows, a list of name, kind (method, images or network), asked, expected (what a judge should
    read), read, read_as_asked, worst_log_odds_error, outcomes, judges (what each reads), agreement, typicality,
    distance_to_nearest, nearest, obeyed; judges with their performance on real test images; left_out; output.
    """
    from backquery.cli.source import load_for_halves
    from backquery.faithfulness import compare_methods
    from backquery.plots import comparison_table

    check_outputs(output)
    network, dataset = load_for_halves(model, data, test, seed, reading, scale)
    comparison = compare_methods(
        network, dataset, controls=controls, rng=seed, progress=lambda done, total, what="": say(what)
    )
    save_picture(comparison_table(comparison), output)
    give(
        as_json, {**comparison.as_json(), "output": output}, _table(comparison),
        notes=[f"left out: {reason}" for reason in comparison.left_out], wrote=[output],
    )  # fmt: skip


def _table(comparison: Comparison) -> Drawing:
    """A row for each kind, in bold, and those of the kind below it."""
    judges = [judge.name for judge in comparison.judges]
    measured = ["read as asked", *judges, "worst error", "typicality", "obeys", "converged"]
    rows = []
    for kind, those in groupby(comparison.rows, key=lambda row: row.kind):
        rows += [[KINDS[kind]], *([f"  {row.name}", *_cells(row, judges)] for row in those)]
    return table(
        ["<", *(f">{name}" for name in measured)], rows, bold=[len(row) == 1 for row in rows], gap=1, whole=[0]
    )


def _cells(row: Row, judges: list[str]) -> list[str]:
    from numpy import median

    searched = row.result is not None and row.result.method == "gauss-newton"
    converged = "" if row.result is None or not searched else f"{row.result.outcome.count('converged')}"
    return [
        f"{row.read_as_asked} of {len(row.asked)}",
        *(f"{row.agreement(judge)}" for judge in judges),
        "" if row.worst_error is None else f"{row.worst_error:.2g}",
        f"{median(row.typicality):.2f}",
        "" if row.obedience is None else f"{row.obedience.obeyed:.0%}",
        converged,
    ]
