"""Results that are tables: rows of plain values, and the same as pandas has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

from backquery.errors import MissingExtraError

if TYPE_CHECKING:
    from pandas import DataFrame


class Tabular(ABC):
    """A result of rows, each a dictionary of plain values under the same names."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """The rows, labels by their names."""

    def to_pandas(self) -> DataFrame:
        """The rows as a ``pandas.DataFrame``, a column for each name; of a dictionary within, one for each of its
        own (``changed.low``). Raises `MissingExtraError` where pandas is not installed."""
        try:
            from pandas import json_normalize
        except ImportError:
            raise MissingExtraError("a table of pandas", "pandas") from None
        return json_normalize(self.records())

    @property
    def _told(self) -> str:
        """What stands above the rows, in a few words."""
        return ""

    def _repr_html_(self) -> str:
        """The rows as a table, for notebooks: of the columns those that hold something, one value to a row."""
        rows = self.records()
        names = [name for name in (rows[0] if rows else ()) if _fits([row[name] for row in rows])]
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        cells = ("".join(f"<td>{escape(_in_cell(row[name]))}</td>" for name in names) for row in rows)
        body = "".join(f"<tr>{each}</tr>" for each in cells)
        told = f"<caption>{escape(self._told)}</caption>" if self._told else ""
        return f"<table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _fits(column: list[object]) -> bool:
    return not any(isinstance(value, list | dict) for value in column) and any(map(_in_cell, column))


def _in_cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
