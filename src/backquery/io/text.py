"""Networks with thresholds, as the four text files ``weight1``, ``weight2``, ``value1``, ``value2`` (.txt).

Layer n computes ``sigmoid(x W - theta)``: ``weight<n>.txt`` holds W, one row for each input and one column
for each node, and ``value<n>.txt`` the thresholds theta in one row. In this package's terms the weights are
W transposed and the biases are -theta. The original networks have two layers; here any number may follow.

Files are moved into place one after the other, and between two of them a folder holds halves of two networks. So
what is written here has a file ``SHA256SUMS`` beside it, which the program sha256sum can check. It is replaced
first, when all of the new files lie beside their places, and says which of them are read: what does not fit it is
not.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import sleep

import numpy as np

from backquery.errors import ModelError, OutputError
from backquery.files import replace_together, waiting
from backquery.io.formats import need_network
from backquery.model import SIGMOID, Array, Layer, Network, Scaling, image_shape

DIGITS = ".17g"
"""Enough digits that every float64 is read back exactly."""

SUMS = "SHA256SUMS"
"""The file that says which files belong together."""

OURS = re.compile(r"(weight|value)([1-9][0-9]*)\.txt")
"""The names of a network's files."""

TRIES, PAUSE = 20, 0.05
"""How often, and after how many seconds, files that do not fit are read again: somebody may be writing them."""


def load_text(
    folder: str | os.PathLike[str],
    *,
    input_shape: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network:
    """The float64 network in the text files of `folder`.

    The files hold numbers only, so the rest may be told here; a number of inputs that is a square is taken
    for a square image. A number that is not one, rows of different lengths or matrices that do not fit
    together raise `ModelError` naming the file, the row and the column; files that were not written together, too.
    """
    folder = Path(folder)
    texts = _read(folder)
    layers = tuple(_load_layer(folder, texts, number) for number in _layer_numbers(folder, texts))
    try:
        return Network(
            layers,
            input_shape=input_shape or image_shape((layers[0].inputs,)),
            classes=classes,
            scaling=scaling,
            about={"source": "text files with thresholds"},
        )
    except ModelError as error:
        raise ModelError(f"the text files in {folder} do not make a network: {error}") from None


def save_text(network: Network, folder: str | os.PathLike[str]) -> None:
    """Write the weights and thresholds of `network` as text files into `folder`, made if it is not there.

    Only sigmoid layers can be written so (`ModelError`), and the numbers alone are kept: shape, class names,
    scaling and statistics are not. Files of the same names are replaced once all of them are written, those of
    further layers removed, and `SHA256SUMS` says what belongs together. What cannot be written raises
    `OutputError`.
    """
    need_network(network)
    others = {layer.activation.name for layer in network.layers if layer.activation is not SIGMOID}
    if others:
        raise ModelError(
            f"these text files are for sigmoid layers only, and this network has {', '.join(sorted(others))}; "
            "save it as .safetensors"
        )
    folder = Path(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; choose another") from error
    contents = {name: _as_text(rows).encode("ascii") for name, rows in _parts(network)}
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    replace_together(folder, contents, SUMS, "".join(sums).encode("ascii"))
    for path in folder.iterdir():
        known = OURS.fullmatch(path.name)
        if known and int(known[2]) > len(network.layers):
            with suppress(OSError):
                path.unlink()


def _parts(network: Network) -> Iterator[tuple[str, Array]]:
    """What each file holds, in rows."""
    for number, layer in enumerate(network.layers, start=1):
        thresholds = np.zeros(layer.outputs) if layer.biases is None else -layer.biases
        yield f"weight{number}.txt", layer.weights.T
        yield f"value{number}.txt", thresholds[None]


def _read(folder: Path) -> dict[str, str]:
    """The texts of a network's files, by their names; `ModelError` where they were not written together."""
    for _ in range(TRIES):
        texts, wrong = _read_once(folder)
        if not wrong:
            return texts
        sleep(PAUSE)
    raise ModelError(
        f"the files in {folder} do not belong together: {wrong} is not the one that {SUMS} names, as after a "
        f"writing that was broken off; save the network again, or remove {SUMS} if numbers were changed by hand"
    )


def _read_once(folder: Path) -> tuple[dict[str, str], str]:
    """The texts by names, and the name of one that does not fit the sums; without sums all that are there."""
    sums = _sums(folder)
    found = sums if sums is not None else [path.name for path in folder.glob("*.txt") if OURS.fullmatch(path.name)]
    contents = {name: _content(folder / name) for name in found}
    for name, checksum in (sums or {}).items():
        fitting = (one for one in _candidates(folder, name, contents[name]) if _fits(one, checksum))
        contents[name] = next(fitting, None)
        if contents[name] is None:
            return {}, name
    return {name: _text(folder / name, content) for name, content in contents.items() if content is not None}, ""


def _candidates(folder: Path, name: str, content: bytes | None) -> Iterator[bytes]:
    """What a file holds, and what was written to take its place by a process that was killed."""
    if content is not None:
        yield content
    yield from (content for path in waiting(folder, name) if (content := _content(path)) is not None)


def _fits(content: bytes, checksum: str) -> bool:
    return hashlib.sha256(content).hexdigest() == checksum


def _sums(folder: Path) -> Mapping[str, str] | None:
    """The checksums by names of files; None where there are none."""
    content = _content(folder / SUMS)
    if content is None:
        return None
    lines = re.findall(r"^([0-9a-f]{64}) [ *](\S+)$", content.decode("ascii", "replace"), re.MULTILINE)
    return {name: checksum for checksum, name in lines if OURS.fullmatch(name)}


def _content(path: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise ModelError(f"{path} is not plain text with numbers") from None


def _layer_numbers(folder: Path, texts: Mapping[str, str]) -> range:
    count = 0
    while f"weight{count + 1}.txt" in texts:
        count += 1
    if not count:
        raise ModelError(
            f"{folder} holds no network: expected weight1.txt, value1.txt, weight2.txt, value2.txt, ... in it"
        )
    return range(1, count + 1)


def _load_layer(folder: Path, texts: Mapping[str, str], number: int) -> Layer:
    weights, thresholds = (_numbers(folder, texts, f"{kind}{number}.txt") for kind in ("weight", "value"))
    if 1 not in thresholds.shape or thresholds.size != weights.shape[1]:
        raise ModelError(
            f"{folder / f'value{number}.txt'} should hold {weights.shape[1]} thresholds, one for each column of "
            f"weight{number}.txt; it holds {thresholds.shape[0]} x {thresholds.shape[1]} numbers"
        )
    return Layer(weights.T, -thresholds.ravel(), SIGMOID)


def _numbers(folder: Path, texts: Mapping[str, str], name: str) -> Array:
    path = folder / name
    if name not in texts:
        raise ModelError(f"cannot read {path}: No such file or directory")
    rows = list(_rows(path, texts[name]))
    if not rows:
        raise ModelError(f"{path} is empty; rows of numbers separated by spaces are expected")
    return np.array(rows, np.float64)


def _rows(path: Path, text: str) -> Iterator[list[float]]:
    width = 0
    for row, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        width = width or len(words)
        if len(words) != width:
            raise ModelError(f"{path}, row {row} has {len(words)} numbers, the rows before it {width}")
        yield [_number(path, row, column, word) for column, word in enumerate(words, start=1)]


def _number(path: Path, row: int, column: int, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ModelError(f"{path}, row {row}, column {column}: expected a finite number, found {word[:30]!r}")
    return value


def _as_text(rows: Array) -> str:
    return "".join(" ".join(format(float(value), DIGITS) for value in row) + "\n" for row in rows)
