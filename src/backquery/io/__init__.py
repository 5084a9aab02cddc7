"""Networks to files and back. Nothing here can run what a file contains: no pickle, in any disguise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from backquery.errors import ModelError
from backquery.io import native
from backquery.io.formats import FORMATS, READ_ONLY, export_model, format_of, need_network
from backquery.io.models import bundled, bundled_path
from backquery.io.text import load_text, save_text
from backquery.model import Network

if TYPE_CHECKING:
    from backquery.io.torch import TorchModel

__all__ = ["check_model_path", "export_model", "load_model", "load_text", "save_model", "save_text"]

SUFFIX = ".safetensors"
_SUFFIXES = ", ".join(suffix for suffix in (*FORMATS, *READ_ONLY) if suffix.startswith("."))

_REBUILD = (
    "in the program that made it, build Network((Layer(weights, biases, activation), ...)) from its arrays "
    "and write that with backquery.io.save_model"
)
_RUNS_CODE = "it is a pickle, and opening a pickle can run any program hidden in it"
_FROM_SKLEARN = "in the program that made it, write it with skops.io.dump, or convert it with network_from_sklearn"
_REFUSED = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), f"{_RUNS_CODE}; {_FROM_SKLEARN} and save_model"),
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt"),
        f"{_RUNS_CODE}; in the program that made it, write "
        "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors') and give, on the command line, "
        "module:function@weights.safetensors with a function of yours that returns the module; or convert it with "
        "network_from_torch and save_model",
    ),
    **dict.fromkeys(
        (".npy", ".npz", ".csv", ".txt", ".json"),
        f"bare arrays do not say how they make a network, and can hide pickles; {_REBUILD}",
    ),
}


def load_model(source: str | os.PathLike[str]) -> Network | TorchModel:
    """The model called `source`: a bundled model's name, a model file, or a folder of text files.

    Files are .safetensors, .onnx, .keras, .h5 of Keras, and .skops; nothing in them is run. What such a file holds
    is a `Network` where it is a chain of dense layers; any other, of ONNX or Keras, is a `TorchModel`, which takes
    PyTorch. A bundled name comes
    first; write ``./mnist`` for a folder of that name. Other kinds of files are refused by a `ModelError` that
    says why, and what to do instead.
    """
    if not isinstance(source, str | os.PathLike):
        raise ModelError(f"a model is opened by its name or path; received a {type(source).__name__}")
    path = bundled_path(source) if isinstance(source, str) else None
    path = path or Path(source)
    if path.is_dir():
        return load_text(path)
    if path.suffix.lower() in _REFUSED:
        raise ModelError(f"{path} is refused: {_REFUSED[path.suffix.lower()]}")
    if not path.exists():
        names = ", ".join(bundled())
        raise ModelError(
            f"there is no model {str(source)!r}: give a model file ({_SUFFIXES}), a folder with weight1.txt, "
            f"or a bundled model's name ({names})"
        )
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file; a model is a {SUFFIX} file")
    kind = format_of(path)
    return native.load(path) if kind is None else kind.load(path)


def save_model(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to the .safetensors file `path`, whole or not at all; see `native.save`.

    Other kinds of files, which keep less, are written by `export_model`.
    """
    native.save(need_network(network), check_model_path(path))


def check_model_path(path: str | os.PathLike[str]) -> Path:
    """`path`, if it is a name that a model can be saved under and loaded from again; else `ModelError`."""
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        better = Path(path.name or "network").with_suffix(SUFFIX)
        raise ModelError(f"models are saved as {SUFFIX} files; received {path}, try {better}")
    return path
