"""Labels of pictures in a list beside them: a CSV file with a column of their names, as on Kaggle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backquery.datasets.labels import listed
from backquery.datasets.names import LABEL_COLUMNS
from backquery.datasets.options import Reading
from backquery.datasets.text import Layout, Part, layout_of, opened
from backquery.errors import DataError

LONGEST_LIST = 1 << 26
"""Bytes of a list that are read."""


def list_beside(outer: Path, inner: Path, pictures: Sequence[Path]) -> Path | None:
    """The list in one of the folders that names at least half of the pictures, or None."""
    folders = (outer, inner, *inner.parents)[: 2 + len(inner.relative_to(outer).parts)]
    lists = {path for folder in folders for path in folder.glob("*.[ct]sv") if path.is_file()}
    fitting = [(len(_named_in(path, pictures)), path) for path in sorted(lists)]
    named, best = max(fitting, default=(0, None), key=lambda fit: fit[0])
    return best if 2 * named >= len(pictures) > 0 else None


def labels_in_list(path: Path, pictures: Sequence[Path], how: Reading) -> list[tuple[Path, str]]:
    """The pictures that the list names, with their labels, in the order of the list."""
    layout, rows = _rows(path)
    column = _column_of_names(rows, pictures)
    label = _label_column(path, layout, column, how)
    known = _by_name(pictures)
    found = [(known[row[column]], row[label].strip()) for row in rows if row[column] in known]
    if missing := [str(picture) for picture, name in found if not name]:
        raise DataError(f"{path}: no label for {listed(missing, 3)}; write one behind its name")
    return found


def _named_in(path: Path, pictures: Sequence[Path]) -> set[str]:
    try:
        _, rows = _rows(path)
    except DataError:
        return set()
    known = _by_name(pictures)
    return max(({row[column] for row in rows} & set(known) for column in range(len(rows[0]))), key=len)


def _rows(path: Path) -> tuple[Layout, list[list[str]]]:
    """The rows of the list, each as long as the first."""
    layout = layout_of(Part(path))
    with opened(Part(path)) as stream:
        lines = stream.read(LONGEST_LIST).decode("utf-8", "replace").splitlines()[layout.skipped :]
    rows = [layout.fields(line) for line in lines if line.strip()]
    return layout, [row for row in rows if len(row) == layout.columns]


def _by_name(pictures: Sequence[Path]) -> dict[str, Path]:
    """Each picture by what a list may call it: its name with or without its end, or with its folder's."""
    names = {}
    for path in pictures:
        for name in (path.stem, path.name, f"{path.parent.name}/{path.name}"):
            names[name] = path
    return names


def _column_of_names(rows: Sequence[Sequence[str]], pictures: Sequence[Path]) -> int:
    known = _by_name(pictures)
    return max(range(len(rows[0])), key=lambda column: sum(row[column] in known for row in rows))


def _label_column(path: Path, layout: Layout, names: int, how: Reading) -> int:
    called = [name.casefold() for name in layout.names or ()]
    asked = None if how.label_column is None else str(how.label_column).casefold()
    if asked is not None and asked in called:
        return called.index(asked)
    if asked is not None and asked.isdecimal() and 1 <= int(asked) <= layout.columns:
        return int(asked) - 1
    others = [column for column in range(layout.columns) if column != names]
    likely = [column for word in LABEL_COLUMNS for column in others if called and called[column] == word]
    if asked is None and (likely or len(others) == 1):
        return likely[0] if likely else others[0]
    there = listed(layout.names or [str(column + 1) for column in range(layout.columns)])
    raise DataError(f"{path}: which column holds the labels? It has {there}; choose with --label-column")
