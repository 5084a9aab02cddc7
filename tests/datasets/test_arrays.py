"""Arrays by their names: archives and files as their publishers name them, and by what a person says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import Dataset, Reading, fingerprint, read
from backquery.datasets.arrays import images_from_array
from backquery.datasets.names import half_of_folder, said
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError

RNG = np.random.default_rng(4)
IMAGES = RNG.integers(0, 256, (12, 5, 5), np.uint8)
LABELS = np.arange(12) % 3
TESTS, TEST_LABELS = IMAGES[:6] ^ 1, LABELS[:6]


def check(dataset: Dataset, test: bool = False, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    np.testing.assert_array_equal(dataset.train.images, images)
    assert [dataset.classes[label] for label in dataset.train.labels] == [str(label) for label in labels]
    assert (dataset.test is not None) == test
    if dataset.test is not None:
        np.testing.assert_array_equal(dataset.test.images, TESTS)


@pytest.mark.parametrize(
    ("name", "half", "kind"),
    [
        ("x_train", "train", "images"),
        ("XTest", "test", "images"),
        ("ytrain", "train", "labels"),
        ("Xtr", "train", "images"),
        ("train_images", "train", "images"),
        ("kmnist-test-labels", "test", "labels"),
        ("val_labels", "validation", "labels"),
        ("t10k-images", "test", "images"),
        ("data", None, "images"),
        ("target", None, "labels"),
        ("notes", None, None),
    ],
)
def test_what_names_say(name: str, half: str | None, kind: str | None) -> None:
    assert said(name)[:2] == (half, kind)


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("Train", "train"),
        ("training_set", "train"),
        ("TEST", "test"),
        ("testing", "test"),
        ("val", "validation"),
        ("Train Images", "train"),
        ("trainstation", None),
        ("train 3", None),
        ("cat", None),
    ],
)
def test_halves_by_the_names_of_folders(name: str, half: str | None) -> None:
    assert half_of_folder(name) == half


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(
            ("x_train", "y_train", "x_test", "y_test"),
            marks=pytest.mark.reads("data", "`.npz` by Keras' names, or scikit-learn's `X_train`", "both halves"),
        ),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images", "labels", "test_images", "test_labels"),
        ("trainX", "trainY", "testX", "testY"),
        ("digits_train_data", "digits_train_labels", "digits_test_data", "digits_test_labels"),
    ],
)
def test_both_halves_by_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    np.savez(tmp_path / "a.npz", **dict(zip(names, (IMAGES, LABELS, TESTS, TEST_LABELS), strict=True)))
    check(read(tmp_path / "a.npz"), test=True)


@pytest.mark.reads("data", "`.npz` with `X` and `y`, `data` and `target`, `images` and `labels`", "read")
@pytest.mark.parametrize("names", [("X", "y"), ("data", "target"), ("images", "labels"), ("pixels", "classes")])
def test_plain_names(tmp_path: Path, names: tuple[str, str]) -> None:
    np.savez(tmp_path / "a.npz", **{names[0]: IMAGES, names[1]: LABELS})
    check(read(tmp_path / "a.npz"))


@pytest.mark.reads("data", "`.npz` of MedMNIST", "train and test; that `val` is left out is said")
def test_medmnist(tmp_path: Path) -> None:
    arrays = {"train": (IMAGES, LABELS), "val": (IMAGES, LABELS), "test": (TESTS, TEST_LABELS)}
    named = {f"{half}_images": images for half, (images, _) in arrays.items()}
    named |= {f"{half}_labels": labels[:, None] for half, (_, labels) in arrays.items()}
    np.savez(tmp_path / "med.npz", **named)
    with pytest.warns(AssumptionWarning, match="'val_images' left out"):
        check(read(tmp_path / "med.npz"), test=True)
    chosen = Reading(images="val_images", labels="val_labels")
    check(read(tmp_path / "med.npz", how=chosen))
    check(read(tmp_path / "med.npz", how=Reading(images="val_images")))
    assert fingerprint(tmp_path / "med.npz") != fingerprint(tmp_path / "med.npz", how=chosen)
    del named["test_images"]
    named["val_images"] = TESTS
    named["val_labels"] = TEST_LABELS
    np.savez(tmp_path / "two.npz", **named)
    check(read(tmp_path / "two.npz"), test=True)


@pytest.mark.reads("data", "KMNIST's `kmnist-train-imgs.npz` beside its labels and its test half", "both halves")
def test_kmnist(tmp_path: Path) -> None:
    for name, array in (
        ("train-imgs", IMAGES),
        ("train-labels", LABELS),
        ("test-imgs", TESTS),
        ("test-labels", TEST_LABELS),
    ):
        np.savez(tmp_path / f"kmnist-{name}.npz", array)
        np.savez(tmp_path / f"k49-{name}.npz", array)
    path = tmp_path / "kmnist-train-imgs.npz"
    check(read(path), test=True)
    assert {file.name for file in files_of(path)} == {file.name for file in tmp_path.glob("kmnist*")}
    with pytest.raises(DataError, match=r"more than one data set may lie here; name one of k49"):
        read(tmp_path)


@pytest.mark.reads(
    "data", "`.npy` files beside one another (`X.npy`, `y.npy`; `x_train.npy`, ...)", "read together"
)
@pytest.mark.parametrize("names", [("X", "y"), ("x_train", "y_train", "x_test", "y_test")])
def test_single_arrays(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, array in zip(names, (IMAGES, LABELS, TESTS, TEST_LABELS), strict=False):
        np.save(tmp_path / f"{name}.npy", array)
    for path in (tmp_path, tmp_path / f"{names[0]}.npy"):
        check(read(path), test=len(names) == 4)
        assert {file.stem for file in files_of(path)} == set(names)


@pytest.mark.reads(
    "data", "an archive with any other names", "its names are listed; `--images` and `--labels` choose"
)
def test_other_names_are_listed_and_can_be_chosen(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", foo=IMAGES, bar=LABELS, baz=IMAGES[::-1])
    with pytest.raises(
        DataError, match=r"foo uint8 \(12, 5, 5\), bar int64 \(12,\), baz .*--images NAME --labels NAME"
    ):
        read(tmp_path / "a.npz")
    check(read(tmp_path / "a.npz", how=Reading(images="foo", labels="bar")))
    check(read(tmp_path / "a.npz", how=Reading(images="baz", labels="bar")), images=IMAGES[::-1])
    with pytest.raises(DataError, match=r"there is no array 'fou'; it has foo"):
        read(tmp_path / "a.npz", how=Reading(images="fou", labels="bar"))
    with pytest.raises(DataError, match=r"--labels is needed, too; it has foo"):
        read(tmp_path / "a.npz", how=Reading(images="foo"))


def test_the_only_pair_that_fits_is_taken_and_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", foo=IMAGES, bar=LABELS[:, None])
    with pytest.warns(AssumptionWarning, match="'foo' was taken for the images and 'bar' for their labels"):
        check(read(tmp_path / "a.npz"))


@pytest.mark.reads(
    "data", "labels as bytes, truth values, -1 and 1, or one-hot rows", "names, two classes, positions"
)
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([f"{k}".encode() for k in LABELS]), LABELS),
        (LABELS == 0, LABELS == 0),
        (np.where(LABELS == 0, -1, 1), np.where(LABELS == 0, -1, 1)),
        (np.eye(3)[LABELS], LABELS),
    ],
)
def test_labels_of_any_type(tmp_path: Path, labels: np.ndarray, names: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=labels)
    check(read(tmp_path / "a.npz"), labels=names)


@pytest.mark.parametrize(
    "array",
    [
        IMAGES,
        IMAGES.reshape(12, 25),
        IMAGES[..., None],
        IMAGES[:, None],
        IMAGES.reshape(12, 25).T,
        np.moveaxis(IMAGES, 0, -1),
        np.moveaxis(IMAGES, 0, -1)[:, :, None],
    ],
)
def test_images_of_any_order(array: np.ndarray) -> None:
    np.testing.assert_array_equal(images_from_array(array, 12, "x"), IMAGES)


COLOURS = RNG.integers(0, 256, (12, 5, 6, 3), np.uint8)


@pytest.mark.reads(
    "data",
    "arrays in colour, (n, height, width, 3), (n, 3, height, width) or (height, width, 3, n)",
    "read",
)
@pytest.mark.parametrize(
    "array",
    [
        COLOURS,
        COLOURS.transpose(0, 3, 1, 2),
        COLOURS.transpose(1, 2, 3, 0),
        np.concatenate([COLOURS, np.full((12, 5, 6, 1), 255, np.uint8)], axis=-1),
    ],
)
def test_colours_of_any_order(array: np.ndarray) -> None:
    np.testing.assert_array_equal(images_from_array(array, 12, "x"), COLOURS)


@pytest.mark.reads("data", "rows of pixels in colour", "read with `--shape 32,32,3`, or `3,32,32`")
def test_rows_of_colours_become_images_where_the_shape_is_told() -> None:
    first = COLOURS.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images_from_array(COLOURS.reshape(12, -1), 12, "x", (5, 6, 3)), COLOURS)
    np.testing.assert_array_equal(images_from_array(first.reshape(12, -1), 12, "x", (3, 5, 6)), COLOURS)
    grey = COLOURS[..., 0]
    np.testing.assert_array_equal(images_from_array(grey.reshape(12, -1), 12, "x", (5, 6)), grey)
    with pytest.raises(DataError, match=r"rows of 90 pixels, which make no image of the shape \(5, 5\)"):
        images_from_array(COLOURS.reshape(12, -1), 12, "x", (5, 5))
    with pytest.raises(DataError, match=r"--shape 20,28 or 32,32,3"):
        images_from_array(COLOURS.reshape(12, -1), 12, "x")


def test_what_is_transparent_in_parts_is_refused() -> None:
    holes = np.concatenate([COLOURS, np.full((12, 5, 6, 1), 255, np.uint8)], axis=-1)
    holes[3, 2, 2, 3] = 0
    with pytest.raises(DataError, match="transparent in parts"):
        images_from_array(holes, 12, "x")
