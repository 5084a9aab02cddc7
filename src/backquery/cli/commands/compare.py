"""``backquery compare``: every method against every score, with the controls in the same table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, Model, TestHalf
from backquery.cli.terminal import print_json, save_picture, say, show

if TYPE_CHECKING:
    from rich.table import Table

    from backquery.faithfulness import Comparison, Row

Picture = Annotated[Path, Parameter(name=["-o", "--output"], help="The picture: .png, .svg or .pdf.")]
Controls = Annotated[
    bool, Parameter(help="Also train networks that know nothing, or the wrong thing, and ask them the same.")
]
SeedNumber = Annotated[int, Parameter(help="Decides the controls.", validator=Number(gte=0))]


def compare(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture,
    controls: Controls = True,
    seed: SeedNumber = 0,
    test: TestHalf = None,
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
    from backquery.cli.matching import load_for_data
    from backquery.faithfulness import compare_methods
    from backquery.files import check_writable
    from backquery.plots import check_picture_path, comparison_table

    check_writable(check_picture_path(output))
    network, dataset = load_for_data(model, data, test)
    if dataset.test is None:
        dataset = dataset.with_test_half(seed)
        say(f"{dataset.name} has no test half: 20 % of each label are held out by seed {seed}")
    comparison = compare_methods(
        network, dataset, controls=controls, rng=seed, progress=lambda done, total, what="": say(what)
    )
    save_picture(comparison_table(comparison), output)
    if as_json:
        print_json({**comparison.as_json(), "output": str(output)})
        return
    show(_table(comparison))
    for reason in comparison.left_out:
        say(f"left out: {reason}")
    say(f"wrote {output}")


def _table(comparison: Comparison) -> Table:
    from rich.table import Table

    judges = [judge.name for judge in comparison.judges]
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", header_style="dim", no_wrap=True)
    for heading in ("read as asked", *judges, "worst error", "typicality", "obeys", "converged"):
        table.add_column(heading, header_style="dim", justify="right", overflow="fold")
    kind = ""
    for row in comparison.rows:
        if row.kind != kind:
            kind = row.kind
            table.add_row({"method": "methods", "images": "control images", "network": "control networks"}[kind],
                          style="bold")  # fmt: skip
        table.add_row(f"  {row.name}", *_cells(row, judges))
    return table


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
