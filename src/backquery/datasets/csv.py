"""Rows of values as any program writes them: one image a line, its label in one column, its pixels in the others.

Nearly every such file holds nothing but whole numbers from 0 to 255: it is parsed here, by whole-array operations,
in a quarter of the time that pyarrow and NumPy take and in half of that of polars, and then kept in the cache. A
file with anything else in it is read by NumPy's own `numpy.loadtxt`; one that this refuses is gone through field
by field to say which row and column it stumbles over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.cache import remembered
from backquery.datasets.dataset import Labelled, need_room
from backquery.datasets.labels import is_number
from backquery.datasets.names import LABEL_COLUMNS
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.table import Table, as_images
from backquery.datasets.text import MOST_TEXT, Layout, Part, layout_of, opened
from backquery.errors import DataError

Bytes = NDArray[np.uint8]

PARSER = "csv-2"
"""Names this parser in the cache; to be raised whenever it would read a file differently."""

STRETCH = 1 << 17
"""Bytes parsed at a time: small enough to stay in the processor's cache."""

LONGEST_LABEL = 100
"""Characters of a column of words that are read."""

LEAST_WORDS = 0.05
"""A column with a smaller share of words holds numbers, and the words are mistakes."""

_COMMA, _NEWLINE, _ZERO, _TEN, _HUNDRED = (np.uint8(number) for number in (*b",\n0", 10, 100))


class NotPlainError(Exception):
    """There is more in the text than whole numbers from 0 to 255, separators and newlines."""


def read_csv(path: Path | Part, how: Reading = AS_FOUND) -> Labelled:
    """Images (n, height, width) and labels (n,) from a text with a label and its pixels in each row.

    Which columns are which is found as `table.columns_of` does. Numbers may have fractions or a decimal comma,
    labels may be words; gzip, bz2 and xz are unpacked. Fields that are no numbers and rows of another length than
    the first raise `DataError` with file, row (the line's number, from 1) and column (from 1).
    """
    part = Part(path) if isinstance(path, Path) else path
    layout = layout_of(part)
    if layout.columns < 2:
        raise DataError(f"{part}: one column only; each line must hold a label and its pixels, like 785 columns")
    return as_images(table_in(part, layout, how.label_column), how)


def table_in(part: Part, layout: Layout, label_column: str | int | None = None) -> Table:
    """Everything in the text: as bytes where it is plain, else as 32-bit floating numbers and words."""
    if layout.separator != " " and not layout.decimal_comma:
        with suppress(NotPlainError):
            return Table(str(part), _remembered(part, layout), layout.names)
    return _by_numpy(part, layout, label_column)


def parse(part: Part, layout: Layout) -> Bytes:
    """All values of a plain text (rows, columns); `NotPlainError` for any other."""
    parsed = [_parse_plain(stretch, layout.columns) for stretch in _stretches(part, layout)]
    return np.concatenate(parsed)


