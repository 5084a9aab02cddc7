"""What lies at a path, whatever it is: which kind it is, is decided by what is found there."""

from __future__ import annotations

import codecs
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from backquery.datasets import cifar, csv, emnist, folders, idx, mat, npz, parquet
from backquery.datasets.dataset import Labelled, as_halves
from backquery.datasets.labels import listed
from backquery.datasets.names import beside, said
from backquery.datasets.options import Reading
from backquery.datasets.pictures import Loose
from backquery.datasets.table import makes_images
from backquery.datasets.text import Part, layout_of, names_in_zip, texts_in
from backquery.datasets.unread import refuse_unread, unread_zip
from backquery.errors import DataError, assume

UNDERSTOOD = (
    "a CSV file with a label and its pixels in each row, IDX files or a folder with MNIST's four, NumPy's .npz or "
    ".npy, a .mat, ARFF or Parquet file, or a folder of pictures by class"
)

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
_TABLES = re.compile(r".*\.(?:csv|tsv|tab|arff)(?:\.(?:gz|bz2|xz))?", re.IGNORECASE)
_LONG = 5
"""A table with fewer columns than this lists pictures, or is about something else."""

Halves = tuple[Labelled | Loose, Labelled | Loose | None, tuple[str, ...] | None]


class Lying(NamedTuple):
    """What lies at a path: all its files, and how they become halves and, where they tell, names of classes."""

    files: list[Path]
    read: Callable[[], Halves]


def what_lies_at(path: Path, how: Reading) -> Lying:
    """The files at a path that belong to one data set; `DataError` if nothing there is understood."""
    if path.is_dir():
        found = _in_folder(path, how)
        if found is None:
            raise DataError(f"{path}: nothing in this folder is understood; a path may be {UNDERSTOOD}")
        return found
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder; it may be {UNDERSTOOD}")
    return _in_file(path, how)


def _in_folder(folder: Path, how: Reading) -> Lying | None:
    for look in (_idx_in, _cifar_in, _tables_in, _arrays_in, _mats_in, _parquet_in, _pictures_in):
        if found := look(folder, how):
            return found
    inner = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))]
    return _in_folder(inner[0], how) if len(inner) == 1 else None


