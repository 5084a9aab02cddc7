"""Photographs of handwriting in uneven light become ink on even paper; no other picture is taken for one."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from measurements.photographing import KINDS, Camera, linear, photograph
from measurements.photographs import photographed, reading
from PIL import Image
from scipy.ndimage import gaussian_filter

from backquery.datasets import Dataset, prepare_image, prepare_steps
from backquery.datasets.photographs import ink_is_darker, may_be_photograph, paper_light, read_page
from backquery.errors import AssumptionWarning, DataError
from backquery.io import load_model
from backquery.model.network import Network

SMALL = replace(Camera(), side=(400, 500))


def two_strokes() -> np.ndarray:
    """An i: a stroke and, apart from it, its dot."""
    ink = np.zeros((28, 28), np.uint8)
    ink[10:24, 12:15] = 255
    ink[4:7, 12:15] = 255
    return ink


def test_what_is_faint_is_no_ink_however_much_there_is_of_it() -> None:
    paper = np.full((64, 64), 150.0)
    paper[np.random.default_rng(0).random(paper.shape) < 0.45] = 153
    paper[30:32, 10:50] = 80
    assert ink_is_darker(paper) and not ink_is_darker(150 * 150 / paper)


@pytest.mark.parametrize("darker", [True, False])
def test_of_dark_and_light_strokes_those_of_which_there_is_more_are_the_ink(darker: bool) -> None:
    paper = np.full((64, 64), 100.0)
    for row in range(4, 60, 8):
        paper[row, 4:60] = 160
        paper[row + 4, 4:60] = 101**2 / 161 - 1  # as far from the paper
    paper[4, 4:60] = paper[8, 4:60] if darker else 160
    paper[8, 4:60] = paper[4, 4:60]
    assert ink_is_darker(paper) == darker


def page(ink: np.ndarray, camera: Camera = SMALL, seed: int = 0) -> np.ndarray:
    with Image.open(io.BytesIO(photograph(ink, camera, np.random.default_rng(seed)))) as image:
        return np.asarray(image)


def shaded(shape: tuple[int, int] = (300, 400), darkest: float = 0.25) -> np.ndarray:
    """Paper of shade 220 in light that falls to a quarter from the left to the right."""
    return np.tile(np.linspace(220, 220 * darkest, shape[1], dtype=np.float32), (shape[0], 1))


@pytest.mark.reads(
    "data",
    "`query` with a photograph of handwriting in uneven light: a shadow's slope or edge, ruled or squared paper, "
    "a thin pen, chalk on a board",
    "the shadows are taken away, which one line says; `--light even` overrules it and `--show steps.png` draws "
    "[the steps](photographs.md)",
)
@pytest.mark.parametrize(
    "kind",
    [
        "linear shadow", "round shadow", "vignetting", "edge of a shadow", "shadow and noise",
        "shadow, faint pencil", "shadow, thin pen", "shadow, squared paper", "shadow, the table's edge",
        "shadow, chalk on a board",
    ],
)  # fmt: skip
def test_digits_in_uneven_light_are_read_once_the_shadows_are_gone(mnist: Dataset, kind: str) -> None:
    network = load_model("mnist")
    assert isinstance(network, Network)
    assert mnist.test is not None
    found = reading(network, mnist.test, replace(KINDS[kind], side=(300, 450)), seed=5, images=10)
    assert found.cleaned >= 9
    assert found.taken_for_uneven >= 9
    assert found.as_they_are <= found.cleaned - 3


@pytest.mark.reads(
    "data",
    "`query` with a photograph or a scan of handwriting in even light",
    "as any other picture: ink is what differs from the border",
)
def test_a_photograph_in_even_light_is_read_as_any_other_picture(mnist: Dataset) -> None:
    assert mnist.test is not None
    for position in range(5):
        steps = prepare_steps(photographed(mnist.test, KINDS["even light"], 5, position))
        assert not steps.uneven
        assert np.ptp(steps.paper) == 0


def test_that_light_is_uneven_is_said_with_the_option_that_overrules_it() -> None:
    picture = page(two_strokes())
    with pytest.warns(AssumptionWarning, match=r"the picture: .* dark ink in uneven light.*--light even"):
        pixels = prepare_image(picture)
    np.testing.assert_array_equal(pixels, prepare_image(picture, light="uneven"))
    assert np.abs(pixels - prepare_image(picture, light="even")).mean() > 10


def test_what_a_program_drew_is_never_taken_for_a_photograph(mnist: Dataset) -> None:
    """A guess would warn, and a warning fails."""
    rng = np.random.default_rng(0)
    for position, original in enumerate(mnist.train.images[:20]):
        side = int(rng.integers(100, 500))
        picture = Image.fromarray(original).resize((side, side), Image.Resampling.BICUBIC)
        paper = 255 - np.asarray(picture) if position % 2 else np.asarray(picture)
        stream = io.BytesIO()
        Image.fromarray(paper).save(stream, "JPEG" if position % 3 else "PNG")
        steps = prepare_steps(stream.getvalue())
        assert not steps.uneven
        assert prepare_image(stream.getvalue(), light="even").tolist() == steps.pixels.tolist()


@pytest.mark.parametrize("light_thing", [True, False])
def test_a_shaded_thing_on_a_clean_ground_is_no_photograph_of_paper(light_thing: bool) -> None:
    """As the clothes of Fashion-MNIST, enlarged: wide, with many shades, but on one exact shade."""
    rng = np.random.default_rng(1)
    for side in (120, 250, 400):
        row, column = np.mgrid[:side, :side] / side - 0.5
        texture = gaussian_filter(rng.normal(size=(side, side)), side / 20)
        thing = ((np.abs(row) < 0.35) & (np.abs(column) < 0.3)) * (150 + 90 * texture / np.abs(texture).max())
        assert not prepare_steps(thing if light_thing else 255 - thing).uneven


def test_a_photograph_of_other_things_is_none_of_handwriting() -> None:
    rng = np.random.default_rng(2)
    scene = sum(gaussian_filter(rng.normal(size=(300, 400)), width) * width for width in (2, 5, 12, 30, 60))
    scene = 255 * (scene - scene.min()) / np.ptp(scene)
    assert may_be_photograph(scene.astype(np.float32))
    assert not prepare_steps(scene).uneven


def test_the_paper_is_what_the_light_makes_of_it() -> None:
    """A slope goes on to the very border, and no stroke shows in it."""
    light = shaded()
    seen = light.copy()
    seen[100:200, 150:165] *= 0.3
    np.testing.assert_allclose(paper_light(seen), light, rtol=0.05)
    step = np.where(np.arange(400) < 230, np.float32(200), np.float32(60)) + np.zeros((300, 1), np.float32)
    written = step.copy()
    written[100:120, 100:350] *= 0.4
    np.testing.assert_allclose(paper_light(written), step, rtol=0.05)


def test_ink_is_as_dark_in_the_shadow_as_in_the_light() -> None:
    seen = shaded()
    strokes = np.zeros(seen.shape, bool)
    strokes[60:240, 60:75] = strokes[60:75, 60:340] = strokes[60:240, 325:340] = True
    found = read_page(np.where(strokes, seen * 0.4, seen), True)
    assert found.written
    assert found.in_uneven_light
    assert found.ink[strokes].mean() > 240
    away = gaussian_filter(strokes.astype(float), 3) < 0.001
    assert found.ink[away].max() == 0
    assert (found.ink[~strokes & ~away] < 255).any()


def test_strokes_of_one_character_stay_together_and_what_is_far_goes() -> None:
    seen = shaded()
    character, elsewhere = np.zeros(seen.shape, bool), np.zeros(seen.shape, bool)
    character[120:200, 150:162] = character[90:100, 150:162] = True
    elsewhere[:, :9] = elsewhere[20:50, 380:392] = elsewhere[140:143, 185:188] = True
    found = read_page(np.where(character | elsewhere, seen * 0.3, seen), True)
    assert (found.ink[character] > 100).mean() > 0.9
    assert found.ink[elsewhere].max() == 0


def test_a_thin_line_is_widened_until_a_small_image_can_show_it() -> None:
    seen = shaded((400, 400), 0.4)
    seen[100:300, 199:202] *= 0.4
    wide = np.flatnonzero(prepare_image(seen, light="uneven")[14] > 100)
    assert len(wide) in (1, 2)
    inked = (read_page(seen, True).ink[200] > 127).sum()
    assert 14 <= inked <= 22


@pytest.mark.parametrize("chalk", [True, False])
def test_what_was_drawn_is_told_from_what_lies_around_it(chalk: bool) -> None:
    for seed in range(5):
        seen = page(two_strokes(), replace(SMALL, chalk=chalk), seed).astype(np.float32)
        assert ink_is_darker(seen) == (not chalk)
        told = prepare_image(seen, light="uneven", ink="light" if chalk else "dark")
        np.testing.assert_array_equal(told, prepare_image(seen, light="uneven"))


def test_without_centring_the_ink_stays_where_it_was() -> None:
    seen = shaded((300, 300))
    seen[40:80, 30:50] *= 0.3
    pixels = prepare_image(seen, (30, 30), light="uneven", centre=False)
    assert pixels[5:7, 3:5].min() > 200
    pixels[3:9, 2:6] = 0
    assert pixels.max() == 0


def test_an_empty_page_is_blank_and_not_taken_for_writing() -> None:
    rng = np.random.default_rng(0)
    empty = np.clip(shaded() + rng.normal(0, 3, (300, 400)), 0, 255)
    assert not prepare_image(empty, light="uneven").any()
    assert not read_page(empty.astype(np.float32), True).written


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (20, 3), (64, 700), (3, 3000), (1100, 90)])
def test_pictures_of_any_size_can_be_cleaned(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        for ink in ("auto", "dark", "light"):
            pixels = prepare_image(picture, (8, 9), 16, light="uneven", ink=ink)  # type: ignore[arg-type]
            assert pixels.shape == (8, 9)
            assert pixels.min() >= 0
            assert pixels.max() <= 16


def test_an_unknown_light_is_refused() -> None:
    with pytest.raises(DataError, match="light must be 'auto', 'even' or 'uneven'; received 'dim'"):
        prepare_image(page(two_strokes()), light="dim")  # type: ignore[arg-type]


def test_the_photographs_are_as_dark_as_is_said() -> None:
    """The darkest paper is darker than the lightest ink, so that no one threshold can tell them."""
    row, column = np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 60), indexing="ij")
    for seed in range(5):
        light = linear(row, column, np.random.default_rng(seed))
        assert light.max() == pytest.approx(1)
        assert 0.19 < light.min() < 0.34
