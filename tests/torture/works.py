"""What the program writes, as commands that make an old file and a new one, and who reads each kind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from backquery.files import UNFINISHED, WAITING

SAID = "backquery: "
BESIDE = ("SHA256SUMS",)
"""What only belongs to other files."""


def command(*words: str | Path) -> int:
    from backquery.cli import main

    return main([str(word) for word in words])


@dataclass(frozen=True)
class Work:
    """A command that writes.

    act: takes a folder that holds what `prepare` makes, where to write, and 1 for what is old, 2 for what is new;
    cached: whether what it writes only saves time, so that it never fails for it; slow: whether it takes seconds;
    needs: packages.
    """

    act: Callable[[Path, Path, int], int]
    cached: bool = False
    slow: bool = False
    needs: tuple[str, ...] = ()

    @property
    def is_possible(self) -> bool:
        return all(find_spec(name) for name in self.needs)


def network(given: Path, number: int) -> Path:
    return given / f"{number}.safetensors"


def _trained(given: Path, into: Path, number: int) -> int:
    return command(
        "train", "digits", "--recipe", "minibatch", "--hidden", "5", "--epochs", "2", "--seed", f"{number}",
        "-o", into / "a.safetensors",
    )  # fmt: skip


def _checkpoints(given: Path, into: Path, number: int) -> int:
    return command(
        "train", given / "many.npz", "--hidden", "6", "--epochs", "3", "--seed", f"{number}", "--kernel", "numpy",
        "--recipe", "minibatch", "--checkpoint-every", "0.5", "-o", into / "b.safetensors",
    )  # fmt: skip


def _scan(*suffixes: str) -> Callable[[Path, Path, int], int]:
    def act(given: Path, into: Path, number: int) -> int:
        arrays = ["--arrays", into / "scans.npz"] if ".npz" in suffixes else []
        return command(
            "scan", given / f"sigmoid{number}.safetensors", "--method", "transpose", "--label", "3", "-o",
            into / f"scans{suffixes[0]}", *arrays,
        )  # fmt: skip

    return act


def _converted(name: str) -> Callable[[Path, Path, int], int]:
    return lambda given, into, number: command("convert", given / f"sigmoid{number}.safetensors", into / name)


def _timeline(given: Path, into: Path, number: int) -> int:
    return command(
        "timeline", "digits", "--frames", "2", "--method", "transpose", "--hidden", "5", "--epochs", "1",
        "--seed", f"{number}", "-o", into / "t.gif", "-o", into / "t.png", "--arrays", into / "t.npz",
    )  # fmt: skip


def _report(given: Path, into: Path, number: int) -> int:
    return command("report", network(given, number), "digits", "--quick", "-o", into / "report.html")


def _page(given: Path, into: Path, number: int) -> int:
    return command("page", network(given, number), "-o", into / "page.html")


def _prior(given: Path, into: Path, number: int) -> int:
    return command("prior", network(given, number), "digits", "-o", into / "prior.safetensors")


def _idx(given: Path, into: Path, number: int) -> int:
    """By the function: no command writes such files."""
    from backquery.cli import FAILED
    from backquery.datasets.idx import write_idx
    from backquery.errors import OutputError

    images = np.random.default_rng(number).integers(0, 255, (50, 8, 8)).astype(np.uint8)
    try:
        write_idx(into / "images-idx3-ubyte", images)
        write_idx(into / "images-idx3-ubyte.gz", images)
    except OutputError as error:
        os.write(2, f"{SAID}{error}\n".encode())
        return FAILED
    return 0


def _table(given: Path, into: Path, number: int) -> int:
    """What is kept of a table that was read."""
    os.environ["XDG_CACHE_HOME"] = str(into)
    return command("test", network(given, 1), given / f"table{number}.csv", "--test", given / f"table{number}.csv")


def _judges(given: Path, into: Path, number: int) -> int:
    """What is kept of networks that were trained to judge; by the function, since their training takes long."""
    from backquery.faithfulness.judges import keep_made, made_before

    os.environ["XDG_CACHE_HOME"] = str(into)
    made = {"weights": np.random.default_rng(number).random((50, 8), np.float32)}
    if not made_before(f"judge-{number}.safetensors"):
        keep_made(f"judge-{number}.safetensors", made)
    return 0


WORKS = {
    "a trained network": Work(_trained),
    "checkpoints": Work(_checkpoints),
    "text weights": Work(_converted("weights")),
    "ONNX": Work(_converted("c.onnx"), needs=("onnx",)),
    "Keras": Work(_converted("c.keras"), slow=True, needs=("keras", "h5py")),
    "PNG and arrays": Work(_scan(".png", ".npz")),
    "SVG": Work(_scan(".svg")),
    "PDF": Work(_scan(".pdf")),
    "GIF, PNG and arrays": Work(_timeline, slow=True),
    "a report": Work(_report, slow=True),
    "a page": Work(_page),
    "a prior": Work(_prior),
    "IDX": Work(_idx),
    "a table that was read": Work(_table, cached=True),
    "judges": Work(_judges, cached=True),
}


def prepare(given: Path) -> None:
    """Networks, images and tables that the commands read."""
    for number in (1, 2):
        for name, more in (
            ("{}.safetensors", ()),
            ("sigmoid{}.safetensors", ("--activation", "sigmoid", "--no-keep-prior", "--loss", "squared")),
        ):
            words = ("train", "digits", "--recipe", "minibatch", "--hidden", "6", "--epochs", "8", *more)
            if command(*words, "--seed", f"{number}", "-o", given / name.format(number)):
                raise RuntimeError(name)
    rng = np.random.default_rng(0)
    images = (rng.random((9000, 4, 4)) * 255 * (rng.random((9000, 4, 4)) < 0.4)).astype(np.uint8)
    np.savez(given / "many.npz", x_train=images, y_train=images.reshape(9000, -1).argmax(axis=1) % 3)
    for number in (1, 2):
        rows = rng.integers(0, 17, (60, 65))
        rows[:, 0] = np.arange(60) % 10
        lines = (",".join(map(str, row)) for row in rows)
        (given / f"table{number}.csv").write_text("\n".join([*lines, ""]), "ascii")


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        for frame in range(getattr(picture, "n_frames", 1)):
            picture.seek(frame)
            picture.load()


def _ends_with(end: bytes) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if not path.read_bytes().rstrip().endswith(end):
            raise ValueError(f"does not end with {end!r}")

    return read


def _arrays(path: Path) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays:
            arrays[name]


def _model(path: Path) -> None:
    from safetensors.numpy import load_file

    from backquery import load_model

    if path.suffix == ".safetensors" and path.parent.name == "backquery":  # kept judges
        load_file(path)
    else:
        load_model(path)


def _settings(path: Path) -> None:
    from backquery.training import read_settings

    read_settings(path)


def _idx_file(path: Path) -> None:
    from backquery.datasets.idx import read_idx

    read_idx(path)


def _pointer(path: Path) -> None:
    int(path.read_text("ascii"), 16)


def _database(path: Path) -> None:
    with sqlite3.connect(path) as runs:
        (state,) = runs.execute("PRAGMA integrity_check").fetchone()
    if state != "ok":
        raise ValueError(state)


READERS: dict[str, Callable[[Path], object]] = {
    ".safetensors": _model,
    ".checkpoint": _settings,
    ".onnx": _model,
    ".keras": _model,
    ".png": _picture,
    ".gif": _picture,
    ".svg": lambda path: ElementTree.parse(path),
    ".pdf": _ends_with(b"%%EOF"),
    ".html": _ends_with(b"</html>"),
    ".npz": _arrays,
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".known": _pointer,
    ".sqlite": _database,
    ".txt": lambda path: np.loadtxt(path, ndmin=2),
    "": _idx_file,
    ".gz": _idx_file,
}


def read(path: Path) -> None:
    """Read a file as its kind is read; any error says that it is damaged."""
    if path.name not in BESIDE:
        READERS[path.suffix](path)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder under their final names."""
    files = (path for path in folder.rglob("*") if path.is_file() and not is_unfinished(path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def is_unfinished(path: Path) -> bool:
    return path.match(UNFINISHED.format("*")) or path.match(WAITING.format("*", "*"))
