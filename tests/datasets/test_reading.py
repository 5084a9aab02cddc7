"""One way in for every kind of path, and one clear message for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Dataset, Reading, load, open_data, read
from backquery.datasets.idx import write_idx
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (6, 3, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def write_csv(path: Path, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> Path:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows.tolist()))
    return path


def write_four(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for half, part in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        write_idx(folder / f"{half}-images-idx3-ubyte.gz", IMAGES[part])
        write_idx(folder / f"{half}-labels-idx1-ubyte.gz", LABELS[part])
    return folder


def check(dataset: Dataset, train: slice = slice(None), test: slice | None = None) -> None:
    np.testing.assert_array_equal(dataset.train.images, IMAGES[train])
    np.testing.assert_array_equal(dataset.train.labels, LABELS[train])
    assert dataset.classes == ("0", "1", "2")
    assert (dataset.test is None) == (test is None)
    if dataset.test is not None:
        np.testing.assert_array_equal(dataset.test.images, IMAGES[test])


def test_csv_alone_and_with_a_test_file(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "mine.csv")
    other = write_csv(tmp_path / "other.txt", IMAGES[4:], LABELS[4:])
    check(read(path))
    assert read(path).name == "mine"
    check(read(str(path), str(other)), test=slice(4, 6))


def test_what_is_opened_by_its_path_is_what_is_read_from_there(tmp_path: Path) -> None:
    train, test = write_csv(tmp_path / "a.csv"), write_csv(tmp_path / "b.csv", IMAGES[4:], LABELS[4:])
    opened = open_data(str(train), test, classes="210")
    check(open_data(train, test), test=slice(4, 6))
    assert opened.classes == ("2", "1", "0")
    np.testing.assert_array_equal(opened.train.labels, 2 - LABELS.astype(int))
    np.testing.assert_array_equal(opened.test.labels, 2 - LABELS[4:].astype(int))


def test_a_pair_of_csv_files_whose_names_differ_within_a_word(tmp_path: Path) -> None:
    write_csv(tmp_path / "mytrainset.csv", IMAGES[:4], LABELS[:4])
    write_csv(tmp_path / "mytestset.csv", IMAGES[4:], LABELS[4:])
    check(read(tmp_path / "mytrainset.csv"), slice(0, 4), slice(4, 6))


def test_the_books_pair_of_csv_files(tmp_path: Path) -> None:
    write_csv(tmp_path / "mnist_train.csv", IMAGES[:4], LABELS[:4])
    write_csv(tmp_path / "mnist_test.csv", IMAGES[4:], LABELS[4:])
    check(read(tmp_path / "mnist_train.csv"), slice(0, 4), slice(4, 6))
    check(read(tmp_path), slice(0, 4), slice(4, 6))
    write_csv(tmp_path / "third.csv", IMAGES[:1], LABELS[:1])
    check(read(tmp_path, tmp_path / "third.csv"), slice(0, 4), slice(0, 1))


def test_idx_folder_and_single_files(tmp_path: Path) -> None:
    folder = write_four(tmp_path / "set")
    check(read(folder), slice(0, 4), slice(4, 6))
    assert read(folder).name == "set"
    check(read(folder / "train-images-idx3-ubyte.gz"), slice(0, 4), slice(4, 6))
    only = read(folder / "t10k-images-idx3-ubyte.gz", classes=("0", "1", "2"))
    check(only, slice(4, 6))


def test_the_files_of_a_data_set_are_those_that_are_read(tmp_path: Path) -> None:
    folder = write_four(tmp_path / "set")
    assert {path.name[:5] for path in files_of(folder)} == {"train", "t10k-"} and len(files_of(folder)) == 4
    assert sorted(files_of(folder / "train-images-idx3-ubyte.gz")) == sorted(files_of(folder))
    assert {path.name[:5] for path in files_of(folder / "t10k-images-idx3-ubyte.gz")} == {"t10k-"}
    np.savez(tmp_path / "x_train.npz", images=IMAGES, labels=LABELS)
    np.savez(tmp_path / "x_test.npz", images=IMAGES, labels=LABELS)
    assert files_of(tmp_path / "x_train.npz") == [tmp_path / "x_train.npz"]
    train, test = (write_csv(tmp_path / f"mnist_{half}.csv") for half in ("train", "test"))
    assert files_of(train) == files_of(tmp_path) == [train, test]
    (tmp_path / "nothing").mkdir()
    for nothing in ("nothing", "absent"):
        with pytest.raises(DataError):
            files_of(tmp_path / nothing)


def test_an_idx_file_needs_its_labels(tmp_path: Path) -> None:
    write_idx(tmp_path / "pictures-images-idx3-ubyte", IMAGES)
    with pytest.raises(DataError, match="the labels that belong to it are not beside it"):
        read(tmp_path / "pictures-images-idx3-ubyte")
    write_idx(tmp_path / "pictures-labels-idx1-ubyte.gz", LABELS)
    check(read(tmp_path / "pictures-images-idx3-ubyte"))


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x_train=IMAGES[:4], y_train=LABELS[:4], x_test=IMAGES[4:], y_test=LABELS[4:])
    check(read(path), slice(0, 4), slice(4, 6))
    np.savez(path, images=IMAGES, labels=LABELS, classes=["x", "y", "z"])
    assert read(path).classes == ("x", "y", "z")


def test_what_a_file_holds_counts_not_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "archive.npz", images=IMAGES, labels=LABELS)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.csv")
    check(read(tmp_path / "archive.csv"))


def test_a_few_images_are_read_with_a_networks_classes(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "few.csv", IMAGES[:2], np.array([7, 7], np.uint8))
    dataset = read(path, classes="0123456789")
    assert dataset.train.labels.tolist() == [7, 7]
    assert len(dataset.classes) == 10


def test_the_test_half_must_fit(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"b\.csv: labels without a class: 7, 8, 9; the classes are 0, 1, 2"):
        read(train, write_csv(tmp_path / "b.csv", labels=LABELS + np.uint8(7)))
    with pytest.raises(DataError, match="2 x 2 pixels, but 3 x 3"):
        read(train, write_csv(tmp_path / "c.csv", IMAGES[:, :2, :2]))
    np.savez(tmp_path / "d.npz", images=IMAGES / 255, labels=LABELS)
    both = read(train, tmp_path / "d.npz")
    assert both.test is not None
    np.testing.assert_allclose(both.test.images, both.train.images, atol=1e-9)


@pytest.mark.parametrize("kind", ["absent", "empty folder", "binary", "picture"])
def test_what_is_not_understood_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\x7fELF\0\1\2\3")
    elif kind == "picture":
        Image.new("L", (28, 28)).save(path, "PNG")
    message = "a single picture is no data set" if kind == "picture" else "a CSV file with a label and its pixels"
    with pytest.raises(DataError, match=f"thing: .*{message}"):
        read(path)


def test_open_data_by_name_or_path(tmp_path: Path) -> None:
    assert open_data("digits").name == "digits"
    path = write_csv(tmp_path / "mine.csv")
    check(open_data(path))
    check(open_data(str(path), path), test=slice(None))


def test_open_data_knows_neither_name_nor_path() -> None:
    with pytest.raises(DataError) as caught:
        open_data("minst")
    message = str(caught.value)
    assert "'minst' is neither a file or folder nor a known data set" in message
    assert "digits, mnist, fashion-mnist, kmnist, emnist-letters" in message
    assert "CSV" in message


def test_open_data_with_another_test_half_and_other_classes(tmp_path: Path) -> None:
    digits = open_data("digits")
    assert digits.test is not None
    few = digits.test.select(slice(0, 5))
    np.savez(tmp_path / "few.npz", images=few.images, labels=few.labels, maximum=16)
    dataset = open_data("digits", tmp_path / "few.npz", classes=tuple("9876543210"))
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.test.labels, 9 - few.labels)
    np.testing.assert_array_equal(dataset.train.labels, 9 - digits.train.labels)


def test_mnist_by_its_folder(mnist: Dataset) -> None:
    assert mnist.name == "mnist"
    assert mnist.test is not None
    assert (len(mnist.train), len(mnist.test)) == (60000, 10000)


def test_it_is_said_which_is_taken_where_something_has_a_known_name(tmp_path, monkeypatch):
    digits = load("digits").train
    folder = tmp_path / "digits"
    folder.mkdir()
    np.savez(folder / "mine.npz", images=digits.images[:40], labels=digits.labels[:40])
    monkeypatch.chdir(tmp_path)
    with pytest.warns(
        AssumptionWarning, match=r"digits: the data set known by that name is taken; \./digits takes"
    ):
        assert len(open_data("digits").train) == len(digits)
    for given in ("digits/", "./digits"):
        with pytest.warns(AssumptionWarning, match="what lies there is taken, not the data set known by name"):
            assert len(open_data(given, how=Reading(pixel_range=(0, 16))).train) == 40


def test_a_path_that_is_loaded_by_name_is_told_to_be_read():
    with pytest.raises(
        DataError, match=r"unknown data set 'x.npz'; known are digits.*datasets.read takes the path"
    ):
        load("x.npz")
    with pytest.raises(DataError, match=r"unknown data set 'minst'; [^;]*$"):
        load("minst")
