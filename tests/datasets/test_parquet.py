"""Parquet as Hugging Face, pandas and pyarrow write it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Reading, read
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError, MissingExtraError, ShortOfMemoryError
from backquery.model import memory
from tests.needs import needs

needs("pyarrow")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

RNG = np.random.default_rng(9)
LABELS = np.arange(8) % 3
IMAGES = np.zeros((8, 6, 6), np.uint8)
IMAGES[:, 1:-1, 1:-1] = RNG.integers(0, 256, (8, 4, 4))
NAMES = ["cat", "dog", "emu"]


def as_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def huggingface(path: Path, part: slice = slice(None), named: bool = True) -> Path:
    """A file as `datasets` writes it: pictures with their paths, classes named in the schema."""
    files = [{"bytes": as_png(image), "path": f"{k}.png"} for k, image in enumerate(IMAGES[part])]
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(files, picture), "label": pa.array(LABELS[part], pa.int64())})
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    if named:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    return path


def test_pictures_and_pixels_in_colour(tmp_path: Path) -> None:
    colours = RNG.integers(0, 256, (8, 6, 6, 3), np.uint8)
    files = pa.table({"image": [as_png(one) for one in colours], "label": LABELS})
    pq.write_table(files, tmp_path / "files.parquet")
    nested = pa.table({"pixels": colours.transpose(0, 3, 1, 2).tolist(), "label": LABELS})
    pq.write_table(nested, tmp_path / "nested.parquet")
    with pytest.warns(AssumptionWarning, match="in colour, and are read so"):
        np.testing.assert_array_equal(read(tmp_path / "files.parquet").train.images, colours)
    np.testing.assert_array_equal(read(tmp_path / "nested.parquet").train.images, colours)
    grey = read(tmp_path / "files.parquet", how=Reading(colour=False, ink="light")).train.images
    np.testing.assert_array_equal(grey[3], np.asarray(Image.fromarray(colours[3]).convert("L")))
    nested_grey = read(tmp_path / "nested.parquet", how=Reading(colour=False)).train.images
    np.testing.assert_array_equal(nested_grey, grey)


@pytest.mark.reads(
    "data", "Parquet of Hugging Face, with a column of pictures", "all files of both halves, its classes by name"
)
def test_hugging_face(tmp_path: Path) -> None:
    huggingface(tmp_path / "data/train-00000-of-00002.parquet", slice(0, 3))
    huggingface(tmp_path / "data/train-00001-of-00002.parquet", slice(3, 6))
    huggingface(tmp_path / "data/test-00000-of-00001.parquet", slice(6, 8))
    for path in (tmp_path, tmp_path / "data/train-00000-of-00002.parquet"):
        dataset = read(path)
        np.testing.assert_array_equal(dataset.train.images, IMAGES[:6])
        assert dataset.test is not None
        np.testing.assert_array_equal(dataset.test.images, IMAGES[6:])
        assert dataset.classes == ("cat", "dog", "emu")
        np.testing.assert_array_equal(dataset.train.labels, LABELS[:6])
        assert set(files_of(path)) == set((tmp_path / "data").iterdir())


def test_without_names_the_numbers_are_the_classes(tmp_path: Path) -> None:
    dataset = read(huggingface(tmp_path / "a.parquet", named=False))
    assert dataset.classes == ("0", "1", "2")
    np.testing.assert_array_equal(dataset.train.images, IMAGES)


def test_the_column_whose_classes_are_named_holds_the_labels(tmp_path: Path) -> None:
    features = {"species": {"names": NAMES, "_type": "ClassLabel"}, "label": {"_type": "Value"}}
    schema = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"pixels": IMAGES.tolist(), "label": np.arange(8), "species": LABELS})
    pq.write_table(table.replace_schema_metadata(schema), tmp_path / "two.parquet")
    dataset = read(tmp_path / "two.parquet")
    assert dataset.classes == ("cat", "dog", "emu")
    np.testing.assert_array_equal(dataset.train.labels, LABELS)


@pytest.mark.reads("data", "Parquet with a column for each pixel, or of nested lists", "read; pyarrow is needed")
def test_pixels_in_columns_and_in_lists(tmp_path: Path) -> None:
    words = np.array(NAMES)[LABELS]
    columns = {f"pixel{k}": column for k, column in enumerate(IMAGES.reshape(8, -1).T)}
    pq.write_table(pa.table({"label": words, **columns}), tmp_path / "columns.parquet")
    pq.write_table(pa.table({"pixels": IMAGES.tolist(), "animal": words}), tmp_path / "lists.parquet")
    flat = pa.FixedSizeListArray.from_arrays(pa.array(IMAGES.ravel()), 36)
    pq.write_table(pa.table({"pixels": flat, "label": words, "page": np.arange(8)}), tmp_path / "flat.parquet")
    for name in ("columns", "lists", "flat"):
        dataset = read(tmp_path / f"{name}.parquet")
        np.testing.assert_array_equal(dataset.train.images, IMAGES)
        assert [dataset.classes[label] for label in dataset.train.labels] == words.tolist()


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    table = pa.table({
        "a": [as_png(image) for image in IMAGES], "b": [as_png(image.T) for image in IMAGES],
        "first": LABELS, "second": LABELS % 2,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "two.parquet")
    with pytest.raises(DataError, match="pictures are in a, b; choose one with --images"):
        read(tmp_path / "two.parquet")
    with pytest.raises(DataError, match="which column holds the labels"):
        read(tmp_path / "two.parquet", how=Reading(images="a"))
    dataset = read(tmp_path / "two.parquet", how=Reading(images="b", label_column="second"))
    np.testing.assert_array_equal(dataset.train.images, IMAGES.transpose(0, 2, 1))
    np.testing.assert_array_equal(dataset.train.labels, LABELS % 2)
    with pytest.raises(DataError, match="no column 'c' for --images; it has a, b, first, second"):
        read(tmp_path / "two.parquet", how=Reading(images="c"))


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(huggingface(tmp_path / "whole.parquet").read_bytes()[:-50])
    with pytest.raises(DataError, match=r"cut\.parquet: cannot be read as Parquet"):
        read(tmp_path / "cut.parquet")
    pq.write_table(pa.table({"image": [b"no picture"] * 8, "label": LABELS}), tmp_path / "text.parquet")
    with pytest.raises(DataError, match="the picture: cannot be read as PNG"):
        read(tmp_path / "text.parquet")
    pq.write_table(
        pa.table({"image": [as_png(IMAGES[0])], "label": pa.array([None], pa.int64())}), tmp_path / "n.parquet"
    )
    with pytest.raises(DataError, match="1 rows have no 'label'"):
        read(tmp_path / "n.parquet")
    pq.write_table(pa.table({"pixels": [[1, 2], [3]], "label": [0, 1]}), tmp_path / "ragged.parquet")
    with pytest.raises(DataError, match="the pictures have different sizes"):
        read(tmp_path / "ragged.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = huggingface(tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'backquery\[parquet\]'"):
        read(path)


def test_what_does_not_fit_is_refused_for_that_and_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = huggingface(tmp_path / "train.parquet")
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 0)
    with pytest.raises(ShortOfMemoryError, match=r"^reading .*train\.parquet needs .*: fewer or smaller images"):
        read(path)
