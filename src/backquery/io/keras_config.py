"""Keras' description of a model, read as plain data: which layers there are, in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from backquery.errors import ModelError
from backquery.io.chain import NotAChainError
from backquery.model import Shape

Entry = dict[str, Any]

MODELS = ("Sequential", "Functional", "Model")
"""What Keras calls the models whose configuration says all of what they do."""

OPERATIONS = "keras.src.ops."
"""Where Keras has the functions that may stand between layers."""

DIVISIONS = ("TrueDivide", "Divide")


def _divided(number: float, first: bool) -> tuple[float, float] | None:
    return (1 / number, 0.0) if first and number else None


ARITHMETIC: dict[str, Callable[[float, bool], tuple[float, float] | None]] = {
    **dict.fromkeys(DIVISIONS, _divided),
    "Multiply": lambda number, first: (number, 0.0),
    "Add": lambda number, first: (1.0, number),
    "Subtract": lambda number, first: (1.0, -number) if first else (-1.0, number),
}
"""Operations of signals and one number, as (scale, offset); the second argument: whether signals come first."""

BARE_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}

SUBCLASSED = (
    "is a class of somebody's own (subclassed): what it does is Python code, which no file holds; where it was "
    "made, build the same as keras.Sequential or keras.Model(inputs, outputs) with its layers, and save that"
)


@dataclass(frozen=True)
class Step:
    """One layer between the input and the answers.

    kind: its class; settings: its configuration; own: whether its class is Keras' own; names: what it is called,
    after the models it is nested in; folders: where Keras keeps its numbers, likewise.
    """

    kind: str
    settings: Entry
    own: bool
    names: tuple[str, ...]
    folders: tuple[str, ...]

    def __str__(self) -> str:
        return f"the layer {self.names[-1]} ({self.kind})"


def steps_of(config: Entry, names: tuple[str, ...] = (), folders: tuple[str, ...] = ()) -> list[Step]:
    """The layers from the input to the answers; `ModelError` where they branch or cannot be followed.

    A model among the layers gives its own layers, and input layers are left out.
    """
    kind = config.get("class_name")
    if not isinstance(kind, str):
        raise ModelError("its configuration lists no layers")
    if kind not in MODELS or not is_keras_own(config):
        raise ModelError(f"the model {kind} {SUBCLASSED}")
    layers = layers_of(config)
    path = layers if kind == "Sequential" else _followed(layers, config["config"].get("output_layers"))
    where = dict(zip(map(id, layers), folders_of(layers), strict=True))
    steps = []
    for layer in path:
        below = ((*names, called(layer)), (*folders, where[id(layer)]))
        if layer["class_name"] in MODELS and "layers" in layer["config"]:
            steps += steps_of(layer, *below)
        elif layer["class_name"] != "InputLayer":
            bare = _bare_operation(layer)
            kind, settings = bare or (layer["class_name"], layer["config"])
            steps.append(Step(kind, settings, bare is not None or is_keras_own(layer), *below))
    return steps


def _bare_operation(layer: Entry) -> tuple[str, Entry] | None:
    """A function between layers, such as ``x / 255``, as the layer that does the same; None for what is a layer.

    Old ``.h5`` files do not say whose a class is, but no layer is called so.
    """
    kind, module = layer["class_name"], layer.get("module")
    if module is not None and not str(module).startswith(OPERATIONS):
        return None
    if kind in BARE_ACTIVATIONS:
        return "Activation", {"activation": BARE_ACTIVATIONS[kind]}
    rescaled = _rescaling_of(layer) if kind in ARITHMETIC else None
    if rescaled is not None:
        return "Rescaling", dict(zip(("scale", "offset"), rescaled, strict=True))
    return None if module is None else (f"keras.ops.{kind}", {})


def _rescaling_of(layer: Entry) -> tuple[float, float] | None:
    """The scale and offset of an operation on signals and one number; None where it is on anything else."""
    calls = layer.get("inbound_nodes")
    given = calls[0].get("args") if isinstance(calls, list) and calls and isinstance(calls[0], dict) else None
    if not isinstance(given, list) or len(given) != 2:
        return None
    numbers = [part for part in given if type(part) in (int, float)]
    signals = [part for part in given if isinstance(part, dict) and isinstance(part.get("config"), dict)]
    if len(numbers) != 1 or len(signals) != 1:
        return None
    # Whole numbers may wrap round, unless a division makes fractions of them.
    whole = "int" in str(signals[0]["config"].get("dtype"))
    return (
        None
        if whole and layer["class_name"] not in DIVISIONS
        else ARITHMETIC[layer["class_name"]](numbers[0], given[0] is signals[0])
    )


def described_input(config: Entry) -> Shape:
    """The shape of one input, without the batch."""
    told = [shape for shape in _input_shapes(config) if shape is not None]
    for shape in told:
        if isinstance(shape, list) and len(shape) > 1 and all(type(n) is int and n > 0 for n in shape[1:]):
            return tuple(shape[1:])
    raise ModelError(f"it says {told[:1] or None} of the shape of its inputs; begin it with keras.Input(shape)")


def input_type(config: Entry) -> str:
    """The dtype of the inputs, where the configuration says it."""
    first = next((layer for layer in layers_of(config) if layer["class_name"] == "InputLayer"), None)
    return str(first["config"].get("dtype")) if first else "float32"


def _input_shapes(config: Entry) -> Iterator[Any]:
    layers = layers_of(config)
    inputs = [layer for layer in layers if layer["class_name"] == "InputLayer"]
    for layer in inputs[:1]:
        yield layer["config"].get("batch_shape") or layer["config"].get("batch_input_shape")
    yield config["config"].get("build_input_shape")
    built = config.get("build_config")
    yield built.get("input_shape") if isinstance(built, dict) else None
    first = layers[0] if layers else {}
    yield from _input_shapes(first) if "layers" in first.get("config", {}) else ()
    yield first.get("config", {}).get("batch_input_shape")


def layers_of(config: Entry) -> list[Entry]:
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


def called(layer: Entry) -> str:
    """A layer's name."""
    return str(layer["config"].get("name"))


