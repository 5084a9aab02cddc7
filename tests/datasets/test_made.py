"""Images that are made: what stands where is found again in the pixels, by the formulas, slowly."""

from __future__ import annotations

from hashlib import blake2b
from math import cos, pi, sin, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import datasets
from backquery.datasets import Split, coloured, shapes, wander
from backquery.datasets.made import COLOURS, LINES, RADII, SHAPES, finer
from backquery.errors import DataError

SIDE, CORNERS = 32, [(1, 1), (1, -1), (-1, -1), (-1, 1)]
SLACK = 0.3
"""Pixels by which a middle and a radius found from bytes may be off."""


def outline(shape: str, radius: float, points: int = 4000) -> np.ndarray:
    """Points (across, down) along a shape's line about its middle."""
    if shape == "circle":
        return np.array([(radius * cos(t), radius * sin(t)) for t in np.linspace(0, 2 * pi, points)])
    ends = zip(CORNERS, CORNERS[1:] + CORNERS[:1], strict=True)
    if shape == "cross":
        ends = [((-1, 0), (1, 0)), ((0, -1), (0, 1))]
    sides = [np.linspace(begin, end, points // 4) for begin, end in ends]
    return radius * np.concatenate(sides)


def middles_of(images: np.ndarray) -> np.ndarray:
    """The middle of each symmetric drawing, (n, 2), across and down, as its centre of mass."""
    ink = images / images.sum(axis=(1, 2), keepdims=True)
    places = np.arange(images.shape[1]) + 0.5
    return np.stack([ink.sum(axis=1) @ places, ink.sum(axis=2) @ places], axis=1)


def offsets(image: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(len(image)) + 0.5
    return np.abs(places - middle[0])[None, :], np.abs(places - middle[1])[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [4.5, 13.2])
def test_a_distance_is_that_to_the_nearest_point_of_the_line(shape: str, radius: float) -> None:
    places = np.abs(np.random.default_rng(3).uniform(-20, 20, (50, 2)))
    line = outline(shape, radius)
    slow = [min(sqrt((x - a) ** 2 + (y - b) ** 2) for a, b in line) for x, y in places]
    found = SHAPES[shape](places[:, 0], places[:, 1], np.full(50, radius))
    assert np.allclose(found, slow, atol=0.02)


@pytest.mark.parametrize("label", range(3), ids=list(SHAPES))
def test_all_ink_lies_along_the_line_of_its_shape(label: int) -> None:
    made = shapes(300, SIDE, rng=4)
    images = made.images[made.labels == label].astype(float)
    for image, middle in zip(images, middles_of(images), strict=True):
        across, down = offsets(image, middle)
        name = list(SHAPES)[label]
        reach = np.hypot(across, down) if name == "circle" else np.maximum(across, down)
        radius = np.average(reach, weights=image) * (2 if name == "cross" else 1)
        far = SHAPES[name](*np.broadcast_arrays(across, down), np.float64(radius))
        assert far[image > 0].max() <= LINES[1] + 0.5 + SLACK
        ends = 1 if name == "cross" else 0
        assert image[(far < SLACK) & (reach <= radius - ends)].min(initial=255) > 80
        assert RADII[0] * SIDE - LINES[1] - SLACK <= radius <= RADII[1] * SIDE + LINES[1] + SLACK


def test_nothing_is_cut_off_and_every_place_and_size_is_used() -> None:
    made = shapes(6000, SIDE, rng=1)
    middles = middles_of(made.images.astype(float))
    inked = [made.images.any(axis=axis) for axis in (1, 2)]
    first = np.stack([each.argmax(axis=1) for each in inked], axis=1)
    last = np.stack([SIDE - each[:, ::-1].argmax(axis=1) for each in inked], axis=1)
    # What is symmetric and not cut off ends as far from its middle on both sides, but for a part of a pixel.
    assert np.abs((middles - first) - (last - middles)).max() < 1
    assert (made.images[:, 1:-1, 1:-1] > 127).any(axis=0).all() and made.images.any(axis=0).all()
    sizes = (last - first)[:, 0] / SIDE
    assert sizes.min() < 2 * RADII[0] + 0.1 and sizes.max() > 2 * RADII[1]
    small = sizes < 0.5
    shares = first / (SIDE - (last - first))
    cells, _, _ = np.histogram2d(*shares[small].T, bins=4, range=[(0, 1)] * 2)
    assert cells.min() > 0.7 * cells.mean()


def test_every_label_comes_as_often_and_in_no_order() -> None:
    labels = shapes(299, 12, rng=5).labels
    assert sorted(np.bincount(labels)) == [99, 100, 100]
    assert not np.array_equal(labels, np.sort(labels)) and not np.array_equal(labels, np.arange(299) % 3)


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    made = {name: datasets.load(name) for name in ("shapes", "wandering-digits", "coloured-digits")}
    digests = {
        name: blake2b(b"".join(split.images.tobytes() for _, split in one.halves), digest_size=8).hexdigest()
        for name, one in made.items()
    }
    known = ("6e79cbd0aae374fb", "327949c28874094e", "4a0d5365223225a2")
    assert tuple(digests.values()) == known
    assert not np.array_equal(shapes(30, rng=1).images, shapes(30, rng=2).images)


@pytest.mark.parametrize(("count", "side"), [(2, 32), (30, 11), (0, 0)])
def test_too_few_shapes_or_too_small_ones_are_refused(count: int, side: int) -> None:
    with pytest.raises(DataError, match=f"received {count} and {side}"):
        shapes(count, side)


def resampled(image: np.ndarray, scale: float, left: float, top: float, side: int) -> np.ndarray:
    """The mean of what each pixel of the frame covers of the image, pixel by pixel."""
    found = np.zeros((side, side))
    for row, column in np.ndindex(side, side):
        for i, j in np.ndindex(*image.shape):
            high = min(row + 1, top + scale * (i + 1)) - max(row, top + scale * i)
            wide = min(column + 1, left + scale * (j + 1)) - max(column, left + scale * j)
            found[row, column] += max(high, 0) * max(wide, 0) * image[i, j]
    return found


@pytest.mark.parametrize("scale", [0.55, 0.8, 1.0])
def test_a_wandering_image_is_itself_smaller_and_elsewhere(scale: float) -> None:
    rng = np.random.default_rng(6)
    images = np.zeros((8, 7, 9))
    images[:, 1:6, 3:8] = rng.random((8, 5, 5))
    found = wander(Split(images, np.arange(8)), 12, (scale, scale), rng=2)
    assert found.labels.tolist() == list(range(8))
    for image, frame in zip(images, found.images, strict=True):
        places = [(np.arange(side) + 0.5) for side in (7, 9)]
        within = [(image.sum(axis=1 - axis) @ places[axis]) / image.sum() for axis in (0, 1)]
        across, down = middles_of(frame[None])[0]
        slow = resampled(image, scale, across - scale * within[1], down - scale * within[0], 12)
        assert np.allclose(frame, slow, atol=0.05)


def test_bytes_stay_bytes_and_what_fills_the_frame_stays_as_it_is() -> None:
    images = np.random.default_rng(7).integers(1, 256, (5, 6, 6), np.uint8)
    found = wander(Split(images, np.zeros(5, int)), 6, (1.0, 1.0), rng=1)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images, images)
    blank = wander(Split(np.zeros((2, 6, 6), np.uint8), [0, 1]), 8, rng=1)
    assert not blank.images.any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 1.0), st.sampled_from([np.uint8, np.float32]))
