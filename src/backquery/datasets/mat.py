"""MATLAB's ``.mat`` files up to version 7.2, through SciPy: EMNIST's, SVHN's, and any with images and labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import emnist
from backquery.datasets.arrays import Stored, choose, read_chosen
from backquery.datasets.dataset import Labelled
from backquery.datasets.mat_elements import sound_variables
from backquery.datasets.names import beside, said
from backquery.datasets.options import AS_FOUND, Reading
from backquery.errors import DataError

MATLAB = b"MATLAB 5.0 MAT-file"
"""What such a file begins with."""

EMNIST_IMAGES = "dataset.train.images"

SVHN, ZERO_OF_SVHN = re.compile(r"(?:train|test|extra)_32x32\.mat"), 10
"""The names of SVHN's files, and what they call the digit 0."""


def read_mat(path: Path, how: Reading = AS_FOUND) -> tuple[Labelled, Labelled | None, tuple[str, ...] | None]:
    """Train half, test half or None, and EMNIST's classes where the file is one of EMNIST's.

    Variables are found as the arrays of an archive are (`choose`); one inside a struct is called
    ``struct.field``. Images may be last to first, as MATLAB has them; EMNIST's are stored column by column.
    `DataError` names what is in the file where it is not understood.
    """
    stored = {name: _stored(array) for name, array in _variables(path)}
    chosen = choose(stored, str(path), how)
    official = chosen.train[0] == EMNIST_IMAGES and "dataset.mapping" in stored
    train, test = read_chosen(stored, chosen, str(path), how, transposed=official)
    if not official:
        digits = [None if half is None else _of_svhn(half, path) for half in (train, test)]
        return digits[0] or train, digits[1] or test, None
    return emnist.named(train, test, emnist.mapping_of_rows(stored["dataset.mapping"].read()))


def halves_beside(path: Path) -> list[Path]:
    """The file itself and, if its name says that it is a train half, the one that is its test half by its name."""
    others = {other.stem: other for other in path.parent.glob(f"*{path.suffix}") if other.is_file()}
    if said(path.stem).half != "train":
        return [path]
    test = beside(path.stem, others, half="test") or beside(path.stem, others, half="validation")
    return [path] if test is None else [path, others[test]]


def read_mats(
    paths: Sequence[Path], how: Reading = AS_FOUND
) -> tuple[Labelled, Labelled | None, tuple[str, ...] | None]:
    """What `read_mat` reads from the first file; the test half from the second, unless the first has one."""
    train, test, names = read_mat(paths[0], how)
    return train, read_mat(paths[1], how)[0] if test is None and paths[1:] else test, names


def _of_svhn(half: Labelled, path: Path) -> Labelled | None:
    """The half with the digit 0 for the label 10, if the file is one of SVHN's cropped digits by its name."""
    whole = half.labels.dtype.kind in "iu" and half.labels.min() >= 1 and half.labels.max() == ZERO_OF_SVHN
    if not (SVHN.fullmatch(path.name) and half.colour and whole):
        return None
    return replace(half, labels=half.labels % ZERO_OF_SVHN)


def _variables(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    from scipy.io import loadmat

    try:
        variables = loadmat(path, variable_names=sound_variables(path))
    except Exception as error:  # broken files raise whatever their bytes lead the reader to
        raise DataError(
            f"{path}: cannot be read as .mat ({error}); save it again with save('-v7', ...)"
        ) from error
    for name, value in variables.items():
        if not name.startswith("__"):
            yield from _flat(name, value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """An array by its name, or what is in a struct by the names of the struct and its fields."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names and value.size == 1:
        for field in value.dtype.names:
            yield from _flat(f"{name}.{field}", value.reshape(-1)[0][field])
    elif value.dtype.kind in "biufU":
        yield name, value


def _stored(array: NDArray[Any]) -> Stored:
    return Stored(array.shape, str(array.dtype), lambda: array)
