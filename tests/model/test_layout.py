"""What an input shape says of an image: where its rows, columns and channels are among the inputs."""

from __future__ import annotations

from math import isqrt, prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backquery.inversion import Ascent, back_query, smooth_prior
from backquery.model.layout import CHANNELS, Layout, image_shape
from backquery.model.network import Network

SIDES = st.integers(1, 9)
SHAPES = st.lists(SIDES, min_size=1, max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((28, 20), Layout(28, 20)),
        ((28, 3), Layout(28, 3)),
        ((3, 32, 30), Layout(32, 30, 3, channels_first=True)),
        ((32, 30, 3), Layout(32, 30, 3)),
        ((1, 28, 28), Layout(28, 28, 1, channels_first=True)),
        ((28, 28, 1), Layout(28, 28)),
        ((3, 4, 4), Layout(3, 4, 4)),
        ((4, 4, 5), Layout(4, 5, 4, channels_first=True)),
        ((9, 8, 7), Layout(9, 8, 7)),
        ((1, 28, 28, 1), Layout(28, 28)),
        ((1, 3, 32, 32), Layout(32, 32, 3, channels_first=True)),
        ((784,), Layout(28, 28, known=False)),
        ((785,), Layout(1, 785, known=False)),
        ((1,), Layout(1, 1, known=False)),
        ((2, 2, 2, 8), Layout(8, 8, known=False)),
    ],
)
def test_one_rule_says_where_the_channels_stand(shape, layout):
    assert Layout.of(shape) == layout


@given(SHAPES)
def test_every_shape_has_a_layout_of_as_many_inputs(shape):
    layout = Layout.of(shape)
    assert layout.inputs == prod(shape) == prod(layout.picture)
    long = [length for length in shape if length > 1]
    assert layout.known == (len(shape if len(shape) < 4 else long) in (2, 3))


@given(rows=SIDES, columns=st.integers(CHANNELS + 1, 9), channels=st.integers(1, CHANNELS))
def test_channels_that_stand_first_are_the_moved_axis(rows, columns, channels):
    inputs = np.arange(rows * columns * channels)
    first = Layout.of((channels, rows, columns))
    np.testing.assert_array_equal(first.cells, np.moveaxis(inputs.reshape(channels, rows, columns), 0, 2))
    assert first.picture == (channels * rows, columns)
    assume(rows > CHANNELS)
    last = Layout.of((rows, columns, channels))
    assert (last.rows, last.columns, last.channels) == (first.rows, first.columns, first.channels)
    np.testing.assert_array_equal(last.cells, inputs.reshape(rows, columns, channels))


@given(SHAPES, st.lists(st.integers(1, 3), max_size=2).map(tuple))
def test_images_and_inputs_go_both_ways(shape, before):
    layout = Layout.of(shape)
    inputs = np.random.default_rng(0).normal(size=(*before, layout.inputs))
    grid = layout.grid(inputs)
    assert grid.shape == (*before, layout.rows, layout.columns, layout.channels)
    np.testing.assert_array_equal(grid, inputs[..., layout.cells])
    np.testing.assert_array_equal(layout.flat(grid), inputs)
    np.testing.assert_array_equal(layout.cells.ravel()[layout.places], np.arange(layout.inputs))


@given(SHAPES, st.lists(st.integers(1, 3), max_size=2).map(tuple))
def test_three_channels_are_drawn_as_colours_and_all_else_in_shades(shape, before):
    layout = Layout.of(shape)
    inputs = np.random.default_rng(0).random((*before, layout.inputs))
    drawn = layout.drawn(inputs)
    assert drawn.shape == (*before, *layout.drawn_shape)
    expected = inputs[..., layout.cells] if layout.channels == 3 else inputs.reshape(*before, *layout.picture)
    np.testing.assert_array_equal(drawn, expected)
    np.testing.assert_array_equal(layout.undrawn(drawn), inputs)
    assert layout.coloured == (len(layout.drawn_shape) == 3)


@given(st.integers(1, 2000))
def test_a_number_of_inputs_is_a_square_where_it_can_be_one(inputs):
    shape = image_shape((inputs,))
    side = isqrt(inputs)
    assert shape == ((side, side) if side > 1 and side**2 == inputs else (inputs,))
    assert Layout.of((inputs,)).picture == (shape if len(shape) == 2 else (1, inputs))


@given(SHAPES)
def test_an_image_has_no_lengths_of_one(shape):
    found = image_shape(shape)
    assert prod(found) == prod(shape)
    assert 1 not in found or found == (1,)
    assert image_shape((1, *shape)) == image_shape((*shape, 1)) == found


def covariance(prior):
    return prior.factor @ prior.factor.T + np.diag(prior.diagonal)


def test_the_smooth_prior_is_the_same_wherever_the_channels_stand():
    first, last = covariance(smooth_prior((3, 5, 6))), covariance(smooth_prior((5, 6, 3)))
    cells = Layout.of((3, 5, 6)).cells.ravel()
    np.testing.assert_allclose(first[np.ix_(cells, cells)], last, atol=1e-12)
    assert np.abs(first[:30, 30:]).max() < 1e-12, "two channels know nothing of each other"


def test_ascent_moves_and_smooths_pixels_wherever_the_channels_stand():
    """The same network, its inputs in another order, climbs to the same image."""
    rng = np.random.default_rng(0)
    first = Network.create([90, 8, 3], activation="tanh", rng=1, dtype="float64", input_shape=(3, 5, 6))
    layout = Layout.of(first.input_shape)
    begin = rng.uniform(0.3, 0.7, (1, 90))
    before, after = first.layers
    moved = type(before)(before.weights[:, layout.cells.ravel()], before.biases, before.activation)
    last = Network((moved, after), input_shape=(5, 6, 3))
    climb = Ascent(steps=30, jitter=1)
    one = back_query(first, [1], method=climb, start=begin, rng=4).images
    other = back_query(last, [1], method=climb, start=begin[:, layout.cells.ravel()], rng=4).images
    np.testing.assert_allclose(one[:, layout.cells.ravel()], other, atol=1e-9)
