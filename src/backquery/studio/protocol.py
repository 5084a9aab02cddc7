r"""What a page and the studio say to each other, over a WebSocket or over a notebook's channel.

A **message** is one JSON object, and arrays where there are any. It travels in a binary frame:

    uint32, little-endian     length of the header in bytes
    the header                the object as UTF-8, with ``"arrays": [{"name", "dtype", "shape"}, ...]``
    padding                   zeros, until the place is a multiple of 8
    the arrays                one after the other, little-endian, each padded to a multiple of 8

dtypes are ``"f4"``, ``"i4"`` and ``"u1"``. A message from the page without arrays may also be a text frame that
holds the object alone; then lists of numbers can stand for arrays.

The page sends **requests** ``{"id": whole number, "lane": text, "ask": kind, ...}``; `lane` is the kind where it is
missing. A newer request of the same lane replaces an older one that is still waiting, which is then never answered:
latest value wins. The **answer** has the same id, lane and ask. One that went wrong has ``"error"``, a sentence for a
person, and ``"code"``, for its translation: see `CODES`. What depends on the model has ``"version"``, a whole number
that changes when the model does (damage, load, adopt, reset).

Labels are positions (0, 1, ...) into ``classes`` everywhere. Hidden layers are counted from 1, nodes from 0.
**Ink** is 0 for paper and 1 for full ink; **pixels** are ink as u1, 0 to 255. Images are in the model's shape
(rows, columns). The kinds:

hello: {}
    The model: name, classes, shape, sizes (nodes of each layer, inputs first), activations (of each layer),
    methods ([{name, summary, usable, why}], `why` says why not), method (the usual one), statistics (whether typical
    answers are known), answers ({low, high}: what may be asked of an output), hidden ([{layer, nodes, low, high}],
    the range of each hidden layer's signals, high null where there is no end), data (null while it is being
    opened, else {name, training, test} or false), performance (of the model as it is now, or null while unknown),
    off ({"1": [nodes], ...}), training ({name, images}: what `train` learns from, or null while it is being opened),
    limits. Models that are no chain of layers have no sizes, activations and hidden.
    Then, whenever something of it changes, a **news** message {"ask": "news", "lane": "news", "id": 0} with the
    fields that changed: data, training, performance, judges (their names, once `opinion` knows them).
query: {pixels}
    What the network reads: read, answers f4 (labels), and signals1, signals2, ... f4 (nodes), one array for each hidden
    layer, from 0 (its lowest) to 1 (its highest, or the highest here where there is no end).
back: {method, and what is asked for: label (typical where the model knows that, else 0.99)
        | confidences {label: p} (the others: what is usual, or the book's) | answers [p for each label], warm}
    ink f4, answers f4, read, asked (the label, or -1), read_as_asked, error, log_odds_error, outcome, advice, steps,
    milliseconds. With warm: true the search begins at the last image of the same method, for sliders.
opinion: {pixels}
    What others make of any picture: judges ({name: label}), nearest u1 (the nearest real image), nearest_label,
    distance, typicality (null without statistics). Code "wait" while they are being made ready, "data" without data.
turn: {pixels, label, confidence (optional)}
    The smallest change that makes the network read the picture as the label: ink f4, change f4 (-1 to 1), and the
    other fields of back.
evidence: {label}
    codes i4 (rows, columns): 1 where ink supports the label, -1 where it speaks against it, 0 insensitive;
    sensitivity f4; images (how many real images it was measured on), rate (false-discovery rate).
weights: {layer: 1, from: 0, count}
    weights f4 (nodes, rows, columns) into the nodes, (nodes, signals) for later layers; scale (the largest absolute
    weight of the whole layer).
damage: {off: {"1": [nodes], ...}}
    Switches these nodes off, and all others on: off, performance (null without data).
scans: {method}
    One image for each label: ink f4 (labels, rows, columns), answers f4 (labels, labels), read, read_as_asked, outcome.
samples: {label (optional), count, seed}
    Real test images: pixels u1 (n, rows, columns), labels i4 (n), positions i4 (n).
image: {file u1: the bytes of a PNG, JPEG, BMP or WebP picture, centre: true, ink: "auto" | "dark" | "light"}
    pixels u1 (rows, columns), prepared as the training images were. Drawings can be sent through it as well.
centre: {drawing u1 (height, width): ink of a drawing, 0 to 255}
    pixels u1 (rows, columns): the same for a drawing.
train: {hidden, rate, epochs, images, seed, method, pace (seconds a frame takes at least)}
    Many messages, ask "train": state "learning", frame, frames, updates, epoch, performance, ink f4 (labels, rows,
    columns), answers f4 (labels, labels), read, read_as_asked; the page keeps what it wants to play back. The last
    one has state "done" (or "stopped") and seconds. A second `train` takes the place of the first.
pause, continue, stop: {}
    Say so to the training: state.
adopt: {}
    The network that was trained becomes the one that is asked; answers like hello.
load: {file u1: the bytes of a .safetensors model}
    The same for a model of the visitor's own; answers like hello.
save: {}
    file u1: the model as it is now, damage included, as .safetensors; name.
reset: {}
    The model as it was opened; answers like hello.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import BackqueryError, DataError, InversionError, ModelError, TargetError, TrainingError

DTYPES = {"f4": np.dtype("<f4"), "i4": np.dtype("<i4"), "u1": np.dtype("u1")}

CODES: dict[type[BackqueryError], str] = {
    TargetError: "target",
    InversionError: "inversion",
    ModelError: "model",
    DataError: "data",
    TrainingError: "training",
}
"""Codes of answers that went wrong; besides, "request" (it cannot be understood), "wait" and "failed"."""

TEXT_LIMIT = 2**16
"""Characters of the JSON object in a message from the page."""

FILE_LIMIT = 32 * 2**20
"""Bytes of a message from the page, and so of a model or a picture in it."""

MOST_ARRAYS = 4


class RequestError(BackqueryError, ValueError):
    """A message that cannot be understood; `code` names the kind of error for translation."""

    def __init__(self, message: str, code: str = "request") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Message:
    """One JSON object and its arrays."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def code_of(error: BackqueryError) -> str:
    """The code that an answer gives for an error."""
    if isinstance(error, RequestError):
        return error.code
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), "failed")


