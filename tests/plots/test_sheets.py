"""A sheet painted by Pillow is the picture that Matplotlib draws, but for a fraction of a dot."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backquery.plots.paper import figure_bytes
from backquery.plots.sheets import Sheet, Tile, figure_of, painted, save_sheet


def a_sheet(shape: tuple[int, int] = (8, 8)) -> Sheet:
    rng = np.random.default_rng(0)
    captions = (["asked 0", "reads 0, 0.994"], ["asked 1", "reads 7, 0.610", "\N{BALLOT X} not as asked"])
    shown = [Tile(rng.random(shape), caption, len(caption) < 3) for caption in captions]
    return Sheet("One of two is read as asked", "black is ink, white is paper", shown, 2)


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("L")


@pytest.mark.parametrize("shape", [(8, 8), (4, 16), (16, 4), (28, 28)])
def test_both_painters_make_the_same_picture(shape: tuple[int, int]) -> None:
    sheet = a_sheet(shape)
    by_pillow, by_matplotlib = picture(painted(sheet)), picture(figure_bytes(figure_of(sheet), "png"))
    assert np.abs(np.subtract(by_pillow.size, by_matplotlib.size)).max() <= 1
    blurred = [
        np.asarray(each.resize(by_pillow.size).filter(ImageFilter.BoxBlur(12)), float)
        for each in (by_pillow, by_matplotlib)
    ]
    assert np.abs(blurred[0] - blurred[1]).mean() < 2
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] > 0.99


def test_every_shade_is_matplotlib_s() -> None:
    ink = np.linspace(0, 1, 16).reshape(4, 4)
    sheet = Sheet("shades", "", [Tile(ink, ["from none to full"])], 1)
    shades = []
    for content in (painted(sheet), figure_bytes(figure_of(sheet), "png")):
        dots = np.asarray(picture(content))
        left, top = sheet.grid.places[0]
        side = sheet.grid.tile_width / 4
        middles = 160 * (np.arange(4) + 0.5) * side
        shades.append(dots[np.ix_((160 * top + middles).astype(int), (160 * left + middles).astype(int))])
    np.testing.assert_allclose(shades[0], shades[1], atol=1)


def test_what_is_not_read_as_asked_has_a_heavy_dashed_frame() -> None:
    sheet = a_sheet()
    good = replace(sheet, tiles=[replace(tile, as_asked=True) for tile in sheet.tiles])
    more = np.asarray(picture(painted(good)), int) - np.asarray(picture(painted(sheet)), int)
    columns = np.flatnonzero(more.any(axis=0)) / 160
    left = sheet.grid.places[1][0]
    assert abs(columns.min() - (left - 0.05)) < 0.03
    assert abs(columns.max() - (left + sheet.grid.tile_width + 0.05)) < 0.03
    assert more.max() > 200


@pytest.mark.needs("a Chinese font")
def test_letters_that_matplotlib_s_own_fonts_may_lack_are_left_to_matplotlib(tmp_path: Path) -> None:
    sheet = a_sheet()
    save_sheet(sheet, tmp_path / "plain.png")
    assert (tmp_path / "plain.png").read_bytes() == painted(sheet)
    foreign = replace(sheet, tiles=[replace(tile, caption=["\u4e03"]) for tile in sheet.tiles])
    save_sheet(foreign, tmp_path / "foreign.png")
    assert (tmp_path / "foreign.png").read_bytes() == figure_bytes(figure_of(foreign), "png")


@pytest.mark.parametrize(("suffix", "head"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_other_formats_are_drawn_by_matplotlib(tmp_path: Path, suffix: str, head: bytes) -> None:
    save_sheet(a_sheet(), tmp_path / f"sheet{suffix}")
    assert (tmp_path / f"sheet{suffix}").read_bytes().startswith(head)
