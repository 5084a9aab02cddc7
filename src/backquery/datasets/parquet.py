"""Parquet, through pyarrow: tables with a column of pictures, as Hugging Face's, or one for each pixel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.arrays import images_from_array
from backquery.datasets.dataset import MEMORY_LIMIT, Labelled, as_halves, need_room
from backquery.datasets.labels import labels_from_array, listed
from backquery.datasets.names import LABEL_COLUMNS, said
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.pictures import Loose, read_pictures
from backquery.datasets.table import Table, as_images
from backquery.errors import BackqueryError, DataError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = b"PAR1"
"""What such a file begins with."""

Shards = Sequence[Path]


def halves_beside(path: Path) -> list[list[Path]]:
    """The files of the train half and of the test half, if there is one, that belong to a file, by their names.

    A half may lie in several files, as ``train-00000-of-00002.parquet``.
    """
    mine = _half_and_name(path)
    if mine[0] != "train":
        return [[path]]
    halves: dict[Any, list[Path]] = {}
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        half, name = _half_and_name(other)
        if name == mine[1]:
            halves.setdefault(half, []).append(other)
    tests = [halves[half] for half in ("test", "validation") if half in halves]
    return [halves["train"], *tests[:1]]


def read_parquet(
    halves: Sequence[Shards], how: Reading = AS_FOUND
) -> tuple[Labelled | Loose, Labelled | Loose | None, tuple[str, ...] | None]:
    """Train half, test half or None, and the names of the classes if the file has them.

    Pictures are a column of files, as bytes or as Hugging Face's ``Image``, or of nested lists of pixels; labels
    are a column of numbers or words, or Hugging Face's ``ClassLabel``. A table without such a column has one for
    each pixel (`columns_of`). Without pyarrow, `MissingExtraError`; `DataError` names the columns that are there.
    """
    tables = [_table(shards) for shards in halves]
    sources = [str(shards[0]) for shards in halves]
    pictures = _picture_column(tables[0], sources[0], how)
    if pictures is None:
        plain = [_one_pixel_each(*half, how) for half in zip(tables, sources, strict=True)]
        return *as_halves(plain), None
    label = _label_column(tables[0], pictures, sources[0], how)
    names = _features(tables[0]).get(label, {}).get("names")
    labels = [_labels(table, label, names, source) for table, source in zip(tables, sources, strict=True)]
    columns = [table.column(pictures) for table in tables]
    read = _read_files if _holds_files(tables[0], pictures) else _read_pixels
    return *as_halves(read(columns, labels, sources, how)), None if names is None else tuple(names)


def _half_and_name(path: Path) -> tuple[str | None, tuple[str, ...]]:
    half, _, rest = said(path.stem)
    return half, tuple(word for word in rest if not word.isdecimal() and word != "of")


def _table(shards: Shards) -> pa.Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "pyarrow", "parquet") from error
    try:
        about = [pq.read_metadata(path) for path in shards]
        size = sum(one.row_group(group).total_byte_size for one in about for group in range(one.num_row_groups))
        if size > MEMORY_LIMIT:
            raise DataError(f"{shards[0]}: more than {MEMORY_LIMIT} bytes when unpacked; split it")
        need_room((size,), 1, str(shards[0]))
        return pa.concat_tables([pq.read_table(path) for path in shards])
    except BackqueryError:
        raise
    except Exception as error:  # broken files raise whatever their bytes lead the reader to
        raise DataError(
            f"{shards[0]}: cannot be read as Parquet ({error}); fetch or copy the file again"
        ) from error


def _features(table: pa.Table) -> dict[str, Any]:
    """What Hugging Face's `datasets` says of each column."""
    told = (table.schema.metadata or {}).get(b"huggingface")
    features = json.loads(told).get("info", {}).get("features", {}) if told else {}
    return features if isinstance(features, dict) else {}


def _picture_column(table: pa.Table, source: str, how: Reading) -> str | None:
    if how.images is not None:
        if how.images not in table.column_names:
            raise _no_column(how.images, "--images", table, source)
        return how.images
    files = [name for name in table.column_names if _holds_files(table, name)]
    nested = [name for name in table.column_names if _is_list(table.schema.field(name).type)]
    if len(files or nested) > 1:
        raise DataError(f"{source}: pictures are in {listed(files or nested)}; choose one with --images")
    return next(iter(files or nested), None)


