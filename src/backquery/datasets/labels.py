"""What the labels that stand in data are called, and which position each of them becomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError, assume
from backquery.model import Labels

MOST_NUMBER = 2.0**63
"""From here on a number is a name: no whole number of NumPy's is as large."""

MOST_CLASSES = 1000
"""Of so many different labels at most, each is a class."""

_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_MISSING = re.compile(r"(?:[+-]?(?:nan|inf))?", re.IGNORECASE)


def class_names(labels: NDArray[Any], source: str = "the data") -> tuple[str, ...]:
    """What the labels (n,) are called, in the order of their positions: every label that is there, and no other.

    Numbers are in order of their values, and before names, which are sorted. No label at all, and more than
    1,000 different ones, raise `DataError`.
    """
    if not len(labels):
        raise DataError(f"{source}: there are no labels")
    found = np.unique(labels)
    if len(found) > MOST_CLASSES:
        raise DataError(f"{source}: {len(found)} different labels; {MOST_CLASSES} classes are allowed")
    return tuple(sorted((str(name) for name in found), key=_by_value))


def classes_of(halves: Sequence[NDArray[Any]], source: str = "the data") -> tuple[str, ...]:
    """The classes of one half or two: those of the train half, and where all are numbers those of the other, too.

    A small train half may lack a number that the other has; a name that only the other has is rather a mistake.
    """
    numbered = all(labels.dtype.kind in "iu" for labels in halves)
    return class_names(np.concatenate([*halves]) if numbered else halves[0], source)


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
        raise DataError(
            f"{source}: labels without a class: {listed(unknown)}; the classes are {listed(classes)}; labels "
            "must be among them"
        )
    if numbered and 0 not in found and 0 < len(found) < len(classes):
        assume(
            f"{source}: its labels are numbers from {found[0]}, and are taken for the classes {listed(classes)} "
            "counted from 0; write their names instead if they count from 1"
        )
    return np.array([places[str(name)] for name in found], np.int64)[inverse]


def labels_from_text(texts: NDArray[np.str_], where: str) -> NDArray[Any]:
    """Labels (n,) as they stand in a text: whole numbers if all are that (``5``, ``5.0``, ``-1``), else names.

    Numbers that are not whole, and labels that are missing, raise `DataError`.
    """
    found, inverse = np.unique(texts, return_inverse=True)
    names = [str(text).strip() for text in found]
    numbers = [float(name.replace(",", ".")) if is_number(name) else None for name in names]
    broken = (number is not None and not number.is_integer() for number in numbers)
    if wrong := [name for name, broke in zip(names, broken, strict=True) if broke or _MISSING.fullmatch(name)]:
        raise DataError(f"{where}: {wrong[0]!r} is not a label; whole numbers and names are")
    if any(number is None or abs(number) >= MOST_NUMBER for number in numbers):
        return np.array(names)[inverse]
    return np.array([int(number or 0) for number in numbers], np.int64)[inverse]


def is_number(text: str) -> bool:
    """Whether a text is a finite number, with a decimal point or comma."""
    return _NUMBER.fullmatch(text) is not None


def labels_from_array(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Labels (n,) from an array (n,), (n, 1), (1, n), or (n, classes) with a single one in each row.

    Bytes are names, as are truth values; a row of several numbers is taken for the class of the highest, in one
    line of warning unless it is certain. Fractions and objects raise `DataError`.
    """
    labels = array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        return _hottest(labels, where)
    if labels.ndim == 1 and labels.dtype.kind in "SU":
        texts = np.char.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels
        return np.char.strip(texts)
    if labels.ndim == 1 and labels.dtype.kind == "b":
        return labels.astype(np.str_)
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels
    if labels.ndim == 1 and labels.dtype.kind == "f" and (labels == np.trunc(labels)).all():
        return labels.astype(np.int64)
    raise DataError(
        f"{where} must be one label for each image, a whole number or a name; "
        f"received {array.dtype} of the shape {array.shape}"
    )


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first names, and how many there are in all if they are more."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def _hottest(rows: NDArray[Any], where: str) -> Labels:
    """The position of the one in each row of zeros and ones; of the highest number where there are others."""
    if not np.isfinite(rows).all() or rows.shape[1] < 2:
        raise DataError(f"{where} must be one label for each image; received rows that are not finite numbers")
    one_in_each = ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()
    if not one_in_each:
        assume(
            f"{where}: each image has {rows.shape[1]} numbers, and the place of the highest was taken for its "
            "label; save one label for each image if that is wrong"
        )
    highest: Labels = rows.argmax(axis=1).astype(np.int64)
    return highest


def _is_number(name: str) -> bool:
    return re.fullmatch(r"-?\d+", name, re.ASCII) is not None


def _by_value(name: str) -> tuple[bool, int, str]:
    return (False, int(name), name) if _is_number(name) else (True, 0, name)