def folders_of(layers: list[Entry]) -> Iterator[str]:
    """Where Keras keeps each layer's numbers: by its class, counted, because names differ from run to run."""
    counts: dict[str, int] = {}
    for layer in layers:
        split = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", layer["class_name"]))
        folder = re.sub(r"([a-z])([A-Z])", r"\1_\2", split).lower()
        number = counts[folder] = counts.get(folder, -1) + 1
        yield f"{folder}_{number}" if number else folder


def is_keras_own(layer: Entry) -> bool:
    """Whether a class is Keras' own; files of Keras 2 say so by not saying whose it is."""
    module, registered = layer.get("module"), layer.get("registered_name")
    if registered not in (None, layer.get("class_name")):
        return False
    if layer.get("class_name") in MODELS:
        return module is None or str(module).split(".")[0] in ("keras", "tf_keras")
    return module in (None, "keras.layers", "keras")


def _followed(layers: list[Entry], outputs: Any) -> list[Entry]:
    """From the one output back to the one input, through one layer at a time."""
    by_name = {called(layer): layer for layer in layers}
    name = _only_name(outputs, "the model's answers")
    path: list[Entry] = []
    while len(path) <= len(layers):
        if name not in by_name:
            raise ModelError(f"its configuration speaks of a layer {name}, which it does not have")
        layer = by_name[name]
        path.append(layer)
        if layer["class_name"] == "InputLayer":
            return path[::-1]
        calls, what = layer.get("inbound_nodes"), f"the layer {name} ({layer['class_name']})"
        if not isinstance(calls, list) or len(calls) != 1:
            raise ModelError(f"the layer {name} is used more than once; a chain uses each layer once")
        sources = list(_sources(calls[0], what))
        if len(sources) != 1:
            raise _several(what)
        name = _only_name(sources[0], what)
    raise ModelError("its layers form a circle")


def _sources(call: Any, what: str) -> Iterator[Any]:
    """The keras_history, ``[name, node, tensor]``, of every tensor in a call's arguments."""
    if isinstance(call, list) and call and all(is_history(part) for part in call):
        # Keras 2 writes a call as a list of them, each with what else is given.
        for part in call:
            check_options(part[3] if len(part) > 3 else {}, what)
            yield part[:3]
    elif isinstance(call, dict) and call.get("class_name") == "__keras_tensor__":
        settings = call.get("config")
        yield settings.get("keras_history") if isinstance(settings, dict) else None
    elif isinstance(call, dict) and "args" in call:
        check_options(call.get("kwargs") or {}, what)
        yield from _sources(call["args"], what)
    elif isinstance(call, dict | list):
        for inner in call.values() if isinstance(call, dict) else call:
            yield from _sources(inner, what)


def is_history(part: Any) -> bool:
    """Whether something is ``[name, call, tensor]``, with which Keras says where signals come from."""
    return isinstance(part, list) and len(part) >= 3 and isinstance(part[0], str)


def check_options(options: Any, what: str) -> None:
    """Refuse what makes a layer do something else than it does by itself, such as dropping out when asked."""
    given = {} if isinstance(options, dict) else {"options": options}
    given |= {name: value for name, value in dict(options or {}).items() if value not in (None, False)}
    if given:
        raise NotAChainError(
            f"{what} is called with {', '.join(f'{name}={value}' for name, value in given.items())}"
        )


def _only_name(histories: Any, what: str) -> str:
    """The layer's name in ``[name, node, tensor]``, or in a list or object of exactly one such."""
    if isinstance(histories, dict):
        histories = list(histories.values())
    if isinstance(histories, list) and histories and isinstance(histories[0], str):
        return str(histories[0])
    if isinstance(histories, list) and len(histories) == 1 and isinstance(histories[0], list):
        return _only_name(histories[0], what)
    raise _several(what)


def _several(what: str) -> ModelError:
    return NotAChainError(f"{what} would come from several signals; a chain has one at a time")
