"""MATLAB's ``.mat`` files up to version 7.2, through SciPy: EMNIST's own, and any with images and labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import emnist
from backquery.datasets.arrays import Stored, choose, read_chosen
from backquery.datasets.dataset import Labelled
from backquery.datasets.options import AS_FOUND, Reading
from backquery.errors import DataError

MATLAB = b"MATLAB 5.0 MAT-file"
"""What such a file begins with."""

EMNIST_IMAGES = "dataset.train.images"


def read_mat(path: Path, how: Reading = AS_FOUND) -> tuple[Labelled, Labelled | None, tuple[str, ...] | None]:
    """Train half, test half or None, and EMNIST's classes where the file is one of EMNIST's.

    Variables are found as the arrays of an archive are (`choose`); one inside a struct is called
    ``struct.field``. Images may be last to first, as MATLAB has them; EMNIST's are stored column by column.
    `DataError` names what is in the file where it is not understood.
    """
    stored = {name: _stored(array) for name, array in _variables(path)}
    chosen = choose(stored, str(path), how)
    official = chosen.train[0] == EMNIST_IMAGES and "dataset.mapping" in stored
    train, test = read_chosen(stored, chosen, str(path), transposed=official)
    if not official:
        return train, test, None
    return emnist.named(train, test, emnist.mapping_of_rows(stored["dataset.mapping"].read()))


def _variables(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    from scipy.io import loadmat

    try:
        variables = loadmat(path)
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
