"""A Keras model of any layers as a PyTorch module, for `from_torch`. Imported only where PyTorch is.

Nothing is run but the functions of `keras_operators`: a layer that holds code, or is somebody's own, is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from backquery.errors import ModelError
from backquery.io.graph_module import GraphModule, Operation, Walk
from backquery.io.keras_arrays import COUNT, arrays_of
from backquery.io.keras_config import Entry, Step, is_keras_own
from backquery.io.keras_graph import INPUT, Call, Signal, calls_of
from backquery.io.keras_layers import ACTIVATING, AT_REST
from backquery.io.keras_operators import ACTIVATIONS, LAYERS, OPERATIONS, Kind
from backquery.model import Array

Arrays = Callable[[Step], list[Array]]

OPS = "keras.ops."

ENDINGS = {"softmax": "Softmax", "sigmoid": "Sigmoid"}
"""Last activations that make answers of scores."""

MERGING = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Concatenate", "Dot")
"""Layers that take their signals in a list."""

NOTHING = Kind(lambda at, x: x)
"""What rests outside training, or is an activation alone."""

FEW = 4096
"""Numbers that a setting holds at most."""


@dataclass(frozen=True)
class Made:
    """One call as it was understood: the layer's settings that count, its numbers, and its activation by name."""

    call: Call
    kind: Kind
    settings: Entry
    arrays: tuple[Array, ...] = ()
    activation: str = "linear"

    def apply(self, keras: Any, given: list[Any], layers: dict[tuple[str, ...], Any], name: str) -> Any:
        """The same by Keras itself, with a layer of its own that is made once and kept in `layers`."""
        kind = self.call.step.kind
        if kind.startswith(OPS):
            function = getattr(keras.ops, OPERATIONS[kind.removeprefix(OPS)][0])
            return function(*given, **self.settings)
        found = given[0] if self.kind is NOTHING else self._by_layer(keras, given, layers, name)
        return found if self.activation == "linear" else keras.layers.Activation(self.activation)(found)

    def _by_layer(self, keras: Any, given: list[Any], layers: dict[tuple[str, ...], Any], name: str) -> Any:
        step = self.call.step
        given = [given] if step.kind in MERGING else given
        if step.names not in layers:
            # Zeros, because other beginnings would be drawn from the user's random numbers.
            begun = dict.fromkeys(self.kind.begins, "zeros")
            # A Normalization is told its numbers, as it counts images beside them.
            told = (
                dict(zip(("mean", "variance"), self.arrays, strict=False)) if step.kind == "Normalization" else {}
            )
            layers[step.names] = getattr(keras.layers, step.kind)(
                **self.settings | told, **begun, name=name, dtype="float32"
            )
            layers[step.names](*given)
            if self.arrays and not told:
                layers[step.names].set_weights(list(self.arrays))
        return layers[step.names](*given)


def module_from(config: Entry, arrays: Arrays) -> tuple[GraphModule, str | None, tuple[Made, ...]]:
    """A configuration and its numbers as a module, the ending that was left out of it, and what was understood.

    `ModelError` names a layer that is not understood.
    """
    calls, answers = calls_of(config)
    made = tuple(_understood(call, arrays) for call in calls)
    operations: dict[str, Operation] = {}
    last = made[-1] if made and made[-1].call.gives == answers else None
    ending = ENDINGS.get(last.activation) if last is not None else None
    for one in made:
        operations |= _operations(one, without_activation=one is last and ending is not None)
    return GraphModule(Walk(operations, [answers]), INPUT), ending, made


def _understood(call: Call, arrays: Arrays) -> Made:
    step = call.step
    try:
        if not step.own or ">" in step.kind:
            raise ModelError("it is somebody's own code, which is not run")
        if step.kind.startswith(OPS):
            return _operation_of(call)
        if step.kind == "Lambda":
            raise ModelError("it holds Python code, which is not run")
        if step.kind in AT_REST:
            return Made(call, NOTHING, {})
        if step.kind not in LAYERS:
            raise ModelError("it is not understood")
        return _layer_of(call, arrays)
    except ModelError as error:
        raise ModelError(f"{step}: {error}") from None


