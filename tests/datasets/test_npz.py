"""NumPy archives: both sets of names, every shape that is meant, and nothing that must be unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backquery.datasets import read
from backquery.datasets.npz import read_npz
from backquery.errors import DataError

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
LABELS = np.array([2, 0, 1])


def saved(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@given(
    hnp.arrays(st.sampled_from(["u1", "i8", "f4", "f8"]), st.just((3, 2, 2)), elements=st.integers(0, 100)),
    hnp.arrays(st.sampled_from(["u1", "i4", "f8"]), 3, elements=st.integers(0, 9)),
    st.booleans(),
)
def test_what_was_saved_is_read(tmp_path_factory: pytest.TempPathFactory, images, labels, packed: bool) -> None:
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    (np.savez_compressed if packed else np.savez)(path, images=images, labels=labels)
    train, test, names = read_npz(path)
    np.testing.assert_array_equal(train.images, images)
    assert train.images.dtype == images.dtype
    assert train.labels.tolist() == labels.tolist()
    assert (test, names) == (None, None)


def test_the_names_of_keras_and_the_plain_ones(tmp_path: Path) -> None:
    for names in (("x_train", "y_train", "x_test", "y_test"), ("images", "labels", "test_images", "test_labels")):
        arrays = dict(zip(names, (IMAGES, LABELS, IMAGES[:1] + 50, LABELS[:1]), strict=True))
        train, test, _ = read_npz(saved(tmp_path, **arrays))
        np.testing.assert_array_equal(train.images, IMAGES)
        assert test is not None
        np.testing.assert_array_equal(test.images, IMAGES[:1] + 50)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 4), (3, 2, 2, 1)])
def test_shapes_that_mean_the_same(tmp_path: Path, shape: tuple[int, ...]) -> None:
    train, _, _ = read_npz(saved(tmp_path, images=IMAGES.reshape(shape), labels=LABELS[:, None]))
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)


def test_names_classes_and_maximum(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        images=IMAGES / 16,
        labels=np.array(["cat", "dog", "cat"]),
        classes=np.array(["dog", "cat"]),
        maximum=16,
        notes=np.array([{}], object),
    )
    train, _, names = read_npz(path)
    assert train.labels.tolist() == ["cat", "dog", "cat"]
    assert names == ("dog", "cat")
    assert train.maximum == 16


@pytest.mark.parametrize(("highest", "maximum"), [(1.0, 1.0), (0.5, 1.0), (150.5, 255.0)])
def test_the_maximum_is_guessed_for_fractions(tmp_path: Path, highest: float, maximum: float) -> None:
    assert read(saved(tmp_path, images=np.full((3, 2, 2), highest), labels=LABELS)).maximum == maximum


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"photos": IMAGES},
            r"which arrays are the images .* it has photos uint8 \(3, 2, 2\); choose with --images",
        ),
        ({"images": IMAGES}, r"it has images uint8 \(3, 2, 2\)"),
        ({"images": IMAGES, "labels": LABELS[:2]}, "holds 3 images, but there are 2 labels"),
        ({"images": np.array([[{}]], object), "labels": LABELS}, "Python objects, which are never unpickled"),
        ({"images": np.zeros((3, 2, 2, 2)), "labels": LABELS}, r"\(n, height, width, 3\) in colour"),
        ({"images": np.zeros((3, 5)), "labels": LABELS}, r"side \* side"),
        ({"images": np.full((3, 2, 2), "x"), "labels": LABELS}, "pixels must be numbers"),
        ({"images": np.zeros((3, 2, 2), complex), "labels": LABELS}, "pixels must be numbers"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, "one label for each image"),
        ({"images": IMAGES, "labels": np.full(3, np.nan)}, "one label for each image"),
        ({"images": IMAGES, "labels": LABELS, "maximum": np.zeros(2)}, "'maximum' must be one number"),
    ],
)
def test_bad_archives_say_what_is_wrong(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = saved(tmp_path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_npz(path)
    assert str(caught.value).startswith(str(path))


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    path = saved(tmp_path, images=np.array([Trap()], object), labels=LABELS)
    with pytest.raises(DataError, match="never unpickled"):
        read_npz(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_broken_archives_are_named(tmp_path: Path, damage: str) -> None:
    path = saved(tmp_path, images=IMAGES, labels=LABELS)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[135] ^= 0xFF
    else:
        content = bytearray(b"text" if damage == "text" else b"")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.npz: .*cannot be read as \.npz"):
        read_npz(path)


def test_a_header_that_lies_is_refused(tmp_path: Path) -> None:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        member, {"descr": "|u1", "fortran_order": False, "shape": (4_000_000_000, 2, 2)}
    )
    path = tmp_path / "liar.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", member.getvalue() + bytes(8))
    with pytest.raises(DataError, match="'images': its header announces 16000000000 bytes, but it has 8"):
        read_npz(path)


def test_classes_may_be_called_class_names(tmp_path: Path) -> None:
    names = np.array(["ant", "bee"])
    dataset = read(
        saved(
            tmp_path,
            images=np.eye(4, dtype=np.uint8)[None].repeat(4, 0) * 255,
            labels=[0, 1, 0, 1],
            class_names=names,
        )
    )
    assert dataset.classes == ("ant", "bee")


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(saved(tmp_path, images=np.zeros((0, 9, 9), np.uint8), labels=np.zeros(0, int)))
