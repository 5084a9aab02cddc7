"""A model file's description: every field that is read is what it should be, or the file is refused.

The errors say what is wrong inside the file; the reader that knows the file's name adds it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from sys import float_info
from typing import Any, cast

import numpy as np

from backquery.errors import ModelError
from backquery.model import GROUNDS, Ground, Meaning, activation_named

SAFETENSORS_NAMES = {"float32": "F32", "float64": "F64"}


def description_text(values: dict[str, Any]) -> str:
    """A network's description as JSON; `ModelError` where what the user tells of it is none."""
    try:
        return json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the network's `about` must hold plain JSON values (text, finite numbers, lists): {error}"
        ) from None


class Fields:
    """A JSON object from a file that nobody vouches for, asked for one field of a stated kind at a time."""

    def __init__(self, values: Any, place: str = "") -> None:
        if not isinstance(values, dict):
            raise ModelError(f"its description has no object {place or 'at the top'}".rstrip())
        self._values, self._place = values, place

    def _get(self, name: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = self._values.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            shown = repr(value)[:60]
            raise ModelError(f"its description needs {what} as {self._place}{name}; it has {shown}")
        return value

    def _items(self, name: str) -> tuple[Fields, int]:
        """The list `name` as fields called 0, 1, 2, ..., and how many there are."""
        values = self._get(name, list, "a list of numbers")
        numbered = {str(position): value for position, value in enumerate(values)}
        return Fields(numbered, f"{self._place}{name}."), len(values)

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._get(name, bool, "true or false"))

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._get(name, (int, float), "a number")
        # Not isfinite, which fails on whole numbers that no float can hold; JSON has them.
        if not abs(value) <= float_info.max:
            raise ModelError(f"{self._place}{name} must be finite")
        return float(value)

    def numbers(self, name: str) -> Any:
        """A finite number, or a list of them as a float64 vector."""
        if not isinstance(self._values.get(name), list):
            return self.number(name)
        items, length = self._items(name)
        return np.array([items.number(str(position)) for position in range(length)])

    def count(self, name: str, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = int(self._get(name, int, "a whole number"))
        if value < least:
            raise ModelError(f"{self._place}{name} must be at least {least}; it is {value}")
        return value

    def counts(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers of at least one."""
        items, length = self._items(name)
        return tuple(items.count(str(position)) for position in range(length))

    def text(self, name: str) -> str:
        """A text."""
        return str(self._get(name, str, "a text"))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._get(name, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise ModelError(f"{self._place}{name} must hold texts only")
        return tuple(values)

    def choice(self, name: str, choices: Collection[str]) -> str:
        """One of `choices`."""
        value = str(self._get(name, str, "a name"))
        if value not in choices:
            raise ModelError(
                f"{self._place}{name} is {value!r}, which this version does not know ({', '.join(choices)})"
            )
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object as it is."""
        return dict(self._get(name, dict, "an object"))

    def optional(self, name: str) -> Fields | None:
        """The fields of the object `name`, or None where the file says null."""
        if self._values.get(name) is None:
            return None
        return Fields(self._values[name], f"{self._place}{name}.")

    def has(self, name: str) -> bool:
        """Whether there is anything under `name`."""
        return self._values.get(name) is not None

    def objects(self, name: str) -> list[Fields]:
        """The fields of each object in the list `name`."""
        values = self._get(name, list, "a list")
        return [Fields(value, f"{self._place}{name}.{position}.") for position, value in enumerate(values)]


def read_meaning(scaling: Fields) -> Meaning | None:
    """What a scaling's pixels mean; None where the file is older than the question."""
    told = scaling.optional("meaning")
    if told is None:
        return None
    ground = told.choice("ground", GROUNDS) if told.has("ground") else None
    centred = told.flag("centred") if told.has("centred") else None
    return Meaning(cast(Ground | None, ground), centred, told.texts("decided"))


Expected = dict[str, tuple[str, tuple[int, ...]]]
"""For each tensor's name, its dtype as safetensors writes it and its shape."""


def expected_tensors(fields: Fields) -> Expected:
    """Which tensors a file with this description must hold, no more and no fewer."""
    dtype = _dtype(fields)
    expected: Expected = {}
    layers = fields.objects("layers")
    for number, layer in enumerate(layers):
        activation_named(layer.text("activation"))
        outputs, inputs = layer.count("outputs"), layer.count("inputs")
        expected[f"layers.{number}.weights"] = (dtype, (outputs, inputs))
        if layer.flag("biases"):
            expected[f"layers.{number}.biases"] = (dtype, (outputs,))
    if not layers:
        raise ModelError("its description names no layers")
    first, last = layers[0].count("inputs"), layers[-1].count("outputs")
    return expected | _scaling_tensors(fields, first) | _statistics_tensors(fields, first, last)


def _dtype(fields: Fields, name: str = "dtype") -> str:
    return SAFETENSORS_NAMES[fields.choice(name, SAFETENSORS_NAMES)]


def _scaling_tensors(fields: Fields, inputs: int) -> Expected:
    scaling = fields.optional("scaling")
    if scaling is None:
        return {}
    return {f"scaling.{part}": ("F64", (inputs,)) for part in ("gain", "offset") if not scaling.has(part)}


def _statistics_tensors(fields: Fields, inputs: int, outputs: int) -> Expected:
    """The mean, factor and diagonal, and the typical answers where the file has a dtype for them."""
    statistics = fields.optional("statistics")
    if statistics is None:
        return {}
    dtypes = Fields(statistics.mapping("dtypes"), "statistics.dtypes.")
    shapes = {
        "mean": (inputs,),
        "factor": (inputs, statistics.count("rank", least=0)),
        "diagonal": (inputs,),
        "typical": (outputs, outputs),
    }
    kept = [part for part in shapes if part != "typical" or dtypes.has(part)]
    tensors = {f"statistics.{part}": (_dtype(dtypes, part), shapes[part]) for part in kept}
    return tensors | _mixture_tensors(statistics, inputs) | _spectrum_tensors(statistics)


def _mixture_tensors(statistics: Fields, inputs: int) -> Expected:
    mixture = statistics.optional("mixture") if statistics.has("mixture") else None
    if mixture is None:
        return {}
    components, width = mixture.count("components"), mixture.count("width")
    shapes = {
        "weights": (components,),
        "basis": (inputs, width),
        "centres": (components, width),
        "directions": (components, width, mixture.count("rank")),
    }
    return {f"statistics.mixture.{part}": ("F32", shape) for part, shape in shapes.items()}


def _spectrum_tensors(statistics: Fields) -> Expected:
    spectrum = statistics.optional("spectrum") if statistics.has("spectrum") else None
    if spectrum is None:
        return {}
    rings, channels = spectrum.count("rings"), spectrum.count("channels")
    shapes = {"powers": (rings, channels), "axes": (channels, channels)}
    return {f"statistics.spectrum.{part}": ("F64", shape) for part, shape in shapes.items()}
