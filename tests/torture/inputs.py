"""A sound input of every kind that is read, and who reads it: what damaged input is made from.

Everything that the package takes from files and from the studio's page. Texts that lie packed in a file, such as
the configuration of a model, are kinds of their own: damage to what is compressed hardly ever reaches them.
"""

from __future__ import annotations

import gzip
import io
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import unpack_from
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from backquery import Network, Scaling, Statistics, export_model, load_model, save_model
from backquery.datasets import Dataset, Split, open_data, prepare_image
from backquery.datasets.idx import read_idx, write_idx
from backquery.errors import BackqueryError
from backquery.experiments import load_timeline
from backquery.io import load_text, save_text

if TYPE_CHECKING:
    from backquery.studio.opened import Opened

RNG = np.random.default_rng(1)
IMAGES = Split(RNG.integers(0, 255, (12, 4, 4)).astype(np.uint8), np.arange(12) % 3)
NETWORK = replace(
    Network.create([16, 4, 3], rng=1, biases=True, input_shape=(4, 4), scaling=Scaling.book(255.0)),
    statistics=Statistics(np.full(16, 0.5), np.zeros((16, 2)), np.ones(16), np.zeros((3, 3))),
)
SIGMOID = replace(NETWORK, statistics=None)
FOUND = Path(__file__).with_name("found")
"""Inputs that once did what they must not, in a folder for each kind."""


@dataclass(frozen=True)
class Kind:
    """What is read: `write` makes a sound file, `read` reads one; a file's name ends in `suffix`.

    needs: packages; text: whether it is JSON.
    """

    suffix: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    needs: tuple[str, ...] = ()
    text: bool = False

    def sound(self, folder: Path) -> bytes:
        """The content of a sound file."""
        path = folder / f"sound{self.suffix}"
        self.write(path)
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


def _picture(suffix: str, kind: str) -> Kind:
    return Kind(suffix, lambda path: path.write_bytes(picture(kind)), prepare_image)


def timeline(path: Path) -> None:
    np.savez_compressed(
        path, updates=np.zeros(1, int), epochs=np.zeros(1), performance=np.zeros(1),
        ink=np.zeros((1, 3, 16), "f4"), read=np.zeros((1, 3), int), answers=np.zeros((1, 3)),
        classes=np.array(["a", "b", "c"]), image_shape=np.array([4, 4]), method=np.array("transpose"),
        data=np.array("digits"),
    )  # fmt: skip


def mat(path: Path, compressed: bool = False) -> None:
    from scipy.io import savemat

    inner = {"images": IMAGES.images.reshape(12, 16), "labels": IMAGES.labels[:, None].astype(float)}
    names = np.array(["a", "b"], object)
    savemat(path, {"data": {"train": inner}, "names": names, "note": "none"}, do_compression=compressed)


def parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"pixel{k}": IMAGES.images.reshape(12, 16)[:, k] for k in range(16)}
    pq.write_table(pa.table({"label": IMAGES.labels, **columns}), path)


def skops(path: Path) -> None:
    from sklearn.neural_network import MLPClassifier
    from skops.io import dump

    inputs, labels = IMAGES.images.reshape(12, 16) / 255.0, IMAGES.labels
    dump(MLPClassifier((3,), max_iter=2, random_state=1).partial_fit(inputs, labels, classes=range(3)), path)


def text_folder(path: Path, name: str = "weight1.txt") -> object:
    """A folder of text weights, whose one damaged file this is."""
    folder = path.parent / "weights"
    save_text(SIGMOID, folder)
    (folder / name).write_bytes(path.read_bytes())
    if name != "SHA256SUMS":
        (folder / "SHA256SUMS").unlink(missing_ok=True)
    return load_text(folder)


def text_weights(path: Path, name: str = "weight1.txt") -> None:
    save_text(SIGMOID, path.parent / "sound")
    path.write_bytes((path.parent / "sound" / name).read_bytes())


def checkpoint(path: Path) -> None:
    from backquery import train
    from backquery.training import Checkpoint

    train(SIGMOID, IMAGES, epochs=1, rng=1, checkpoint=Checkpoint(path))


def _resumed(path: Path) -> object:
    from backquery import train

    return train(SIGMOID, IMAGES, epochs=1, resume=path)


def sweep(path: Path) -> None:
    from backquery.experiments.sweep import Run, Runs, Setting

    folder = path.parent / "sound-sweep"
    folder.mkdir(exist_ok=True)
    setting = Setting("digits", "f", "book", "book", "sigmoid", False, "float32", "3", 0.1, 1, 1)
    history = {"loss": [0.5], "train_accuracy": [0.5], "test_accuracy": [0.5]}
    with Runs.opened(folder) as runs:
        runs.keep(
            Run(
                setting,
                performance=0.5,
                test_images=9,
                history=history,
                kernel="numpy",
                seconds=0.1,
                digest="d",
                network=setting.network,
                finished="now",
                versions={"python": "3"},
            )
        )
    path.write_bytes((folder / "runs.sqlite").read_bytes())


