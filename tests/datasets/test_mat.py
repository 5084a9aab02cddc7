"""MATLAB's files, written by SciPy as EMNIST's, MNIST's and SVHN's are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from backquery.datasets import read
from backquery.datasets.mat import read_mat
from backquery.errors import DataError

RNG = np.random.default_rng(6)
IMAGES = RNG.integers(0, 256, (40, 28, 28), np.uint8)
LABELS = 1 + np.arange(40) % 26


@pytest.mark.reads("data", "`.mat` with images first to last or last to first, and labels", "read")
def test_images_last_to_first(tmp_path: Path) -> None:
    savemat(tmp_path / "mnist.mat", {"data": IMAGES.reshape(40, -1).T, "label": LABELS[None].astype(float)})
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


@pytest.mark.reads("data", "SVHN's `.mat` files", "refused so far: they are in colour")
def test_svhn_is_in_colour(tmp_path: Path) -> None:
    savemat(tmp_path / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 40), np.uint8), "y": LABELS[:, None]})
    with pytest.raises(DataError, match=r"train_32x32\.mat: 'X' holds pictures in colour"):
        read(tmp_path / "train_32x32.mat")


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"a": {"b": np.arange(3), "c": "text"}, "d": np.eye(2)})
    with pytest.raises(DataError, match=r"it has a\.b int64 \(1, 3\), a\.c <U4 \(1,\), d float64 \(2, 2\)"):
        read(tmp_path / "a.mat")
    content = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(content[:200])
    with pytest.raises(DataError, match=r"a\.mat: cannot be read as \.mat"):
        read(tmp_path / "a.mat")
