"""Keras' description of a model, read as plain data: which layers, in which order, doing what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.model import ACTIVATIONS, IDENTITY, SOFTMAX, Activation, Array, Shape, leaky_relu, rounded_slope

Entry = dict[str, Any]

NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "identity": "linear", "softmax": "softmax"}
"""What Keras calls the activations that need no slope."""

_BY_NAME = {theirs: ACTIVATIONS[ours] for ours, theirs in NAMES.items()} | {"leaky_relu": leaky_relu(0.2)}

AT_REST = (
    "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity",
)  # fmt: skip
"""Layers that do something in training only."""

ACTIVATING = ("Activation", "ReLU", "LeakyReLU", "Softmax")


def path_of_layers(config: Entry) -> list[Entry]:
    """The layers from the input to the answers; `ModelError` where they branch or cannot be followed."""
    kind, layers = config.get("class_name"), _layers(config)
    if kind == "Sequential":
        return layers
    if kind != "Functional":
        raise ModelError(f"a {kind} model is code; Sequential and functional models can be read")
    return _followed(layers, config["config"].get("output_layers"))


def dense_layers(config: Entry) -> Iterator[tuple[str, str]]:
    """The name of each Dense layer, and the folder that Keras keeps its weights in."""
    dense = [layer for layer in _layers(config) if layer["class_name"] == "Dense"]
    for number, layer in enumerate(dense):
        yield str(layer["config"].get("name")), f"dense_{number}" if number else "dense"


def described_input(config: Entry, layers: list[Entry]) -> Shape:
    """The shape of one input, without the batch."""
    first = layers[0]["config"] if layers else {}
    told = first.get("batch_shape") or first.get("batch_input_shape") or config["config"].get("build_input_shape")
    if not isinstance(told, list) or len(told) < 2 or not all(type(n) is int and n > 0 for n in told[1:]):
        raise ModelError(f"it says {told} of the shape of its inputs; begin it with keras.Input(shape)")
    return tuple(told[1:])


def add_layer(chain: Chain, layer: Entry, arrays: dict[str, list[Array]]) -> None:
    """Hand what a layer does to the chain; `ModelError` names one that is not understood."""
    kind, settings = layer["class_name"], layer["config"]
    name = f"the layer {settings.get('name')} ({kind})"
    if not _is_keras_own(layer):
        raise ModelError(f"{name} is somebody's own code, which is not run; {_ADVICE}")
    try:
        _add(chain, kind, settings, arrays)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


_ADVICE = "use layers of Keras that a dense chain is made of (Flatten, Dense, Activation, Rescaling, Dropout)"


def _add(chain: Chain, kind: str, settings: Entry, arrays: dict[str, list[Array]]) -> None:
    if kind == "Dense":
        _add_dense(chain, settings, arrays[str(settings.get("name"))])
    elif kind in ACTIVATING:
        chain.activate(_activation_of_layer(kind, settings))
    elif kind == "Flatten":
        chain.flatten()
    elif kind == "Reshape":
        chain.reshape(tuple(settings.get("target_shape", ())))
    elif kind == "Rescaling":
        chain.rescale(settings.get("scale", 1.0), settings.get("offset", 0.0))
    elif kind == "Lambda":
        raise ModelError(f"it holds Python code, which is not run; {_ADVICE}")
    elif kind != "InputLayer" and kind not in AT_REST:
        raise ModelError(f"it is not understood; {_ADVICE}")


def _add_dense(chain: Chain, settings: Entry, arrays: list[Array]) -> None:
    if len(arrays) != (2 if settings.get("use_bias", True) else 1):
        raise ModelError(f"it has {len(arrays)} arrays of numbers, which its settings do not announce")
    kernel, biases = arrays[0], arrays[1] if len(arrays) > 1 else None
    if kernel.ndim != 2 or kernel.shape[1] != settings.get("units"):
        raise ModelError(f"its weights of shape {kernel.shape} do not make {settings.get('units')} nodes")
    chain.dense(kernel.T, biases)
    chain.activate(_activation(settings.get("activation", "linear")))


def _activation(told: Any) -> Activation:
    """An activation given by its name, or as a layer of its own."""
    if isinstance(told, dict) and told.get("class_name") in ACTIVATING and _is_keras_own(told):
        return _activation_of_layer(told["class_name"], told.get("config", {}))
    if told is None:
        return IDENTITY
    if isinstance(told, str) and told in _BY_NAME:
        return _BY_NAME[told]
    shown = told.get("config", told.get("class_name")) if isinstance(told, dict) else told
    raise ModelError(f"its activation {shown!r} is not known here, only {', '.join(_BY_NAME)}")


def _activation_of_layer(kind: str, settings: Entry) -> Activation:
    if kind == "Activation":
        return _activation(settings.get("activation"))
    if kind == "Softmax":
        if settings.get("axis", -1) not in (-1, 1, [-1], [1]):
            raise ModelError("its softmax runs along another axis than the answers")
        return SOFTMAX
    # alpha is the older name; where neither is given, Keras' LeakyReLU has the slope 0.3.
    slope = settings.get("negative_slope", settings.get("alpha", 0.3 if kind == "LeakyReLU" else 0.0))
    if settings.get("max_value") is not None or settings.get("threshold", 0.0):
        raise ModelError("its ReLU has a ceiling or a threshold, which is not known here")
    if not isinstance(slope, int | float):
        raise ModelError(f"its slope below zero is no number, but {str(slope)[:40]!r}")
    return leaky_relu(rounded_slope(slope))


def _layers(config: Entry) -> list[Entry]:
    """All layers, each with a class name and settings."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list) or not all(_is_entry(layer) for layer in layers):
        raise ModelError("its configuration lists no layers")
    return layers


