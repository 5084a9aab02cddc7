"""What lies at a path, whatever it is: which kind it is, is decided by what is found there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backquery.datasets import csv, folders, idx, npz
from backquery.datasets.dataset import Labelled, as_halves
from backquery.datasets.options import Reading
from backquery.datasets.pictures import Loose
from backquery.errors import DataError

UNDERSTOOD = (
    "a CSV file with the label first, IDX files or a folder with MNIST's four, an .npz archive, "
    "or a folder of pictures by class"
)

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF")


class Lying(NamedTuple):
    """What lies at a path: all its files, and how they become halves and, where they tell, names of classes."""

    files: list[Path]
    read: Callable[[], tuple[Labelled | Loose, Labelled | Loose | None, tuple[str, ...] | None]]


def what_lies_at(path: Path, how: Reading) -> Lying:
    """The files at a path that belong to one data set; `DataError` if nothing there is understood."""
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder; it may be {UNDERSTOOD}")
    return _in_file(path)


def _in_folder(folder: Path) -> Lying:
    if idx.find_pair(folder, idx.HALVES["train"]) is not None:
        files = [file for pair in idx.find_pairs(folder) for file in pair]
        return Lying(files, lambda: (*idx.read_folder(folder), None))
    if (folder / "mnist_train.csv").is_file():
        return _in_file(folder / "mnist_train.csv")
    if pictures := folders.picture_files(folder):
        return Lying(pictures, lambda: (*folders.read_image_folder(folder), None))
    raise DataError(f"{folder}: nothing in this folder is understood; a path may be {UNDERSTOOD}")


def _in_file(path: Path) -> Lying:
    head = idx.first_bytes(path)
    if head.startswith(b"PK"):
        return Lying([path], lambda: npz.read_npz(path))
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


def _halves(read: Callable[..., Labelled], *halves: tuple[Path, ...]) -> Lying:
    """One half or two, the train half first, each read from its own files."""
    files = [file for half in halves for file in half]
    return Lying(files, lambda: (*as_halves([read(*half) for half in halves]), None))
