"""Files that are not read are named for what they are, written by the programs that write them."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import read
from backquery.errors import DataError


def hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 2, 2))


def packed_pictures(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("digits/3/a.png", b"")


def tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        archive.add(Path(__file__), "a.py")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        pytest.param(
            "a.h5",
            hdf5,
            "this is HDF5 .* save images and labels with numpy.savez",
            marks=[
                pytest.mark.needs("h5py"),
                pytest.mark.reads("data", "HDF5, and `.mat` of version 7.3", "refused; `numpy.savez` helps"),
            ],
        ),
        pytest.param(
            "data_batch_1",
            lambda path: path.write_bytes(pickle.dumps({"data": np.zeros(3)})),
            "this is a pickle, which could run any program .* numpy.savez",
            marks=pytest.mark.reads("data", "pickles (CIFAR's batches, `.pkl`, `.pt`)", "refused, never opened"),
        ),
        pytest.param(
            "a.zip",
            packed_pictures,
            "this is an archive of 1 files; unpack it, and name the folder",
            marks=pytest.mark.reads("data", "zip or tar archives of pictures", "refused; unpack them first"),
        ),
        ("a.tar", tarred, "this is a tar archive; unpack it"),
        ("a.tar.gz", tarred, "this is a tar archive; unpack it"),
        pytest.param(
            "a.tfrecord",
            lambda path: path.write_bytes(b"\x10\0\0\0\0\0\0\0" + bytes(30)),
            "this is a TFRecord",
            marks=pytest.mark.reads(
                "data", "TFRecord, Arrow, Feather, spreadsheets, SQLite", "refused, saying what to do"
            ),
        ),
        ("a.arrow", lambda path: path.write_bytes(b"ARROW1\0\0" + bytes(30)), "is an Arrow file; save the table"),
        ("a.db", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(30)), "is a database"),
        ("a.tif", lambda path: Image.new("L", (9, 9)).save(path), "a single picture is no data set"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        read(path)


def test_a_spreadsheet_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(DataError, match="this is a spreadsheet; save it as CSV"):
        read(tmp_path / "a.xlsx")


@pytest.mark.reads("data", "a web page or a Git LFS pointer in place of the file", "refused for what it is")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html>\n<html>a,b</html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_a_failed_download_leaves(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)
