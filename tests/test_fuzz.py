"""Damaged files of every kind that is read: declared errors alone come of them, soon, and always the same ones.

Hypothesis damages a sound file in a few places, cuts it, or puts something in; the same examples in every run.
What was found is kept in `FOUND`, by the edits that made it.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backquery import Network, Scaling, Statistics, export_model, load_model, save_model
from backquery.datasets import Split, open_data, prepare_image
from backquery.datasets.idx import read_idx, write_idx
from backquery.errors import BackqueryError
from backquery.experiments import load_timeline
from backquery.io import load_text, save_text

MOST_SECONDS = 2.0
"""Of this process's own time; the readers take milliseconds."""

RNG = np.random.default_rng(1)
IMAGES = Split(RNG.integers(0, 255, (12, 4, 4)).astype(np.uint8), np.arange(12) % 3)
NETWORK = replace(
    Network.create([16, 4, 3], rng=1, biases=True, input_shape=(4, 4), scaling=Scaling.book(255.0)),
    statistics=Statistics(np.full(16, 0.5), np.zeros((16, 2)), np.ones(16), np.zeros((3, 3))),
)

Edit = tuple[str, float, bytes]
"""What is done (put over, put in, cut), where as a share of the length, and with which bytes."""

BYTES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [
        b"\xff" * 4,
        b"\0" * 4,
        b"\x7f\xff\xff\xff",
        b"9" * 12,
        b"-1",
        b"[[[[",
        b"{}",
        b"nan",
        b"1e999",
        b"\r",
        b'"',
        b",",
    ]
)
EDITS = st.lists(st.tuples(st.sampled_from(["over", "in", "cut"]), st.floats(0, 1), BYTES), min_size=1, max_size=4)

FOUND: dict[str, list[list[Edit]]] = {
    "arrays": [[("over", 0.875, b"\0")]],
}
"""Edits that once led to an error that nobody declared, by the kind of file."""


def damaged(content: bytes, edits: list[Edit]) -> bytes:
    for what, share, put in edits:
        place = int(share * len(content))
        kept = {"over": place + len(put), "in": place, "cut": len(content)}[what]
        content = content[:place] + (b"" if what == "cut" else put) + content[kept:]
    return content


def written(suffix: str, write: Callable[[Path], object], folder: Path) -> bytes:
    path = folder / f"sound{suffix}"
    write(path)
    return path.read_bytes()


def csv_text() -> bytes:
    rows = (
        ",".join(map(str, [label, *image.ravel()]))
        for image, label in zip(*map(list, (IMAGES.images, IMAGES.labels)), strict=True)
    )
    return "\n".join(["label," + ",".join(f"pixel{k}" for k in range(16)), *rows, ""]).encode()


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def picture(kind: str) -> bytes:
    from PIL.Image import fromarray

    stream = io.BytesIO()
    fromarray(np.kron(IMAGES.images[0], np.ones((8, 8), np.uint8))).save(stream, kind)
    return stream.getvalue()


def timeline(path: Path) -> None:
    np.savez_compressed(
        path, updates=np.zeros(1, int), epochs=np.zeros(1), performance=np.zeros(1),
        ink=np.zeros((1, 3, 16), "f4"), read=np.zeros((1, 3), int), answers=np.zeros((1, 3)),
        classes=np.array(["a", "b", "c"]), image_shape=np.array([4, 4]), method=np.array("transpose"),
        data=np.array("digits"),
    )  # fmt: skip


def skops(path: Path) -> None:
    from sklearn.neural_network import MLPClassifier
    from skops.io import dump

    inputs, labels = IMAGES.images.reshape(12, 16) / 255.0, IMAGES.labels
    dump(MLPClassifier((3,), max_iter=2, random_state=1).partial_fit(inputs, labels, classes=range(3)), path)


def text_folder(path: Path) -> object:
    """A folder of text weights, whose one damaged file this is."""
    folder = path.parent / "weights"
    save_text(replace(NETWORK, statistics=None), folder)
    (folder / "weight1.txt").write_bytes(path.read_bytes())
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    return load_text(folder)


def text_weights(path: Path) -> None:
    save_text(replace(NETWORK, statistics=None), path.parent / "sound")
    path.write_bytes((path.parent / "sound" / "weight1.txt").read_bytes())


KINDS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object], str | None]] = {
    "IDX": ("-idx3-ubyte", lambda path: write_idx(path, IMAGES.images), read_idx, None),
    "IDX, gzipped": (".gz", lambda path: write_idx(path, IMAGES.images), read_idx, None),
    "CSV": (".csv", lambda path: path.write_bytes(csv_text()), open_data, None),
    "CSV, gzipped": (".csv.gz", lambda path: path.write_bytes(packed(csv_text())), open_data, None),
    "arrays": (
        ".npz", lambda path: np.savez_compressed(path, x_train=IMAGES.images, y_train=IMAGES.labels), open_data,
        None,
    ),
    "a timeline": (".npz", timeline, load_timeline, None),
    "PNG": (".png", lambda path: path.write_bytes(picture("png")), prepare_image, None),
    "JPEG": (".jpg", lambda path: path.write_bytes(picture("jpeg")), prepare_image, None),
    "GIF": (".gif", lambda path: path.write_bytes(picture("gif")), prepare_image, None),
    "TIFF": (".tiff", lambda path: path.write_bytes(picture("tiff")), prepare_image, None),
    "safetensors": (".safetensors", lambda path: save_model(NETWORK, path), load_model, None),
    "text weights": (".txt", text_weights, text_folder, None),
    "ONNX": (".onnx", lambda path: export_model(NETWORK, path), load_model, "onnx"),
    "Keras": (".keras", lambda path: export_model(NETWORK, path), load_model, "keras"),
    "skops": (".skops", skops, load_model, "skops"),
}  # fmt: skip


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.needs(needed) if needed else ())
                        for kind, (*_, needed) in KINDS.items()])  # fmt: skip
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reader(kind: str, tmp_path: Path) -> Callable[[list[Edit]], None]:
    """Reads the sound file of this kind once it has been damaged."""
    suffix, write, read, _ = KINDS[kind]
    sound, path = written(suffix, write, tmp_path), tmp_path / f"damaged{suffix}"
    path.write_bytes(sound)
    read(path)

    def read_damaged(edits: list[Edit]) -> None:
        path.write_bytes(damaged(sound, edits))
        # The first time, packages may be loaded that only damaged files need.
        assert seconds(read, path) < MOST_SECONDS or seconds(read, path) < MOST_SECONDS

    return read_damaged


def seconds(read: Callable[[Path], object], path: Path) -> float:
    begin = process_time()
    try:
        read(path)
    except BackqueryError as error:
        assert str(error).strip()
    return process_time() - begin


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(edits=EDITS)
def test_a_damaged_file_is_read_or_refused_in_words(
    reader: Callable[[list[Edit]], None], edits: list[Edit]
) -> None:
    reader(edits)


@pytest.mark.filterwarnings("ignore")
def test_what_was_found_once_stays_mended(kind: str, reader: Callable[[list[Edit]], None]) -> None:
    for edits in FOUND.get(kind, ()):
        reader(edits)