def _remembered(part: Part, layout: Layout) -> Bytes:
    try:
        # A number takes two letters at least; of a packed text there may be more than is foreseen.
        need_room((part.path.stat().st_size // 2,), 1, str(part))
        if part.member is not None:
            return parse(part, layout)
        return remembered(part.path, PARSER, lambda _: parse(part, layout))
    except OSError as error:
        raise DataError(f"{part}: cannot be read ({error.strerror or error})") from error


def _stretches(part: Part, layout: Layout) -> Iterator[bytes]:
    """The rows in whole lines, each ended by a newline alone, with commas between the values."""
    separator, size = layout.separator.encode(), 0
    with opened(part) as stream:
        _skip(stream, layout.skipped)
        while stretch := stream.read(STRETCH):
            stretch += stream.readline()
            size += len(stretch)
            _check_size(part, size)
            if b"\r" in stretch:
                stretch = stretch.replace(b"\r\n", b"\n")
            if separator != b",":
                # A comma would pass for a separator.
                stretch = stretch.replace(b",", b"?").replace(separator, b",")
            yield stretch if stretch.endswith(b"\n") else stretch + b"\n"


def _skip(stream: IO[bytes], lines: int) -> None:
    for _ in range(lines):
        stream.readline()


def _check_size(part: Part, size: int) -> None:
    if size > MOST_TEXT:
        raise DataError(f"{part}: more than {MOST_TEXT} bytes of text; split the file")


def _parse_plain(stretch: bytes, columns: int) -> Bytes:
    """The values of lines made of nothing but digits, commas and newlines, else `NotPlainError`.

    One, ten and hundred are what stands one, two and three places before the end of each value; the last two
    count if they, and all between them and the end, are digits.
    """
    # With three places in front, looking back from the first value stays within the text.
    padded = np.frombuffer(b"\n\n\n" + stretch, np.uint8)
    text = padded[3:]
    ends = np.flatnonzero(text < _ZERO)
    lines = ends[columns - 1 :: columns]
    if len(ends) != columns * len(lines) or (text.take(lines) != _NEWLINE).any():
        raise NotPlainError
    newlines, commas = np.count_nonzero(text == _NEWLINE), np.count_nonzero(text == _COMMA)
    if newlines != len(lines) or newlines + commas != len(ends):
        raise NotPlainError
    one, ten, hundred = (padded[3 - place :].take(ends) - _ZERO for place in (1, 2, 3))
    # Bytes below the digits have wrapped round to large numbers, so one comparison tells digits.
    has_ten = ten < 10
    has_hundred = has_ten & (hundred < 10)
    digits = len(ends) + np.count_nonzero(has_ten) + np.count_nonzero(has_hundred)
    if one.max() > 9 or digits != len(text) - len(ends):
        raise NotPlainError
    hundred *= has_hundred
    values: Bytes = one + ten * has_ten * _TEN
    # Before they are added: in bytes, 256 would come out as 0.
    if hundred.max() > 2 or ((hundred == 2) & (values > 55)).any():
        raise NotPlainError
    return (values + hundred * _HUNDRED).reshape(-1, columns)


def _by_numpy(part: Part, layout: Layout, label_column: str | int | None) -> Table:
    """All numbers as 32-bit floats; a few columns, which may hold words, as they stand there, too."""
    texts = _may_hold_words(layout, label_column)
    need_room((sum(1 for _ in _lines(part, layout)), layout.columns), 4, str(part))
    rows = _loaded(part, layout, texts)
    values = np.empty((len(rows), layout.columns), np.float32)
    words = set()
    for name, start, width in _runs(layout.columns, texts):
        if width:
            values[:, start : start + width] = rows[name]
            continue
        numbers = _numbers(rows[name])
        values[:, start] = numbers
        words |= {start} if np.isnan(numbers).mean() >= LEAST_WORDS else set()
    if not np.isfinite(np.delete(values, list(words), axis=1)).all():
        raise _complaint(part, layout, words)
    return Table(str(part), values, layout.names, {column: rows[f"text{column}"] for column in texts}, words)


def _may_hold_words(layout: Layout, label_column: str | int | None) -> list[int]:
    """The first column and the last, those that begin with words, and those whose names say label."""
    asked = str(label_column).casefold()
    columns = {0, layout.columns - 1, *layout.wordy}
    columns |= {int(asked) - 1} if asked.isdecimal() else set()
    for column, name in enumerate(layout.names or ()):
        columns |= {column} if name.casefold() in (*LABEL_COLUMNS, asked) else set()
    return sorted(columns & set(range(layout.columns)))


def _runs(columns: int, texts: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Each column of text (width 0), and each run of numbers between them: name, first column, width."""
    start = 0
    for column in (*texts, columns):
        if column > start:
            yield f"numbers{start}", start, column - start
        if column < columns:
            yield f"text{column}", column, 0
        start = column + 1


def _loaded(part: Part, layout: Layout, texts: Sequence[int]) -> NDArray[Any]:
    fields = [
        (name, np.float32, (width,)) if width else (name, f"U{LONGEST_LABEL}")
        for name, _, width in _runs(layout.columns, texts)
    ]
    written: dict[str, Any] = {"delimiter": layout.separator.strip(" ") or None, "quotechar": layout.quote}
    try:
        return np.loadtxt(_lines(part, layout), np.dtype(fields), comments=None, ndmin=1, **written)
    except ValueError as error:
        raise _complaint(part, layout, set(texts), str(error)) from error


def _lines(part: Part, layout: Layout) -> Iterator[str]:
    size = 0
    with opened(part) as stream:
        _skip(stream, layout.skipped)
        for line in stream:
            size += len(line)
            _check_size(part, size)
            text = line.decode("utf-8", "replace")
            yield text.replace(",", ".") if layout.decimal_comma else text


def _numbers(texts: NDArray[np.str_]) -> NDArray[np.float32]:
    """The numbers that a column of texts holds, NaN where one is none."""
    found, inverse = np.unique(texts, return_inverse=True)
    numbers = [float(text.replace(",", ".")) if is_number(text) else np.nan for text in found]
    return np.array(numbers, np.float32)[inverse]


def _complaint(part: Part, layout: Layout, words: set[int], otherwise: str = "not understood") -> DataError:
    """What is wrong with the text and where, found by going through it field by field."""
    with opened(part) as stream:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8", "replace")
            if number <= layout.skipped or not text.strip():
                continue
            try:
                fields = layout.fields(text)
            except DataError as error:
                return DataError(f"{part}, row {number}: {error}")
            if len(fields) != layout.columns:
                return DataError(
                    f"{part}, row {number}: {len(fields)} columns, but {layout.columns} in the first row; "
                    "every row must hold a label and as many pixels"
                )
            for column, field in enumerate(fields):
                if column not in words and not is_number(field):
                    return DataError(
                        f"{part}, row {number}, column {column + 1}: {field.strip()[:40]!r} is not a number; "
                        "labels may be words, but pixels are numbers"
                    )
    return DataError(f"{part}: {otherwise}")
