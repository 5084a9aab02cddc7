"""An ONNX file as plain data: parsed, its numbers all in it, and nothing in it that only other code could run.

Numbers that lie in another file are read from the model's own folder, and from nowhere else. Afterwards the model
is whole in memory, so that nobody who is handed it opens a file again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from backquery.errors import ModelError
from backquery.io.foreign import check_size, read_bytes

if TYPE_CHECKING:
    import onnx

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
"""Whose operators the standard describes."""

ADVICE = "write everything into one file (in PyTorch: torch.onnx.export(..., external_data=False))"


def read_model(source: str | os.PathLike[str] | bytes) -> onnx.ModelProto:
    """The model in a file, or in the bytes of one, with every number in it; `ModelError` says what is amiss."""
    content = source if isinstance(source, bytes) else read_bytes(source)
    check_size(len(content), "it")
    model = _parse(content)
    _check_domains(model)
    _bring_in(model, None if isinstance(source, bytes) else Path(source).parent)
    return model


def _parse(content: bytes) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    # Not onnx.load, which would also open the files of external data that it names.
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise ModelError("it is no ONNX model, or was cut short") from None
    if not model.graph.node:
        raise ModelError("it is no ONNX model: there are no operators in it")
    if not model.opset_import:
        raise ModelError("it does not say which version of ONNX it is written in; it may have been cut short")
    return model


def _check_domains(model: onnx.ModelProto) -> None:
    import onnx

    own = sorted({part.domain for part in _parts(model) if isinstance(part, onnx.NodeProto)} - set(DOMAINS))
    if own:
        raise ModelError(
            f"its operators of the domain {own[0]} are not part of ONNX: only other code knows what they do, and "
            "it is not run; export it with standard operators only"
        )


def _bring_in(model: onnx.ModelProto, folder: Path | None) -> None:
    """Put the numbers that lie in other files into the model itself, wherever in it they are needed."""
    import onnx

    read = 0
    for tensor in [part for part in _parts(model) if isinstance(part, onnx.TensorProto)]:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            content = _outside_numbers(tensor, folder)
            read += len(content)
            check_size(read, "what lies beside it")
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = content


def _parts(message: Any) -> Iterator[Any]:
    """Every message within a message, itself first: graphs within operators and functions included."""
    from google.protobuf.message import Message

    yield message
    for _, value in message.ListFields():
        inner = (value,) if isinstance(value, Message) else value
        # Numbers, texts and bytes are not messages; a list holds either only such or only messages.
        if not isinstance(inner, int | float | str | bytes) and len(inner) and isinstance(inner[0], Message):
            for part in inner:
                yield from _parts(part)


def _outside_numbers(tensor: onnx.TensorProto, folder: Path | None) -> bytes:
    told = {entry.key: entry.value for entry in tensor.external_data}
    path = _beside(folder, told.get("location", ""), tensor.name)
    length = _length(tensor)
    # Not blocking, as the name may belong to a pipe.
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as stream:
        state = os.fstat(stream.fileno())
        offset = _count(told.get("offset", "0"), tensor.name)
        stated = _count(told.get("length", str(length)), tensor.name)
        if not S_ISREG(state.st_mode) or stated != length or offset + length > state.st_size:
            raise ModelError(
                f"{tensor.name} needs {length:,} bytes from byte {offset:,} of {path.name}, which says {stated:,} "
                f"and holds {state.st_size:,}"
            )
        check_size(length, tensor.name)
        stream.seek(offset)
        return stream.read(length)


def _beside(folder: Path | None, location: str, name: str) -> Path:
    """The file in the model's folder, or below it, that a location names; links must not lead out either."""
    away = f"the numbers of {name} lie in another file, {location or 'without a name'}"
    if folder is None:
        raise ModelError(f"{away}, and bytes have no folder to look in; give the model's path, or {ADVICE}")
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    outside = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor or ".." in parts
    if outside or not parts or "\0" in location:
        raise ModelError(f"{away}, which is not in the model's own folder and is not opened; {ADVICE}")
    path, home = (folder / location).resolve(), folder.resolve()
    if not path.is_relative_to(home):
        raise ModelError(f"{away}, a link that leads out of the model's own folder and is not followed; {ADVICE}")
    if not path.is_file():
        raise ModelError(f"{away}, which is not there; put it beside the model, or {ADVICE}")
    return path


def _length(tensor: onnx.TensorProto) -> int:
    """How many bytes the numbers of a tensor take."""
    from onnx import helper

    try:
        item = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        item = 0
    if not item or any(length < 0 for length in tensor.dims):
        raise ModelError(f"{tensor.name} holds no plain numbers")
    return int(item * prod(tensor.dims))


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{name} says {text[:40]!r} of the place of its numbers in another file")
    return int(text)
