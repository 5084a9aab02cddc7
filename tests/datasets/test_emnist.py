"""EMNIST under its official names, as NIST and Kaggle give it: both halves, its characters, stored by columns."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import read
from backquery.datasets.emnist import SPLITS, split_of
from backquery.datasets.idx import write_idx
from backquery.datasets.lying import what_lies_at
from backquery.datasets.options import AS_FOUND
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError

RNG = np.random.default_rng(8)
STORED = RNG.integers(0, 256, (94, 28, 28), np.uint8)
END = ".gz"


def write_split(folder: Path, split: str, mapping: bool = True) -> np.ndarray:
    """Both halves and the mapping as NIST has them; the labels of the train half."""
    numbers = np.resize(np.array(list(SPLITS[split]), np.uint8), 94)
    for half, count in (("train", 94), ("test", 30)):
        write_idx(folder / f"emnist-{split}-{half}-images-idx3-ubyte{END}", STORED[:count])
        write_idx(folder / f"emnist-{split}-{half}-labels-idx1-ubyte{END}", numbers[:count])
    if mapping:
        lines = [f"{number} {ord(name)}" for number, name in SPLITS[split].items()]
        (folder / f"emnist-{split}-mapping.txt").write_text("\n".join(lines))
    return numbers


@pytest.mark.reads(
    "data", "EMNIST under its official names, any of its six splits", "both halves, upright, with its characters"
)
@pytest.mark.parametrize("mapping", [True, False])
@pytest.mark.parametrize("split", SPLITS)
def test_every_split(tmp_path: Path, split: str, mapping: bool) -> None:
    numbers = write_split(tmp_path, split, mapping)
    for path in (tmp_path, tmp_path / f"emnist-{split}-train-images-idx3-ubyte{END}"):
        lying = what_lies_at(path, AS_FOUND)
        train, test, classes = lying.read()
        np.testing.assert_array_equal(train.images, STORED)
        assert train.transposed and test is not None and test.transposed and len(test.images) == 30
        assert classes == tuple(SPLITS[split].values())
        assert train.labels.tolist() == [SPLITS[split][int(number)] for number in numbers]
        assert {file.name for file in lying.files} == {file.name for file in tmp_path.iterdir()}


def test_images_are_turned_upright(tmp_path: Path) -> None:
    write_split(tmp_path, "letters")
    with pytest.warns(AssumptionWarning, match="column by column, and are turned upright"):
        dataset = read(tmp_path)
    np.testing.assert_array_equal(dataset.train.images, STORED.transpose(0, 2, 1))
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.test.images, STORED[:30].transpose(0, 2, 1))
    assert dataset.classes == tuple(string.ascii_uppercase)


def test_the_characters_of_the_splits() -> None:
    assert {split: len(names) for split, names in SPLITS.items()} == {
        "balanced": 47, "bymerge": 47, "byclass": 62, "digits": 10, "mnist": 10, "letters": 26,
    }  # fmt: skip
    assert "".join(SPLITS["letters"].values()) == string.ascii_uppercase
    assert min(SPLITS["letters"]) == 1


def test_a_mapping_rules_and_a_broken_one_is_named(tmp_path: Path) -> None:
    write_split(tmp_path, "letters")
    mapping = tmp_path / "emnist-letters-mapping.txt"
    mapping.write_text("\n".join(f"{k} {96 + k} {64 + k}" for k in range(1, 27)))
    assert what_lies_at(tmp_path, AS_FOUND).read()[2] == tuple(string.ascii_lowercase)
    mapping.write_text("1 65")
    with pytest.raises(DataError, match="labels that EMNIST's mapping does not have: 2, 3, 4"):
        what_lies_at(tmp_path, AS_FOUND).read()
    mapping.write_text("A 1")
    with pytest.raises(
        DataError, match=r"mapping\.txt: each line must hold a label and its character's ASCII code"
    ):
        what_lies_at(tmp_path, AS_FOUND).read()


def test_a_folder_of_all_splits_asks_for_one(tmp_path: Path) -> None:
    for split in ("letters", "digits"):
        write_split(tmp_path, split)
    with pytest.raises(
        DataError, match="more than one data set lies here; name one of emnist-digits-train-images"
    ):
        what_lies_at(tmp_path, AS_FOUND)
    files = files_of(tmp_path / f"emnist-letters-train-images-idx3-ubyte{END}")
    assert {file.name.split("-")[1] for file in files} == {"letters"}


@pytest.mark.reads("data", "Kaggle's `emnist-letters-train.csv` and its like", "the same")
def test_kaggles_tables(tmp_path: Path) -> None:
    numbers = np.resize(np.arange(1, 27), 94)
    rows = np.column_stack([numbers, STORED.reshape(94, -1)])
    for half in ("train", "test"):
        np.savetxt(tmp_path / f"emnist-letters-{half}.csv", rows, "%d", ",")
    train, test, classes = what_lies_at(tmp_path / "emnist-letters-train.csv", AS_FOUND).read()
    assert train.transposed and test is not None and test.transposed
    assert classes == tuple(string.ascii_uppercase)
    assert "".join(train.labels) == (4 * string.ascii_uppercase)[:94]


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "emnist-kana-train.csv", "my-emnist-letters-train.csv"]
)
def test_other_names_are_not_emnist(name: str) -> None:
    assert split_of(Path(name)) is None
