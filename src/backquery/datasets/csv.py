"""The book's CSV: one image a line, the label first, then its pixels from 0 to 255, row by row.

Well-formed stretches of the file are parsed by whole-array operations; a stretch with anything unusual in it
is read again value by value, which either understands it (spaces, quotes, ``12.0``, blank lines) or says
which row and column it stumbles over.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.cache import remembered
from backquery.datasets.dataset import MEMORY_LIMIT, Labelled
from backquery.errors import DataError

Bytes = NDArray[np.uint8]

PARSER = "csv-1"
"""Names this parser in the cache; to be raised whenever it would read a file differently."""

STRETCH = 1 << 17
"""Bytes parsed at a time: small enough to stay in the processor's cache."""

_VALUE = re.compile(r'\s*"?\s*(\d{1,3})(?:\.0*)?\s*"?\s*', re.ASCII)
_COMMA, _NEWLINE, _ZERO, _TEN, _HUNDRED = (np.uint8(number) for number in (*b",\n0", 10, 100))


def read_csv(path: Path) -> Labelled:
    """Images (n, side, side) uint8 and labels (n,) from a CSV file, parsed once and then cached.

    A first line of column names is skipped. Values that are not whole numbers from 0 to 255, rows of another
    length than the first, and a number of pixels that makes no square raise `DataError` with file, row (the
    line's number, from 1) and column (from 1, the label's).
    """
    try:
        rows = remembered(path, PARSER, parse)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    side = isqrt(rows.shape[1] - 1)
    images = np.ascontiguousarray(rows[:, 1:]).reshape(-1, side, side)
    return Labelled(images, rows[:, 0].astype(np.int64), str(path))


def parse(path: Path) -> Bytes:
    """All values of the file as a matrix (rows, 1 + pixels), the labels in the first column."""
    first, header_lines = _first_row(path)
    columns = first.count(b",") + 1
    _check_columns(path, header_lines + 1, columns)
    size = path.stat().st_size
    if size > 2 * MEMORY_LIMIT:
        raise DataError(f"{path}: {size} bytes; at most {2 * MEMORY_LIMIT} are read, split the file")
    # A value takes two bytes at least, itself and what follows it.
    rows = np.empty(((size + 1) // (2 * columns) + 1, columns), np.uint8)
    filled, line = 0, header_lines + 1
    for stretch in _stretches(path, header_lines):
        values = _parse_plain(stretch, columns)
        if values is None:
            values = _parse_carefully(stretch, columns, path, line)
        rows[filled : filled + len(values)] = values
        filled += len(values)
        line += stretch.count(b"\n")
    return rows[:filled]


def _first_row(path: Path) -> tuple[bytes, int]:
    """The first line of values, and how many lines of header or blanks precede it."""
    with path.open("rb") as stream:
        _skip_mark(stream)
        blanks = 0
        for number, line in enumerate(stream):
            if line.strip() and not (number == blanks and _is_header(line)):
                return line, number
            blanks += not line.strip()
    raise DataError(f"{path}: no rows of values; each line must hold a label and its pixels")


def _is_header(line: bytes) -> bool:
    """Whether a line names its columns: the first is no number, and no two are alike, as pixels would be."""
    fields = [field.strip() for field in line.split(b",")]
    return not _VALUE.fullmatch(_text(fields[0])) and 1 < len(fields) == len(set(fields))


def _check_columns(path: Path, line: int, columns: int) -> None:
    pixels = columns - 1
    if pixels < 1 or isqrt(pixels) ** 2 != pixels:
        raise DataError(
            f"{path}, row {line}: {columns} columns, a label and {pixels} pixels; "
            "the pixels must make a square image, like 784 for 28 x 28, separated by commas"
        )


def _stretches(path: Path, header_lines: int) -> Iterator[bytes]:
    """The file's content in whole lines, each ended by a newline alone."""
    with path.open("rb") as stream:
        _skip_mark(stream)
        for _ in range(header_lines):
            stream.readline()
        while stretch := stream.read(STRETCH):
            stretch += stream.readline()
            if b"\r" in stretch:
                stretch = stretch.replace(b"\r\n", b"\n")
            yield stretch if stretch.endswith(b"\n") else stretch + b"\n"


def _skip_mark(stream: IO[bytes]) -> None:
    """Step over the mark that some programs put before UTF-8 text."""
    if stream.read(len(BOM_UTF8)) != BOM_UTF8:
        stream.seek(0)


def _parse_plain(stretch: bytes, columns: int) -> Bytes | None:
    """The values of lines made of nothing but digits, commas and newlines, or None if there is more to them.

    One, ten and hundred are what stands one, two and three places before the end of each value; the last two
    count if they, and all between them and the end, are digits.
    """
    # With three places in front, looking back from the first value stays within the text.
    padded = np.frombuffer(b"\n\n\n" + stretch, np.uint8)
    text = padded[3:]
    ends = np.flatnonzero(text < _ZERO)
    lines = ends[columns - 1 :: columns]
    if len(ends) != columns * len(lines) or (text.take(lines) != _NEWLINE).any():
        return None
    newlines, commas = np.count_nonzero(text == _NEWLINE), np.count_nonzero(text == _COMMA)
    if newlines != len(lines) or newlines + commas != len(ends):
        return None
    one, ten, hundred = (padded[3 - place :].take(ends) - _ZERO for place in (1, 2, 3))
    # Bytes below the digits have wrapped round to large numbers, so one comparison tells digits.
    has_ten = ten < 10
    has_hundred = has_ten & (hundred < 10)
    digits = len(ends) + np.count_nonzero(has_ten) + np.count_nonzero(has_hundred)
    if one.max() > 9 or digits != len(text) - len(ends):
        return None
    hundred *= has_hundred
    values: Bytes = one + ten * has_ten * _TEN
    # Before they are added: in bytes, 256 would come out as 0.
    if hundred.max() > 2 or ((hundred == 2) & (values > 55)).any():
        return None
    return (values + hundred * _HUNDRED).reshape(-1, columns)


def _parse_carefully(stretch: bytes, columns: int, path: Path, first_line: int) -> Bytes:
    """The same values one by one, saying what is wrong and where."""
    rows = []
    for line, content in enumerate(_text(stretch).split("\n"), start=first_line):
        if not content.strip():
            continue
        fields = content.split(",")
        if len(fields) != columns:
            raise DataError(
                f"{path}, row {line}: {len(fields)} columns, but {columns} in the first row; "
                "every row must hold a label and as many pixels"
            )
        rows.append([_value(field, path, line, column) for column, field in enumerate(fields, start=1)])
    return np.array(rows, np.uint8).reshape(-1, columns)


def _value(field: str, path: Path, line: int, column: int) -> int:
    match = _VALUE.fullmatch(field)
    if match is None or int(match[1]) > 255:
        what = "label" if column == 1 else "pixel"
        raise DataError(
            f"{path}, row {line}, column {column}: {field.strip()[:40]!r} is not a {what}; "
            "only whole numbers from 0 to 255 are read"
        )
    return int(match[1])


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")
