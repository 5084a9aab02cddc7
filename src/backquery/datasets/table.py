"""Which columns of a table are an image's pixels, in which order, and which one holds the labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.datasets.labels import MOST_CLASSES, labels_from_text, listed
from backquery.datasets.names import LABEL_COLUMNS
from backquery.datasets.options import Reading
from backquery.errors import DataError, assume
from backquery.model import Layout, Shape

_PIXEL = re.compile(
    r"(?:pixels?|pix|px|p|x|y|f|v|i|c|features?|feat|attributes?|attr|att|col|column|inputs?|in|r|row|var)?"
    r"[\s_.:(\[-]*\d+(?:[\s_.,:xyc-]+\d+)?[)\]]?",
    re.IGNORECASE,
)
_RUNNING = re.compile(r"(?:unnamed.*|index|idx|id|row|no|nr|#)?", re.IGNORECASE)

MOST_DIGITS = 9
"""Of a row or column in a name; what has more counts no pixels."""

RARE = 0.9
"""A column in which one value fills more than this share of the rows is rather a pixel than a label."""


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words: `values` (rows, columns) are NaN in columns of `words`.

    `names` are those of the columns, where there are any; `texts` holds some columns exactly as they stand there,
    all those of words among them; `source` is for messages.
    """

    source: str
    values: NDArray[Any]
    names: tuple[str, ...] | None = None
    texts: Mapping[int, NDArray[np.str_]] = field(default_factory=dict)
    words: Collection[int] = ()


@dataclass(frozen=True)
class Columns:
    """Where the labels stand, and the pixels in the order of an image of this shape."""

    label: int
    pixels: NDArray[np.int64]
    shape: tuple[int, ...]


def as_images(table: Table, how: Reading) -> Labelled:
    """The images (n, height, width) and labels (n,) of a table; whole pixels from 0 to 255 become uint8.

    Of a shape told with 3 for colours they are (n, height, width, 3).
    """
    columns = columns_of(table, how)
    rows, layout = _narrowest(table.values[:, columns.pixels]), Layout.of(columns.shape)
    images = np.ascontiguousarray(layout.grid(rows))
    images = images if layout.channels == 3 else images[..., 0]
    return Labelled(images, _labels(table, columns.label), table.source)


def columns_of(table: Table, how: Reading) -> Columns:
    """The columns by what `how` says, else by their names, else by what stands in them.

    A label may stand in any column that is called so, or else first or last. Columns that number the rows are
    passed over, other columns beside the pixels are in one line of warning. `DataError` where no square image
    is left, nor one of the shape that was told, or there is no label.
    """
    everything = list(range(table.values.shape[1]))
    label = _label_by_name(table, how)
    pixels = _pixels_by_name(table, label, how.shape)
    if pixels is None:
        label, pixels = _by_content(table, label, everything, how.shape)
    elif label is None:
        raise DataError(
            f"{table.source}: all {len(pixels)} columns are pixels, and none is a label; "
            "a column with the labels is needed"
        )
    _say_left_out(table, [column for column in everything if column != label and column not in pixels])
    order, shape = _order_and_shape(table, pixels, how.shape)
    return Columns(label, np.array(pixels)[order], shape)


def makes_images(count: int, shape: Shape | None = None) -> bool:
    """Whether so many pixels make a square image, or one of the shape that was told."""
    return count > 0 and (isqrt(count) ** 2 if shape is None else prod(shape)) == count


def _label_by_name(table: Table, how: Reading) -> int | None:
    names = [name.casefold() for name in table.names or ()]
    if how.label_column is not None:
        return _asked(table, names, str(how.label_column))
    for known in LABEL_COLUMNS:
        if known in names:
            return names.index(known)
    others = [
        column for column, name in enumerate(names) if not (_PIXEL.fullmatch(name) or _RUNNING.fullmatch(name))
    ]
    if len(others) == 1:
        return others[0]
    texts = [column for column in table.words if not (names and _RUNNING.fullmatch(names[column]))]
    return texts[0] if len(texts) == 1 else None


def _asked(table: Table, names: Sequence[str], asked: str) -> int:
    if asked.casefold() in names:
        return names.index(asked.casefold())
    columns = table.values.shape[1]
    if asked.isdecimal() and 1 <= int(asked) <= columns:
        return int(asked) - 1
    there = f"the columns are {listed(table.names)}" if table.names else f"the columns are 1 to {columns}"
    raise DataError(f"{table.source}: there is no column {asked!r} for --label-column; {there}")


def _pixels_by_name(table: Table, label: int | None, shape: Shape | None) -> list[int] | None:
    named = enumerate(table.names or ())
    pixels = [column for column, name in named if column != label and _PIXEL.fullmatch(name)]
    told = shape is None and _rows_and_columns(table, pixels) is not None
    return pixels if told or makes_images(len(pixels), shape) else None


def _by_content(
    table: Table, label: int | None, everything: Sequence[int], shape: Shape | None
) -> tuple[int, list[int]]:
    rest = [column for column in everything if column != label and column not in table.words]
    labels = int(label is None)
    if (
        not makes_images(len(rest) - labels, shape)
        and makes_images(len(rest) - labels - 1, shape)
        and _is_running(table, rest[0])
    ):
        rest = rest[1:]
    if not makes_images(len(rest) - labels, shape):
        raise _no_image(table, len(everything), shape)
    label = _first_or_last(table, rest) if label is None else label
    return label, [column for column in rest if column != label]


