"""One text attribute of an HDF5 file's root, read from the bytes themselves, without the HDF5 library.

The library can be made to crash over attributes, so this reads what little of the format it takes, each step
within the file's own bytes: the superblock, the root's object header with its continuations, the attribute's
message, and the global heap that long texts lie in. Files of h5py's usual kind are understood (superblock 0,
object header 1); see "HDF5 File Format Specification", version 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from backquery.errors import ModelError

SIGNATURE = b"\x89HDF\r\n\x1a\n"

PIECES = 65_536
"""Messages that an object header may have, and things that a heap may hold."""

_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_TEXT, _VARIABLE = 3, 9


def text_attribute(content: bytes, name: str, limit: int) -> bytes | None:
    """The text under `name` at the root, or None where there is none of that name.

    `ModelError` where it is longer than `limit`, or the file is broken or of another kind.
    """
    if content[:8] != SIGNATURE or _number(content, 8, 1) != 0 or content[13:15] != b"\x08\x08":
        raise ModelError("it is no HDF5 file of the usual kind; save the model as .keras")
    for kind, message in _messages(content, _number(content, 64, 8)):
        if kind == _ATTRIBUTE and _name_of(message) == name.encode():
            return _text_of(content, message, limit)
    return None


def _messages(content: bytes, header: int) -> Iterator[tuple[int, bytes]]:
    """The kind and the bytes of every message in the object header at `header`."""
    if _number(content, header, 1) != 1:
        raise ModelError("its root is not written in the usual way; save the model as .keras")
    blocks = [(header + 16, _number(content, header + 8, 4))]
    place = end = 0
    for _ in range(PIECES):
        while place + 8 > end:
            if not blocks:
                return
            place, length = blocks.pop(0)
            end = place + length
        kind, size, flags = (_number(content, place + at, wide) for at, wide in ((0, 2), (2, 2), (4, 1)))
        message = _bytes(content, place + 8, size)
        if kind == _CONTINUATION:
            blocks.append((_number(message, 0, 8), _number(message, 8, 8)))
        elif not flags & 2:
            yield kind, message
        place += 8 + size
    raise ModelError("its root is in too many pieces")


def _name_of(message: bytes) -> bytes:
    start = 9 if _number(message, 0, 1) == 3 else 8
    return _bytes(message, start, _number(message, 2, 2)).rstrip(b"\0")


def _text_of(content: bytes, message: bytes, limit: int) -> bytes:
    version, lengths = _number(message, 0, 1), [_number(message, at, 2) for at in (2, 4, 6)]
    # The first version fills each part up to eight bytes.
    steps = [-(-length // 8) * 8 if version == 1 else length for length in lengths]
    kind_at = (9 if version == 3 else 8) + steps[0]
    space_at = kind_at + steps[1]
    data_at = space_at + steps[2]
    kind, size = _number(message, kind_at, 1) & 15, _number(message, kind_at + 4, 4)
    if version not in (1, 2, 3) or kind not in (_TEXT, _VARIABLE) or _number(message, space_at + 1, 1):
        raise ModelError("its description is no text")
    if kind == _TEXT:
        return _bytes(message, data_at, size).rstrip(b"\0")
    length, heap, index = (_number(message, data_at + at, wide) for at, wide in ((0, 4), (4, 8), (12, 4)))
    if length > limit:
        raise ModelError(f"its description asks for {length:,} bytes; at most {limit:,} are read")
    return _in_heap(content, heap, index)[:length].rstrip(b"\0")


def _in_heap(content: bytes, heap: int, index: int) -> bytes:
    """What the global heap at `heap` holds under a number."""
    if _bytes(content, heap, 4) != b"GCOL":
        raise ModelError("its description is missing")
    place, end = heap + 16, heap + _number(content, heap + 8, 8)
    for _ in range(PIECES):
        if place + 16 > end:
            break
        number, size = _number(content, place, 2), _number(content, place + 8, 8)
        if number == index:
            return _bytes(content, place + 16, size)
        if not number:
            break
        place += 16 + -(-size // 8) * 8
    raise ModelError("its description is missing")


def _number(content: bytes, place: int, width: int) -> int:
    return int.from_bytes(_bytes(content, place, width), "little")


def _bytes(content: bytes, place: int, length: int) -> bytes:
    if place + length > len(content):
        raise ModelError("it was cut short, or points outside itself")
    return content[place : place + length]
