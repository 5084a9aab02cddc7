"""A call that fails on what it was given says so by a declared error, which names the argument and what it takes.

Nothing is looked at before a call, so that it costs nothing and refuses nothing that works. Only where it fails by
an error that nobody declared are its arguments held against their annotations, and the first that does not fit is
named. Where all of them fit, the fault is the call's own, and its error stays what it is.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sized
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from backquery.errors import BackqueryError

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

LONGEST = 80
"""Letters of a value that a message shows."""

UNDECLARED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError)


def declared(error: type[BackqueryError]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function raise `error` where it fails on an argument that is not what its annotation says."""

    def wrapping(call: Callable[P, R]) -> Callable[P, R]:
        @wraps(call)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return call(*args, **kwargs)
            except BackqueryError:
                raise
            except UNDECLARED:
                if (unfit := _first_unfit(call, args, kwargs)) is None:
                    raise
                raise error(unfit) from None

        return wrapped

    return wrapping


def declared_value(error: type[BackqueryError]) -> Callable[[C], C]:
    """The same for a class, whose fields are what it is given."""

    def wrapping(made: C) -> C:
        made.__init__ = declared(error)(made.__init__)  # type: ignore[misc]
        return made

    return wrapping


def _first_unfit(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The first argument that is not what its annotation says, in words; None where all are."""
    try:
        given = inspect.signature(call).bind(*args, **kwargs).arguments
    except TypeError:
        return None
    for name, value in given.items():
        kind = _resolved(call, name)
        if not fits(value, kind):
            return f"{name} is {in_words(kind)}; received {_shown(value)}"
    return None


def _resolved(call: Callable[..., Any], name: str) -> Any:
    """What an argument's annotation stands for; `Any` where that cannot be told without a type checker."""
    annotation = inspect.get_annotations(call).get(name, Any)
    try:
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        return typing.get_type_hints(alone, call.__globals__)[name]
    except NameError:  # imported for type checkers only
        return Any


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of the kind that an annotation says, as far as can be told."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if kind is ArrayLike or origin is np.ndarray:
        return _numeric(value) and (kind is ArrayLike or isinstance(value, np.ndarray))
    if kind is DTypeLike:
        return _a_dtype(value)
    if kind is None or kind is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str | int) and value in parts
    if kind in (bool, int, float):
        return _a_number(value, kind)
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        return _each(value, [*parts]) and len(value) == len(parts)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None and origin is not Callable and issubclass(origin, Iterable):
        return _each(value, [parts[0]] if parts else [Any])
    if callable in (kind, origin) or origin is Callable:
        return callable(value)
    if getattr(kind, "_is_protocol", False):
        # What can be called is such by its class, and all else by its public names.
        return (
            callable(value)
            if "__call__" in vars(kind)
            else all(hasattr(value, name) for name in dir(kind) if not name.startswith("_"))
        )
    return isinstance(value, origin or kind) if isinstance(origin or kind, type) else True


def _a_number(value: Any, kind: type) -> bool:
    boolean = isinstance(value, bool | np.bool_)
    if kind is bool:
        return boolean
    whole = int | np.integer if kind is int else int | float | np.integer | np.floating
    # What is longer than 64 bits is no number to NumPy.
    return isinstance(value, whole) and not boolean and not (isinstance(value, int) and abs(value) >= 2**63)


def _numeric(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError):
        return False


def _a_dtype(value: Any) -> bool:
    try:
        return np.dtype(value) in (np.float32, np.float64)
    except (TypeError, ValueError):
        return False


def _each(value: Any, kinds: list[Any]) -> bool:
    """Whether a value is a list of these kinds, the last of which is that of all others too."""
    if isinstance(value, str | bytes | Mapping) or not (isinstance(value, Iterable) and isinstance(value, Sized)):
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return all(fits(each, kinds[min(place, len(kinds) - 1)]) for place, each in enumerate(value))


WORDS: dict[Any, str] = {
    ArrayLike: "an array of numbers", DTypeLike: "float32 or float64",
    bool: "True or False", int: "a whole number", float: "a number", str: "a text",
    None: "None", type(None): "None",
}  # fmt: skip


def in_words(kind: Any) -> str:
    """What an annotation allows, for a person."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is np.ndarray:
        return WORDS[ArrayLike]
    if kind in WORDS:
        return WORDS[kind]
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(part) for part in parts))
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if origin is not None and origin is not Callable and issubclass(origin, Mapping):
        return "a mapping"
    if origin is not None and origin is not Callable and issubclass(origin, Iterable):
        each = [in_words(part) for part in parts if part is not Ellipsis] or ["values"]
        return f"a list of {', '.join(dict.fromkeys(each))}"
    if origin is Callable:
        return "a function"
    name = getattr(kind, "__name__", str(kind))
    return f"a{'n' if name[0] in 'AEIO' else ''} {name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
