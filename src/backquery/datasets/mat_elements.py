"""What a ``.mat`` file holds that is made as its format says, element by element, before SciPy reads it.

SciPy takes the type of an element for a place in a table, and where there is none reads memory that is not its
own, which ends the process. Source: MathWorks, *MAT-File Format*, level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import IO, Protocol

HEADER = 128
"""Bytes before the first element; the last two say in which order bytes stand."""

ORDERS = {b"IM": "<", b"MI": ">"}
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
NAMES, TEXT = (1, 2, 16), (*NUMBERS, 16, 17, 18)
CELL, STRUCT, CHARACTERS, SPARSE, NUMERIC = 1, 2, 4, 5, range(6, 16)
COMPLEX = 0x0800
DEEPEST, MOST_PARTS = 20, 100_000
PIECE = 1 << 16


class _Bytes(Protocol):
    def read(self, count: int, /) -> bytes: ...


class _Unpacked:
    """The content of a compressed element, a piece at a time."""

    def __init__(self, packed: IO[bytes], length: int) -> None:
        self._packed, self._left, self._unpacking = packed, length, zlib.decompressobj()

    def read(self, count: int) -> bytes:
        while not self._unpacking.eof:
            piece = self._unpacking.unconsumed_tail or self._packed.read(min(PIECE, self._left))
            if not self._unpacking.unconsumed_tail:
                self._left -= len(piece)
            found = self._unpacking.decompress(piece, count)
            if found or not piece:
                return found
        return b""


def sound_variables(path: Path) -> list[str]:
    """The names of the variables of numbers, text, structs and cells; `ValueError` where one is broken."""
    names = []
    with path.open("rb") as file:
        order = ORDERS.get(file.read(HEADER)[-2:])
        if order is None:
            raise ValueError("its header says no order of bytes")
        while tag := file.read(8):
            if len(tag) < 8:
                raise ValueError("it ends within an element")
            kind, length = struct.unpack(f"{order}2I", tag)
            end = file.tell() + length
            whole: _Bytes = file
            if kind == COMPRESSED:
                whole = _Unpacked(file, length)
                kind, length = struct.unpack(f"{order}2I", _exactly(whole, 8))
            if kind != MATRIX:
                raise ValueError(f"it holds an element of the type {kind}")
            elements = _Elements(whole, order, length)
            if (name := elements.matrix()) is not None:
                names.append(name)
            file.seek(end)
    return names


class _Elements:
    """The elements within one matrix; none is read beyond its end."""

    def __init__(self, whole: _Bytes, order: str, length: int) -> None:
        self._whole, self._order, self._left, self._parts = whole, order, length, 0

    def matrix(self, depth: int = 0) -> str | None:
        """Go through a matrix, whose tag was read; its name, or None for what is of another kind."""
        self._parts += 1
        if depth > DEEPEST or self._parts > MOST_PARTS:
            raise ValueError("it holds too many parts")
        flags = self._element([UINT32])
        if len(flags) != 8:
            raise ValueError("an array says nothing of itself")
        (told,) = struct.unpack_from(f"{self._order}I", flags)
        kind, halves = told & 0xFF, 1 + bool(told & COMPLEX)
        if kind not in (CELL, STRUCT, CHARACTERS, SPARSE, *NUMERIC):
            if depth:
                raise ValueError(f"it holds an object of the class {kind}")
            return None
        lengths = self._numbers()
        name = self._element(NAMES).decode("latin-1")
        self._content(kind, halves, prod(lengths), depth)
        return name

    def _content(self, kind: int, halves: int, count: int, depth: int) -> None:
        if kind in (CELL, STRUCT):
            if count > MOST_PARTS:  # of structs without fields nothing else would say so
                raise ValueError("it holds too many parts")
            self._matrices(count * (self._fields() if kind == STRUCT else 1), depth)
        elif kind == CHARACTERS:
            self._element(TEXT, kept=False)
        else:
            for _ in range(halves + (2 if kind == SPARSE else 0)):
                self._element(NUMBERS, kept=False)

    def _fields(self) -> int:
        """How many fields a struct has."""
        (width,) = self._numbers() or (0,)
        names = self._element([INT8])
        if width < 1 or len(names) % width:
            raise ValueError("a struct's names are broken")
        return len(names) // width

    def _matrices(self, count: int, depth: int) -> None:
        for _ in range(count):
            kind, length = struct.unpack(f"{self._order}2I", self._take(8))
            if kind != MATRIX:
                raise ValueError(f"it holds an element of the type {kind}")
            if length:
                self.matrix(depth + 1)

    def _numbers(self) -> tuple[int, ...]:
        content = self._element([INT32])
        numbers = struct.unpack(f"{self._order}{len(content) // 4}i", content[: len(content) // 4 * 4])
        if any(number < 0 for number in numbers):
            raise ValueError("an array has a length below zero")
        return numbers

    def _element(self, kinds: Collection[int], *, kept: bool = True) -> bytes:
        """The content of the next element, which must be of one of these types; nothing if it is not kept."""
        tag = self._take(8)
        kind, length = struct.unpack(f"{self._order}2I", tag)
        small = kind >> 16
        if (kind & 0xFFFF if small else kind) not in kinds or small > 4:
            raise ValueError(f"it holds an element of the type {kind}")
        if small:
            return tag[4 : 4 + small]
        content = self._read(length, kept)
        self._read(min(-length % 8, self._left), kept=False)
        return content

    def _read(self, count: int, kept: bool) -> bytes:
        """So many bytes, which are gone through a piece at a time where they are not kept."""
        pieces = []
        while count:
            piece = self._take(min(count, PIECE))
            count -= len(piece)
            if kept:
                pieces.append(piece)
        return b"".join(pieces)

    def _take(self, count: int) -> bytes:
        if count > self._left:
            raise ValueError("an element is longer than what it lies in")
        self._left -= count
        return _exactly(self._whole, count)


def _exactly(whole: _Bytes, count: int) -> bytes:
    parts = []
    while count:
        part = whole.read(count)
        if not part:
            raise ValueError("it ends within an element")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