def _runs(path: Path) -> object:
    from backquery.experiments.sweep import comparable, read_runs

    folder = path.parent / "a-sweep"
    folder.mkdir(exist_ok=True)
    (folder / "runs.sqlite").write_bytes(path.read_bytes())
    return comparable(read_runs(folder))


def metadata(path: Path) -> None:
    """What a network's file says of it."""
    from safetensors import safe_open

    save_model(NETWORK, path.with_suffix(".safetensors"))
    with safe_open(path.with_suffix(".safetensors"), framework="numpy") as file:
        path.write_text(file.metadata()["backquery"])


def _described(path: Path) -> object:
    from safetensors.numpy import load_file, save

    whole = path.with_name("described.safetensors")
    if not whole.exists():
        save_model(NETWORK, whole)
    other = path.with_name("other.safetensors")
    text = path.read_bytes().decode("utf-8", "replace")
    other.write_bytes(save(load_file(whole), metadata={"backquery": text}))
    return load_model(other)


def settings(path: Path) -> None:
    from safetensors import safe_open

    checkpoint(path.with_suffix(".checkpoint"))
    with safe_open(path.with_suffix(".checkpoint"), framework="numpy") as file:
        path.write_text(file.metadata()["backquery-checkpoint"])


def _resumed_by(path: Path) -> object:
    """A checkpoint whose checksum is right, whatever else is not."""
    from safetensors.numpy import load_file, save

    from backquery.training import checkpoint as kept

    whole = path.with_name("whole.checkpoint")
    if not whole.exists():
        checkpoint(whole)
    text, arrays = path.read_bytes().decode("utf-8", "replace"), load_file(whole)
    told = {kept.KEY: text, kept.CHECKSUM: kept._checksum(text, arrays)}
    other = path.with_name("other.checkpoint")
    other.write_bytes(save(arrays, metadata=told))
    return _resumed(other)


def member(suffix: str, write: Callable[[Path], object], name: str, needs: tuple[str, ...]) -> Kind:
    """A text that lies in an archive."""

    def sound(path: Path) -> None:
        whole = path.with_name(f"whole{suffix}")
        write(whole)
        with ZipFile(whole) as archive:
            path.write_bytes(archive.read(name))

    def read(path: Path) -> object:
        whole, other = path.with_name(f"whole{suffix}"), path.with_name(f"other{suffix}")
        if not whole.exists():
            write(whole)
        with ZipFile(whole) as archive, ZipFile(other, "w") as changed:
            for one in archive.namelist():
                changed.writestr(one, path.read_bytes() if one == name else archive.read(one))
        return load_model(other)

    return Kind(".json", sound, read, needs, text=True)


def options(path: Path) -> None:
    path.write_text(json.dumps({
        "hidden": "50,100-20", "learning_rate": "0.1,0.2", "epochs": "2,5", "activation": "relu,softmax",
        "layers": "100,50",
    }))  # fmt: skip


def _understood(path: Path) -> object:
    """What is written in options of the command line, in words."""
    from backquery.cli.commands.sweep import GridOptions
    from backquery.cli.plan import parse_activations, parse_hidden

    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
    known = ("hidden", "learning_rate", "epochs", "activation")
    grid = {name: words[name] for name in known if name in words}
    for act in (
        lambda: GridOptions(**grid).grid().plans(),  # type: ignore[arg-type]
        lambda: parse_hidden(words.get("layers", "")),
        lambda: parse_activations(words.get("activation"), "book", "book", 2),
    ):
        try:
            act()
        except BackqueryError as error:
            assert str(error).strip()
    return None


def _saved() -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mine.safetensors"
        save_model(NETWORK, path)
        return b64encode(path.read_bytes()).decode()


ASKED: tuple[dict[str, Any], ...] = (
    {"ask": "query", "pixels": b64encode(bytes(16)).decode()},
    {"ask": "query", "drawing": b64encode(bytes(range(100))).decode(), "rows": 10, "columns": 10},
    {"ask": "back", "method": "gauss-newton", "label": 1},
    {"ask": "back", "method": "gauss-newton", "confidences": {"0": 0.9, "2": 0.1}, "warm": True, "hurried": False},
    {"ask": "back", "method": "transpose", "answers": [0.1, 0.9, 0.1]},
    {"ask": "back", "method": "gauss-newton", "label": 1, "draw": 3},
    {"ask": "back", "method": "gauss-newton", "limits": {"1": 0.9, "2": 0.1}},
    {"ask": "opinion", "pixels": b64encode(bytes(16)).decode()},
    {"ask": "proof", "pixels": b64encode(bytes(16)).decode()},
    {"ask": "turn", "pixels": b64encode(bytes(16)).decode(), "label": 2, "confidence": 0.9},
    {"ask": "evidence", "label": 1},
    {"ask": "why", "pixels": b64encode(bytes(16)).decode(), "label": 1},
    {"ask": "weights", "layer": 1, "from": 0, "count": 4},
    {"ask": "damage", "off": {"1": [0, 2]}},
    {"ask": "scans", "method": "transpose"},
    {"ask": "samples", "label": 1, "count": 4, "seed": 1},
    {"ask": "image", "file": b64encode(picture("png")).decode(), "centre": True, "shade": "auto"},
    {"ask": "code", "of": "back", "method": "transpose", "label": 1},
    {"ask": "load", "file": _saved(), "name": "mine"},
    {"ask": "train", "hidden": 3, "rate": 0.1, "epochs": 1, "images": 10, "seed": 1, "method": "transpose",
     "pace": 0},
    {"ask": "save"},
    {"ask": "page"},
    {"ask": "hello"},
    {"ask": "reset"},
    {"ask": "pause"},
    {"ask": "continue"},
    {"ask": "stop"},
    {"ask": "adopt"},
)  # fmt: skip
"""A request of each ask; none is refused but the last, where no training has ended."""