def _in_file(path: Path, how: Reading) -> Lying:
    head = idx.first_bytes(path, 512)
    if zipfile.is_zipfile(path) and head.startswith(b"PK"):
        return _in_zip(path, how)
    if head.startswith(npz.NPY):
        return _arrays(path, how)
    if idx.is_idx(head):
        return _idx(path)
    if head.startswith(mat.MATLAB):
        return _mats(path, how)
    if head.startswith(parquet.PARQUET):
        return _parquet(path, how)
    if head.startswith(_PICTURES):
        raise DataError(f"{path}: a single picture is no data set; name the folder it lies in")
    refuse_unread(path, head)
    if head.startswith((b"BZh", b"\xfd7zXZ", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" not in head:
        return _tables(path, [Part(path)], how)
    raise DataError(f"{path}: not understood; a path may be {UNDERSTOOD}")


def _in_zip(path: Path, how: Reading) -> Lying:
    if any(name.endswith(".npy") for name in names_in_zip(path)):
        return _arrays(path, how)
    if texts := texts_in(path):
        return _tables(path, texts, how)
    raise unread_zip(path)


def _arrays(path: Path, how: Reading) -> Lying:
    """An archive of several arrays, or a file with a single one and those beside it."""
    singles = npz.single_arrays(path)
    if not singles:
        return Lying([path], lambda: npz.read_npz(path, how))
    files = npz.files_of(singles, path, how)
    return Lying(files, lambda: (*npz.read_singles(singles, path, how), None))


def _arrays_in(folder: Path, how: Reading) -> Lying | None:
    """One set of single arrays, or one archive; an array's file of images speaks for its set."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".npy", ".npz") and path.is_file())
    images = [path for path in files if said(path.stem).kind == "images"]
    sets = {said(path.stem).rest: path for path in images}
    if len(sets) == 1:
        return _arrays(next(iter(sets.values())), how)
    archives = [path for path in files if path.suffix == ".npz"]
    if len(archives) == 1:
        return _arrays(archives[0], how)
    if files:
        raise DataError(f"{folder}: more than one data set may lie here; name one of {_names(files)}")
    return None


def _idx(images: Path) -> Lying:
    pairs = idx.pairs_of(images)
    if pairs is None:
        raise DataError(f"{images}: the labels that belong to it are not beside it; put both files together")
    files = [file for pair in pairs for file in pair]
    split = emnist.split_of(images)
    return _halves(files, split, lambda: as_halves([idx.read_pair(*pair) for pair in pairs]))


def _idx_in(folder: Path, how: Reading) -> Lying | None:
    sets = idx.sets_in(folder)
    if len(sets) > 1:
        raise DataError(
            f"{folder}: more than one data set lies here; name one of "
            f"{_names([pairs[0][0] for pairs in sets.values()])}"
        )
    return next((_idx(pairs[0][0]) for pairs in sets.values()), None)


def _cifar_in(folder: Path, how: Reading) -> Lying | None:
    kind = cifar.kind_in(folder)
    return (
        None
        if kind is None
        else Lying([folder / file for file in kind.files], lambda: cifar.read_cifar(folder, kind))
    )


def _halves(files: list[Path], split: str | None, read: Callable[[], tuple[Labelled, Labelled | None]]) -> Lying:
    """Two halves from files, with EMNIST's classes where the first of them is one of EMNIST's."""
    if split is None:
        return Lying(files, lambda: (*read(), None))
    mapping = emnist.mapping_file(files[0], split)
    everything = files if mapping is None else [*files, mapping]
    return Lying(everything, lambda: emnist.read_halves(split, mapping, *read()))


def _tables(path: Path, parts: Sequence[Part], how: Reading) -> Lying:
    """One text with rows, and the one beside it that is its test half."""
    train = _train_part(path, parts)
    others = (
        parts if len(parts) > 1 else [Part(other) for other in sorted(path.parent.iterdir()) if other.is_file()]
    )
    test = _test_part(train, others)
    halves = [train, *([] if test is None else [test])]
    files = list(dict.fromkeys(part.path for part in halves))
    split = emnist.split_of(Path(train.name))
    return _halves(files, split, lambda: as_halves([csv.read_csv(part, how) for part in halves]))


def _train_part(path: Path, parts: Sequence[Part]) -> Part:
    trains = [part for part in parts if said(Path(part.name).name).half == "train"]
    if len(parts) > 1 and len(trains) != 1:
        raise DataError(
            f"{path}: more than one table lies in it, {listed([part.name for part in parts])}; unpack it"
        )
    return trains[0] if len(parts) > 1 else parts[0]


def _test_part(train: Part, others: Sequence[Part]) -> Part | None:
    """The text whose name differs from the train half's by ``test`` alone, if it holds labels."""
    named = {other.name: other for other in others if other != train}
    plainly = train.name.replace("train", "test")
    name = plainly if plainly in named else None
    if name is None and said(train.name).half == "train":
        name = beside(train.name, named, half="test") or beside(train.name, named, half="validation")
    if name is None or _has_labels(train, named[name]):
        return None if name is None else named[name]
    assume(f"{named[name]} has no labels and is left out; --test names another test half")
    return None


def _has_labels(train: Part, test: Part) -> bool:
    """Whether the other text is no shorter than the train half's by just the labels, as Kaggle's are."""
    columns = layout_of(test).columns
    return not (columns == layout_of(train).columns - 1 and makes_images(columns))


def _tables_in(folder: Path, how: Reading) -> Lying | None:
    tables = [path for path in sorted(folder.iterdir()) if _TABLES.fullmatch(path.name) and _is_long(path)]
    trains = [path for path in tables if said(path.name).half == "train"]
    tests = [path for path in tables if said(path.name).half in ("test", "validation")]
    chosen = trains if trains else [path for path in tables if path not in tests] or tests
    if len(chosen) > 1:
        raise DataError(f"{folder}: more than one table lies here; name one of {_names(chosen)}")
    return _tables(chosen[0], [Part(chosen[0])], how) if chosen else None


def _is_long(path: Path) -> bool:
    try:
        layout = layout_of(Part(path))
    except DataError:
        return False
    return layout.columns >= _LONG and 2 * len(layout.wordy) < layout.columns


def _mats(path: Path, how: Reading) -> Lying:
    files = mat.halves_beside(path)
    return Lying(files, lambda: mat.read_mats(files, how))


def _mats_in(folder: Path, how: Reading) -> Lying | None:
    """The only ``.mat`` file, or the only train half among them."""
    files = sorted(path for path in folder.glob("*.mat") if path.is_file())
    trains = [path for path in files if said(path.stem).half == "train"]
    chosen = trains or files
    if len(chosen) > 1:
        raise DataError(f"{folder}: more than one data set may lie here; name one of {_names(chosen)}")
    return _in_file(chosen[0], how) if chosen else None


def _parquet(path: Path, how: Reading) -> Lying:
    halves = parquet.halves_beside(path)
    return Lying([file for half in halves for file in half], lambda: parquet.read_parquet(halves, how))


def _parquet_in(folder: Path, how: Reading) -> Lying | None:
    files = sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])
    trains = [path for path in files if said(path.stem).half == "train"]
    first = next(iter(trains or files), None)
    return None if first is None else _parquet(first, how)


def _pictures_in(folder: Path, how: Reading) -> Lying | None:
    found = folders.look_into(folder)
    if found is None:
        return None
    return Lying(folders.files_in(found, how), lambda: (*folders.read_image_folder(found, how), None))


def _names(paths: Sequence[Path]) -> str:
    return listed([path.name for path in paths])
