"""Values that hold arrays, shown in a line: what they are, not every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

LONGEST, MOST = 40, 12
"""Letters of a text, and entries of a list, up to which it is shown whole."""

ROOM = 120
"""Letters up to which a value of fields within another one is shown with them."""


def brief(value: Any) -> str:
    """A value of fields as its class with them, arrays by shape and type; those that hold nothing are left out.

    It is a ``__repr__``: ``__repr__ = brief`` in the body of a class.
    """
    told = ((one.name, getattr(value, one.name)) for one in fields(value) if one.repr)
    shown = ", ".join(f"{name}={_shown(part)}" for name, part in told if not _nothing(part))
    return f"{type(value).__name__}({shown})"


def _nothing(value: object) -> bool:
    return value is None or (isinstance(value, str | Mapping | tuple | list) and not value)


def _shown(value: Any) -> str:
    match value:
        case np.ndarray():
            return f"<{value.dtype}, {' x '.join(map(str, value.shape)) or 'one'}>"
        case str():
            return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}...")
        case Mapping():
            return f"<{len(value)} entries>"
        case Sequence() if len(value) > MOST or (len(value) > 1 and any(map(is_dataclass, value))):
            return f"<{len(value)} of {type(value[0]).__name__}>"
        case tuple() | list():
            inner = ", ".join(map(_shown, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
    text = repr(value)
    long = "\n" in text or (is_dataclass(value) and len(text) > ROOM)
    return f"<{type(value).__name__}>" if long else text
