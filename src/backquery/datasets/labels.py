"""What the labels that stand in data are called, and which position each of them becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError
from backquery.model import Labels

HIGHEST_LABEL = 999
"""Numbered labels go from 0 to at most this."""


def class_names(labels: NDArray[Any], source: str = "the data") -> tuple[str, ...]:
    """What the labels (n,) are called, in the order of their positions.

    Whole numbers give "0" to the highest, so that position and label agree even where a label is missing;
    they start at "1" where 0 is missing and nothing else is. Names are sorted, numbers among them by value.
    """
    if not len(labels):
        raise DataError(f"{source}: there are no labels")
    found = np.unique(labels)
    if found.dtype.kind not in "iu":
        return tuple(sorted((str(name) for name in found), key=_by_value))
    lowest, highest = int(found[0]), int(found[-1])
    if lowest < 0 or highest > HIGHEST_LABEL:
        raise DataError(f"{source}: labels from {lowest} to {highest}; 0 to {HIGHEST_LABEL} is allowed")
    first = 1 if lowest == 1 and len(found) == highest > 1 else 0
    return tuple(str(number) for number in range(first, highest + 1))


def label_positions(labels: NDArray[Any], classes: Sequence[str], source: str = "the data") -> Labels:
    """The positions (n,) in `classes` of labels given by number or name; `DataError` for one not in there.

    Where no class is named by a number, numbers are the positions themselves.
    """
    found, inverse = np.unique(labels, return_inverse=True)
    numbered = found.dtype.kind in "iu" and not any(map(_is_number, classes))
    names = map(str, range(len(classes))) if numbered else classes
    places = {name: position for position, name in enumerate(names)}
    unknown = [str(name) for name in found if str(name) not in places]
    if unknown:
        raise DataError(f"{source}: labels without a class: {listed(unknown)}; the classes are {listed(classes)}")
    return np.array([places[str(name)] for name in found], np.int64)[inverse]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _by_value(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if _is_number(name) else (True, 0, name)


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first names, and how many there are in all."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
