"""How a file of rows and columns is written: packing, encoding, separator, decimal mark, names of columns.

What is needed is found in the first rows. ARFF is such a file, too, with a longer head.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from backquery.datasets.dataset import MEMORY_LIMIT
from backquery.datasets.labels import is_number
from backquery.datasets.names import LABEL_COLUMNS
from backquery.errors import DataError

MOST_TEXT = 2 * MEMORY_LIMIT
"""Bytes: no text is read that takes more than this, unpacked."""

SEPARATORS = (";", "\t", "|", ",", " ")
SAMPLE = 20
"""So many rows tell how all are written."""

LONGEST_ROW = 1 << 24

LONGEST_HEAD = 1 << 19
"""Remarks that may stand before the first row."""

PEEKED = 1 << 16
"""Bytes at the start of a text that tell how its lines end, and whether its values are words for yes and no."""

_TRUTH = re.compile(rb"\b(?:true|false)\b", re.IGNORECASE)

_ATTRIBUTE = re.compile(r"""@attribute\s+(?P<name>'[^']*'|"[^"]*"|\S+)""", re.IGNORECASE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PLAIN_ENDS = (".csv", ".tsv", ".txt", ".data", ".dat", ".arff", ".tab")


class Part(NamedTuple):
    """A text by itself (member None), or one that lies in a zip archive."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member}"

    @property
    def name(self) -> str:
        """The text's own name."""
        return self.path.name if self.member is None else self.member


class Layout(NamedTuple):
    """How the rows of a text are written, and how many lines stand before the first of them.

    A separator " " is any run of blanks. `names` are those of the columns, where there are any; `wordy` are the
    columns that hold words in the first rows.
    """

    separator: str
    columns: int
    names: tuple[str, ...] | None = None
    skipped: int = 0
    decimal_comma: bool = False
    quote: str = '"'
    wordy: tuple[int, ...] = ()

    def fields(self, line: str) -> list[str]:
        """The fields of one row; `DataError` if it is none."""
        try:
            return _fields(line, self.separator, self.quote)
        except csv.Error as error:
            raise DataError(f"{line[:30]!r} is no row of a table ({error})") from None


def texts_in(path: Path) -> list[Part]:
    """The texts with rows in a zip archive, by their names; of any other file, the file itself."""
    if not zipfile.is_zipfile(path):
        return [Part(path)]
    names = [name for name in names_in_zip(path) if not name.startswith("__MACOSX")]
    return [Part(path, name) for name in names if name.lower().endswith(_PLAIN_ENDS)]


def names_in_zip(path: Path) -> list[str]:
    """The names of all files in a zip archive; `DataError` for one that is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception as error:  # damaged archives raise whatever their bytes lead Python to
        raise DataError(f"{path}: is a damaged zip archive ({error}); fetch or copy the file again") from error


@contextmanager
def opened(part: Part) -> Iterator[IO[bytes]]:
    """The text unpacked, in UTF-8, without a mark at its start; `DataError` where that fails."""
    try:
        with _unpacked(part) as stream:
            yield _in_utf8(stream)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{part}: cannot be read ({reason}); fetch or copy the file again") from error


def layout_of(part: Part) -> Layout:
    """How the text is written; `DataError` if it holds no rows of values."""
    with opened(part) as stream:
        lines = (_row(part, line) for line in iter(partial(stream.readline, LONGEST_ROW), b""))
        try:
            return _layout(lines)
        except csv.Error as error:
            raise DataError(f"{part}: is no table of rows and columns ({error})") from None
        except StopIteration:
            raise DataError(f"{part}: no rows of values; each line must hold a label and its pixels") from None


def _row(part: Part, line: bytes) -> str:
    if len(line) == LONGEST_ROW:
        raise DataError(f"{part}: a row of more than {LONGEST_ROW} bytes is no image; each must end its line")
    return line.decode("utf-8", "replace")


def _layout(lines: Iterator[str]) -> Layout:
    head, first = _head(lines)
    rows = [first, *(row for row in islice(lines, SAMPLE) if row.strip())]
    attributes = tuple(match["name"].strip("\"'") for line in head if (match := _ATTRIBUTE.match(line)))
    quote = "'" if attributes and "'" in "".join(rows) else '"'
    separator = _told_separator(head) or _separator(rows[1:] or rows)
    split = [_fields(row, separator, quote) for row in rows]
    header = not attributes and _is_header(split)
    values = split[header:]
    if not values:
        raise StopIteration
    columns = len(values[0])
    names = split[0] if header else attributes or _names_in_remarks(head, separator, columns)
    comma = separator != "," and any("," in field and is_number(field) for row in values for field in row)
    return Layout(separator, columns, _complete(names, columns), len(head) + header, comma, quote, _wordy(values))


def _wordy(values: Sequence[Sequence[str]]) -> tuple[int, ...]:
    if len(values) < 2:
        return ()
    return tuple(
        column for column, fields in enumerate(zip(*values, strict=False)) if not any(map(is_number, fields))
    )


def _head(lines: Iterator[str]) -> tuple[list[str], str]:
    """The blank lines and remarks before the first row, and that row."""
    head: list[str] = []
    for line in islice(lines, LONGEST_HEAD):
        if line.strip() and not _is_remark(line):
            return head, line
        head.append(line.strip())
    raise StopIteration


def _is_remark(line: str) -> bool:
    """Whether a line tells something about the rows; a row may begin with the label ``#``, alone in its field."""
    start = line.lstrip()
    return start.startswith(("#", "%", "@", "sep=")) and start[1:2] not in SEPARATORS[:4]