def _no_image(table: Table, count: int, shape: Shape | None) -> DataError:
    found = f"{table.source}: {count} columns, a label and {count - 1} pixels"
    if shape is not None:
        return DataError(f"{found}; they make no image of the shape {shape} that was told")
    side = isqrt((count - 1) // 3)
    likely = f"{side},{side},3" if 3 * side**2 == count - 1 else "20,28"
    return DataError(
        f"{found}; the pixels must make a square image, like 784 for 28 x 28, or say what image they make: "
        f"--shape {likely} (in Python Reading(shape=...))"
    )


def _first_or_last(table: Table, rest: Sequence[int]) -> int:
    """The book has the label first; where only the last column looks like labels, or both do, that is said."""
    first, last = (_like_labels(table.values[:, column]) for column in (rest[0], rest[-1]))
    if first > last or last == 0:
        return rest[0]
    taken, other = (rest[-1], rest[0]) if first < last == 2 else (rest[0], rest[-1])
    assume(
        f"{table.source}: the labels were taken from column {taken + 1}, by what stands in it; --label-column "
        f"{other + 1} takes them from column {other + 1}"
    )
    return taken


def _like_labels(column: NDArray[Any]) -> int:
    """2 for whole numbers that recur or lie close together, as labels do, 1 if nearly all are one, else 0."""
    found, counts = np.unique(column, return_counts=True)
    whole = np.isfinite(found).all() and (found == np.trunc(found)).all()
    if not whole or not 2 <= len(found) <= MOST_CLASSES:
        return 0
    close = float(found[-1]) - float(found[0]) < 2 * len(found)
    if not close and 2 * len(found) > len(column):
        return 0
    return 1 if counts.max() > RARE * len(column) else 2


def _is_running(table: Table, column: int) -> bool:
    """Whether a column only numbers the rows."""
    numbers = table.values[:, column].astype(np.float64)
    called = table.names is not None and _RUNNING.fullmatch(table.names[column]) is not None
    return called or bool((np.diff(numbers) == 1).all())


def _say_left_out(table: Table, columns: Sequence[int]) -> None:
    odd = [column for column in columns if column in table.words or not _is_running(table, column)]
    if odd:
        names = [table.names[column] if table.names else str(column + 1) for column in odd]
        assume(
            f"{table.source}: neither labels nor pixels, and left out: {listed(names)}; --label-column names one"
        )


def _order_and_shape(
    table: Table, pixels: Sequence[int], told: Shape | None
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """How the pixels are to be put in order by their names' numbers, row by row, and the image's shape."""
    numbered = _rows_and_columns(table, pixels) if told is None else None
    if numbered is not None:
        return _by_rows(table, numbered)
    shape = (isqrt(len(pixels)),) * 2 if told is None else told
    numbers = [re.findall(r"\d+", table.names[column]) for column in pixels] if table.names else []
    if all(len(found) == 1 for found in numbers) and len({found[0] for found in numbers}) == len(pixels):
        return np.argsort([int(found[0]) for found in numbers], kind="stable"), shape
    return np.arange(len(pixels)), shape


def _rows_and_columns(table: Table, pixels: Sequence[int]) -> NDArray[np.int64] | None:
    """The row and column (pixels, 2) that names like ``28x28`` or ``pixel_0_0`` say, if they fill an image."""
    numbers = [re.findall(r"\d+", table.names[column]) for column in pixels] if table.names else []
    if not numbers or any(len(found) != 2 or max(map(len, found)) > MOST_DIGITS for found in numbers):
        return None
    places = np.array(numbers, dtype=np.int64)
    sides = [len(np.unique(places[:, axis])) for axis in (0, 1)]
    return places if prod(sides) == len(pixels) == len(np.unique(places, axis=0)) else None


def _by_rows(table: Table, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    order = np.lexsort((places[:, 1], places[:, 0]))
    if len(order) > 1 and (np.sort(places[:, 0]) != places[:, 0]).any():
        assume(
            f"{table.source}: the first number in each pixel's name was taken for its row, the second for its "
            "column; name them the other way round if the images lie on their side"
        )
    height, width = (len(np.unique(places[:, axis])) for axis in (0, 1))
    return order.astype(np.int64), (height, width)


def _narrowest(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    whole = (pixels == np.trunc(pixels)).all() and pixels.size > 0
    if whole and pixels.min() >= 0 and pixels.max() <= 255:
        return pixels.astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _labels(table: Table, column: int) -> NDArray[Any]:
    if column in table.texts:
        return labels_from_text(table.texts[column], table.source)
    numbers = table.values[:, column]
    if not (np.isfinite(numbers).all() and (numbers == np.trunc(numbers)).all()):
        wrong = next(number for number in numbers.tolist() if number != int(number))
        raise DataError(f"{table.source}: {wrong} is not a label; whole numbers and names are")
    return numbers.astype(np.int64)
