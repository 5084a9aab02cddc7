"""Reading the book's CSV files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from backquery import datasets
from benchmarks import peers
from benchmarks.training import Section


def csv_files() -> Section:
    """mnist_train.csv (110 MB): line by line as the book does, by NumPy, and by backquery, new and cached."""
    train = peers.mnist().train
    table = np.column_stack([train.labels, train.images.reshape(len(train), -1)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist_train.csv"
        lines = [",".join(map(str, row)) for row in table.tolist()]
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        os.environ["XDG_CACHE_HOME"] = folder
        book = _seconds(lambda: _by_the_book(path))
        rows: list[list[Any]] = [["line by line, as in the book", f"{book:.2f}", "1.0"]]
        for name, work in {
            "numpy.loadtxt, uint8": lambda: np.loadtxt(path, np.uint8, delimiter=","),
            "backquery, first time": lambda: datasets.read(path),
            "backquery, from its cache": lambda: datasets.read(path),
        }.items():
            seconds = _seconds(work)
            rows.append([name, f"{seconds:.3f}", f"{book / seconds:.1f}"])
    return "Reading mnist_train.csv, 60,000 lines, 110 MB", ["how", "seconds", "times faster"], rows


def _by_the_book(path: Path) -> int:
    with path.open() as stream:
        lines = stream.readlines()
    count = 0
    for line in lines:
        values = line.split(",")
        count += len(np.asarray(values[1:], dtype=float) / 255 * 0.99 + 0.01)
    return count


def _seconds(work: Any) -> float:
    clock = perf_counter()
    work()
    return perf_counter() - clock
