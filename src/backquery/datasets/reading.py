"""Data from a name or a path, as one data set with both its halves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backquery.datasets.catalogue import catalogue, fetch, load
from backquery.datasets.colours import Found, one_kind
from backquery.datasets.dataset import Dataset, Labelled
from backquery.datasets.deciding import Wanted, assemble
from backquery.datasets.lying import UNDERSTOOD, what_lies_at
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.split import Split
from backquery.errors import DataError, assume
from backquery.model import Model


def open_data(
    name_or_path: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    how: Reading = AS_FOUND,
    model: Model | None = None,
) -> Dataset:
    """A data set by its name in the catalogue or, failing that, from a path, as `load` and `read` give it.

    `test` is a path to take the test half from. With `classes` labels become positions into those. `how` says what
    files leave open, as for `read`. With a `model` everything is brought to what its inputs and outputs mean: the
    labels, the range and the ground of the pixels; data that contradict it raise `DataError`. Without a test half
    they are parted as they were when the model learned from them: see `Dataset.parted_for`.
    """
    _say_which(name_or_path)
    if str(name_or_path) not in catalogue():
        if not Path(name_or_path).exists():
            raise _nothing_there(name_or_path)
        return read(name_or_path, test, classes=classes, how=how, model=model)
    dataset = _as_asked(load(str(name_or_path)), how, model)
    names = _classes(classes, model)
    dataset = dataset if names is None else dataset.with_classes(names)
    return _for_model(dataset if test is None else _with_test(dataset, Path(test), how), model)


def read(
    path: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    how: Reading = AS_FOUND,
    model: Model | None = None,
) -> Dataset:
    """A data set from a file or folder.

    - A table: CSV however it is separated and packed, ARFF, or Parquet; a label and its pixels in each row.
    - IDX, gzipped or not: a file of images whose labels lie beside it, or a folder of MNIST's or EMNIST's.
    - Arrays: ``.npz``, ``.npy`` files beside one another, ``.mat``; found by their names.
    - A folder of pictures: a subfolder for each class, labels in the names, or a list of labels beside them.

    Where names say so, the half to test on is found, too: ``test`` for ``train`` in a folder's, a file's or an
    array's name.

    `test` is a second such path, whose images become the test half; its labels must be among the first's.
    `classes` gives the labels' names and order, a network's for example; without it they are those found.
    `how` says what the files leave open: which arrays, which column holds the labels.
    """
    train, beside, found_names = what_lies_at(Path(path), how).read()
    names = _classes(classes, model) or found_names
    name = Path(path).resolve().name.removesuffix(".gz")
    name = name if Path(path).is_dir() else Path(name).stem
    halves: list[Found] = [train] if beside is None or test is not None else [train, beside]
    dataset = assemble(name, halves, names, how, None if model is None else Wanted.by(model))
    return _for_model(dataset if test is None else _with_test(dataset, Path(test), how), model)


def files_of(name_or_path: str | os.PathLike[str], how: Reading = AS_FOUND) -> list[Path]:
    """The files that `open_data` would read for both halves; none for one that needs no files.

    A data set known by name is fetched if it is nowhere on this machine; a path with nothing that is understood
    raises `DataError`.
    """
    if str(name_or_path) in catalogue():
        folder = fetch(str(name_or_path))
        return [] if folder is None else sorted(path for path in folder.iterdir() if path.is_file())
    if not Path(name_or_path).exists():
        raise _nothing_there(name_or_path)
    return what_lies_at(Path(name_or_path), how).files


def _say_which(name_or_path: str | os.PathLike[str]) -> None:
    """Where something of a known data set's name lies here, which of both is taken."""
    path, name = Path(name_or_path), Path(name_or_path).name
    if name not in catalogue() or not path.exists():
        return
    if str(name_or_path) == name:
        assume(
            f"{name}: the data set known by that name is taken; ./{name} takes the "
            f"{'folder' if path.is_dir() else 'file'} that is called so"
        )
    elif path.parent == Path():
        assume(f"{name_or_path}: what lies there is taken, not the data set known by name; {name} takes that")


def _with_test(dataset: Dataset, path: Path, how: Reading) -> Dataset:
    """The data set with the images at `path` for its test half, whatever it had before."""
    train = what_lies_at(path, how).read()[0]
    found = assemble(dataset.name, [train], dataset.classes, how, Wanted.as_in(dataset))
    return replace(dataset, test=found.with_maximum(dataset.maximum).train)


def _classes(classes: Sequence[str] | None, model: Model | None) -> tuple[str, ...] | None:
    if classes is not None:
        return tuple(classes)
    return None if model is None else model.classes


def _for_model(dataset: Dataset, model: Model | None) -> Dataset:
    """The data set in the model's halves, and with the model's number for full ink: else images looked faint."""
    if model is None:
        return dataset
    parted = dataset.parted_for(model)
    return parted if model.scaling is None else parted.with_maximum(model.scaling.maximum)


def _as_asked(dataset: Dataset, how: Reading, model: Model | None) -> Dataset:
    """A data set known by name in grey or in colour, as the model takes it or as was told."""
    halves: list[Found] = [Labelled(half.images, half.labels, dataset.name) for _, half in dataset.halves]
    found = one_kind(halves, how, None if model is None else Wanted.by(model).colours)
    if found[0].colour == dataset.colour:
        return dataset
    train, *test = [Split(half.images, half.labels) for half in found if isinstance(half, Labelled)]
    return replace(dataset, train=train, test=test[0] if test else None)


def _nothing_there(name_or_path: str | os.PathLike[str]) -> DataError:
    return DataError(
        f"{str(name_or_path)!r} is neither a file or folder nor a known data set; known are "
        f"{', '.join(catalogue())}; a path may be {UNDERSTOOD}"
    )