def frames(path: Path, asked: int = 3) -> None:
    path.write_text(json.dumps({"id": 1, "lane": "a", **ASKED[asked]}))


@cache
def _studio() -> Opened:
    from backquery.studio.opened import Opened

    # As many as evidence asks for.
    many = Split(np.tile(IMAGES.images, (5, 1, 1)), np.tile(IMAGES.labels, 5))
    data = Dataset("images", many, many, tuple("012"))
    opened = Opened("a network", replace(SIGMOID, classes=data.classes), lambda: data)
    opened.prepare().join()
    return opened


def _answered(path: Path) -> object:
    """A frame's answer by the studio: one in words where it cannot be answered, and never a fault of ours."""
    from backquery.studio.protocol import decode
    from backquery.studio.visit import ANSWERS, CHANGES, Visit

    frame = path.read_bytes().decode("utf-8", "replace")
    request = decode(frame)
    if request.ask not in {*ANSWERS, *CHANGES}:
        return None
    answers: SimpleQueue[bytes] = SimpleQueue()
    visit = Visit(_studio(), answers.put)
    try:
        visit.take(frame)
        answer = answers.get(timeout=60)
        (length,) = unpack_from("<I", answer)
        said = json.loads(answer[4 : 4 + length])
    except Empty:
        raise AssertionError("the studio gave no answer") from None
    finally:
        visit.close()
    assert "went wrong inside" not in str(said.get("error")), frame[:300]
    return said


KINDS: dict[str, Kind] = {
    "IDX": Kind("-idx3-ubyte", lambda path: write_idx(path, IMAGES.images), read_idx),
    "IDX, gzipped": Kind(".gz", lambda path: write_idx(path, IMAGES.images), read_idx),
    "CSV": Kind(".csv", lambda path: path.write_bytes(csv_text()), open_data),
    "CSV, gzipped": Kind(".csv.gz", lambda path: path.write_bytes(packed(csv_text())), open_data),
    "arrays": Kind(
        ".npz", lambda path: np.savez_compressed(path, x_train=IMAGES.images, y_train=IMAGES.labels), open_data
    ),
    "MATLAB": Kind(".mat", mat, open_data),
    "MATLAB, packed": Kind(".mat", lambda path: mat(path, True), open_data),
    "Parquet": Kind(".parquet", parquet, open_data, ("pyarrow",)),
    "a timeline": Kind(".npz", timeline, load_timeline),
    "PNG": _picture(".png", "png"),
    "JPEG": _picture(".jpg", "jpeg"),
    "GIF": _picture(".gif", "gif"),
    "TIFF": _picture(".tiff", "tiff"),
    "BMP": _picture(".bmp", "bmp"),
    "WebP": _picture(".webp", "webp"),
    "safetensors": Kind(".safetensors", lambda path: save_model(NETWORK, path), load_model),
    "the description of a network": Kind(".json", metadata, _described, text=True),
    "a checkpoint": Kind(".checkpoint", checkpoint, _resumed),
    "the settings of a checkpoint": Kind(".json", settings, _resumed_by, text=True),
    "a sweep": Kind(".sqlite", sweep, _runs),
    "text weights": Kind(".txt", text_weights, text_folder),
    "sums of text weights": Kind(
        ".sums", lambda path: text_weights(path, "SHA256SUMS"), lambda path: text_folder(path, "SHA256SUMS")
    ),
    "ONNX": Kind(".onnx", lambda path: export_model(NETWORK, path), load_model, ("onnx",)),
    "Keras": Kind(".keras", lambda path: export_model(NETWORK, path), load_model, ("keras",)),
    "the configuration of Keras": member(
        ".keras", lambda path: export_model(NETWORK, path), "config.json", ("keras",)
    ),
    "skops": Kind(".skops", skops, load_model, ("skops",)),
    "the schema of skops": member(".skops", skops, "schema.json", ("skops",)),
    "options": Kind(".json", options, _understood, text=True),
    "frames": Kind(".json", frames, _answered, text=True),
}


def read(kind: str, path: Path) -> None:
    """Read a file of a kind, as whoever gave it would: only a declared error, in words, may come of it."""
    try:
        KINDS[kind].read(path)
    except BackqueryError as error:
        assert str(error).strip()
