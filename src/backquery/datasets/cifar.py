"""CIFAR-10 and CIFAR-100 in their binary version: a byte or two for labels, then red, green, blue, row by row.

As on https://www.cs.toronto.edu/~kriz/cifar.html; nothing in it has to be unpickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.errors import DataError

SIDE = 32


class Kind(NamedTuple):
    """One of the two: its files, the one that names the classes, and how many bytes stand before an image."""

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int

    @property
    def files(self) -> tuple[str, ...]:
        """All of its files."""
        return (*self.train, self.test, self.names)


TEN = Kind(tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin", "batches.meta.txt", 1)
HUNDRED = Kind(("train.bin",), "test.bin", "fine_label_names.txt", 2)
"""Of its two labels the second, the finer one, counts."""


def kind_in(folder: Path) -> Kind | None:
    """Which of the two lies in a folder; None for neither."""
    return next((kind for kind in (TEN, HUNDRED) if all((folder / file).is_file() for file in kind.files)), None)


def read_cifar(folder: Path, kind: Kind) -> tuple[Labelled, Labelled, tuple[str, ...]]:
    """Both halves, (n, 32, 32, 3), with the names of the classes for labels, and these names in their order.

    A file that is cut short, or that has labels without a name, raises `DataError`.
    """
    names = tuple((folder / kind.names).read_text("utf-8").split())
    train, test = (_half([folder / file for file in half], kind, names) for half in (kind.train, [kind.test]))
    return train, test, names


def _half(paths: Sequence[Path], kind: Kind, names: Sequence[str]) -> Labelled:
    rows = np.concatenate([_rows(path, kind) for path in paths])
    numbers = rows[:, kind.label_bytes - 1]
    if numbers.max() >= len(names):
        raise DataError(f"{paths[0]}: a label of {numbers.max()}, but {kind.names} names {len(names)} classes")
    images = rows[:, kind.label_bytes :].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Labelled(np.ascontiguousarray(images), np.array(names)[numbers], str(paths[0]), 255.0)


def _rows(path: Path, kind: Kind) -> NDArray[np.uint8]:
    content, length = np.fromfile(path, np.uint8), kind.label_bytes + 3 * SIDE * SIDE
    if not len(content) or len(content) % length:
        raise DataError(f"{path}: {len(content)} bytes, which are not whole images of {length}; fetch it again")
    return content.reshape(-1, length)
