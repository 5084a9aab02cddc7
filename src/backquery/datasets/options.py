"""What a person may say about data that their files leave open: one value, from the options to the readers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal, get_args

from backquery.errors import DataError
from backquery.model import Layout, Shape

Ink = Literal["auto", "dark", "light"]


@dataclass(frozen=True)
class Reading:
    """How files are to be read where they leave it open; what is None is found out from the files.

    `images` and `labels` are the names of the arrays of an archive, of the variables of a ``.mat`` file, or of a
    table's column of pictures. `label_column` is the column of a CSV file, of an ARFF file or of a Parquet table
    that holds the labels: its name, or its number from 1.

    `shape` says how a row of pixels makes an image, such as (20, 28), or (32, 32, 3) or (3, 32, 32) for colours.
    `colour` is True where images are to be read in colour, (n, height, width, 3), False where in grey.

    `ink` is ``"dark"`` where it was drawn on a brighter ground, so that the numbers are turned, ``"light"`` where
    it was not; ``"auto"`` looks at the borders of all images together. `pixel_range` are the numbers for one end
    of the scale and the other, such as (0, 16). `transposed` tells images that are stored column by column.

    What says nothing of the kind raises `DataError`.
    """

    images: str | None = None
    labels: str | None = None
    label_column: str | int | None = None
    ink: Ink = "auto"
    pixel_range: tuple[float, float] | None = None
    transposed: bool | None = None
    colour: bool | None = None
    shape: Shape | None = None

    def __post_init__(self) -> None:
        check_ink(self.ink)
        if self.pixel_range is not None and not all(map(isfinite, (*self.pixel_range, self._span))):
            raise DataError(f"a pixel range is two finite numbers, the lower first; received {self.pixel_range}")
        if self.shape is not None and not _is_image(self.shape):
            raise DataError(
                f"a shape is one image's, such as (28, 28), or (32, 32, 3) for colours; received {self.shape}"
            )

    @property
    def _span(self) -> float:
        low, high = self.pixel_range or (0.0, 1.0)
        return high - low if high > low else nan


def check_ink(ink: str) -> None:
    """Raise `DataError` for what is none of the three."""
    if ink not in get_args(Ink):
        raise DataError(f"ink must be 'auto', 'dark' or 'light'; received {ink!r}")


def _is_image(shape: Shape) -> bool:
    whole = all(isinstance(side, int) and side > 0 for side in shape)
    return whole and len(shape) in (2, 3) and Layout.of(shape).channels in (1, 3)


AS_FOUND = Reading()
"""Nothing is said: everything is found out."""