def encode(message: Message) -> bytes:
    """The binary frame of a message; float arrays become f4, Booleans and bytes u1, whole numbers i4."""
    blocks = {name: _on_the_wire(np.asarray(values)) for name, values in message.arrays.items()}
    listed = [
        {"name": name, "dtype": values.dtype.str.lstrip("<|"), "shape": values.shape}
        for name, values in blocks.items()
    ]
    header = json.dumps({**message.fields, "arrays": listed}, allow_nan=False).encode()
    parts = [_padded(struct.pack("<I", len(header)) + header)]
    parts += [_padded(values.tobytes()) for values in blocks.values()]
    return b"".join(parts)


def decode(frame: bytes | str) -> Message:
    """The message in a frame; `RequestError` for anything that does not follow this module's rules to the letter."""
    if len(frame) > FILE_LIMIT:
        raise RequestError(f"a message may have {FILE_LIMIT} bytes; received {len(frame)}")
    if isinstance(frame, str):
        return Message(_object(frame))
    if len(frame) < 4:
        raise RequestError("a binary message begins with the length of its header; received fewer than 4 bytes")
    (length,) = struct.unpack_from("<I", frame)
    if length > min(TEXT_LIMIT, len(frame) - 4):
        raise RequestError(f"the header cannot have {length} bytes")
    try:
        fields = _object(frame[4 : 4 + length].decode())
    except UnicodeDecodeError:
        raise RequestError("the header must be UTF-8") from None
    return Message(fields, _arrays(fields.pop("arrays", []), frame, _aligned(4 + length)))


def _object(text: str) -> dict[str, Any]:
    if len(text) > TEXT_LIMIT:
        raise RequestError(f"a message's text may have {TEXT_LIMIT} characters; received {len(text)}")
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError("a message must be JSON, without NaN or infinity") from None
    if not isinstance(fields, dict):
        raise RequestError("a message must be one JSON object")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _arrays(listed: object, frame: bytes, place: int) -> dict[str, NDArray[Any]]:
    if not isinstance(listed, list) or len(listed) > MOST_ARRAYS:
        raise RequestError(f"arrays must be a list of at most {MOST_ARRAYS}")
    arrays = {}
    for entry in listed:
        name, dtype, shape = _described(entry)
        count = prod(shape)
        if count * dtype.itemsize > len(frame) - place:
            raise RequestError(f"the array {name} is longer than the message")
        arrays[name] = np.frombuffer(frame, dtype, count, place).reshape(shape)
        place += _aligned(count * dtype.itemsize)
    return arrays


def _described(entry: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not isinstance(entry, dict):
        raise RequestError("an array is described by its name, dtype and shape")
    name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
    lengths = shape if isinstance(shape, list) and len(shape) <= 3 else [None]
    if not isinstance(name, str) or dtype not in DTYPES:
        raise RequestError(f"an array needs a name and a dtype, one of {', '.join(DTYPES)}")
    if not all(type(length) is int and 0 <= length <= FILE_LIMIT for length in lengths):
        raise RequestError(f"the array {name} needs a shape of at most three lengths")
    return name, DTYPES[dtype], tuple(lengths)


def _on_the_wire(values: NDArray[Any]) -> NDArray[Any]:
    kinds = {"f": "f4", "b": "u1", "i": "i4", "u": "u1" if values.dtype.itemsize == 1 else "i4"}
    return np.ascontiguousarray(values, DTYPES[kinds[values.dtype.kind]])


def _aligned(place: int) -> int:
    return -(-place // 8) * 8


def _padded(content: bytes) -> bytes:
    return content.ljust(_aligned(len(content)), b"\0")
