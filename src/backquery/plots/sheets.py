"""A sheet of small images with captions, laid out once, and painted by Pillow (.png) or drawn by Matplotlib.

Pillow paints the same picture, to the eye, in a tenth of the time that Matplotlib takes to be loaded.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backquery.files import replacing
from backquery.model import Array
from backquery.plots.paper import (
    AWAY,
    BELOW,
    HAIRLINE,
    INK,
    LINE,
    MARGIN,
    NOT_READ,
    PENCIL,
    READ,
    RESOLUTION,
    Grid,
    check_picture_path,
    draw_ink,
    heading,
    save_figure,
    tiles,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

GREYS = (255, 240, 217, 189, 150, 115, 82, 37, 0)
"""Matplotlib's Greys, which are ColorBrewer's, from no ink to full ink."""

PLAIN = 0x530
"""The fonts that come with Matplotlib have every letter before this one: Latin, Greek, Cyrillic."""

Line = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Tile:
    """One image from 0 to 1, in ink (rows, columns) or in colours (rows, columns, 3), with the lines under it.

    as_asked: whether it has no warning frame.
    """

    ink: Array
    caption: list[str]
    as_asked: bool = True


@dataclass(frozen=True, eq=False)
class Sheet:
    """Tiles of one shape, so many in a row, below a title and a line of explanation."""

    title: str
    subtitle: str
    tiles: Sequence[Tile]
    columns: int

    @property
    def grid(self) -> Grid:
        """Where everything lies."""
        return Grid.of([tile.caption for tile in self.tiles], self.columns, self.tiles[0].ink.shape)


def figure_of(sheet: Sheet) -> Figure:
    """The sheet as a Matplotlib figure, with axes for each tile."""
    figure, axes = tiles([tile.caption for tile in sheet.tiles], sheet.columns, sheet.tiles[0].ink.shape)
    heading(figure, sheet.title, sheet.subtitle)
    for ax, tile in zip(axes, sheet.tiles, strict=True):
        draw_ink(ax, tile.ink, tile.as_asked)
    return figure


def save_sheet(sheet: Sheet, path: str | os.PathLike[str]) -> None:
    """Write the sheet to `path` as its suffix says (.png, .svg or .pdf), whole or not at all."""
    if check_picture_path(path).suffix.lower() != ".png" or not _is_plain(sheet):
        save_figure(figure_of(sheet), path)
        return
    content = painted(sheet)
    with replacing(path) as stream:
        stream.write(content)


def painted(sheet: Sheet) -> bytes:
    """The sheet as the content of a .png file, painted by Pillow."""
    from PIL import Image, ImageDraw

    grid = sheet.grid
    page = Image.new("RGB", (_dots(grid.width), _dots(grid.height)), "white")
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN, 0.15), sheet.title, 11, bold=True)
    _write(draw, (MARGIN, 0.41), sheet.subtitle, 8.5, colour=PENCIL)
    for tile, place in zip(sheet.tiles, grid.places, strict=True):
        left, top, wide, tall = map(_dots, (*place, grid.tile_width, grid.tile_height))
        small = Image.fromarray(_bytes(tile.ink))
        page.paste(small.resize((wide, tall), Image.Resampling.NEAREST), (left, top))
        draw.rectangle((left, top, left + wide, top + tall), outline=HAIRLINE)
        if not tile.as_asked:
            _paint_warning(draw, (left, top, left + wide, top + tall))
        for number, text in enumerate(wrapped(tile.caption)):
            below = place[1] + grid.tile_height + BELOW + LINE * number
            _write(draw, (place[0], below), text, 8.5, bold=number == 0)
    stream = io.BytesIO()
    page.save(stream, "png", dpi=(RESOLUTION, RESOLUTION))
    return stream.getvalue()


def _is_plain(sheet: Sheet) -> bool:
    """Whether Matplotlib's own fonts have all of its letters; others may be somewhere on the machine."""
    texts = (sheet.title, sheet.subtitle, *(line for tile in sheet.tiles for line in tile.caption))
    return all(ord(letter) < PLAIN or letter in READ + NOT_READ for text in texts for letter in text)


def _bytes(ink: Array) -> NDArray[np.uint8]:
    """Ink by the shades of `GREYS`; colours, which are shades already, by themselves."""
    if ink.ndim == 3:
        return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)
    shades = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(GREYS)), GREYS)
    return shades.round().astype(np.uint8)[np.clip(ink * 256, 0, 255).astype(np.intp)]


def _write(
    draw: ImageDraw, place: tuple[float, float], text: str, size: float, colour: str = INK, *, bold: bool = False
) -> None:
    """A line of text whose tall letters begin at that place from the upper left corner, in inches."""
    font = _font("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf", size)
    baseline = place[1] * RESOLUTION - font.getbbox("lp", anchor="ls")[1]
    draw.text((place[0] * RESOLUTION, baseline), text, colour, font, anchor="ls")


@cache
def _font(name: str, size: float) -> FreeTypeFont:
    """One of Matplotlib's own fonts, which is found without loading Matplotlib."""
    from PIL import ImageFont

    package = find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / name
    return ImageFont.truetype(str(file), size * RESOLUTION / 72)


def _paint_warning(draw: ImageDraw, box: tuple[int, int, int, int]) -> None:
    """A heavy dashed line with a little paper between it and the image."""
    away, wide = _dots(AWAY), 1.6 * RESOLUTION / 72
    left, top, right, bottom = box[0] - away, box[1] - away, box[2] + away, box[3] + away
    for side in ((left, bottom, right, bottom), (right, bottom, right, top), (right, top, left, top),
                 (left, top, left, bottom)):  # fmt: skip
        for dash in _dashes(side, 4 * wide, 2 * wide):
            draw.line(dash, INK, round(wide))


def _dashes(side: Line, dash: float, gap: float) -> Iterator[Line]:
    ends = np.array(side, float).reshape(2, 2)
    length = float(np.abs(ends[1] - ends[0]).sum())
    for begin in np.arange(0.0, length, dash + gap):
        shares = np.array([begin, min(begin + dash, length)]) / length
        (x, y), (to_x, to_y) = ends[0] + shares[:, None] * (ends[1] - ends[0])
        yield float(x), float(y), float(to_x), float(to_y)


def _dots(inches: float) -> int:
    return round(inches * RESOLUTION)
