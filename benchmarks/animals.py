"""Real pictures that are untidy: silhouettes of animals in any pose and size, cut out of photographs."""

from __future__ import annotations

import gzip
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from backquery.datasets import Dataset, Split

CLASSES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
COUNT, SIDE, TESTED = 10_000, 28, 2000

MISSING = (
    "left out; pip install --no-deps animal-mnist (2.6 MB; with --target FOLDER, set BACKQUERY_ANIMALS=FOLDER)"
)


def animals() -> Dataset | None:
    """Animal-MNIST (S. Mohammadi, MIT licence): 1,000 images of each of ten animals, 28 x 28, or None.

    Nothing is unpickled: pixels and labels lie in one piece each within the package's pickles. Images that come
    twice are taken once, so that none is in both halves.
    """
    folder = _folder()
    if folder is None:
        return None
    images = _piece(folder / "animal_data_version_3.gz", np.uint8, COUNT * SIDE**2).reshape(-1, SIDE, SIDE)
    labels = _piece(folder / "animal_label_version_3.gz", np.int64, COUNT)
    once = np.unique(images, axis=0, return_index=True)[1]
    everything = Split(images, labels).select(np.random.default_rng(0).permutation(np.sort(once)))
    train, test = everything.select(slice(TESTED, None)), everything.select(slice(TESTED))
    return Dataset("animals", train, test, CLASSES)


def _folder() -> Path | None:
    """Where the files lie: somewhere below BACKQUERY_ANIMALS, or in the installed package, never imported."""
    chosen, package = os.environ.get("BACKQUERY_ANIMALS"), find_spec("animal_mnist")
    places = [chosen] if chosen else package.submodule_search_locations if package else []
    files = (file for place in places or () for file in Path(place).rglob("animal_data_version_3.gz"))
    return next((file.parent for file in files), None)


def _piece(file: Path, kind: type, count: int) -> Any:
    """So many numbers, which stand in the unpacked file in one piece after their length in bytes."""
    content = gzip.decompress(file.read_bytes())
    length = (count * np.dtype(kind).itemsize).to_bytes(4, "little")
    return np.frombuffer(content, kind, count, content.index(length) + len(length))
