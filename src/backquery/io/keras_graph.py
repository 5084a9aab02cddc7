"""Keras' description of a model of any shape, read as plain data: which layer is called on which signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backquery.errors import ModelError
from backquery.io.keras_config import (
    MODELS,
    OPERATIONS,
    SUBCLASSED,
    Entry,
    Step,
    called,
    check_options,
    folders_of,
    is_history,
    is_keras_own,
    layers_of,
)

INPUT = "input"
"""What the model's own input is called among the signals."""

SIGNALS = ("value", "key")
"""Arguments by name that may be signals."""


INDIFFERENT = ("Resizing", "CenterCrop", "Rescaling", "Normalization")
"""Layers that Keras calls as if in training, where it makes no difference."""


@dataclass(frozen=True)
class Signal:
    """What comes out of one call of a layer, by its name."""

    name: str


@dataclass(frozen=True)
class Call:
    """One call of a layer: what it is given, signals and numbers, and the name of what it gives."""

    step: Step
    given: tuple[Any, ...]
    gives: str


@dataclass(frozen=True)
class _Reference:
    """A tensor as the configuration speaks of it: of which call of which layer, the how manieth."""

    layer: str
    call: int
    tensor: int


def calls_of(config: Entry) -> tuple[list[Call], str]:
    """Every call between the input and the answers, each after those that it builds on, and the answers' name."""
    reader = _Reader()
    answers = reader.model(config, (), (), [Signal(INPUT)])
    return reader.calls, answers.name


class _Reader:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._taken = {INPUT}

    def model(self, config: Entry, names: tuple[str, ...], folders: tuple[str, ...], given: list[Any]) -> Signal:
        """The answers of a model, called on what it is given."""
        kind = config.get("class_name")
        if kind not in MODELS or not is_keras_own(config):
            raise ModelError(f"the model {kind} {SUBCLASSED}")
        layers = layers_of(config)
        places = {id(layer): folder for layer, folder in zip(layers, folders_of(layers), strict=True)}

        def apply(layer: Entry, arguments: list[Any], more: Entry) -> Signal:
            return self._layer(layer, (*names, called(layer)), (*folders, places[id(layer)]), arguments, more)

        if kind == "Sequential":
            return self._sequential(layers, given, apply)
        return self._functional(config["config"], layers, given, apply)

    def _sequential(self, layers: list[Entry], given: list[Any], apply: Any) -> Signal:
        (signal,) = given
        for layer in layers:
            if layer["class_name"] != "InputLayer":
                signal = apply(layer, [signal], {})
        return _one(signal)

    def _functional(self, settings: Entry, layers: list[Entry], given: list[Any], apply: Any) -> Signal:
        """From the one output, depth first, without recursion: there are models of thousands of layers."""
        by_name = {called(layer): layer for layer in layers}
        inputs = list(_references(settings.get("input_layers")))
        answers = list(_references(settings.get("output_layers")))
        if len(inputs) != len(given) or len(answers) != 1:
            raise ModelError(f"it has {len(inputs)} inputs and {len(answers)} outputs; one of each is understood")
        known: dict[_Reference, Signal] = dict(zip(inputs, given, strict=True))
        waiting, begun = [answers[0]], set()
        while waiting:
            wanted = waiting[-1]
            if wanted in known:
                waiting.pop()
                continue
            layer, (arguments, more) = by_name.get(wanted.layer), _call(by_name, wanted)
            needed = [part for part in _inside([arguments, more]) if part not in known]
            if needed and wanted in begun:
                raise ModelError("its layers form a circle")
            begun.add(wanted)
            if needed:
                waiting += needed
            else:
                known[wanted] = apply(layer, _replaced(arguments, known), _replaced(more, known))
        return known[answers[0]]

    def _layer(
        self, layer: Entry, names: tuple[str, ...], folders: tuple[str, ...], given: list[Any], more: Entry
    ) -> Signal:
        kind, own = layer["class_name"], is_keras_own(layer)
        if kind in MODELS and "layers" in layer["config"]:
            check_options(_without(more, "mask"), f"the model {names[-1]}")
            return self.model(layer, names, folders, _flat(given))
        if str(layer.get("module")).startswith(OPERATIONS):
            settings = layer["config"] | {name: value for name, value in more.items() if value is not None}
            return self._called(Step(f"keras.ops.{kind}", settings, True, names, folders), given)
        step = Step(kind, layer["config"], own, names, folders)
        check_options(_without(more, *SIGNALS, *(("training",) if kind in INDIFFERENT else ())), str(step))
        return self._called(step, [*_flat(given), *(more[name] for name in SIGNALS if more.get(name) is not None)])

    def _called(self, step: Step, given: list[Any]) -> Signal:
        gives = self._new("/".join(step.names))
        self.calls.append(Call(step, tuple(given), gives))
        return Signal(gives)

    def _new(self, name: str) -> str:
        number, unique = 1, name
        while unique in self._taken:
            number += 1
            unique = f"{name}/{number}"
        self._taken.add(unique)
        return unique


