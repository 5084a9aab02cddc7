"""Data from a path, whatever it is: what kind it is, is decided by what is found there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from backquery.datasets import csv, folders, idx, npz
from backquery.datasets.catalogue import catalogue, fetch, load
from backquery.datasets.dataset import Dataset, Labelled, as_halves, assemble
from backquery.errors import DataError

UNDERSTOOD = (
    "a CSV file with the label first, IDX files or a folder with MNIST's four, an .npz archive, "
    "or a folder of pictures by class"
)

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF")


class _Lying(NamedTuple):
    """What lies at a path: all its files, and how they become halves and, where they tell, names of classes."""

    files: list[Path]
    read: Callable[[], tuple[Labelled, Labelled | None, tuple[str, ...] | None]]


def open_data(
    name_or_path: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """A data set by its name in the catalogue or, failing that, from a path, as `load` and `read` give it.

    `test` is a path to take the test half from. With `classes`, a network's for example, labels become
    positions into those.
    """
    if str(name_or_path) in catalogue():
        dataset = load(str(name_or_path))
        dataset = dataset if classes is None else dataset.with_classes(classes)
        return dataset if test is None else _with_test(dataset, Path(test))
    if not Path(name_or_path).exists():
        raise _nothing_there(name_or_path)
    return read(name_or_path, test, classes=classes)


def read(
    path: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """A data set from a file or folder.

    - CSV: a label and its pixels on each line. With ``train`` in its name, the file whose name has ``test``
      instead is taken for the test half, if it is there.
    - IDX, gzipped or not: a file of images whose labels lie beside it, or a folder of files under MNIST's names.
    - ``.npz``: ``images`` and ``labels``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``.
    - A folder of pictures: a subfolder for each class, or the label before each name's extension.

    `test` is a second such path, whose images become the test half; its labels must be among the first's.
    `classes` gives the labels' names and order, a network's for example; without it they are those found.
    """
    train, beside, names = _at(Path(path)).read()
    names = names if classes is None else tuple(classes)
    name = Path(path).resolve().name.removesuffix(".gz")
    name = name if Path(path).is_dir() else Path(name).stem
    if test is None:
        return assemble(name, train, beside, names)
    return _with_test(assemble(name, train, None, names), Path(test))


def files_of(name_or_path: str | os.PathLike[str]) -> list[Path]:
    """The files that `open_data` would read for both halves; none for a data set that comes with the package.

    A data set known by name is fetched if it is nowhere on this machine; a path with nothing that is understood
    raises `DataError`.
    """
    if str(name_or_path) in catalogue():
        folder = fetch(str(name_or_path))
        return [] if folder is None else sorted(path for path in folder.iterdir() if path.is_file())
    if not Path(name_or_path).exists():
        raise _nothing_there(name_or_path)
    return _at(Path(name_or_path)).files


def _with_test(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the images at `path` for its test half, whatever it had before."""
    found = assemble(dataset.name, _at(path).read()[0], None, dataset.classes)
    if found.maximum != dataset.maximum:
        raise DataError(
            f"{path}: raw pixels up to {found.maximum:g}, but up to {dataset.maximum:g} in {dataset.name}; "
            "bring both to the same scale"
        )
    return replace(dataset, test=found.train)


def _at(path: Path) -> _Lying:
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder; it may be {UNDERSTOOD}")
    return _in_file(path)


def _in_folder(folder: Path) -> _Lying:
    if idx.find_pair(folder, idx.HALVES["train"]) is not None:
        files = [file for pair in idx.find_pairs(folder) for file in pair]
        return _Lying(files, lambda: (*idx.read_folder(folder), None))
    if (folder / "mnist_train.csv").is_file():
        return _in_file(folder / "mnist_train.csv")
    if pictures := folders.picture_files(folder):
        return _Lying(pictures, lambda: (*folders.read_image_folder(folder), None))
    raise DataError(f"{folder}: nothing in this folder is understood; a path may be {UNDERSTOOD}")


def _in_file(path: Path) -> _Lying:
    head = idx.first_bytes(path)
    if head.startswith(b"PK"):
        return _Lying([path], lambda: npz.read_npz(path))
    if idx.is_idx(head):
        return _halves(idx.read_pair, *_idx_pairs(path))
    if head.startswith(_PICTURES):
        raise DataError(f"{path}: a single picture is no data set; name the folder it lies in")
    if b"\0" in head:
        raise DataError(f"{path}: not understood; a path may be {UNDERSTOOD}")
    other = path.with_name(path.name.replace("train", "test"))
    return _halves(csv.read_csv, (path,), *([(other,)] if other != path and other.is_file() else []))


def _idx_pairs(images: Path) -> list[tuple[Path, Path]]:
    labels = idx.labels_beside(images)
    if labels is None:
        raise DataError(f"{images}: the labels that belong to it are not beside it; put both files together")
    train, test = idx.HALVES.values()
    return [(images, labels), *(idx.find_pairs(images.parent, (test,)) if images.name.startswith(train) else [])]


def _halves(read: Callable[..., Labelled], *halves: tuple[Path, ...]) -> _Lying:
    """One half or two, the train half first, each read from its own files."""
    files = [file for half in halves for file in half]
    return _Lying(files, lambda: (*as_halves([read(*half) for half in halves]), None))


def _nothing_there(name_or_path: str | os.PathLike[str]) -> DataError:
    return DataError(
        f"{str(name_or_path)!r} is neither a file or folder nor a known data set; known are "
        f"{', '.join(catalogue())}; a path may be {UNDERSTOOD}"
    )
