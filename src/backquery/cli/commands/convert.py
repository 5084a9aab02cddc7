"""``backquery convert``: a model as another kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import give
from backquery.errors import ModelError

if TYPE_CHECKING:
    from backquery.model import Model as AnyModel
    from backquery.model import Network

Destination = Annotated[
    Path,
    Parameter(
        help="The file to write, of the kind that its name ends in: .safetensors, .onnx, .keras or .skops; a name "
        "without an ending is a folder for text files with thresholds."
    ),
]

TRIALS = 16
TOLERANCE = 1e-5


def convert(source: Model, destination: Destination, /, *, as_json: AsJson = False) -> None:
    """Write a model as another kind of file, and check that it answers alike.

    What the new file cannot keep is said; what cannot be written in it at all (softmax in text files) is an
    error. The file is read again and both are asked the same. For example: `backquery convert mnist mnist.onnx`

    With --json: source, destination, kind, lost (what could not be kept, in words), difference (the largest
    between the answers of both).
    """
    from backquery.cli.source import open_network
    from backquery.io import export_model
    from backquery.io.formats import format_to_write

    kind = format_to_write(destination)
    network = open_network(source, "convert")
    lost = export_model(network, destination)
    difference = _difference(network, kind.load(destination))
    if not difference <= TOLERANCE:
        raise ModelError(f"{destination} was written, but its answers differ by {difference:.2g}; do not use it")
    answer = {"source": source, "destination": destination, "kind": kind.suffix, "lost": lost}
    give(
        as_json,
        {**answer, "difference": difference},
        f"wrote {destination}; the answers differ by {difference:.2g} at most",
        notes=[f"not kept, because {kind.suffix} has no place for it: {', '.join(lost)}"] if lost else [],
    )


def _difference(one: Network, other: AnyModel) -> float:
    """The largest difference between their answers to inputs from the whole range."""
    import numpy as np

    from backquery.model import Scaling

    scaling = one.scaling or Scaling.book()
    ink = np.random.default_rng(0).uniform(0, scaling.maximum, (TRIALS, one.inputs))
    inputs = scaling.apply(ink)
    return float(np.max(np.abs(one.query(inputs).astype(np.float64) - other.query(inputs))))
