"""Networks with thresholds, as the four text files ``weight1``, ``weight2``, ``value1``, ``value2`` (.txt).

Layer n computes ``sigmoid(x W - theta)``: ``weight<n>.txt`` holds W, one row for each input and one column
for each node, and ``value<n>.txt`` the thresholds theta in one row. In this package's terms the weights are
W transposed and the biases are -theta. The original networks have two layers; here any number may follow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from backquery.errors import ModelError, OutputError
from backquery.files import replacing
from backquery.model import SIGMOID, Array, Layer, Network, Scaling, image_shape

DIGITS = ".17g"
"""Enough digits that every float64 is read back exactly."""


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
    together raise `ModelError` naming the file, the row and the column.
    """
    folder = Path(folder)
    layers = tuple(_load_layer(folder, number) for number in _layer_numbers(folder))
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
    scaling and statistics are not. Files of the same names are replaced once all of them are written.
    """
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
    with ExitStack() as files:
        for number, layer in enumerate(network.layers, start=1):
            thresholds = np.zeros(layer.outputs) if layer.biases is None else -layer.biases
            for name, rows in (("weight", layer.weights.T), ("value", thresholds[None])):
                stream = files.enter_context(replacing(folder / f"{name}{number}.txt"))
                stream.write(_as_text(rows).encode("ascii"))
                stream.flush()


def _layer_numbers(folder: Path) -> range:
    count = 0
    while (folder / f"weight{count + 1}.txt").is_file():
        count += 1
    if not count:
        raise ModelError(
            f"{folder} holds no network: expected weight1.txt, value1.txt, weight2.txt, value2.txt, ... in it"
        )
    return range(1, count + 1)


def _load_layer(folder: Path, number: int) -> Layer:
    weights = _read_numbers(folder / f"weight{number}.txt")
    thresholds = _read_numbers(folder / f"value{number}.txt")
    if 1 not in thresholds.shape or thresholds.size != weights.shape[1]:
        raise ModelError(
            f"{folder / f'value{number}.txt'} should hold {weights.shape[1]} thresholds, one for each column of "
            f"weight{number}.txt; it holds {thresholds.shape[0]} x {thresholds.shape[1]} numbers"
        )
    return Layer(weights.T, -thresholds.ravel(), SIGMOID)


def _read_numbers(path: Path) -> Array:
    try:
        text = path.read_text("ascii")
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path} is not plain text with numbers") from None
    rows = list(_rows(path, text))
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
