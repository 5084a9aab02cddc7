"""Rectangles of an image, and those that gain most."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.audit.regions import CANDIDATES, Box, Kind, Region, Sheet, promising
from backquery.errors import ModelError
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from tests.reference.audit import best_rectangle


def sheet(*shape: int, scaling: Scaling | None = None) -> Sheet:
    return Sheet.of(Network.create([int(np.prod(shape)), 2], input_shape=shape, scaling=scaling, rng=0))


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((28, 28), (39, 19, 9, 4, 2, 1)), ((8, 8), (4, 2, 1)), ((3, 3), (4, 2, 1)), ((1, 2), (2, 1))],
)
def test_sizes_go_by_halves_from_a_twentieth_of_the_image_to_one_pixel(shape, sizes):
    assert sheet(*shape).sizes == sizes


@pytest.mark.parametrize("seed", range(5))
def test_the_first_region_of_each_kind_gains_as_much_as_any_rectangle(seed):
    """For sides up to seven, which are all looked at; larger ones are looked at in steps."""
    rng = np.random.default_rng(seed)
    ink, paper = rng.normal(size=(2, 100))
    found = promising(sheet(10, 10), ink, paper)
    gains = {
        "ink and paper": (np.maximum(ink, paper), ink > paper),
        "ink": (ink, np.ones(100, bool)),
        "paper": (paper, np.zeros(100, bool)),
    }
    fewest = {5: 3, 2: 2, 1: 1}
    assert list(found) == [Kind(size, filling) for filling in gains for size in fewest]
    for (size, filling), regions in found.items():
        gain, inked = gains[filling]
        first = regions[0]
        np.testing.assert_array_equal(first.ink, inked[first.inputs])
        best = best_rectangle(gain.reshape(10, 10), fewest[size], size)
        assert gain[first.inputs].sum() == pytest.approx(best)


def test_regions_of_one_kind_are_few_and_lie_apart():
    rng = np.random.default_rng(0)
    ink, paper = rng.normal(size=(2, 784)) + 3
    for kind, regions in promising(sheet(28, 28), ink, paper).items():
        assert len(regions) == CANDIDATES
        for k, one in enumerate(regions):
            assert len(one) <= kind.size
            for other in regions[:k]:
                shared = len(np.intersect1d(one.inputs, other.inputs))
                assert 2 * shared <= min(len(one), len(other))


def test_colours_are_filled_together_wherever_the_model_keeps_them():
    rng = np.random.default_rng(0)
    gain = rng.normal(size=(8, 8, 3))
    last = promising(sheet(8, 8, 3), gain.ravel(), -gain.ravel())
    first = promising(sheet(3, 8, 8), np.moveaxis(gain, 2, 0).ravel(), -np.moveaxis(gain, 2, 0).ravel())
    for kind, regions in last.items():
        for one, other in zip(regions, first[kind], strict=True):
            row, column, colour = np.unravel_index(one.inputs, (8, 8, 3))
            expected = np.ravel_multi_index((colour, row, column), (3, 8, 8))
            np.testing.assert_array_equal(other.inputs, expected)
            np.testing.assert_array_equal(other.ink, one.ink)


@pytest.mark.parametrize("shape", [(64,), (2, 2, 2, 8)])
def test_a_model_that_does_not_say_where_its_pixels_lie_is_refused(shape):
    with pytest.raises(ModelError, match="must know where the pixels lie"):
        sheet(*shape)


def test_ink_and_paper_are_what_the_scaling_says():
    gain = np.linspace(0.1, 1, 64)
    one = sheet(8, 8, scaling=Scaling(gain, -1.0, 16.0))
    region = Region(np.array([3, 10]), np.array([True, False]))
    np.testing.assert_allclose(one.content(region), [16 * gain[3] - 1, -1.0])


def test_the_box_around_a_region_is_the_smallest():
    assert sheet(8, 8).box_of(Region(np.array([9, 12, 34]), np.ones(3, bool))) == Box(1, 1, 4, 4)


def test_elsewhere_is_the_same_shape_and_content_and_shares_no_pixel_with_the_region():
    one = sheet(8, 8)
    region = Region(np.array([9, 10, 17]), np.array([True, False, True]))
    inputs, content = one.elsewhere(region, 1000, np.random.default_rng(0))
    assert inputs.shape == content.shape == (1000, 3)
    np.testing.assert_array_equal(content, np.tile([1.0, 0.0, 1.0], (1000, 1)))
    rows, columns = np.divmod(inputs, 8)
    np.testing.assert_array_equal(rows - rows[:, :1], np.tile([0, 0, 1], (1000, 1)))
    np.testing.assert_array_equal(columns - columns[:, :1], np.tile([0, 1, 0], (1000, 1)))
    assert not set(inputs.ravel()) & {9, 10, 17, 18}
    # 49 places, of which nine touch the region's own: the other forty are all drawn.
    assert len(np.unique(inputs[:, 0])) == 40


def test_a_region_as_large_as_the_image_stays_where_it_is():
    inputs, _ = sheet(2, 2).elsewhere(Region(np.arange(4), np.ones(4, bool)), 5, np.random.default_rng(0))
    np.testing.assert_array_equal(inputs, np.tile(np.arange(4), (5, 1)))
