"""Notes of the calls that led to a result, as lines of Python that make it again.

Whoever makes something for a person makes it through a `Notes`, which calls the very functions that it writes
down: what is shown is what was run. A value that came of an earlier call is written as its name, and so are parts
of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from inspect import Parameter, ismethod, signature
from os import PathLike, fspath
from typing import Any, TypeVar

import numpy as np

from backquery.errors import BackqueryError

Kind = TypeVar("Kind")

WIDTH = 100
"""Characters of a line, up to which a call is not broken."""

TOLD = ("progress", "notes")
"""Parameters that are told of a call, or tell, and change nothing of what it finds."""

MOST_NUMBERS = 10_000
"""Numbers of an array that is written out at most."""


class NotesError(BackqueryError, ValueError):
    """Something was given to a call that no line of Python can write down."""


class Notes:
    """The calls so far; `str` gives their lines, with what they import above them, or raises `NotesError`."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __call__(self, name: str, function: Callable[..., Kind], /, *given: Any, **named: Any) -> Kind:
        """Call the function, note it, and let `name` stand for what it gives; an empty one for nothing."""
        value = function(*given, **named)
        self.note(name, value, function, *given, **named)
        return value

    def note(self, name: str, value: Any, function: Callable[..., Any], /, *given: Any, **named: Any) -> None:
        """Note a call that was made already, and gave `value`."""
        self._calls.append(_Call(name, value, function, given, named))

    def stands_for(self, value: Any, name: str) -> None:
        """Let a name stand for a value that nothing here has made, or that was made anew just as before."""
        self._calls.append(_Call(name, value, None, (), {}))

    def continued(self) -> Notes:
        """Notes that begin with these, and go on by themselves."""
        more = Notes()
        more._calls = [*self._calls]
        return more

    def __str__(self) -> str:
        writing = _Writing()
        for call in self._calls:
            writing.add(call)
        return writing.text


@dataclass(frozen=True, eq=False)
class _Call:
    name: str
    value: Any
    function: Callable[..., Any] | None
    given: tuple[Any, ...]
    named: Mapping[str, Any]


class _Writing:
    """Calls on their way to lines."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._imports: dict[str, set[str]] = {}
        self._known: list[_Call] = []

    @property
    def text(self) -> str:
        """The lines, imports first."""
        homes = sorted(self._imports.items())
        imports = [f"from {home} import {', '.join(sorted(names))}" for home, names in homes]
        return "\n".join([*imports, "", *self._lines])

    def add(self, call: _Call) -> None:
        """Write a call down."""
        if call.function is not None:
            called = self._called(call.function)
            named = _unusual(call.function, call.named)
            written = [self.written(one) for one in call.given]
            written += [f"{word}={self.written(one)}" for word, one in named.items()]
            self._lines.append(_broken(f"{call.name} = {called}" if call.name else called, written))
        if call.name:
            self._known.append(call)

    def written(self, value: Any) -> str:
        """A value as Python: the name that stands for it, or what makes it."""
        if (name := self._name_of(value)) is not None:
            return name
        match value:
            case str():
                return _quoted(value)
            case None | bool() | int():
                return repr(value)
            case float():
                return repr(value) if math.isfinite(value) else f'float("{value}")'
            case np.generic():
                return self.written(value.item())
            case PathLike():
                return _quoted(fspath(value))
            case list():
                return f"[{self._joined(value)}]"
            case tuple():
                return f"({self._joined(value)}{',' if len(value) == 1 else ''})"
            case range():
                return repr(value)
            case Mapping():
                return f"{{{', '.join(f'{self.written(k)}: {self.written(v)}' for k, v in value.items())}}}"
            case np.ndarray() if value.size <= MOST_NUMBERS:
                self._import("numpy", "array")
                return f"array({self.written(value.tolist())})"
        if is_dataclass(value) and not isinstance(value, type):
            return self._made(value)
        raise NotesError(f"no line of Python can write down a {type(value).__name__}")

    def _joined(self, values: Sequence[Any]) -> str:
        return ", ".join(map(self.written, values))

    def _name_of(self, value: Any) -> str | None:
        """The name that stands for a value, or for what it is a part of; small plain values have none."""
        if value is None or isinstance(value, bool | int | float | str | tuple):
            return None
        for call in reversed(self._known):
            if call.value is value:
                return call.name
            for part in _parts(call.value):
                if getattr(call.value, part) is value:
                    return f"{call.name}.{part}"
        return None

    def _called(self, function: Callable[..., Any]) -> str:
        """What a call begins with; the import is noted, or whose method it is."""
        if ismethod(function) and (owner := self._name_of(function.__self__)) is not None:
            return f"{owner}.{function.__name__}"
        name = function.__name__
        self._import(_home(function, name), name)
        return name

    def _made(self, value: Any) -> str:
        """A value of fields, by its class and the fields that are not as usual."""
        kind = type(value)
        self._import(_home(kind, kind.__name__), kind.__name__)
        given = [(one.name, getattr(value, one.name), one.default) for one in fields(value) if one.init]
        written = [f"{name}={self.written(field)}" for name, field, usual in given if not _same(field, usual)]
        return f"{kind.__name__}({', '.join(written)})"

    def _import(self, home: str, name: str) -> None:
        self._imports.setdefault(home, set()).add(name)


def _quoted(text: str) -> str:
    """A text in double quotes, where that needs no other signs than Python's own."""
    written = repr(text)
    return written if '"' in written or "\\" in written else f'"{written[1:-1]}"'


def _parts(value: Any) -> Sequence[str]:
    return [one.name for one in fields(value)] if is_dataclass(value) else ()


def _unusual(function: Callable[..., Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is as usual anyway, and without who is only told how far it is."""
    known = signature(function).parameters
    usual = {name: one.default for name, one in known.items() if one.default is not Parameter.empty}
    kept = {name: value for name, value in named.items() if name not in TOLD}
    return {name: value for name, value in kept.items() if not (name in usual and _same(value, usual[name]))}


def _same(value: Any, usual: Any) -> bool:
    return value is usual or (isinstance(value, str | int | float | tuple) and bool(value == usual))


def _home(made: Any, name: str) -> str:
    """The shortest public address from which this can be imported under this name."""
    parts = made.__module__.split(".")
    for length in range(1, len(parts) + 1):
        home = ".".join(parts[:length])
        if getattr(import_module(home), name, None) is made:
            return home
    raise NotesError(f"{name} cannot be imported from {made.__module__}")


def _broken(beginning: str, given: Sequence[str]) -> str:
    """A call in one line, or an argument a line where that is too long."""
    line = f"{beginning}({', '.join(given)})"
    if len(line) <= WIDTH or not given:
        return line
    return "\n".join([f"{beginning}(", *(f"    {one}," for one in given), ")"])