def _operation_of(call: Call) -> Made:
    name = call.step.kind.removeprefix(OPS)
    if name.lower() in ACTIVATIONS and name not in OPERATIONS and len(call.given) == 1:
        extra = {k: v for k, v in call.step.settings.items() if k != "name"}
        if name in ("Softmax", "Gelu") or not extra:
            return _activation_operation(call, name, extra)
    if name not in OPERATIONS:
        raise ModelError("it is not understood")
    _, kind = OPERATIONS[name]
    if not all(isinstance(part, Signal) or _is_number(part) for part in call.given):
        raise ModelError("it is given something else than signals and numbers")
    return Made(call, kind, _told(kind, call.step.settings))


def _activation_operation(call: Call, name: str, extra: Entry) -> Made:
    """Softmax and the exact GELU among them, whose settings are the usual ones."""
    usual = {"axis": -1, "approximate": False}
    if any(usual.get(key) != value for key, value in extra.items()):
        raise ModelError(f"it is called with {extra}")
    step = replace(call.step, kind="Activation")
    return Made(replace(call, step=step), NOTHING, {}, (), name.lower())


def _layer_of(call: Call, arrays: Arrays) -> Made:
    step, kind = call.step, LAYERS[call.step.kind]
    if not all(isinstance(part, Signal) for part in call.given) or not call.given:
        raise ModelError("it is given something else than signals")
    names = [name for name in arrays_of(step) if name != COUNT]
    numbers = tuple(arrays(step)) if names else ()
    if len(numbers) != len(names):
        raise ModelError(f"it has {len(numbers)} arrays of numbers, which its settings do not announce")
    if step.kind == "Activation":
        call, settings, activation = _inner(call, step.settings.get("activation"))
        return Made(
            call, NOTHING if call.step.kind == "Activation" else LAYERS[call.step.kind], settings, (), activation
        )
    told = _told(kind, step.settings)
    if step.kind == "Softmax" and told.get("axis", -1) in (-1, [-1]):
        return Made(replace(call, step=replace(step, kind="Activation")), NOTHING, {}, (), "softmax")
    return Made(call, kind, told, numbers, _activation_name(step.settings.get("activation")))


def _inner(call: Call, told: Any) -> tuple[Call, Entry, str]:
    """An Activation by its name, or as a layer of its own within the layer."""
    if isinstance(told, dict) and told.get("class_name") in ACTIVATING and is_keras_own(told):
        kind, settings = told["class_name"], told.get("config") or {}
        if kind != "Activation":
            return replace(call, step=replace(call.step, kind=kind)), _told(LAYERS[kind], settings), "linear"
        told = settings.get("activation")
    return call, {}, _activation_name(told)


def _activation_name(told: Any) -> str:
    name = "linear" if told is None else told
    if isinstance(name, dict):
        name = name.get("config") if name.get("class_name") == "function" else name.get("class_name")
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(f"its activation {str(name)[:40]!r} is not known here, only {', '.join(ACTIVATIONS)}")
    return name


def _told(kind: Kind, settings: Entry) -> Entry:
    """The settings that count, which are numbers, words, or lists of such."""
    told = {name: _plain(settings[name]) for name in kind.reads if name in settings}
    for name, value in told.items():
        if not _is_plain(value):
            raise ModelError(f"its {name} is {str(settings[name])[:40]!r}")
    return told


def _plain(value: Any) -> Any:
    """Numbers as Keras writes them alone, in lists, tuples and arrays."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__", "__tuple__"):
        inner = value.get("config")
        value = (inner or {}).get("value") if isinstance(inner, dict) else value.get("items")
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list):
        return len(value) <= FEW and depth < 5 and all(_is_plain(part, depth + 1) for part in value)
    return value is None or isinstance(value, bool | str) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _operations(made: Made, without_activation: bool) -> dict[str, Operation]:
    """A layer, and its activation as an operation of its own."""
    name, given = made.call.gives, [_given(part) for part in made.call.given]
    bare = made.activation == "linear" or without_activation
    inner = made.call.gives if bare else f"{made.call.gives} before {made.activation}"
    numbers = [_tensor(values) for values in made.arrays]
    function, what = partial(made.kind.function, made.settings), str(made.call.step)
    found = {name: Operation(function, [*given, *numbers], [inner], what)}
    if not bare:
        found[f"{name} {made.activation}"] = Operation(
            ACTIVATIONS[made.activation], [inner], [made.call.gives], what
        )
    return found


def _given(part: Any) -> Any:
    return part.name if isinstance(part, Signal) else torch.tensor(float(part))


def _tensor(values: Array) -> Tensor:
    return torch.tensor(values)