def _told_separator(head: Sequence[str]) -> str | None:
    """Excel's own remark, ``sep=;``."""
    return next((line[4:5] or "\t" for line in head if line.startswith("sep=")), None)


def _names_in_remarks(head: Sequence[str], separator: str, columns: int) -> list[str] | None:
    """As NumPy writes a header, behind ``#``."""
    remarks = (_fields(line.lstrip("# "), separator) for line in head if line.startswith("#"))
    return next((fields for fields in remarks if len(fields) == columns > 2), None)


def _complete(names: Sequence[str] | None, columns: int) -> tuple[str, ...] | None:
    """A name for each column; R leaves out that of the first, which numbers the rows."""
    if names is None or len(names) not in (columns - 1, columns):
        return None
    return tuple(name.strip() for name in ([""] * (columns - len(names)) + list(names)))


def _is_header(split: list[list[str]]) -> bool:
    """Whether the first row names the columns: with words where the next has numbers, or counting them."""
    first, words = split[0], [field for field in split[0] if not is_number(field)]
    counts = [field for field in first if is_number(field)]
    if len(words) < 2:
        known = words and words[0].strip().lower() in LABEL_COLUMNS and len(split) > 1
        beside_numbers = known and sum(map(is_number, split[1])) == len(split[1])
        return bool(beside_numbers) or (_counting(counts) and (len(counts) >= 10 or bool(words)))
    return len(set(first)) == len(first) or 2 * len(words) > len(first)


def _counting(fields: Sequence[str]) -> bool:
    """Whether the fields are whole numbers, each one more than the last, from 0 or 1."""
    if len(fields) < 2 or not all(field.strip().isdecimal() for field in fields):
        return False
    numbers = [int(field) for field in fields]
    return numbers[0] in (0, 1) and all(after == before + 1 for before, after in pairwise(numbers))


def _separator(rows: Sequence[str]) -> str:
    """What gives all rows the same number of fields, more than one, and most of them numbers."""

    def numbers(separator: str) -> float:
        split = [_fields(row, separator) for row in rows]
        if len(set(map(len, split))) > 1 or len(split[0]) < 2:
            return -1.0
        return sum(is_number(field) for row in split for field in row) / (len(split) * len(split[0]))

    best = max(SEPARATORS, key=numbers)
    return best if numbers(best) >= 0 else max(SEPARATORS, key=lambda mark: (rows[0].count(mark), mark == ","))


def _fields(line: str, separator: str, quote: str = '"') -> list[str]:
    content = line.strip() if separator == " " else line.strip("\r\n")
    return next(csv.reader([content], delimiter=separator, quotechar=quote, skipinitialspace=True), [])


@contextmanager
def _unpacked(part: Part) -> Iterator[IO[bytes]]:
    if part.member is not None:
        with zipfile.ZipFile(part.path) as archive, archive.open(part.member) as stream:
            yield stream
        return
    with part.path.open("rb") as raw:
        start = raw.read(5)
        raw.seek(0)
        if start.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(IO[bytes], stream)
        elif start.startswith(b"BZh"):
            with bz2.BZ2File(raw) as stream:
                yield cast(IO[bytes], stream)
        elif start.startswith(b"\xfd7zX"):
            with lzma.LZMAFile(raw) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield raw


def _in_utf8(stream: IO[bytes]) -> IO[bytes]:
    start = stream.read(4)
    stream.seek(0)
    if start.startswith(_UTF16):
        return _of_pieces(_from_utf16(stream))
    begin = len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0
    stream.seek(begin)
    sample = stream.read(PEEKED)
    stream.seek(begin)
    if b"\r" in sample and b"\n" not in sample:
        stream = _of_pieces(piece.replace(b"\r", b"\n") for piece in iter(partial(stream.read, PEEKED), b""))
    if _are_truth_values(sample):
        lines = iter(partial(stream.readline, LONGEST_ROW), b"")
        return _of_pieces(_TRUTH.sub(lambda word: b"01"[word[0][0] in b"tT" :][:1], line) for line in lines)
    return stream


def _from_utf16(stream: IO[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while piece := stream.read(PEEKED):
        yield decoder.decode(piece).encode("utf-8", "replace")


class _Pieces(io.RawIOBase):
    """Bytes that are made piece by piece as they are read, so that no text need be in memory as a whole."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._left and (piece := next(self._pieces, None)) is not None:
            self._left = piece
        given, self._left = self._left[: len(target)], self._left[len(target) :]
        target[: len(given)] = given
        return len(given)


def _of_pieces(pieces: Iterator[bytes]) -> IO[bytes]:
    return io.BufferedReader(_Pieces(pieces), PEEKED)


def _are_truth_values(sample: bytes) -> bool:
    """Whether most fields of the last whole row are the words true and false, as Python and R write them."""
    rows = sample.splitlines()
    row = rows[-2] if len(rows) > 2 and len(sample) == PEEKED else rows[-1] if rows else b""
    return 2 * len(_TRUTH.findall(row)) > max(2, len(re.findall(rb"[^\s,;|]+", row)))
