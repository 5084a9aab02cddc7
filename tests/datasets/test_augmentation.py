"""Turned and moved copies: against the rotation written out pixel by pixel, and what must always hold."""

from __future__ import annotations

import json
from math import cos, floor, radians, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import datasets
from backquery.datasets import Split, augment, rotate, shift
from backquery.errors import DataError
from backquery.io import load_model
from backquery.training import Online, train
from backquery.training.plan import Plan, create, settled_recipe

RNG = np.random.default_rng(5)


def split(height=7, width=9, count=3, dtype=np.float64):
    return Split(RNG.uniform(0, 255, (count, height, width)).astype(dtype), np.arange(count))


def turned(image, degrees, paper):
    """Each pixel looks up where it comes from, and mixes the four pixels around that place."""
    height, width = image.shape
    middle = (height - 1) / 2, (width - 1) / 2
    c, s = cos(radians(degrees)), sin(radians(degrees))
    found = np.full(image.shape, paper)
    for row in range(height):
        for column in range(width):
            y, x = row - middle[0], column - middle[1]
            from_y, from_x = c * y + s * x + middle[0], -s * y + c * x + middle[1]
            if -1e-12 <= from_y <= height - 1 + 1e-12 and -1e-12 <= from_x <= width - 1 + 1e-12:
                up, left = min(floor(from_y), height - 2), min(floor(from_x), width - 2)
                b, a = from_y - up, from_x - left
                found[row, column] = (1 - b) * ((1 - a) * image[up, left] + a * image[up, left + 1]) + b * (
                    (1 - a) * image[up + 1, left] + a * image[up + 1, left + 1]
                )
    return found


@pytest.mark.parametrize("degrees", [10, -10, 37.5, 90, 0])
def test_rotation_mixes_the_four_pixels_around_the_place_that_a_pixel_comes_from(degrees):
    images = split()
    for image, found in zip(images.images, rotate(images, degrees).images, strict=True):
        slow = turned(image, degrees, images.images.min())
        # At the very edge, rounding decides whether a place is still inside.
        inside = np.abs(found - images.images.min()) > 1e-9
        np.testing.assert_allclose(found[inside], slow[inside], atol=1e-9)
        assert np.sum(~inside & (np.abs(slow - images.images.min()) > 1e-9)) <= 2


def test_a_positive_rotation_is_anticlockwise():
    """What is at the right goes to the top."""
    image = np.zeros((1, 5, 5))
    image[0, 2, 4] = 9.0
    found = rotate(Split(image, np.zeros(1, np.int64)), 90).images[0]
    assert np.unravel_index(found.argmax(), found.shape) == (0, 2)


def test_whole_pixels_are_rounded_and_stay_what_they_are():
    images = split(dtype=np.uint8)
    found = rotate(images, 10).images
    exact = rotate(Split(images.images.astype(np.float64), images.labels), 10).images
    assert found.dtype == np.uint8
    # The sums are in single precision: a half may round either way.
    assert np.abs(found - exact).max() <= 0.5 + 1e-3


def test_what_comes_in_is_the_lowest_pixel_of_the_data():
    images = Split(np.full((2, 6, 6), 0.25), np.zeros(2, np.int64))
    np.testing.assert_allclose(rotate(images, 45).images, 0.25, atol=1e-12)
    np.testing.assert_array_equal(shift(images, 2, -1).images, images.images)


@settings(max_examples=40)
@given(st.integers(-6, 6), st.integers(-8, 8))
def test_a_shift_moves_every_pixel_that_stays(down, right):
    images = split()
    found = shift(images, down, right).images
    for row in range(7):
        for column in range(9):
            before = row - down, column - right
            stays = 0 <= before[0] < 7 and 0 <= before[1] < 9
            expected = images.images[:, before[0], before[1]] if stays else images.images.min()
            np.testing.assert_array_equal(found[:, row, column], expected)


def test_copies_follow_their_image():
    images = split()
    found = augment(images, rotations=(-10, 10), shifts=[(0, 1)])
    assert found.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    np.testing.assert_array_equal(found.images[4], images.images[1])
    np.testing.assert_array_equal(found.images[1::4], rotate(images, -10).images)
    np.testing.assert_array_equal(found.images[2::4], rotate(images, 10).images)
    np.testing.assert_array_equal(found.images[3::4], shift(images, 0, 1).images)


def test_a_data_set_is_augmented_where_it_is_trained_on_alone():
    digits = datasets.load("digits")
    found = digits.augmented(rotate=10, shift=1)
    assert len(found.train) == 7 * len(digits.train)
    assert found.test is digits.test
    same = digits.augmented()
    np.testing.assert_array_equal(same.train.images, digits.train.images)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotate(split(), float("nan")), "finite number of degrees; received nan"),
        (
            lambda: shift(split(), 7, 0),
            "7 x 9 pixels can be moved by less than that; received 7 down, 0 to the right",
        ),
        (lambda: shift(split(), 0, -9), "can be moved by less"),
        (lambda: datasets.load("digits").augmented(shift=-1), "so many pixels every way; received -1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_a_model_trained_on_copies_says_so_and_can_be_made_again(run, tmp_path):
    path = tmp_path / "turned.safetensors"
    asked = (
        "--hidden",
        "8",
        "--epochs",
        "1",
        "--seed",
        "3",
        "--kernel",
        "numpy",
        "--rotate",
        "10",
        "--shift",
        "1",
    )
    code, out, error = run("train", "digits", *asked, "-o", path, "--json")
    assert code == 0
    assert "6 copies of each" in error
    about = load_model(path).about
    assert (about["rotate"], about["shift"], about["data"]) == (10.0, 1, "digits")
    digits = datasets.load(about["data"])
    assert about["training_images"] == len(digits.train)
    assert isinstance(settled_recipe(about["recipe"]), Online)
    network, _ = train(
        load_untrained(about, digits),
        digits.augmented(about["rotate"], about["shift"]).train,
        epochs=about["epochs"],
        rng=about["seed"],
        kernel=about["kernel"],
    )
    for mine, theirs in zip(network.layers, load_model(path).layers, strict=True):
        np.testing.assert_array_equal(mine.weights, theirs.weights)
    plain = json.loads(run("train", "digits", *asked[:8], "-o", path, "--json")[1])
    assert plain["performance"] != json.loads(out)["performance"]
    assert "rotate" not in load_model(path).about


def load_untrained(about, digits):
    settled = {name: about[name] for name in ("recipe", "learning_rate", "loss", "epochs", "seed")}
    return create(Plan.settled((8,), **settled), digits)


@pytest.mark.parametrize("option", [("--rotate", "180"), ("--rotate", "-1"), ("--shift", "-1"), ("--shift", "8")])
def test_copies_that_make_no_sense_leave_nothing_behind(run, tmp_path, option):
    code, _, error = run("train", "digits", *option, "-o", tmp_path / "model.safetensors")
    assert code in (1, 2)
    assert "backquery:" in error
    assert list(tmp_path.iterdir()) == []