def _without(more: Entry, *names: str) -> Entry:
    return {name: value for name, value in more.items() if name not in names}


def _one(signal: Any) -> Signal:
    if not isinstance(signal, Signal):
        raise ModelError("it is given something else than signals")
    return signal


def _call(by_name: dict[str, Entry], wanted: _Reference) -> tuple[list[Any], Entry]:
    """What a layer is given in one of its calls, by place and by name."""
    layer = by_name.get(wanted.layer)
    if layer is None:
        raise ModelError(f"its configuration speaks of a layer {wanted.layer}, which it does not have")
    calls = layer.get("inbound_nodes")
    what = f"the layer {wanted.layer} ({layer['class_name']})"
    if not isinstance(calls, list) or not 0 <= wanted.call < len(calls):
        raise ModelError(f"{what} is not called as often as is said")
    if wanted.tensor:
        raise ModelError(f"{what} gives several signals, which is not understood")
    call = calls[wanted.call]
    if isinstance(call, dict) and isinstance(call.get("args"), list):
        return [_read(part) for part in call["args"]], _named(call.get("kwargs"))
    if isinstance(call, list) and call and all(is_history(part) for part in call):
        # Keras 2 writes a call as a list of tensors, each with what else is given.
        more: Entry = {}
        for part in call:
            more |= _named(part[3] if len(part) > 3 else {})
        return [_history(part) for part in call], more
    raise ModelError(f"{what} is called in an unknown way")


def _named(told: Any) -> Entry:
    return {str(name): _read(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _read(part: Any) -> Any:
    """An argument, with references for the tensors in it."""
    if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
        settings = part.get("config")
        return _history(settings.get("keras_history") if isinstance(settings, dict) else None)
    if is_history(part) and all(type(n) is int for n in part[1:3]):
        return _history(part)
    if isinstance(part, dict) and part.get("class_name") == "__tuple__":
        part = part.get("items") or part.get("config", {}).get("items") or []
    return [_read(inner) for inner in part] if isinstance(part, list) else part


def _history(told: Any) -> _Reference:
    if not is_history(told) or not all(type(n) is int for n in told[1:3]):
        raise ModelError(f"its configuration says {str(told)[:60]!r} of where signals come from")
    return _Reference(told[0], told[1], told[2])


def _references(told: Any) -> Iterator[_Reference]:
    """The tensors that are the inputs or outputs of a model: one, or several in a list or a dict."""
    if is_history(told):
        yield _history(told)
    elif isinstance(told, dict | list):
        for part in told.values() if isinstance(told, dict) else told:
            yield from _references(part)


def _inside(part: Any) -> Iterator[_Reference]:
    if isinstance(part, _Reference):
        yield part
    elif isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _inside(inner)


def _replaced(part: Any, known: dict[_Reference, Signal]) -> Any:
    if isinstance(part, _Reference):
        return known[part]
    if isinstance(part, dict):
        return {name: _replaced(value, known) for name, value in part.items()}
    return [_replaced(inner, known) for inner in part] if isinstance(part, list) else part


def _flat(parts: list[Any]) -> list[Any]:
    """Signals given in one list or one by one, as Add takes them."""
    return [inner for part in parts for inner in (_flat(part) if isinstance(part, list) else [part])]
