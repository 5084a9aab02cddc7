"""Arguments and options, every one once; those whose help needs training or inversion loaded lie beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


def written(help: str) -> Parameter:
    """-o, where a command writes what it is for."""
    return Parameter(name=["-o", "--output"], help=help)


def also_drawn(what: str) -> Parameter:
    """-o, where a command draws only if it is given."""
    return written(f"Also draw {what}: .png, .svg or .pdf.")


def arrays_of(what: str) -> Parameter:
    """--arrays."""
    return Parameter(help=f"Also write {what} to this .npz file.")


def decides(what: str) -> Parameter:
    """--seed, what the functions of Python call rng: the same number gives the same result in both."""
    return Parameter(help=f"Decides {what} (rng in Python).", validator=Number(gte=0))


AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print one JSON object instead of text."),
]
ShowCode = Annotated[
    bool,
    Parameter(
        name="--show-code",
        negative="",
        show_default=False,
        help="Also print the lines of Python that make the picture again; with --json as code.",
    ),
]
Data = Annotated[str, Parameter(help="A data set's name, or a path to one.")]
DataSetName = Annotated[str, Parameter(help="A data set's name: see backquery data list.")]
Labels = Annotated[
    list[str] | None,
    Parameter(name="--label", consume_multiple=True, negative="", help="Which labels; all of them by default."),
]
Model = Annotated[
    str,
    Parameter(
        help="A model file (.safetensors, .onnx, .keras, .skops), a folder with weight1.txt, mnist, or "
        "package.module:function, which runs your own code: the function that returns the model."
    ),
]
Picture = Annotated[Path, written("The picture: .png, .svg or .pdf.")]
TestHalf = Annotated[Path | None, Parameter(help="Where the test images are, if not beside the others.")]
