"""What a reader of data meets last: limits, files that vanish, and kinds that no other test writes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Reading, arrays, csv, prepare_image, prepare_steps, read, text
from backquery.datasets.text import Layout, Part
from backquery.errors import AssumptionWarning, DataError

SQUARE = ",".join(f"{row}x{column}" for row in range(2) for column in range(2))


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_table_that_vanishes_while_it_is_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv: cannot be read \(No such file"):
        csv.table_in(Part(tmp_path / "gone.csv"), Layout(",", 5))


@pytest.mark.parametrize("separator", [",", " "])
def test_a_text_beyond_the_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    monkeypatch.setattr(csv, "MOST_TEXT", 30)
    path = written(tmp_path / "long.csv", f"{separator.join('10009')}\n" * 10)
    with pytest.raises(DataError, match=r"long\.csv: more than 30 bytes of text; split the file"):
        read(path)


def test_pixels_above_a_byte_keep_their_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "deep.csv", "1,300,0,0,9\n2,0,256,0,9\n")
    np.testing.assert_array_equal(
        read(path, how=Reading(pixel_range=(0, 300))).train.images[0], [[300, 0], [0, 9]]
    )


def test_a_number_too_large_for_any_pixel_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "vast.csv", "1,0,1e60,0,9\n2,0,0,0,9\n")
    with pytest.raises(DataError, match=r"vast\.csv: not understood"):
        read(path)


def test_a_label_between_the_pixels_must_be_whole(tmp_path: Path) -> None:
    header, rows = "pixel0,pixel1,kind,pixel2,pixel3", ["0,1,{},2,3", "4,5,2,6,7"]
    path = written(tmp_path / "kind.csv", "\n".join([header, rows[0].format("1.5"), rows[1]]) + "\n")
    with pytest.raises(DataError, match=r"kind.csv: 1.5 is not a label"):
        read(path)
    written(path, "\n".join([header, rows[0].format("1"), rows[1]]) + "\n")
    dataset = read(path, how=Reading(pixel_range=(0, 7)))
    np.testing.assert_array_equal(dataset.train.images[1], [[4, 5], [6, 7]])


def test_a_column_is_asked_for_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "asked.csv", f"Sort,{SQUARE},other\n7,0,1,2,3,5\n8,4,5,6,7,5\n")
    with pytest.warns(AssumptionWarning, match="left out: other"):
        assert read(path, how=Reading(label_column="sort", pixel_range=(0, 7))).classes == ("7", "8")


def test_names_column_by_column_are_put_in_order_and_said(tmp_path: Path) -> None:
    path = written(tmp_path / "turned.csv", "label,0x0,1x0,0x1,1x1\n1,10,20,30,40\n2,1,2,3,4\n")
    with pytest.warns(AssumptionWarning, match="was taken for its row"):
        dataset = read(path, how=Reading(pixel_range=(0, 40)))
    np.testing.assert_array_equal(dataset.train.images[0], [[10, 30], [20, 40]])


def test_a_table_alone_is_its_own_only_text(tmp_path: Path) -> None:
    path = written(tmp_path / "alone.csv", "1,0,0,0,9\n")
    assert text.texts_in(path) == [Part(path)]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "1,0,0,0,9\n")
    assert text.texts_in(tmp_path / "two.zip") == [Part(tmp_path / "two.zip", "a.csv")]


def test_pictures_that_are_not_there_or_are_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: there is no such file"):
        prepare_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"is a folder; name the pictures in it"):
        prepare_image(tmp_path)


def test_a_white_sheet_is_blank_and_a_drawn_one_is_not() -> None:
    white = Image.new("L", (40, 30), 255)
    assert prepare_steps(white).blank and not prepare_image(white, ink="light").any()
    drawn = white.copy()
    drawn.paste(0, (15, 10, 25, 20))
    assert not prepare_steps(drawn).blank


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)])
def test_steps_are_made_small_to_be_looked_at(shape: tuple[int, ...]) -> None:
    picture = Image.new("RGB", (90, 60), "white")
    picture.paste((200, 0, 0), (30, 20, 60, 40))
    steps = prepare_steps(picture, shape)
    small = steps.within(30)
    assert max(small.given.shape[:2]) <= 30 and max(small.ink.shape[:2]) <= 30
    assert small.given.shape[2:] == steps.given.shape[2:]
    np.testing.assert_array_equal(small.pixels, steps.pixels)


def test_a_deep_grey_picture_is_read_in_colour_as_grey() -> None:
    deep = Image.fromarray(np.linspace(0, 65535, 28 * 28).reshape(28, 28).astype(np.uint16))
    pixels = prepare_image(deep, (28, 28, 3), centre=False)
    assert np.ptp(pixels) > 200
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_an_archive_beyond_the_limit_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MEMORY_LIMIT", 10)
    np.savez(tmp_path / "large.npz", x_train=np.zeros((3, 4, 4), np.uint8), y_train=np.arange(3))
    with pytest.raises(DataError, match=r"large\.npz: more than 10 bytes when unpacked"):
        read(tmp_path / "large.npz")


def test_records_are_no_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "records.npz", x_train=np.zeros((3, 4, 4), [("red", "u1")]), y_train=np.arange(3))
    with pytest.raises(DataError, match=r"records\.npz"):
        read(tmp_path / "records.npz")


def test_an_archive_of_several_arrays_is_no_part_of_a_set_of_single_ones(tmp_path: Path) -> None:
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    np.savez(tmp_path / "own-train-imgs.npz", images)
    np.savez(tmp_path / "own-train-labels.npz", np.arange(3))
    np.savez(tmp_path / "own-test-imgs.npz", images, images)
    dataset = read(tmp_path / "own-train-imgs.npz", how=Reading(pixel_range=(0, 255)))
    np.testing.assert_array_equal(dataset.train.images, images)


def test_what_is_no_array_in_a_mat_file_is_passed_over(tmp_path: Path) -> None:
    from scipy.io import savemat
    from scipy.sparse import csr_matrix

    drawn = np.zeros((3, 4, 4), bool)
    drawn[:, 1:3, 1:3] = [[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[0, 0], [1, 1]]]
    cells = np.array(["a", np.zeros(2)], dtype=object)
    more: dict[str, Any] = {"scattered": csr_matrix(np.eye(3)), "cells": cells}
    savemat(tmp_path / "mixed.mat", {"X": drawn, "y": np.array([1, 2, 3]), **more})
    dataset = read(tmp_path / "mixed.mat", how=Reading(pixel_range=(0, 1)))
    np.testing.assert_array_equal(dataset.train.images > 0, drawn)


def as_png(side: int = 6) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.eye(side, dtype=np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.needs("pyarrow")
class TestParquet:
    """Tables that name what they do not hold, or hold more than there is room for."""

    def table(self, path: Path, **columns: Any) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = pa.array(
            [{"bytes": as_png(), "path": None}] * 3, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        )
        table = pa.table({"image": files, "label": pa.array([0, 1, 2])} | columns)
        pq.write_table(table, path)
        return path

    def test_other_tables_in_the_folder_are_none_of_its_parts(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "own-train.parquet")
        self.table(tmp_path / "other-test.parquet")
        assert read(path, how=Reading(ink="light")).test is None

    def test_one_beyond_the_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from backquery.datasets import parquet

        monkeypatch.setattr(parquet, "MEMORY_LIMIT", 10)
        with pytest.raises(DataError, match="more than 10 bytes when unpacked; split it"):
            read(self.table(tmp_path / "train.parquet"))

    def test_a_column_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="--label-column"):
            read(self.table(tmp_path / "train.parquet"), how=Reading(label_column="kind"))

    def test_labels_beyond_the_names(self, tmp_path: Path) -> None:
        import json

        import pyarrow.parquet as pq

        path = self.table(tmp_path / "train.parquet")
        features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
        told = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(pq.read_table(path).replace_schema_metadata(told), path)
        with pytest.raises(DataError, match="labels from 0 to 2, but it names 2 classes"):
            read(path)

    def test_pictures_that_are_only_named(self, tmp_path: Path) -> None:
        import pyarrow as pa

        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        files = pa.array([{"bytes": as_png(), "path": "a.png"}, *[{"bytes": None, "path": "b.png"}] * 2], kind)
        with pytest.raises(DataError, match="only named there"):
            read(self.table(tmp_path / "train.parquet", image=files))

    def test_tensors_of_one_shape(self, tmp_path: Path) -> None:
        import pyarrow as pa

        pixels = np.arange(108, dtype=np.uint8).reshape(3, 6, 6)
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
        path = self.table(tmp_path / "train.parquet", image=column)
        np.testing.assert_array_equal(
            read(path, how=Reading(pixel_range=(0, 255), ink="light", shape=(6, 6))).train.images, pixels
        )


def pictures(folder: Path, *names: str) -> None:
    folder.mkdir()
    for position, name in enumerate(names):
        Image.fromarray(np.eye(6, k=position, dtype=np.uint8) * 255).save(folder / name)


def test_a_list_without_a_label_for_a_picture(tmp_path: Path) -> None:
    pictures(tmp_path / "p", "a.png", "b.png", "c.png")
    written(tmp_path / "p" / "labels.csv", "name,label\na,cat\nb,dog\nc, \n")
    with pytest.raises(DataError, match=r"no label for .*c.png; write one behind its name"):
        read(tmp_path / "p")


def test_a_list_s_column_by_its_number_beside_a_file_that_is_no_list(tmp_path: Path) -> None:
    pictures(tmp_path / "p", "a.png", "b.png")
    written(tmp_path / "p" / "labels.csv", "name,first,second\na,x,cat\nb,y,dog\n")
    written(tmp_path / "p" / "empty.csv", "")
    dataset = read(tmp_path / "p", how=Reading(label_column=3, ink="light"))
    assert dataset.classes == ("cat", "dog")
