"""What each of Keras' layers means to a dense chain, and the same layer in Keras' own words.

A layer that is understood is handed to the chain, and answered with its twins: the class and the settings, none
but numbers and known words, by which Keras itself can build it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from backquery.errors import ModelError
from backquery.io.chain import Chain, NotAChainError
from backquery.io.keras_arrays import COUNT, arrays_of
from backquery.io.keras_config import Entry, Step, is_keras_own
from backquery.model import ACTIVATIONS, IDENTITY, SOFTMAX, Activation, Array, leaky_relu, rounded_slope

NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "identity": "linear", "softmax": "softmax"}
"""What Keras calls the activations that need no slope."""

LOG_SOFTMAX = "log_softmax"

_BY_NAME = {theirs: ACTIVATIONS[ours] for ours, theirs in NAMES.items()}
_BY_NAME |= {"leaky_relu": leaky_relu(0.2), LOG_SOFTMAX: SOFTMAX}

TELLING = ("Rescaling", "Normalization")
"""Layers before the first weights that tell what the inputs are."""

ACTIVATING = ("Activation", "ReLU", "LeakyReLU", "Softmax")

AT_REST = (
    "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "ActivityRegularization", "Identity", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom", "RandomContrast", "RandomBrightness", "RandomShear", "RandomHue", "RandomSaturation",
    "RandomSharpness", "RandomColorJitter", "RandomColorDegeneration", "RandomGrayscale", "RandomInvert",
    "RandomPosterization", "RandomErasing", "RandomPerspective", "RandomElasticTransform", "RandomGaussianBlur",
    "RandomHeight", "RandomWidth", "RandAugment", "AugMix", "MixUp", "CutMix",
)  # fmt: skip
"""Layers that do something in training only."""

SMALLEST_DEVIATION = 1e-7
"""By which Keras divides where a normalised input did not vary."""

_ADVICE = (
    "use layers of Keras that a dense chain is made of (Flatten, Dense, Activation, BatchNormalization, "
    "Normalization, Rescaling, Dropout)"
)


@dataclass(frozen=True)
class Twin:
    """One layer of Keras: its class, what it is made with, and its numbers."""

    kind: str
    settings: Entry
    arrays: tuple[Array, ...] = ()


def add_step(chain: Chain, step: Step, arrays: Callable[[Step], list[Array]]) -> list[Twin]:
    """Hand what a layer does to the chain, and give its twins; `ModelError` names one that is not understood."""
    try:
        if not step.own or ">" in step.kind:
            raise ModelError(f"is somebody's own code, which is not run; {_ADVICE}")
        return _add(chain, step, arrays)
    except ModelError as error:
        raise NotAChainError(f"{step} {error}" if str(error).startswith("is ") else f"{step}: {error}") from None


def _add(chain: Chain, step: Step, arrays: Callable[[Step], list[Array]]) -> list[Twin]:
    if step.kind in AT_REST:
        return []
    if step.kind in ACTIVATING:
        return _activate(chain, *_activation_of_layer(step.kind, step.settings))
    if step.kind == "Lambda":
        raise ModelError(f"it holds Python code, which is not run; {_ADVICE}")
    if step.kind not in ADDERS:
        raise ModelError(f"it is not understood; {_ADVICE}")
    names = [name for name in arrays_of(step) if name != COUNT]
    numbers = arrays(step) if names else []
    if len(numbers) != len(names):
        raise ModelError(f"it has {len(numbers)} arrays of numbers, which its settings do not announce")
    return ADDERS[step.kind](chain, step.settings, numbers)


def _dense(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    kernel, biases = arrays[0], arrays[1] if len(arrays) > 1 else None
    if kernel.ndim != 2 or kernel.shape[1] != settings.get("units"):
        raise ModelError(f"its weights of shape {kernel.shape} do not make {settings.get('units')} nodes")
    chain.dense(kernel.T, biases)
    made_with = {"units": kernel.shape[1], "use_bias": biases is not None}
    activation = _activation(settings.get("activation", "linear"))
    return [Twin("Dense", made_with, tuple(arrays)), *_activate(chain, *activation)]


def _activate(chain: Chain, activation: Activation, twin: Twin) -> list[Twin]:
    if activation is IDENTITY:
        return []
    if activation is SOFTMAX and len(chain.shape or ()) != 1:
        raise ModelError(f"its softmax runs over a part of signals of shape {chain.shape}")
    chain.activate(activation)
    return [twin]


def _activation(told: Any) -> tuple[Activation, Twin]:
    """An activation given by its name, or as a layer of its own."""
    if isinstance(told, dict) and told.get("class_name") in ACTIVATING and is_keras_own(told):
        return _activation_of_layer(told["class_name"], told.get("config") or {})
    name = "linear" if told is None else told
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name], Twin("Activation", {"activation": name})
    shown = told.get("config", told.get("class_name")) if isinstance(told, dict) else told
    raise ModelError(f"its activation {shown!r} is not known here, only {', '.join(_BY_NAME)}")


def _activation_of_layer(kind: str, settings: Entry) -> tuple[Activation, Twin]:
    if kind == "Activation":
        return _activation(settings.get("activation"))
    if kind == "Softmax":
        if settings.get("axis", -1) not in (-1, 1, [-1], [1]):
            raise ModelError("its softmax runs along another axis than the answers")
        return SOFTMAX, Twin("Softmax", {"axis": -1})
    if settings.get("max_value") is not None or settings.get("threshold", 0.0):
        raise ModelError("its ReLU has a ceiling or a threshold, which is not known here")
    # alpha is the older name; where neither is given, Keras' LeakyReLU has the slope 0.3.
    usual = 0.3 if kind == "LeakyReLU" else 0.0
    slope = _number(settings, "negative_slope", _number(settings, "alpha", usual))
    return leaky_relu(rounded_slope(slope)), Twin(kind, {"negative_slope": slope})


def _flatten(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    layout = settings.get("data_format") or "channels_last"
    if layout not in ("channels_last", "channels_first"):
        raise ModelError(f"its data_format is {str(layout)[:40]!r}, neither channels_last nor channels_first")
    axes = len(chain.shape or ())
    if layout == "channels_first" and axes > 1:
        chain.transpose((*range(1, axes), 0))
    chain.flatten()
    return [Twin("Flatten", {"data_format": layout})]


def _permute(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    axes = _whole_numbers(settings.get("dims"), "dims")
    chain.transpose([axis - 1 for axis in axes])
    return [Twin("Permute", {"dims": axes})]


def _reshape(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    shape = _whole_numbers(settings.get("target_shape"), "target_shape")
    chain.reshape(shape)
    return [Twin("Reshape", {"target_shape": shape})]


def _rescaling(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    scale, offset = _floats(settings.get("scale", 1.0)), _floats(settings.get("offset", 0.0))
    chain.rescale(scale, offset)
    return [Twin("Rescaling", {"scale": scale.tolist(), "offset": offset.tolist()})]


def _batch_normalization(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    axes = _axes(settings.get("axis", -1), len(chain.shape or ()))
    if len(axes) != 1:
        raise ModelError("it normalises along more than one axis")
    scale, centre = bool(settings.get("scale", True)), bool(settings.get("center", True))
    epsilon = _number(settings, "epsilon", 1e-3)
    # In float64, because what is divided by a small deviation and taken away again would lose digits.
    *learned, mean, variance = (array.astype(np.float64) for array in arrays)
    gain = (variance + epsilon) ** -0.5 * (learned[0] if scale else 1.0)
    offset = (learned[-1] if centre else 0.0) - mean * gain
    chain.rescale(_along(gain, axes, chain), _along(offset, axes, chain))
    made_with = {"axis": axes[0], "epsilon": epsilon, "scale": scale, "center": centre}
    return [Twin("BatchNormalization", made_with, tuple(arrays))]


def _normalization(chain: Chain, settings: Entry, arrays: list[Array]) -> list[Twin]:
    axes = _axes(settings.get("axis", -1), len(chain.shape or ()))
    given = (settings.get("mean"), settings.get("variance")) if not arrays else arrays[:2]
    mean, variance = (_floats(values) for values in given)
    inverted = bool(settings.get("invert", False))
    deviation = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
    gain, offset = (deviation, mean) if inverted else (1 / deviation, -mean / deviation)
    chain.rescale(_along(gain, axes, chain), _along(offset, axes, chain))
    made_with = {"axis": axes or None, "mean": mean.tolist(), "variance": variance.tolist(), "invert": inverted}
    return [Twin("Normalization", made_with)]


ADDERS: dict[str, Callable[[Chain, Entry, list[Array]], list[Twin]]] = {
    "Dense": _dense,
    "Flatten": _flatten,
    "Permute": _permute,
    "Reshape": _reshape,
    "Rescaling": _rescaling,
    "BatchNormalization": _batch_normalization,
    "Normalization": _normalization,
}


def _along(values: Array, axes: tuple[int, ...], chain: Chain) -> Array:
    """Numbers that belong to some axes (counted with the batch), in the shape of the signals."""
    lengths = [1] * len(chain.shape or ())
    if values.ndim > len(axes):
        raise ModelError(f"its numbers of shape {values.shape} do not belong to {len(axes)} axes")
    for axis, length in zip(reversed(axes), reversed(values.shape), strict=False):
        lengths[axis - 1] = length
    return values.reshape(lengths)


def _axes(told: Any, rank: int) -> tuple[int, ...]:
    """One axis, several or none, counted from 1 behind the batch, in order."""
    listed = told if isinstance(told, list | tuple) else [] if told is None else [told]
    axes = _whole_numbers(listed, "axis")
    counted = tuple(sorted(axis + rank + 1 if axis < 0 else axis for axis in axes))
    if not all(1 <= axis <= rank for axis in counted) or len(set(counted)) != len(counted):
        raise ModelError(f"signals of {rank} axes have no axis {told}")
    return counted


def _number(settings: Entry, name: str, usual: float) -> float:
    value = settings.get(name, usual)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise ModelError(f"its {name} is no number, but {str(value)[:40]!r}")
    return float(value)


def _whole_numbers(values: Any, name: str) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not all(type(value) is int for value in values):
        raise ModelError(f"its {name} is no list of whole numbers, but {str(values)[:40]!r}")
    return tuple(values)


def _floats(values: Any) -> Array:
    """Numbers, as Keras writes them alone, in lists and as arrays."""
    if isinstance(values, dict) and values.get("class_name") in ("__numpy__", "__tensor__"):
        values = values.get("config", {}).get("value")
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"it rescales by {str(values)[:40]!r}, which are no numbers") from None
