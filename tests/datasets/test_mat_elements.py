"""MATLAB's files, element by element, packed and not, whole and broken: built here as the format has them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import eye_array

from backquery.datasets import read
from backquery.datasets.mat_elements import DEEPEST, MOST_PARTS, sound_variables

HEADER = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
INT8, UINT8, INT32, UINT32, DOUBLE, MATRIX, PACKED = 1, 2, 5, 6, 9, 14, 15
CELL, STRUCT, OBJECT, TEXT, SPARSE, NUMBERS, FUNCTION = 1, 2, 3, 4, 5, 6, 16
COMPLEX = 0x0800


def element(kind: int, content: bytes = b"", order: str = "<") -> bytes:
    return struct.pack(f"{order}2I", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def small(kind: int, content: bytes) -> bytes:
    """An element of at most four bytes, which stand in its tag."""
    return struct.pack("<2H", kind, len(content)) + content.ljust(4, b"\0")


def array(
    kind: int, *content: bytes, name: bytes = b"x", shape: tuple[int, ...] = (1, 1), flags: int = 0
) -> bytes:
    told = element(UINT32, struct.pack("<2I", kind | flags, 0))
    lengths = element(INT32, struct.pack(f"<{len(shape)}i", *shape))
    return element(MATRIX, told + lengths + small(INT8, name) + b"".join(content))


ONE = element(DOUBLE, struct.pack("<d", 1.0))
NESTED = b""
for _ in range(DEEPEST + 2):
    NESTED = array(CELL, NESTED) if NESTED else array(NUMBERS, ONE)


def written(path: Path, content: bytes, packed: bool) -> Path:
    if packed:  # the one kind of element that is not filled up to eight bytes
        content = zlib.compress(content)
        content = struct.pack("<2I", PACKED, len(content)) + content
    path.write_bytes(HEADER + content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_is_found_whole(packed: bool, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (300, 28, 28), np.uint8)
    variables = {
        "X": images, "y": np.arange(300) % 10, "note": "text", "s": {"t": {"u": np.eye(2)}}, "i": np.array([1j]),
        "sparse": eye_array(3, format="csc"), "many": np.array(["a", 1.5], object), "none": np.zeros((0, 3)),
    }  # fmt: skip
    savemat(tmp_path / "whole.mat", variables, do_compression=packed)
    assert sound_variables(tmp_path / "whole.mat") == list(variables)
    np.testing.assert_array_equal(read(tmp_path / "whole.mat").train.images, images)


def test_another_order_of_bytes(tmp_path: Path) -> None:
    lengths, flags = element(INT32, struct.pack(">2i", 1, 1), ">"), element(UINT32, struct.pack(">2I", 6, 0), ">")
    content = flags + lengths + element(INT8, b"other", ">") + element(DOUBLE, struct.pack(">d", 1.0), ">")
    path = tmp_path / "other.mat"
    path.write_bytes(HEADER[:-2] + b"MI" + element(MATRIX, content, ">"))
    assert sound_variables(path) == ["other"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "names"),
    [
        (array(NUMBERS, ONE), ["x"]),
        (array(NUMBERS, small(UINT8, b"\1\2\3"), shape=(1, 3)), ["x"]),
        (array(NUMBERS, ONE, ONE, flags=COMPLEX), ["x"]),
        (array(CELL, element(MATRIX), shape=(1, 1)), ["x"]),
        (array(FUNCTION, ONE), []),
        (array(OBJECT, ONE), []),
    ],
    ids=["numbers", "small", "complex", "an empty cell", "a function", "an object"],
)
def test_what_is_sound_is_named(content: bytes, names: list[str], packed: bool, tmp_path: Path) -> None:
    assert sound_variables(written(tmp_path / "a.mat", content, packed)) == names


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (element(DOUBLE, bytes(8)), "an element of the type 9$"),
        (element(MATRIX, element(UINT32, bytes(4))), "an array says nothing of itself"),
        (element(MATRIX, element(INT32, bytes(8))), "an element of the type 5$"),
        (array(NUMBERS, element(113, bytes(8))), "an element of the type 113$"),
        (array(NUMBERS, struct.pack("<2H", DOUBLE, 5) + bytes(4)), "an element of the type 327689$"),
        (array(NUMBERS, ONE, flags=COMPLEX), "longer than what it lies in"),
        (array(NUMBERS, struct.pack("<2I", DOUBLE, 2**31)), "longer than what it lies in"),
        (array(NUMBERS, ONE, shape=(1, -1)), "a length below zero"),
        (array(STRUCT, small(INT32, struct.pack("<i", 3)), element(INT8, b"abcd")), "a struct's names are broken"),
        (array(STRUCT, element(INT32), element(INT8, b"abcd")), "a struct's names are broken"),
        (array(CELL, ONE), "an element of the type 9$"),
        (array(CELL, array(OBJECT, ONE)), "an object of the class 3"),
        (array(CELL, shape=(MOST_PARTS, 2)), "too many parts"),
        (NESTED, "too many parts"),
    ],
)
def test_what_is_broken_is_said(content: bytes, why: str, packed: bool, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        sound_variables(written(tmp_path / "a.mat", content, packed))


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_short_anywhere_is_said(packed: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "a.mat", array(NUMBERS, ONE), packed)
    whole = path.read_bytes()
    # What is packed ends with a mark and a checksum, which say nothing new.
    for length in range(len(HEADER) + 1, len(whole) - 8 * packed):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="ends within an element"):
            sound_variables(path)


def test_what_is_packed_and_holds_less_than_it_says_is_said(tmp_path: Path) -> None:
    for length in (4, 20, 60):
        path = written(tmp_path / "a.mat", array(NUMBERS, ONE)[:length], packed=True)
        with pytest.raises(ValueError, match="ends within an element"):
            sound_variables(path)


def test_a_header_of_something_else_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(200))
    with pytest.raises(ValueError, match="no order of bytes"):
        sound_variables(tmp_path / "a.mat")