def test_all_ink_arrives_wherever_it_goes(seed: int, low: float, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    images = (rng.integers(0, 256, (6, 9, 8)) * (rng.random((6, 9, 8)) < 0.3)).astype(dtype)
    images[:, 2, 3] = 200
    found = wander(Split(images, np.zeros(6, int)), 10, (low, 1.0), rng=seed).images.astype(float)
    share = found.sum(axis=(1, 2)) / images.astype(float).sum(axis=(1, 2))
    assert (share >= low**2 - 0.06).all() and (share <= 1.06).all()
    assert found.max() <= 255
    again = wander(Split(images, np.zeros(6, int)), 10, (low, 1.0), rng=seed).images
    np.testing.assert_array_equal(found, again)


def test_every_place_is_wandered_to() -> None:
    images = np.zeros((4000, 6, 6), np.uint8)
    images[:, 2:4, 2:4] = 255
    found = wander(Split(images, np.zeros(4000, int)), 10, rng=3)
    middles = middles_of(found.images.astype(float))
    cells, _, _ = np.histogram2d(*middles.T, bins=4, range=[(1, 9)] * 2)
    assert cells.min() > 0.7 * cells.mean() and (found.images > 127).any(axis=0).all()


@pytest.mark.parametrize("scales", [(0.0, 1.0), (0.5, 1.1), (0.9, 0.5), (-1.0, 0.5)])
def test_scales_that_make_no_sense_are_refused(scales: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="above 0 and up to 1"):
        wander(Split(np.ones((1, 4, 4)), [0]), 8, scales)


def test_a_frame_that_is_too_small_is_refused() -> None:
    with pytest.raises(DataError, match="a frame of 3 pixels is too small"):
        wander(Split(np.ones((1, 4, 4)), [0]), 3, (1.0, 1.0))


def test_finer_pixels_are_shaded_straight_between_the_old_ones() -> None:
    found = finer(Split(np.array([[[0.0, 8.0], [4.0, 4.0]]]), [1]), 2, 10.0)
    assert found.images[0].tolist() == [[0, 20, 60, 80], [10, 25, 55, 70], [30, 35, 45, 50], [40, 40, 40, 40]]
    assert found.images.dtype == np.uint8 and found.labels.tolist() == [1]


def test_colours_are_the_formula() -> None:
    split = Split(np.random.default_rng(0).integers(0, 17, (40, 3, 4)), np.arange(40) % 12)
    made = coloured(split, 0.5, maximum=16, rng=3)
    assert made.images.shape == (40, 3, 4, 3) and made.images.dtype == np.uint8
    rng = np.random.default_rng(3)
    chosen, tied = rng.integers(0, 10, 40), rng.random(40) < 0.5
    strength = np.rint(256 * (0.7 + 0.3 * rng.random(40))) / 256
    for k in range(40):
        colour = COLOURS[split.labels[k] % 10 if tied[k] else chosen[k]]
        ink = np.rint(split.images[k] * (255 / 16)) / 255
        expected = ink[..., None] * strength[k] * np.array(colour)
        np.testing.assert_allclose(made.images[k], expected, atol=0.51)
    assert 10 < tied.sum() < 30


def test_the_colours_are_as_bright_as_one_another_and_unlike() -> None:
    colours = np.array(COLOURS, float)
    assert np.ptp(colours @ [0.299, 0.587, 0.114]) < 1
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1)[~np.eye(10, dtype=bool)]
    assert apart.min() > 60


@pytest.mark.parametrize(
    ("images", "tie"),
    [(np.zeros((2, 3, 3, 3)), 0.5), (np.zeros((2, 3, 3)), 1.5), (np.full((2, 3, 3), 256.0), 0.5)],
)
def test_what_cannot_be_coloured_is_one_clear_error(images: np.ndarray, tie: float) -> None:
    with pytest.raises(DataError, match="grey images of pixels from 0 to 255 and a share from 0 to 1"):
        coloured(Split(images, [0, 1]), tie)
