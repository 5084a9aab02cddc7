"""What a page and the studio say to each other, over a WebSocket, over a notebook's channel or with a worker.

The page sends **requests**: text frames with one JSON object ``{"id": whole number, "lane": text, "ask": kind,
...}``; `lane` is the kind where it is missing. Bytes stand in it as base64 text. A newer request of the same
lane replaces an older one that is still waiting, which is then never answered: the latest value wins. Nothing
is sent over HTTP.

The studio sends **answers** with the same id, lane and ask, in binary frames:

    uint32, little-endian     length of the header in bytes
    the header                the answer's plain values as a JSON object in UTF-8, and
                              ``"arrays": [{"name", "dtype": "f4" | "i4" | "u1", "shape"}, ...]``
    padding                   zeros, until the place is a multiple of 8
    the arrays                one after the other, little-endian, each padded to a multiple of 8

One with ``"code"`` went wrong: ``"error"`` is then a sentence for a person, and the code is for its translation
(see `code_of`). What depends on the model has ``"version"``, a whole number that changes when the model does.

Labels are positions (0, 1, ...) into ``classes`` everywhere. Hidden layers are counted from 1, nodes from 0.
**Ink** is f4 from 0 for paper to 1 for full ink; **pixels** are ink as u1, 0 to 255. Images are in the model's
**shape**: (rows, columns), or (rows, columns, 3) for red, green and blue where it sees colours, wherever its own
inputs have them; ink is then how much there is of each, 0 for black.

hello: {}
    The model: name, digest (the same for the same weights without damage; null where they are not shown),
    classes, shape, sizes (nodes of each layer, inputs first), activations (of each layer), methods ([{name,
    summary, usable}]), method (the usual one), typical (whether typical answers are known), answers ({low,
    high}: what may be asked of an output), layers ([{layer, nodes, bounded}], the hidden ones), off ({"1":
    [nodes], ...}), performance (of the model as it is now, null while unknown), data ({name, training, test} or
    null), training ({name, images}: what `train` learns from, or null), judges (names of those that are ready),
    limits, lacks (the asks, and fields of `back`, that whoever answers cannot serve, which the page then does not
    offer; missing where there is none). Models that are no chain of layers have no sizes, activations and layers.
    Whenever some of it changes later, a message with ask and lane "news" and id 0 has the fields that changed:
    performance, data, training, judges.
query: {pixels | drawing, rows, columns}
    What the network reads: read, answers f4 (labels), and signals1, signals2, ... f4 (nodes), one array for
    each hidden layer, from 0 (its lowest) to 1 (its highest; where there is no end, the highest here). A
    drawing, bytes of ink in any size, is centred as MNIST was, where the model's images were: pixels u1 is
    what the network was shown.
back: {method, label | confidences: {label: p} | answers: [p of every label] | limits: {label: p}, warm, hurried,
    draw}
    Asks for the label's typical answer (0.99 where it is not known); or for labels with confidences of their own
    (the others: what is usual where one label is named, else the book's); or for all answers; or within limits, by
    gauss-newton: a label with p of 0.5 or more at least so sure, one with less at most, and others as is
    likeliest. ink f4, answers f4, read, asked (the label, or -1), read_as_asked, converged (read as asked, and
    the answers are those asked for), error, logit_error, outcome, advice, steps, milliseconds. With warm:
    true the search begins at the last image by the same method, for sliders. It is then hurried, unless hurried
    is false; of models that are no chain of layers it takes one step, in float32, and its outcome is
    "following": ask for more when the slider rests. With draw, a number from 1 on, it is one of the many images
    that give the answer, not the likeliest (gauss-newton; not within limits).
opinion: {pixels}
    What others make of any picture: judges ({name: label}), performances ({name: share of real test images read
    rightly, or null}), chance, no_better_than_chance (names of judges), nearest u1 (the nearest real image),
    nearest_label, distance, distance_percentile (the share of real images that are nearer to one), copy (whether
    the picture is that image again), typicality and side ("plain", "usual" or "strange"; both null without
    statistics), path (the share of real images whose signals are as unlike those of others read as the same
    label, in any layer; null without hidden layers), path_layer, another_path (whether next to no real ones are).
    Code "wait" while they are made ready, "data" without data.
proof: {pixels}
    What is certain of how a picture is read: read (the label), certain (in spite of rounding), grey_levels (every
    picture that differs nowhere by more of 255 is read alike, for certain; null where nothing is proved), unknown
    (what of the model is not known, where that is why, or null).
turn: {pixels, label, confidence (optional)}
    The smallest change that makes the network read the picture as the label: change f4 (-1 to 1), and as back.
evidence: {label}
    codes i4 (rows, columns): 1 where ink supports the label, -1 where it speaks against it, else 0; verdicts
    i4, in full: 0 insensitive, 1 support, 2 against, 3 unclear, 4 never inked; sensitivity f4 (log-odds for a
    full pixel of ink); counts (pixels by verdict), images (how many real ones it was measured on), rate
    (false-discovery rate); claims (tested on other images), held (how many of them held), likeness, agreement (how
    far images agree on what a pixel means, 1 wholly, 0 not at all), caution (a sentence, or null). Code "data"
    without data.
why: {pixels, label (optional: else what is read)}
    What the picture's own ink, and ink on its paper, mean: verdicts i4 and sensitivity f4 as above; label, read,
    log_odds, counts (pixels of the ink and of the paper, by verdict), claims (tried by changing the picture),
    held, and trials, a list of region, action, claim, pixels, ink, change, read, others, low, high, beyond, limit
    and held.
weights: {layer, from, count}
    weights f4 (nodes, *shape), those into the nodes of a hidden layer; later layers (nodes, signals); scale
    (the largest absolute weight of the whole layer).
damage: {off: {"1": [nodes], ...}}
    Switches these nodes off, and all others on: off, performance (null without data).
scans: {method}
    One image for each label: ink f4 (labels, *shape), answers f4 (labels, labels), read, read_as_asked,
    outcome (lists).
samples: {label (optional), count, seed}
    Real test images: pixels u1 (n, *shape), labels i4 (n).
image: {file: the bytes of a PNG, JPEG, BMP or WebP picture, centre (true), shade ("auto", "dark" or "light":
the ink)}
    pixels u1 (*shape), prepared as the command line does; uneven: whether it was taken for a photograph in uneven
    light, and its shadows taken away.
train: {hidden, rate, epochs, images, seed, method, pace: seconds that a frame takes at least}
    state "started", then many answers with state "learning": frame, frames, updates, epoch, performance, ink f4
    (labels, *shape), answers f4 (labels, labels), read and read_as_asked (lists), shape; the page keeps
    those it wants to play back. The last one has state "done" or "stopped", and seconds. A second `train` takes
    the place of the first.
pause, continue, stop: {}
    To the training, in any lane: state ("paused", "learning", "stopped" or "idle").
adopt: {}
    The network that was trained last becomes the one that is asked: as hello.
load: {file: the bytes of a .safetensors model, name}
    A model of the visitor's own becomes the one that is asked: as hello.
save: {}
    file u1: the model as it is now, damage included, as .safetensors; name.
page: {}
    file u1: a page of one file that asks the model as it is now, damage included; name.
reset: {}
    The model as it was opened: as hello.
code: {of: "back", "scans" or "turn", and what that asks}
    lines: those of Python that make the same picture again.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import BackqueryError, DataError, InversionError, ModelError, TargetError, TrainingError

FRAME_LIMIT = 32 * 2**20
"""Bytes of a request; what is base64 in it can have three quarters of that."""

MOST_PARTS = 100_000
"""Values in a request; each costs memory, however short it is written."""

NAME_LIMIT = 40
"""Characters of a lane."""

DTYPES = {"f": ("f4", "<f4"), "i": ("i4", "<i4"), "u": ("i4", "<i4"), "b": ("u1", "u1")}

CODES: dict[type[BackqueryError], str] = {
    TargetError: "target",
    InversionError: "inversion",
    ModelError: "model",
    DataError: "data",
    TrainingError: "training",
}


class RequestError(BackqueryError, ValueError):
    """A request that cannot be understood or answered now; `code` names the kind of error for translation."""

    def __init__(self, message: str, code: str = "request") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """One question of the page; `fields` are its own, besides id, lane and ask."""

    id: int
    lane: str
    ask: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Plain values, and arrays by their names."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def code_of(error: BackqueryError) -> str:
    """ "request", "wait", "data", "model", "target", "inversion", "training" or "failed"."""
    if isinstance(error, RequestError):
        return error.code
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), "failed")


def refusal(error: BackqueryError) -> Answer:
    """The answer that tells of an error."""
    return Answer({"error": " ".join(str(error).split()), "code": code_of(error)})


def decode(frame: str) -> Request:
    """The request in a text frame; `RequestError` for anything that is none."""
    if len(frame) > FRAME_LIMIT:
        raise RequestError(f"a request may have {FRAME_LIMIT} characters; received {len(frame)}")
    # Bytes are long, but hold none of these; what is long otherwise is many values, or nested ones.
    if sum(map(frame.count, ",[{")) > MOST_PARTS:
        raise RequestError(f"a request may have {MOST_PARTS:,} values")
    try:
        fields = json.loads(frame, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RequestError("a request must be JSON, without NaN or infinity") from None
    if not isinstance(fields, dict):
        raise RequestError("a request must be one JSON object")
    number, ask = fields.pop("id", None), fields.pop("ask", None)
    lane = fields.pop("lane", ask)
    if type(number) is not int or abs(number) >= 2**53:
        raise RequestError("a request needs an id, a whole number")
    if not all(isinstance(name, str) and 0 < len(name) <= NAME_LIMIT for name in (ask, lane)):
        raise RequestError(
            f"a request needs an ask, and its lane must be a text of at most {NAME_LIMIT} characters"
        )
    return Request(number, lane, ask, fields)


def encode(request: Request, answer: Answer) -> bytes:
    """The binary frame of an answer; arrays of any numbers become f4, i4 or u1."""
    blocks = {name: _on_the_wire(np.asarray(values)) for name, values in answer.arrays.items()}
    header = {
        "id": request.id,
        "lane": request.lane,
        "ask": request.ask,
        **answer.fields,
        "arrays": [{"name": name, "dtype": dtype, "shape": v.shape} for name, (dtype, v) in blocks.items()],
    }
    text = json.dumps(header, allow_nan=False).encode()
    parts = [struct.pack("<I", len(text)) + text, *(values.tobytes() for _, values in blocks.values())]
    return b"".join(part.ljust(-(-len(part) // 8) * 8, b"\0") for part in parts)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _on_the_wire(values: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    small = values.dtype == np.uint8
    name, dtype = DTYPES["b" if small else values.dtype.kind]
    return name, np.asarray(values, dtype)
