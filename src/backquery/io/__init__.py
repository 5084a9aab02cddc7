"""Networks to files and back. Nothing here can run what a file contains: no pickle, in any disguise."""

from __future__ import annotations

import os
from pathlib import Path

from backquery.errors import ModelError
from backquery.io import native
from backquery.io.text import load_text, save_text
from backquery.models import bundled, bundled_path
from backquery.network import Network

__all__ = ["check_model_path", "load_model", "load_text", "save_model", "save_text"]

SUFFIX = ".safetensors"

_REBUILD = (
    "in the program that made it, build Network((Layer(weights, biases, activation), ...)) from its arrays "
    "and write that with backquery.io.save_model"
)
_RUNS_CODE = f"it is a pickle, and opening a pickle can run any program hidden in it; {_REBUILD}"
_NO_STRUCTURE = f"bare arrays do not say how they make a network; {_REBUILD}"
_REFUSED = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"), _RUNS_CODE),
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".onnx"), f"this format is not read; {_REBUILD}"),
    **dict.fromkeys((".npy", ".npz", ".csv", ".txt", ".json"), _NO_STRUCTURE),
}


def load_model(source: str | os.PathLike[str]) -> Network:
    """The network called `source`: a bundled model's name, a .safetensors file, or a folder of text files.

    A bundled name comes first; write ``./mnist`` for a folder of that name. Other kinds of files are refused
    by a `ModelError` that says why, and what to do instead.
    """
    path = bundled_path(source) if isinstance(source, str) else None
    path = path or Path(source)
    if path.is_dir():
        return load_text(path)
    if path.suffix.lower() in _REFUSED:
        raise ModelError(f"{path} is refused: {_REFUSED[path.suffix.lower()]}")
    if not path.exists():
        names = ", ".join(bundled())
        raise ModelError(
            f"there is no model {str(source)!r}: give a {SUFFIX} file, a folder with weight1.txt, or a bundled "
            f"model's name ({names})"
        )
    if not path.is_file():
        raise ModelError(f"{path} is not a regular file; a model is a {SUFFIX} file")
    return native.load(path)


def save_model(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to the .safetensors file `path`, whole or not at all; see `native.save`."""
    native.save(network, check_model_path(path))


def check_model_path(path: str | os.PathLike[str]) -> Path:
    """`path`, if it is a name that a model can be saved under and loaded from again; else `ModelError`."""
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        better = Path(path.name or "network").with_suffix(SUFFIX)
        raise ModelError(f"models are saved as {SUFFIX} files; received {path}, try {better}")
    return path
