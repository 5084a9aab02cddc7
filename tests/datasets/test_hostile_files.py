"""Files that promise what they do not hold, or hold what nobody needs: one declared error, soon."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from backquery import load_model
from backquery.datasets import open_data
from backquery.datasets.cache import remembered
from backquery.datasets.idx import read_idx
from backquery.errors import BackqueryError, DataError, ModelError
from backquery.experiments import load_timeline

MOST_SECONDS, MOST_BYTES = 2.0, 256 * 2**20


def array(kind: str, shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """An array of NumPy's as it stands in a file, whether or not it could be."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def archive(**arrays: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


IMAGES = array("|u1", (100, 8, 8), bytes(6400))
LABELS = array("|u1", (100,), bytes(100))
NO_CHARACTERS = b"\xff\xff\xff\x7f"

ARCHIVES = {
    "images without a width": {"x_train": array("<U0", (2 * 10**9, 8, 8)), "y_train": LABELS},
    "labels without a width": {"x_train": IMAGES, "y_train": array("<U0", (2 * 10**9,))},
    "class names without a width": {"x_train": IMAGES, "y_train": LABELS, "classes": array("<U0", (10**9,))},
    "labels that are no text": {"x_train": IMAGES, "y_train": array("<U1", (100,), NO_CHARACTERS * 100)},
    "class names that are no text": {
        "x_train": IMAGES, "y_train": LABELS, "classes": array("<U1", (2,), NO_CHARACTERS * 2),
    },
    "two million classes": {
        "x_train": IMAGES, "y_train": LABELS,
        "classes": array("<U7", (2_000_000,), np.arange(2_000_000).astype("<U7").tobytes()),
    },
    "a length of nothing": {"x_train": array("|u1", (0, 10**9, 10**9)), "y_train": array("|u1", (0,))},
    "values of no kind": {"x_train": array("|V0", (10**9,)), "y_train": array("|V0", (10**9,))},
}  # fmt: skip

TEXTS: dict[str, Callable[[], bytes]] = {
    "carriage returns without an end.csv.gz": lambda: gzip.compress(bytes([13]) * 2**28, 1),
    "utf-16 without an end.csv.gz": lambda: gzip.compress(b"\xff\xfe" + b"a\0" * 2**26, 1),
    "a row without an end.csv.gz": lambda: gzip.compress(b"1," + b"2" * 2**26, 1),
    "remarks.csv": lambda: b"#\n" * 2_000_000,
    "blanks.csv": lambda: b"1,2\n3," + b" " * 200_000 + b"x\n",
    "quotes.csv": lambda: b'1,"2\n' + b'3,"' * 100_000,
}


def refused(read: Callable[[], object], error: type[BackqueryError]) -> str:
    """What a reader says, in bounded time and memory."""
    tracemalloc.start()
    begin = monotonic()
    try:
        with pytest.raises(error) as raised:
            read()
        seconds, (_, most) = monotonic() - begin, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Following every piece of memory takes several times as long.
    assert seconds < 10 * MOST_SECONDS and most < MOST_BYTES
    return str(raised.value)


@pytest.mark.parametrize("name", ARCHIVES)
def test_arrays_that_promise_too_much(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(archive(**ARCHIVES[name]))
    assert "data.npz" in refused(lambda: open_data(path), DataError)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_without_an_end(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(TEXTS[name]())
    assert name in refused(lambda: open_data(path), DataError)


@pytest.mark.parametrize("lengths", [(0, 2**32 - 1, 2**32 - 1), (0, *[2**32 - 1] * 7), (2**32 - 1,)])
def test_an_idx_header_that_promises_too_much(lengths: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 0x0E, len(lengths)]) + struct.pack(f">{len(lengths)}I", *lengths))
    assert "its header announces" in refused(lambda: read_idx(path), DataError)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'(\n", b"\x93NUMPY", b"x" * 100]
)
def test_a_damaged_file_in_the_cache_is_as_none(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "data.csv"
    path.write_text("1,2\n")
    parsed = np.array([[1, 2]], np.uint8)
    np.testing.assert_array_equal(remembered(path, "kind", lambda _: parsed), parsed)
    (kept,) = (tmp_path / "cache").rglob("*.npy")
    kept.write_bytes(content)
    np.testing.assert_array_equal(remembered(path, "kind", lambda _: parsed), parsed)


@pytest.mark.parametrize("name", ["updates", "classes"])
def test_a_timeline_that_promises_too_much(name: str, tmp_path: Path) -> None:
    kinds = {
        "updates": "<i8", "epochs": "<f8", "performance": "<f8", "ink": "<f4", "read": "<i8", "answers": "<f8",
        "classes": "<U0", "image_shape": "<i8", "method": "<U0", "data": "<U0",
    }  # fmt: skip
    shapes = {one: (10**9,) if one == name else (1,) for one in kinds}
    path = tmp_path / "timeline.npz"
    path.write_bytes(archive(**{one: array(kind, shapes[one]) for one, kind in kinds.items()}))
    assert "holds no timeline" in refused(lambda: load_timeline(path), DataError)


@pytest.mark.parametrize("suffix", [".keras", pytest.param(".skops", marks=pytest.mark.needs("skops"))])
def test_an_archive_whose_lzma_is_damaged(suffix: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as file:
        for name in ("config.json", "metadata.json", "schema.json", "model.weights.h5"):
            file.writestr(name, b'{"class_name": "Sequential"}' * 50)
    content = bytearray(stream.getvalue())
    content[48:60] = b"\xff" * 12
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is broken or was cut short|is not a network"):
        load_model(path)