def _label_column(table: pa.Table, pictures: str, source: str, how: Reading) -> str:
    asked = how.label_column if how.label_column is not None else how.labels
    if asked is not None:
        if str(asked) not in table.column_names:
            raise _no_column(str(asked), "--label-column", table, source)
        return str(asked)
    others = [name for name in table.column_names if name != pictures]
    classes = [name for name in others if "names" in _features(table).get(name, {})]
    known = [name for word in LABEL_COLUMNS for name in others if name.casefold() == word]
    if not (classes or known or len(others) == 1):
        raise DataError(
            f"{source}: which column holds the labels? It has {listed(others)}; say --label-column NAME"
        )
    chosen: str = (classes or known or others)[0]
    return chosen


def _labels(table: pa.Table, column: str, names: Sequence[str] | None, source: str) -> NDArray[Any]:
    values = table.column(column)
    if values.null_count:
        raise DataError(f"{source}: {values.null_count} rows have no {column!r}; every image needs a label")
    labels = labels_from_array(_as_numpy(values), f"{source}: {column!r}")
    if names is None:
        return labels
    if labels.min() < 0 or labels.max() >= len(names):
        raise DataError(
            f"{source}: labels from {labels.min()} to {labels.max()}, but it names {len(names)} classes"
        )
    named: NDArray[Any] = np.array(names)[labels]
    return named


def _as_numpy(values: pa.ChunkedArray) -> NDArray[Any]:
    array: NDArray[Any] = values.to_numpy()
    return array.astype(np.str_) if array.dtype == object else array


def _holds_files(table: pa.Table, name: str) -> bool:
    """Whether a column holds whole files of pictures: their bytes, alone or beside their paths."""
    import pyarrow as pa

    kind = table.schema.field(name).type
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return any(
        is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _read_files(
    columns: Sequence[pa.ChunkedArray], labels: Sequence[NDArray[Any]], sources: Sequence[str], how: Reading
) -> Sequence[Labelled | Loose]:
    found = [
        list(zip(_files(column, source), given, strict=True))
        for column, given, source in zip(columns, labels, sources, strict=True)
    ]
    return read_pictures([Path(source) for source in sources], found, how.colour)


def _files(column: pa.ChunkedArray, source: str) -> list[bytes]:
    files = [value["bytes"] if isinstance(value, dict) else value for value in column.to_pylist()]
    if any(file is None for file in files):
        raise DataError(
            f"{source}: the pictures are only named there, and lie in files of their own; name their folder"
        )
    return files


def _read_pixels(
    columns: Sequence[pa.ChunkedArray], labels: Sequence[NDArray[Any]], sources: Sequence[str], how: Reading
) -> Sequence[Labelled | Loose]:
    return [
        Labelled(images_from_array(_pixels(column, source), len(given), source, how.shape), given, source)
        for column, given, source in zip(columns, labels, sources, strict=True)
    ]


def _pixels(column: pa.ChunkedArray, source: str) -> NDArray[Any]:
    """Nested lists of the same lengths throughout as one array (n, length, ...)."""
    values, shape = column.combine_chunks(), [len(column)]
    while _is_list(values.type):
        values = getattr(values, "storage", values).flatten()
        if not shape[-1] or len(values) % int(np.prod(shape)):
            raise DataError(f"{source}: the pictures have different sizes; all must be alike")
        shape.append(len(values) // int(np.prod(shape)))
    pixels: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(shape)
    return pixels


def _one_pixel_each(table: pa.Table, source: str, how: Reading) -> Labelled:
    columns = [_as_numpy(column) for column in table.columns]
    texts = {place: column for place, column in enumerate(columns) if column.dtype.kind == "U"}
    numbers = [
        np.full(len(table), np.nan, np.float32) if place in texts else column
        for place, column in enumerate(columns)
    ]
    return as_images(Table(source, np.column_stack(numbers), tuple(table.column_names), texts, texts), how)


def _no_column(name: str, option: str, table: pa.Table, source: str) -> DataError:
    return DataError(f"{source}: there is no column {name!r} for {option}; it has {listed(table.column_names)}")
