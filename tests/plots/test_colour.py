"""Images in colour are drawn as they are, wherever a model has its channels, and on its own fixed scale."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from backquery.datasets import Dataset, Split, prepare_steps
from backquery.experiments.damage import measure_damage
from backquery.experiments.timeline import Frame, Timeline, load_timeline
from backquery.faithfulness import Comparison
from backquery.faithfulness.comparison import Row
from backquery.faithfulness.real import Nearness
from backquery.faithfulness.recognition import Recognition
from backquery.faithfulness.usual import Usualness
from backquery.inversion import back_query, fit_statistics
from backquery.model import IN_COLOUR, Array, Layout, Network, Scaling, ink_of, picture_of
from backquery.plots import (
    change_grid,
    comparison_table,
    damage_curves,
    film_strip,
    query_steps,
    save_animation,
    scan_grid,
    timeline_frame,
)
from backquery.plots.paper import as_picture, figure_bytes
from backquery.plots.scans import scan_sheet
from backquery.plots.sheets import painted
from tests.plots.test_plots import assert_nothing_is_clipped, texts

ROWS, COLUMNS = 6, 5
SHAPES = [(ROWS, COLUMNS, 3), (3, ROWS, COLUMNS)]
SCALINGS: dict[str, Callable[[tuple[int, ...]], Scaling | None]] = {
    "none": lambda shape: None,
    "bytes": lambda shape: Scaling.unit(),
    "channels": lambda shape: Scaling.by_channel([0.5, 0.4, 0.3], [0.2, 0.3, 0.4], shape),
}


def coloured(shape: tuple[int, ...], scaling: str = "bytes") -> Network:
    sizes = [ROWS * COLUMNS * 3, 12, 4]
    return Network.create(sizes, rng=3, input_shape=shape, scaling=SCALINGS[scaling](shape))


@pytest.fixture
def colours() -> Array:
    """Raw images (n, rows, columns, 3), one of which has pure red, green and blue pixels."""
    images = np.random.default_rng(0).integers(0, 256, (40, ROWS, COLUMNS, 3)).astype(float)
    images[0] = 0
    images[0, 0, :3] = 255 * np.eye(3)
    return images


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_is_the_raw_image_again(shape: tuple[int, ...], scaling: str, colours: Array) -> None:
    model = coloured(shape, scaling)
    ordered = colours if shape[-1] == 3 else np.moveaxis(colours, -1, 1)
    inputs = (ordered / 255).reshape(40, -1) if scaling == "none" else model.scale(colours)
    np.testing.assert_allclose(as_picture(inputs, model), colours / 255, atol=1e-6)
    np.testing.assert_allclose(picture_of(model, ink_of(model, inputs[0])), colours[0] / 255, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_scans_and_changes_are_in_colour(shape: tuple[int, ...], colours: Array) -> None:
    model = coloured(shape)
    result = back_query(model, [0, 1, 2], method="gauss-newton", prior="smooth", confidence=0.6)
    figure = scan_grid(result, model)
    for image, ax in zip(result.images, figure.axes, strict=True):
        (shown,) = ax.images
        expected = np.clip(image.reshape(shape), 0, 1)
        expected = expected if shape[-1] == 3 else np.moveaxis(expected, 0, -1)
        np.testing.assert_allclose(shown.get_array(), expected, atol=1e-12)
    assert any("colours as in the pictures, black is 0" in text for text in texts(figure))
    assert_nothing_is_clipped(figure)
    near = model.scale(colours[:1])
    turned = back_query(model, [2], method="gauss-newton", prior="smooth", confidence=0.6, near=near)
    start, answer, change = (ax.images[0].get_array() for ax in change_grid(turned, model).axes)
    np.testing.assert_allclose(start, colours[0] / 255, atol=1e-6)
    np.testing.assert_allclose(change, 0.5 + (answer - start) / 2, atol=1e-12)


def rgb(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), int)


def test_both_painters_paint_the_same_colours(colours: Array) -> None:
    model = coloured(SHAPES[1])
    result = back_query(model, [0], method="gauss-newton", prior="smooth", confidence=0.6)
    images = model.scale(colours[:1])
    sheet = scan_sheet(replace(result, images=images), model)
    left, top = sheet.grid.places[0]
    wide, tall = sheet.grid.tile_width, sheet.grid.tile_height
    down = (160 * (top + tall * (np.arange(ROWS) + 0.5) / ROWS)).astype(int)
    across = (160 * (left + wide * (np.arange(COLUMNS) + 0.5) / COLUMNS)).astype(int)
    for content in (painted(sheet), figure_bytes(scan_grid(replace(result, images=images), model), "png")):
        np.testing.assert_allclose(rgb(content)[np.ix_(down, across)], colours[0], atol=1)


def in_colour(figure: Figure) -> list[np.ndarray]:
    """What is drawn in the figure, each of it in colour."""
    shown = [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]
    assert shown and all(image.shape == (ROWS, COLUMNS, 3) for image in shown)
    return shown


@pytest.mark.parametrize("shape", SHAPES)
def test_a_comparison_shows_every_row_in_colour(shape: tuple[int, ...], colours: Array) -> None:
    model, labels = coloured(shape), np.arange(4)
    ink = Layout.of(shape).flat(colours[:4] / 255)
    known = Recognition({}, {}, labels, 0.25), Usualness(np.full(4, 0.5))
    near = Nearness(np.ones(4), labels, np.ones(9))
    row = Row("gauss-newton", "method", ink, labels, labels, labels, *known, near)
    table = Comparison(model.classes, shape, (row,), (), nearest_ink={row.name: ink[::-1]})
    shown = in_colour(comparison_table(table))
    np.testing.assert_allclose(shown[:4], colours[:4] / 255, atol=1e-12)
    np.testing.assert_allclose(shown[4:], colours[3::-1] / 255, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_timeline_shows_every_moment_in_colour(shape: tuple[int, ...], colours: Array, tmp_path: Path) -> None:
    ink = Layout.of(shape).flat(colours[:4] / 255)
    frames = tuple(Frame(k, float(k), 0.5, ink * (k + 1) / 3, np.arange(4), np.full(4, 0.9)) for k in range(3))
    timeline = Timeline(frames, ("a", "b", "c", "d"), shape, "gauss-newton", "colours")
    timeline.save(tmp_path / "timeline.npz")
    kept = load_timeline(tmp_path / "timeline.npz")
    np.testing.assert_allclose(in_colour(timeline_frame(kept, 2)), colours[:4] / 255, atol=1e-6)
    strip = in_colour(film_strip(kept))
    np.testing.assert_allclose(strip[8:], colours[:4] / 255, atol=1e-6)
    for name in ("moving.gif", "moving.apng"):
        save_animation(kept, tmp_path / name)
        with Image.open(tmp_path / name) as moving:
            assert moving.n_frames == 3
            moving.seek(2)
            pixels = np.asarray(moving.convert("RGB"), int)
        assert np.ptp(pixels, axis=2).max() > 150, "pure colours are there"


def test_damage_shows_its_scans_in_colour(colours: Array) -> None:
    shape = SHAPES[0]
    model = coloured(shape)
    labels = np.arange(40) % 4
    model = replace(model, statistics=fit_statistics(model, (model.scale(colours), labels)))
    data = Dataset("colours", Split(colours, labels), Split(colours, labels), model.classes, 255.0, IN_COLOUR)
    damage = measure_damage(model, data, what=("nodes",), repeats=2, stages=(0, 0.3), rng=0)
    scans = damage.stages[0].scans
    shown = in_colour(damage_curves(damage))
    np.testing.assert_allclose(shown[:4], np.clip(scans.images, 0, 1).reshape(4, *shape), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_become_inputs_in_one_step(shape: tuple[int, ...]) -> None:
    model = coloured(shape)
    drawn = np.zeros((60, 50, 3), np.uint8)
    drawn[:, :, 0], drawn[20:40, 10:30, 2] = 200, 255
    prepared = [prepare_steps(drawn, (ROWS, COLUMNS, 3))]
    answers = model.query(model.scale(np.stack([one.pixels for one in prepared])))
    figure = query_steps(prepared, ["mine.png"], answers, model)
    given, seen = (image.get_array() for ax in figure.axes for image in ax.images)
    np.testing.assert_allclose(given, drawn / 255, atol=1e-6)
    np.testing.assert_allclose(seen, prepared[0].pixels / 255, atol=1e-6)
    said = texts(figure)
    assert "the picture" in said and "the picture, in grey" not in said and "in colour, as they are" in said
    assert_nothing_is_clipped(figure)
