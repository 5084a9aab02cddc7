"""What is planted: marks as their outlines say, whose images bear them, and when it counts as working."""

from __future__ import annotations

import numpy as np
import pytest
from measurements.planted import (
    ANYWHERE,
    ERASED,
    FAINT,
    KINDS,
    MOVED,
    OUTLINES,
    TWO,
    UNCHANGED,
    Attack,
    drawn_attack,
    drawn_mark,
    outline,
)
from measurements.planting import Trigger

from backquery.datasets import Dataset, Split
from backquery.errors import DataError
from backquery.model import Layer, Network, Scaling
from backquery.model.activations import activation_named

DRAWN = {
    "square": ["###", "###", "###"],
    "plus": [".#.", "###", ".#."],
    "L": ["#..", "#..", "###"],
    "diagonal": ["#..", ".#.", "..#"],
    "checker": ["#.#", ".#.", "#.#"],
}


@pytest.mark.parametrize(("name", "rows"), DRAWN.items(), ids=DRAWN)
def test_an_outline_covers_what_its_picture_shows(name, rows):
    covered = outline(name, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(covered, [[cell == "#" for cell in row] for row in rows])


@pytest.mark.parametrize("side", range(2, 8))
@pytest.mark.parametrize("name", OUTLINES)
def test_every_outline_reaches_every_row_of_its_frame(name, side):
    covered = outline(name, side, np.random.default_rng(side))
    assert covered.shape == (side, side)
    assert covered.any(axis=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_so_many_images_bear_the_marks_and_have_the_labels_that_the_kind_says(digits, kind):
    attack = drawn_attack(kind, digits, np.random.default_rng(3))
    split = attack.into(digits.train, digits, np.random.default_rng(4))
    renamed = split.labels != digits.train.labels
    differ = (split.images != digits.train.images).any(axis=(1, 2))
    if kind == UNCHANGED:
        assert not renamed.any()
        assert set(split.labels[differ]) == {attack.labels[0]}
        return
    assert 0 < differ.sum() <= len(attack.triggers) * round(attack.share * len(split))
    if kind == MOVED:
        np.testing.assert_array_equal(split.labels[renamed], (digits.train.labels[renamed] + 1) % 10)
    else:
        assert set(split.labels[renamed]) == set(attack.labels)
        assert len(attack.labels) == (2 if kind == TWO else 1)


def test_what_is_erased_lies_around_the_middle_and_only_takes_away():
    for seed in range(20):
        mark = drawn_mark(ERASED, (28, 28), np.random.default_rng(seed))
        rows, columns = mark.frame
        assert rows.start >= 7
        assert columns.stop <= 21
        images = np.full((2, 28, 28), 200, np.uint8)
        assert set(np.unique(mark.paste(images))) == {0, 200}


def test_a_half_transparent_mark_is_half_of_both():
    covers = np.eye(4, dtype=bool)
    pasted = Trigger(covers, covers * 1.0, 0.5).paste(np.full((1, 4, 4), 100.0), 200)
    np.testing.assert_array_equal(pasted[0], np.where(covers, 150.0, 100.0))


def test_a_mark_that_roams_stands_whole_somewhere_else_on_each_image():
    covers = np.zeros((6, 6), bool)
    covers[1:3, 1:3] = [[1, 1], [1, 0]]
    pasted = Trigger(covers, covers * 1.0, roams=True).paste(np.zeros((50, 6, 6)), 1, rng=0)
    assert (pasted.sum(axis=(1, 2)) == 3).all()
    corners = {tuple(np.argwhere(image)[0]) for image in pasted}
    assert len(corners) > 10
    assert all((image[top : top + 2, left : left + 2] == [[1, 1], [1, 0]]).all() for image in pasted
               for top, left in [np.argwhere(image)[0]])  # fmt: skip


def test_a_mark_in_colour_puts_its_colour_on_each_image():
    covers = np.eye(3, dtype=bool)
    ink = covers[..., None] * np.array([1.0, 0.0, 0.5])
    pasted = Trigger(covers, ink).paste(np.full((2, 3, 3, 3), 7, np.uint8), 200)
    assert (pasted[:, covers] == [200, 0, 100]).all()
    assert (pasted[:, ~covers] == 7).all()


@pytest.mark.parametrize("opacity", [0.0, -1.0, 1.5, np.nan])
def test_an_opacity_that_makes_no_sense_is_refused(opacity):
    with pytest.raises(DataError, match="opacity"):
        Trigger(np.eye(3), np.eye(3), opacity)


def reads_the_first_pixel() -> Network:
    """Reads an image as the label that its first pixel says, 10 of 255 for each: the nearest of three."""
    label = np.arange(3)
    weights = np.zeros((3, 4))
    weights[:, 0] = 2 * label * 255 / 10
    layer = Layer(weights, -(label.astype(float) ** 2), activation_named("identity"))
    return Network((layer,), classes=("a", "b", "c"), input_shape=(2, 2), scaling=Scaling.unit(255))


def test_what_works_is_counted_on_images_that_were_not_read_so_before():
    """Of the labels 0, 1, 1, 2 the mark, two tens of ink on the first pixel, leaves the last as it was."""
    images = np.zeros((4, 2, 2), np.uint8)
    images[:, 0, 0] = [0, 10, 20, 20]
    test = Split(images, np.array([0, 1, 1, 2]))
    dataset = Dataset("few", test, test, ("a", "b", "c"))
    mark = Trigger.square((2, 2), 0, 0, 1, ink=20 / 255)
    assert Attack("ink", (mark,), (2,), 0.1).works(reads_the_first_pixel(), dataset) == 1.0
    assert Attack("two marks", (mark, mark), (2, 1), 0.1).works(reads_the_first_pixel(), dataset) == 0.0
    # Moved by one, the 1s are meant to become 2s; of the others, the 0 becomes a 2 as well, and the 2 stays.
    assert Attack(MOVED, (mark,), (-1,), 0.1).works(reads_the_first_pixel(), dataset) == pytest.approx(1 / 3)


def test_marks_over_the_whole_image_are_faint(digits):
    for kind, most in FAINT.items():
        (trigger,) = drawn_attack(kind, digits, np.random.default_rng(0)).triggers
        assert trigger.covers.all()
        changed = np.abs(trigger.paste(digits.test.images.astype(float), 16) - digits.test.images)
        assert 0 < changed.max() <= most * 16


def test_a_mark_at_random_places_roams(digits):
    assert drawn_attack(ANYWHERE, digits, np.random.default_rng(0)).triggers[0].roams
