"""EMNIST's own files: known by their names, stored column by column, with labels that a mapping makes characters.

Six splits (Cohen, Afshar, Tapson and van Schaik 2017, EMNIST: an extension of MNIST to handwritten letters); the
files are ``emnist-SPLIT-train-images-idx3-ubyte``, ``emnist-SPLIT-train.csv`` and ``emnist-SPLIT-mapping.txt``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.datasets.labels import listed
from backquery.errors import DataError

_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"
SPLITS: Mapping[str, Mapping[int, str]] = {
    "balanced": dict(enumerate(_MERGED)),
    "bymerge": dict(enumerate(_MERGED)),
    "byclass": dict(enumerate(string.digits + string.ascii_uppercase + string.ascii_lowercase)),
    "digits": dict(enumerate(string.digits)),
    "mnist": dict(enumerate(string.digits)),
    "letters": dict(enumerate(string.ascii_uppercase, start=1)),
}
"""The characters of each split's labels, as their mapping files have them."""

_OFFICIAL = re.compile(r"emnist-(?P<split>[a-z]+)-(?:train|test)(?:-images-idx3-ubyte|-images\.idx3-ubyte|\.csv)")


def split_of(path: Path) -> str | None:
    """The split that a file of images belongs to by its name; None if it is not EMNIST's."""
    match = _OFFICIAL.match(path.name.lower())
    return match["split"] if match and match["split"] in SPLITS else None


def mapping_file(path: Path, split: str) -> Path | None:
    """The mapping that lies beside a file of the split, or None."""
    beside = path.with_name(f"emnist-{split}-mapping.txt")
    return beside if beside.is_file() else None


def read_halves(
    split: str, mapping: Path | None, train: Labelled, test: Labelled | None
) -> tuple[Labelled, Labelled | None, tuple[str, ...]]:
    """The halves with characters for labels, and the classes: by the mapping, or as the split is known to be."""
    characters = SPLITS[split] if mapping is None else _mapping(mapping)
    tested = None if test is None else replace(test, transposed=True)
    return named(replace(train, transposed=True), tested, characters)


def named(
    train: Labelled, test: Labelled | None, characters: Mapping[int, str]
) -> tuple[Labelled, Labelled | None, tuple[str, ...]]:
    """The halves with characters for labels, and the classes in the order of their numbers."""
    tested = None if test is None else _named(test, characters)
    return _named(train, characters), tested, tuple(characters[number] for number in sorted(characters))


def mapping_of_rows(rows: NDArray[Any]) -> dict[int, str]:
    """The character of each label from rows of a label and one or more ASCII codes, of which the first counts."""
    return {int(row[0]): chr(int(row[1])) for row in rows}


def _named(found: Labelled, characters: Mapping[int, str]) -> Labelled:
    numbers, inverse = np.unique(found.labels, return_inverse=True)
    if missing := [str(number) for number in numbers if int(number) not in characters]:
        raise DataError(f"{found.source}: labels that EMNIST's mapping does not have: {listed(missing)}")
    return replace(found, labels=np.array([characters[int(number)] for number in numbers])[inverse])


def _mapping(path: Path) -> dict[int, str]:
    try:
        rows = np.loadtxt(path, np.int64, ndmin=2)
        return mapping_of_rows(rows)
    except (OSError, ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"{path}: each line must hold a label and its character's ASCII code ({error}); copy the file again"
        ) from error
