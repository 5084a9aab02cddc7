"""Which kinds of model files there are: read by suffix, written by suffix, and what each cannot keep."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import ModelError
from backquery.io.native import named_arrays
from backquery.model import Network, image_shape

if TYPE_CHECKING:
    from backquery.io.torch import TorchModel

TEXT = "a folder"
"""What the four text files are called among the suffixes."""

SHAPE, CLASSES, SCALING, STATISTICS, ABOUT = (
    "image shape", "class names", "scaling", "statistics of the training images", "history",
)  # fmt: skip


@dataclass(frozen=True)
class Format:
    """One kind of model file: the functions that read and write it, as ``module:function``, and what is lost."""

    suffix: str
    reader: str
    writer: str
    loses: tuple[str, ...] = ()

    def load(self, path: Path) -> Network | TorchModel:
        """The network in a file of this kind; where it is no chain of dense layers, as a PyTorch module."""
        model: Network | TorchModel = _function(self.reader)(path)
        return model

    def save(self, network: Network, path: Path) -> None:
        """Write a file of this kind."""
        _function(self.writer)(network, path)


FORMATS = {
    kind.suffix: kind
    for kind in (
        Format(".safetensors", "native:load", "native:save"),
        Format(".onnx", "onnx:from_onnx", "onnx:save_onnx", (STATISTICS,)),
        Format(".keras", "keras:from_keras", "keras:save_keras", (STATISTICS,)),
        Format(".skops", "skops:load_skops", "skops:save_skops", (SHAPE, SCALING, STATISTICS, ABOUT)),
        Format(TEXT, "text:load_text", "text:save_text", (SHAPE, CLASSES, SCALING, STATISTICS, ABOUT)),
    )
}
"""Every kind that is written, by its suffix."""

READ_ONLY = {suffix: Format(suffix, "keras:from_keras", "") for suffix in (".h5", ".hdf5")}
"""Kinds that are read, and not written: other kinds keep more."""


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """The kind that a path of this name has or would have; None where it is no kind of model."""
    path = Path(path)
    if path.is_dir() or (not path.suffix and not path.exists()):
        return FORMATS[TEXT]
    return (FORMATS | READ_ONLY).get(path.suffix.lower())


def format_to_write(path: str | os.PathLike[str]) -> Format:
    """The kind that `path` asks for, or `ModelError` with all that can be written."""
    kind = format_of(path)
    named = FORMATS.get(Path(path).suffix.lower())
    if kind is FORMATS[TEXT] and named is not None:
        raise ModelError(f"{path} is a folder, and its name says {named.suffix}: name a file, or another folder")
    if kind is None or kind.suffix in READ_ONLY:
        suffixes = ", ".join(suffix for suffix in FORMATS if suffix != TEXT)
        raise ModelError(
            f"no model can be written as {Path(path).name}: end its name in {suffixes}, "
            "or name a folder for text files with thresholds"
        )
    return kind


def export_model(network: Network, path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Write `network` in the kind that the suffix of `path` asks for; returns what of it could not be kept.

    The suffixes are those of `FORMATS`; a name without one is a folder of text files. What a kind cannot hold
    at all (softmax in the text files) raises `ModelError`.
    """
    kind = format_to_write(path)
    kind.save(need_network(network), Path(path))
    return tuple(what for what in kind.loses if _has(network, what))


def need_network(network: object) -> Network:
    """What is to be written, if it is a `Network` of finite numbers; else `ModelError`: no file is touched."""
    if not isinstance(network, Network):
        raise ModelError(
            f"files hold chains of dense layers, made here or by network_from_torch, network_from_keras and their "
            f"like; received a {type(network).__name__}: keep that in its own program's file, and what was fitted "
            "to it by fit_statistics beside it"
        )
    for name, values in named_arrays(network):
        if broken := int(np.sum(~np.isfinite(values))):
            raise ModelError(
                f"{broken} of the {values.size} numbers of {name} are not finite, and no file with such numbers "
                "could be read again: nothing was written. A training that ends so needs a smaller learning rate"
            )
    return network


def _has(network: Network, what: str) -> bool:
    """Whether the network would come back different without it."""
    numbered = tuple(str(position) for position in range(network.outputs))
    return {
        SHAPE: network.input_shape != image_shape((network.inputs,)),
        CLASSES: network.classes != numbered,
        SCALING: network.scaling is not None,
        STATISTICS: network.statistics is not None,
        ABOUT: bool(network.about),
    }[what]


def _function(place: str) -> Callable[..., Any]:
    """``module:function`` of this package, loaded when it is needed."""
    module, name = place.split(":")
    return getattr(import_module(f"backquery.io.{module}"), name)  # type: ignore[no-any-return]
