"""MATLAB's files, written by SciPy as EMNIST's, MNIST's and SVHN's are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from backquery.datasets import read
from backquery.datasets.mat import read_mat
from backquery.datasets.mat_elements import sound_variables
from backquery.datasets.reading import files_of
from backquery.errors import DataError

RNG = np.random.default_rng(6)
IMAGES = RNG.integers(0, 256, (40, 28, 28), np.uint8)
LABELS = 1 + np.arange(40) % 26


@pytest.mark.reads("data", "`.mat` with images first to last or last to first, and labels", "read")
def test_images_last_to_first(tmp_path: Path) -> None:
    savemat(tmp_path / "mnist.mat", {"data": IMAGES.reshape(40, -1).T, "label": LABELS[None].astype(float)})
    assert files_of(tmp_path / "mnist.mat") == [tmp_path / "mnist.mat"]
    savemat(tmp_path / "stack.mat", {"X": np.moveaxis(IMAGES, 0, -1), "y": LABELS[:, None]})
    savemat(
        tmp_path / "halves.mat", {"train_x": IMAGES, "train_y": LABELS, "test_x": IMAGES[:9], "test_y": LABELS[:9]}
    )
    for name in ("mnist", "stack", "halves"):
        dataset = read(tmp_path / f"{name}.mat")
        np.testing.assert_array_equal(dataset.train.images, IMAGES)
        assert [dataset.classes[label] for label in dataset.train.labels] == list(map(str, LABELS))
    assert dataset.test is not None and len(dataset.test) == 9


@pytest.mark.reads("data", "EMNIST's `.mat` files", "read upright, both halves, with their characters for classes")
def test_emnist(tmp_path: Path) -> None:
    def half(count: int) -> dict[str, object]:
        columns = IMAGES[:count].transpose(0, 2, 1).reshape(count, -1)
        return {"images": columns, "labels": LABELS[:count, None].astype(float), "writers": LABELS[:count, None]}

    mapping = np.array([[k, 64 + k, 96 + k] for k in range(1, 27)])
    savemat(
        tmp_path / "emnist-letters.mat", {"dataset": {"train": half(40), "test": half(30), "mapping": mapping}}
    )
    train, test, classes = read_mat(tmp_path / "emnist-letters.mat")
    assert train.transposed and test is not None and test.transposed
    np.testing.assert_array_equal(train.images.transpose(0, 2, 1), IMAGES)
    assert classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert "".join(test.labels) == "ABCDEFGHIJKLMNOPQRSTUVWXYZABCD"


def test_every_element_is_looked_at_before_scipy_reads_it(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mat"
    savemat(whole, {"X": IMAGES, "note": "text", "many": np.array(["a", 1.5], object), "s": {"t": {"y": LABELS}}})
    assert sound_variables(whole) == ["X", "note", "many", "s"]
    content, broken = whole.read_bytes(), tmp_path / "broken.mat"
    for kind in (8, 14, 113, 2**16 - 1):
        place = content.index(b"X".ljust(4, b"\0")) + 4
        broken.write_bytes(content[:place] + kind.to_bytes(2, "little") + content[place + 2 :])
        with pytest.raises(DataError, match=f"an element of the type {kind}"):
            read_mat(broken)
    for length in (130, 200, len(content) - 9):
        broken.write_bytes(content[:length])
        with pytest.raises(DataError, match="it ends within an element"):
            read_mat(broken)


def svhn(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and digits in a file as SVHN's: MATLAB's order, and 10 for the digit 0."""
    images, digits = RNG.integers(0, 256, (count, 32, 32, 3), np.uint8), np.arange(count) % 10
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.where(digits == 0, 10, digits)[:, None]})
    return images, digits


@pytest.mark.reads("data", "SVHN's `.mat` files", "read in colour, both halves, with 0 for their label 10")
def test_svhn_is_in_colour(tmp_path: Path) -> None:
    train, test = svhn(tmp_path / "train_32x32.mat", 40), svhn(tmp_path / "test_32x32.mat", 20)
    for path in (tmp_path, tmp_path / "train_32x32.mat"):
        dataset = read(path)
        assert dataset.test is not None and dataset.classes == tuple("0123456789")
        for (images, digits), half in zip((train, test), (dataset.train, dataset.test), strict=True):
            np.testing.assert_array_equal(half.images, images)
            np.testing.assert_array_equal(half.labels, digits)
    (tmp_path / "others").mkdir()
    svhn(tmp_path / "others" / "mine.mat", 40)
    assert read(tmp_path / "others").classes == tuple(map(str, range(1, 11)))


def test_several_files_of_matlab_s_are_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        savemat(tmp_path / f"{name}.mat", {"X": IMAGES, "y": LABELS})
    with pytest.raises(DataError, match=r"name one of a\.mat, b\.mat"):
        read(tmp_path)


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"a": {"b": np.arange(3), "c": "text"}, "d": np.eye(2)})
    with pytest.raises(DataError, match=r"it has a\.b int64 \(1, 3\), a\.c <U4 \(1,\), d float64 \(2, 2\)"):
        read(tmp_path / "a.mat")
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(content[:200])
    with pytest.raises(DataError, match=r"a\.mat: cannot be read as \.mat"):
        read(tmp_path / "a.mat")
