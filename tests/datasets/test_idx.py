"""IDX: what is written is read back, and no lie in a header is believed."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backquery.datasets import idx
from backquery.errors import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def header(*shape: int, code: int = 8) -> bytes:
    return struct.pack(f">4B{len(shape)}I", 0, 0, code, len(shape), *shape)


@given(
    hnp.arrays(
        st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    st.booleans(),
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, values, zipped: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / ("values.gz" if zipped else "values")
    idx.write_idx(path, values)
    read = idx.read_idx(path)
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    idx.write_idx(tmp_path / "labels", np.array([1, -2], np.int16))
    assert (tmp_path / "labels").read_bytes() == bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFE])


def test_types_that_the_format_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="received uint32 in 1"):
        idx.write_idx(tmp_path / "x", np.zeros(3, np.uint32))
    with pytest.raises(DataError, match="float64 in 0"):
        idx.write_idx(tmp_path / "x", np.array(1.0))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"label,1,2", "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (b"\0\0\x07\1\0\0\0\1x", "not an IDX file"),
        (header(2, 3)[:-1], "cut short in the header"),
        (header(2, 3) + bytes(5), r"announces 18 bytes|cut short, 5 of 6"),
        (header(2, 3) + bytes(7), "announces 18 bytes|longer than its header"),
        (header(60000, 28, 28) + bytes(99), "announces 47040016 bytes"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "at most 4294967296 are read"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str, zipped: bool) -> None:
    path = tmp_path / "broken"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataError, match=f"broken: .*({message})"):
        idx.read_idx(path)


def test_a_header_that_lies_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "liar"
    path.write_bytes(header(4_000_000_000) + bytes(1000))
    tracemalloc.start()
    with pytest.raises(DataError, match="announces 4000000008 bytes, but the file has 1008"):
        idx.read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.gz"
    idx.write_idx(path, np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-20]
    else:
        content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.gz: .*fetch or copy the file again"):
        idx.read_idx(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot be read"):
        idx.read_idx(tmp_path / "absent")


def write_set(folder: Path, *names: str) -> None:
    for name in names:
        idx.write_idx(folder / f"{name}-images-idx3-ubyte.gz", IMAGES)
        idx.write_idx(folder / f"{name}-labels.idx1-ubyte", np.arange(len(IMAGES), dtype=np.uint8))


def test_sets_of_files_by_their_names(tmp_path: Path) -> None:
    write_set(tmp_path, "train", "t10k", "emnist-digits-train", "emnist-digits-test", "lone-test")
    found = idx.sets_in(tmp_path)
    assert {name: len(pairs) for name, pairs in found.items()} == {"": 2, "emnist-digits-": 2}
    for pairs, half in zip(found.values(), ("t10k", "emnist-digits-test"), strict=True):
        assert pairs[1] == (tmp_path / f"{half}-images-idx3-ubyte.gz", tmp_path / f"{half}-labels.idx1-ubyte")
        assert idx.pairs_of(pairs[0][0]) == pairs
        assert idx.pairs_of(pairs[1][0]) == pairs[1:]


def test_images_without_their_labels_make_no_set(tmp_path: Path) -> None:
    write_set(tmp_path, "train")
    (tmp_path / "train-labels.idx1-ubyte").unlink()
    assert idx.sets_in(tmp_path) == {}
    assert idx.pairs_of(tmp_path / "train-images-idx3-ubyte.gz") is None


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, np.zeros(3, np.uint8), "2 images, but .* 3 labels"),
        (IMAGES[0], np.zeros(2, np.uint8), "images have three axes"),
        (IMAGES, np.zeros((2, 1), np.uint8), "one row of whole numbers"),
        (IMAGES, np.zeros(2, np.float32), "one row of whole numbers"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, images, labels, message: str) -> None:
    idx.write_idx(tmp_path / "images", images)
    idx.write_idx(tmp_path / "labels", labels)
    with pytest.raises(DataError, match=message):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")


def test_a_fourth_axis_holds_three_colours_and_nothing_else(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 4), np.uint8)
    idx.write_idx(tmp_path / "labels", np.arange(4, dtype=np.uint8))
    idx.write_idx(tmp_path / "colours", images[..., :3])
    np.testing.assert_array_equal(idx.read_pair(tmp_path / "colours", tmp_path / "labels").images, images[..., :3])
    idx.write_idx(tmp_path / "more", images)
    with pytest.raises(DataError, match=r"the shape \(4, 5, 6, 4\); images have three axes"):
        idx.read_pair(tmp_path / "more", tmp_path / "labels")
