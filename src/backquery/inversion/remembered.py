"""What is worked out once for a model, and forgotten with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Kept = TypeVar("Kept")


class Remembered(Generic[Kept]):
    """Something for each owner, made empty when it is first asked for, and kept for as long as the owner lives.

    An owner that no dictionary takes for a key, because it cannot be hashed or weakly referenced, gets a new one
    each time: a user's own model may be such, and is then only slower.
    """

    def __init__(self, empty: Callable[[], Kept]) -> None:
        self._empty = empty
        self._known: WeakKeyDictionary[object, Kept] = WeakKeyDictionary()

    def of(self, owner: object) -> Kept:
        """What is kept for this owner; it must not hold the owner itself, which then would never go."""
        empty = self._empty()
        try:
            return self._known.setdefault(owner, empty)
        except TypeError:
            return empty
