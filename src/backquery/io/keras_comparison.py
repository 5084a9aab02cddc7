"""Keras is asked the same as the network that was made of its model.

A live model is called as it stands. A file's configuration is never handed to Keras, which may import and run what
it names: layers of Keras' own are made instead, of the classes and settings that the reader understood, and given
the file's numbers. Because loading Keras takes seconds, the user's cache remembers which files have been compared.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import ModelError, assume
from backquery.files import user_cache
from backquery.io.comparison import compare, not_compared, probes
from backquery.io.keras_config import Entry, input_type
from backquery.io.keras_graph import INPUT, Signal
from backquery.io.keras_layers import Twin
from backquery.model import Array, Network, Shape

if TYPE_CHECKING:
    from backquery.io.torch import TorchModel

MARKERS = 1000
"""Files that are remembered as compared; the oldest are forgotten."""


@dataclass(frozen=True)
class Reading:
    """What was made of a model: the network, one input's `shape`, and the layers it was made of.

    scores: whether the model ends in scores, or log-probabilities, where the network ends in answers. calls: what
    it was made of, where that is no chain of dense layers (`keras_module.Made`).
    """

    network: Network | TorchModel
    shape: Shape
    twins: tuple[Twin, ...]
    scores: bool
    calls: tuple[Any, ...] = ()


def compare_live(reading: Reading, model: Any, config: Entry) -> None:
    """Ask a live model, as it answers outside training; it is not changed. See `compare` for what is raised."""
    wrap = _wrapping(config["config"].get("input_layers"))
    whole = "int" in input_type(config)

    def original(x: Array) -> Array:
        try:
            return _numbers(model(wrap(x.reshape(-1, *reading.shape)), training=False))
        except Exception as error:  # What a model raises may be of any kind.
            raise ModelError(f"the Keras model cannot be asked: {error}") from error

    compare(
        reading.network, original, "the Keras model", raw=reading.scores, whole=whole, precision=_precision(model)
    )


def compare_file(reading: Reading, content: bytes, path: str | os.PathLike[str]) -> None:
    """Ask layers of Keras' own with a file's settings and numbers, unless that was done before."""
    try:
        installed = version("keras")
    except PackageNotFoundError:
        return not_compared(str(path), "Keras", "keras")
    marker = _marker(reading, content, installed)
    if marker is not None and marker.exists():
        return None
    keras = _loaded(path)
    if keras is not None:
        compare(reading.network, _rebuilt(keras, reading), "its Keras model", raw=reading.scores)
        _remember(marker)
    return None


def _wrapping(inputs: Any) -> Callable[[Array], Any]:
    """One input as the model takes it: alone, in a list, or in a dict under its name."""
    if isinstance(inputs, dict):
        return lambda x: dict.fromkeys(inputs, x)
    listed = isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], list)
    return lambda x: [x] if listed else x


def _numbers(answers: Any) -> Array:
    """One output as an array, also where it comes in a list or a dict, from whatever backend."""
    if isinstance(answers, dict | list | tuple):
        (answers,) = answers.values() if isinstance(answers, dict) else answers
    if hasattr(answers, "detach"):
        answers = answers.detach().cpu()
        return np.asarray(answers.double().numpy())
    return np.asarray(answers, np.float64)


def _precision(model: Any) -> str:
    """The coarsest dtype that the model computes in; at best float32, in which Keras passes signals on."""
    computed = {str(layer.compute_dtype) for layer in model.layers}
    return next((dtype for dtype in ("bfloat16", "float16") if dtype in computed), "float32")


def _loaded(path: str | os.PathLike[str]) -> Any:
    """Keras 3, or None after saying why not."""
    try:
        import keras

        if keras.__version__.startswith(("0", "1", "2")):
            raise ImportError(f"Keras {keras.__version__} is installed, not Keras 3")
    except Exception as error:  # A backend that is missing or broken is an error of any kind.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        assume(
            f"{path} was not compared with its original, because Keras cannot start ({reason}); set the "
            "environment variable KERAS_BACKEND to a backend that is installed, such as torch"
        )
        return None
    return keras


def _rebuilt(keras: Any, reading: Reading) -> Callable[[Array], Array]:
    dtype = str(np.dtype(reading.network.dtype))

    def original(x: Array) -> Array:
        try:
            if reading.calls:
                return _called(keras, reading, x.reshape(-1, *reading.shape).astype(np.float32))
            # Named, because names that Keras gives are counted, and the user's own layers would count on.
            layers = [_layer(keras, twin, f"twin_{n}", dtype) for n, twin in enumerate(reading.twins)]
            model = keras.Sequential([keras.Input(reading.shape, dtype=dtype), *layers], name="twin")
            for layer, twin in zip(layers, reading.twins, strict=True):
                if twin.arrays:
                    layer.set_weights(list(twin.arrays))
            return _numbers(model(x.reshape(-1, *reading.shape).astype(dtype), training=False))
        except Exception as error:
            raise ModelError(f"Keras itself cannot run its layers: {error}") from None

    return original


def _called(keras: Any, reading: Reading, x: Array) -> Array:
    """What layers of Keras' own make of inputs, called one after the other as the model calls them."""
    known: dict[str, Any] = {INPUT: keras.ops.convert_to_tensor(x)}
    layers: dict[tuple[str, ...], Any] = {}
    for number, made in enumerate(reading.calls):
        given = [known[part.name] if isinstance(part, Signal) else part for part in made.call.given]
        found = made.apply(keras, given, layers, f"twin_{number}")
        known[made.call.gives] = found
    return _numbers(found)


def _layer(keras: Any, twin: Twin, name: str, dtype: str) -> Any:
    # Zeros, because other beginnings would be drawn from the user's random numbers.
    begun = {"kernel_initializer": "zeros"} if twin.kind == "Dense" else {}
    return getattr(keras.layers, twin.kind)(**twin.settings, **begun, name=name, dtype=dtype)


def _marker(reading: Reading, content: bytes, installed: str) -> Path | None:
    """The file that says that this file was compared as it is read now, or None where nothing is remembered."""
    cache = user_cache()
    asked = hashlib.sha256(content)
    for part in (
        version("backquery"),
        installed,
        str(reading.scores),
        reading.network.query(probes(reading.network)),
    ):
        asked.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return cache and cache / "compared" / asked.hexdigest()


def _remember(marker: Path | None) -> None:
    """Leave the marker, and no more than `MARKERS`; a cache that cannot be written changes nothing."""
    if marker is None:
        return
    with suppress(OSError):
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        known = sorted(marker.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for oldest in known[:-MARKERS]:
            oldest.unlink(missing_ok=True)
