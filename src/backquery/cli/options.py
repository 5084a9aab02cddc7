"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

AsJson = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print one JSON object instead of text."),
]
Data = Annotated[str, Parameter(help="A data set's name, or a path to one.")]
DataSetName = Annotated[str, Parameter(help="A data set's name: see backquery data list.")]
Model = Annotated[
    str,
    Parameter(
        help="A model file (.safetensors, .onnx, .keras, .skops), a folder with weight1.txt, mnist, or "
        "package.module:function, which runs your own code: the function that returns the model."
    ),
]
TestHalf = Annotated[Path | None, Parameter(help="Where the test images are, if not beside the others.")]