def _is_entry(layer: Any) -> bool:
    return (
        isinstance(layer, dict)
        and isinstance(layer.get("class_name"), str)
        and isinstance(layer.get("config"), dict)
    )


def _is_keras_own(layer: Entry) -> bool:
    module, registered = layer.get("module"), layer.get("registered_name")
    return module in ("keras.layers", "keras") and registered in (None, layer.get("class_name"))


def _followed(layers: list[Entry], outputs: Any) -> list[Entry]:
    """From the one output back to the one input, through one layer at a time."""
    by_name = {str(layer["config"].get("name")): layer for layer in layers}
    name = _only_name(outputs, "the model's answers")
    path: list[Entry] = []
    while len(path) <= len(layers):
        if name not in by_name:
            raise ModelError(f"its configuration speaks of a layer {name}, which it does not have")
        layer = by_name[name]
        path.append(layer)
        if layer["class_name"] == "InputLayer":
            return path[::-1]
        calls = layer.get("inbound_nodes")
        if not isinstance(calls, list) or len(calls) != 1:
            raise ModelError(f"the layer {name} is used more than once; a chain uses each layer once")
        name = _only_name(list(_sources(calls[0])), f"the layer {name} ({layer['class_name']})")
    raise ModelError("its layers form a circle")


def _sources(call: Any) -> Iterator[Any]:
    """The keras_history of every tensor in a call's arguments."""
    if isinstance(call, dict) and call.get("class_name") == "__keras_tensor__":
        settings = call.get("config")
        yield settings.get("keras_history") if isinstance(settings, dict) else None
    elif isinstance(call, dict | list):
        for inner in call.values() if isinstance(call, dict) else call:
            yield from _sources(inner)


def _only_name(histories: Any, what: str) -> str:
    """The layer's name in ``[name, node, tensor]``, or in a list of exactly one such."""
    if isinstance(histories, list) and histories and isinstance(histories[0], str):
        return str(histories[0])
    if isinstance(histories, list) and len(histories) == 1 and isinstance(histories[0], list):
        return _only_name(histories[0], what)
    raise ModelError(f"{what} would come from several signals; a chain has one at a time")
