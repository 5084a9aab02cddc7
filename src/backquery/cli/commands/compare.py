"""``backquery compare``: every method against every score, with the controls in the same table."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli.options import AsJson, Data, Model, Picture, ShowCode, TestHalf, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, check_outputs, give, save_picture, table

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
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Ask a network backwards by every method, and score every image beside its controls.

    Judges of other families (nearest neighbours, a linear one, and with PyTorch a convolutional one) are trained
    on the same training images. The controls say what a score is worth: real images, class means, noise, networks
    that have learned nothing, and one that answers made images by another path than real ones (a fooling circuit).
    For example: `backquery compare mnist mnist -o compare.png`

    With --json: rows, a list of name, kind (method, images or network), asked, expected (what a judge should
    read), read, read_as_asked, worst_logit_error, outcomes, judges (what each reads), agreement (how many each
    reads as expected), recognised (0 to 1, by all judges, less chance and their own mistakes), by_chance (how
    probable each agreement is by chance), typicality (1 for the most usual image, 0 for one plainer or stranger
    than all real ones), side (plain, usual or strange), path (the share of real images whose signals are as unlike
    those of others read as the same label, in any layer), path_layer (where they are the most unlike),
    distance_to_nearest, nearest, nearest_distance_percentile (among real images), copy, obeyed; judges with their
    performance on real test images; chance; no_better_than_chance; left_out; seed; output; with
    --show-code also code.
    """
    from backquery.cli.noted import about_data
    from backquery.cli.progress import bar
    from backquery.cli.source import load_for_halves
    from backquery.faithfulness import compare_methods
    from backquery.plots import comparison_table

    check_outputs(output)
    network, dataset = load_for_halves(model, data, test, seed, reading, scale)
    notes = about_data(model, network, data, test, reading, dataset, seed=seed)
    with bar("comparing") as progress:
        comparison = notes(
            "comparison", compare_methods, network, dataset, controls=controls, rng=seed, progress=progress
        )
    save_picture(notes("figure", comparison_table, comparison), output, notes)
    left_out = [f"left out: {reason}" for reason in comparison.left_out]
    give(
        as_json, {**comparison.as_json(), "seed": seed, "output": output}, _table(comparison),
        notes=[comparison.trust, *comparison.meanings, *comparison.elsewhere, *left_out], wrote=[output],
        code=notes if show_code else None,
    )  # fmt: skip


def _table(comparison: Comparison) -> Drawing:
    """A row for each kind, in bold, and those of the kind below it."""
    names = list(_cells(comparison.rows[0]))
    rows = []
    for kind, those in groupby(comparison.rows, key=lambda row: row.kind):
        rows += [[KINDS[kind]], *([f"  {row.name}", *_cells(row).values()] for row in those)]
    return table(
        ["<", *(f">{name}" for name in names)], rows, bold=[len(row) == 1 for row in rows], gap=1, whole=[0]
    )


def _cells(row: Row) -> dict[str, str]:
    """The scores; those of all judges stand in one column, because lines are short."""
    agreed = row.recognition.agreement
    judges = {"judges": " ".join(f"{count:>2}" for count in agreed.values())} if agreed else {}
    told = {name: score for name, score in row.told.items() if name not in agreed}
    asked = "read as asked"
    return {asked: told.pop(asked), **judges, **told, "converged": _converged(row)}


def _converged(row: Row) -> str:
    searched = row.result is not None and row.result.method == "gauss-newton"
    return f"{row.result.outcome.count('converged')}" if row.result is not None and searched else ""
