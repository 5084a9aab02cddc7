"""Results that are tables: rows of plain values, and the same as pandas has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
