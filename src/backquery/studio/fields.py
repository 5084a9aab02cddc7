"""What a request asks for, checked: everything that comes from the page is read here."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.model import Model
from backquery.studio.protocol import RequestError

Fields = Mapping[str, Any]
MISSING = object()


def whole(fields: Fields, name: str, low: int, high: int, default: Any = MISSING) -> int:
    """A whole number between two others."""
    value = _value(fields, name, default)
    if type(value) is not int or not low <= value <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high}; received {_short(value)}")
    return value


def number(fields: Fields, name: str, low: float, high: float, default: Any = MISSING) -> float:
    """A number between two others."""
    value = _value(fields, name, default)
    if not _is_number(value) or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}; received {_short(value)}")
    return float(value)


def choice(fields: Fields, name: str, known: Sequence[str], default: Any = MISSING) -> str:
    """One of a few words."""
    value = _value(fields, name, default)
    if not isinstance(value, str) or value not in known:
        raise RequestError(f"{name} must be one of {', '.join(known)}; received {_short(value)}")
    return value


def flag(fields: Fields, name: str, default: Any = MISSING) -> bool:
    """True or false."""
    value = _value(fields, name, default)
    if not isinstance(value, bool):
        raise RequestError(f"{name} must be true or false; received {_short(value)}")
    return value


def text(fields: Fields, name: str, longest: int, default: Any = MISSING) -> str:
    """A text of limited length."""
    value = _value(fields, name, default)
    if not isinstance(value, str) or len(value) > longest:
        raise RequestError(f"{name} must be a text of at most {longest} characters")
    return value


def content(fields: Fields, name: str) -> bytes:
    """Bytes that came as base64."""
    value = _value(fields, name, MISSING)
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise RequestError(f"{name} must be bytes as base64 text") from None


def label(fields: Fields, model: Model, name: str = "label") -> int:
    """The position of a label."""
    return whole(fields, name, 0, model.outputs - 1)


def pixels(fields: Fields, model: Model, name: str = "pixels") -> NDArray[np.uint8]:
    """Bytes of ink, or of colours, one for each input, (inputs,)."""
    given = np.frombuffer(content(fields, name), np.uint8)
    if given.size != model.inputs:
        raise RequestError(f"{name} must be {model.inputs} bytes, one for each input; received {given.size}")
    return given


def numbers(fields: Fields, name: str, count: int) -> list[float]:
    """A list of so many finite numbers."""
    value = _value(fields, name, MISSING)
    if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
        raise RequestError(f"{name} must be a list of {count} numbers")
    return [float(part) for part in value]


def confidences(fields: Fields, model: Model, name: str = "confidences") -> dict[int | str, float]:
    """Confidences by the labels' positions."""
    value = _value(fields, name, MISSING)
    if not isinstance(value, dict) or not 1 <= len(value) <= model.outputs:
        raise RequestError(f"{name} must name at least one label, with a confidence for each")
    return {_position(key, 0, model.outputs - 1): number(value, key, -1e9, 1e9) for key in value}


def hidden_layers(sizes: Sequence[int]) -> int:
    """How many hidden layers there are; `RequestError` where there is none. `sizes` as for `nodes_off`."""
    if len(sizes) < 3:
        raise RequestError(
            "the network has no hidden layer, so it has no hidden nodes to show or switch off", "layers"
        )
    return len(sizes) - 2


def nodes_off(fields: Fields, sizes: Sequence[int], name: str = "off") -> dict[int, list[int]]:
    """Numbers of nodes by hidden layer, sorted; `sizes` are all layers' numbers of nodes, inputs first."""
    value = _value(fields, name, MISSING)
    if not isinstance(value, dict) or len(value) > len(sizes):
        raise RequestError(f"{name} must name hidden layers, with a list of nodes for each")
    off = {}
    for key, listed in value.items():
        layer = _position(key, 1, hidden_layers(sizes))
        if not isinstance(listed, list) or not all(type(k) is int and 0 <= k < sizes[layer] for k in listed):
            raise RequestError(f"the nodes of layer {layer} are numbered 0 to {sizes[layer] - 1}")
        if listed:
            off[layer] = sorted(set(listed))
    return off


def _value(fields: Fields, name: str, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        value = default
    if value is MISSING:
        raise RequestError(f"{name} is missing")
    return value


def _position(key: str, low: int, high: int) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 10 and low <= int(key) <= high):
        raise RequestError(f"numbers from {low} to {high} are known; received {_short(key)}")
    return int(key)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -1e300 < value < 1e300  # type: ignore[operator]


def _short(value: object) -> str:
    return repr(value)[:60]
