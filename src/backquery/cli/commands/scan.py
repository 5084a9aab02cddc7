"""``backquery scan``: the network asked backwards, label by label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import print_json, save_picture, say, show
from backquery.inversion import METHODS, PRIORS

if TYPE_CHECKING:
    from rich.table import Table

    from backquery.inversion import BackQuery
    from backquery.model.protocol import Model as AnyModel

Labels = Annotated[
    list[str] | None,
    Parameter(name="--label", consume_multiple=True, negative="", help="Which labels; all of them by default."),
]
Method = Annotated[
    str | None,
    Parameter(
        choices=tuple(METHODS),
        help="; ".join(f"{name}: {method.summary}" for name, method in METHODS.items())
        + ". By default transpose where the model keeps no statistics of its training images and can be asked so, "
        "else gauss-newton.",
    ),
]
Prior = Annotated[
    str | None,
    Parameter(
        choices=PRIORS,
        help="What gauss-newton takes images to be like: data, those it was trained on; smooth; flat. By default "
        "data where the model keeps statistics, else smooth.",
    ),
]
Confidence = Annotated[
    float | None,
    Parameter(
        help="The answer to ask for, such as 0.9; by default what the model usually answers to images that it "
        "reads as the label (gauss-newton, with statistics), else 0.99."
    ),
]
Picture = Annotated[Path, Parameter(name=["-o", "--output"], help="The picture: .png, .svg or .pdf.")]
Near = Annotated[
    Path | None,
    Parameter(help="A picture to begin with: find the smallest change that makes the network read each label."),
]
Arrays = Annotated[
    Path | None,
    Parameter(help="Also write the images (in input scale) and labels (positions) as arrays to this .npz file."),
]


def scan(
    model: Model,
    /,
    *,
    output: Picture,
    label: Labels = None,
    method: Method = None,
    prior: Prior = None,
    confidence: Confidence = None,
    near: Near = None,
    arrays: Arrays = None,
    as_json: AsJson = False,
) -> None:
    """Ask a network backwards, and draw what it sees when it says each label.

    Under each image stands what the network reads in it and how surely; one that it does not read as the
    label asked for has a dashed frame and a cross. For example: `backquery scan mnist -o scans.png`, or, to turn
    your 4 into a 9, `backquery scan mnist --near my-four.png --label 9 -o nine.png`

    With --json: method, question (what was asked for), prior (or null) and scans, a list of label, read (what
    the network reads in the image), answer (how surely), error (the largest difference between the answers
    and those asked for), log_odds_error (the same in log-odds), converged (whether the image is read as asked
    and the method reached its goal), outcome, advice (in words), steps; output and arrays (paths, or null).
    """
    from backquery.cli.commands.query import prepared
    from backquery.cli.matching import load_for_images
    from backquery.cli.source import open_model
    from backquery.files import check_writable
    from backquery.inversion import back_query
    from backquery.plots import change_grid, check_picture_path, scan_grid

    check_writable(check_picture_path(output))
    if arrays is not None:
        check_writable(check_arrays_path(arrays))
    network = open_model(model) if near is None else load_for_images(model)
    labels = list(label or network.classes)
    start = None if near is None else network.scale(prepared(network, [near]))
    result = back_query(network, labels, method=method, prior=prior, confidence=confidence, near=start)
    save_picture((scan_grid if near is None else change_grid)(result, network), output)
    if arrays is not None:
        save_arrays(result, arrays)
    if as_json:
        print_json({**result.as_json(network.classes), "output": str(output), "arrays": arrays and str(arrays)})
        return
    show(scan_table(result, network), "", summary(result))
    for advice, asked in _advice(result, network).items():
        say(f"{', '.join(asked)}: {advice}")
    say(f"wrote {output}" + (f" and {arrays}" if arrays else ""))


def summary(result: BackQuery) -> str:
    """One line: how many are read as asked."""
    return f"{int(result.read_as_asked.sum())} of {len(result)} read as asked, by {result.method}"


def scan_table(result: BackQuery, network: AnyModel) -> Table:
    """Each scan in a row: asked, read, how surely, error, outcome."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0))
    for heading in ("asked", "reads", "surely", "error", "outcome"):
        table.add_column(heading, header_style="dim", justify="right" if heading == "surely" else "left")
    for one, as_asked in zip(result.as_json(network.classes)["scans"], result.read_as_asked, strict=True):
        mark = "" if as_asked else " ✗"
        table.add_row(
            one["label"], one["read"] + mark, f"{one['answer']:.3f}", f"{one['error']:.2g}", one["outcome"],
            style="bold" if mark else "",
        )  # fmt: skip
    return table


def save_arrays(result: BackQuery, path: Path) -> None:
    """The images (n, inputs) in input scale and the labels (n,) as an .npz file."""
    import numpy as np

    from backquery.files import replacing

    with replacing(path) as stream:
        np.savez_compressed(stream, images=result.images, labels=result.labels)


def _advice(result: BackQuery, network: AnyModel) -> dict[str, list[str]]:
    """For each piece of advice, the labels that it is about."""
    advice: dict[str, list[str]] = {}
    for label, sentence in zip(result.labels, result.advice, strict=True):
        if sentence:
            advice.setdefault(sentence, []).append(network.classes[label])
    return advice


def check_arrays_path(path: Path) -> Path:
    """`path`, if it is one that arrays are written to; else `OutputError`."""
    from backquery.errors import OutputError

    if path.suffix.lower() != ".npz":
        raise OutputError(f"arrays are written as .npz; received {path}")
    return path
