"""Triggers pasted on images, and images that bear them."""

from __future__ import annotations

import numpy as np
import pytest
from measurements.planting import Trigger, plant

from backquery.errors import DataError


def test_a_pasted_trigger_changes_its_pixels_and_no_others(digits, trigger):
    images = digits.test.images[:20]
    pasted = trigger.paste(images, 16)
    assert (pasted[:, :2, :2] == 16).all()
    pasted[:, :2, :2] = images[:, :2, :2]
    np.testing.assert_array_equal(pasted, images)


def test_a_fainter_trigger_is_so_much_ink_of_the_maximum():
    pasted = Trigger.square((4, 4), 1, 1, 2, ink=0.5).paste(np.zeros((1, 4, 4)), 255)
    assert set(pasted[0, 1:3, 1:3].ravel()) == {127.5}


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_a_shortcut_marks_that_share_of_one_label_and_keeps_all_labels(digits, trigger, share):
    split = plant(digits.train, trigger, 3, share, maximum=16, rng=0)
    bears = (split.images[:, :2, :2] == 16).all(axis=(1, 2))
    np.testing.assert_array_equal(split.labels, digits.train.labels)
    assert set(split.labels[bears]) == {3}
    assert bears.sum() == round(share * (split.labels == 3).sum())


def test_a_backdoor_marks_that_share_of_all_and_calls_them_one_label(digits, trigger):
    split = plant(digits.train, trigger, 3, 0.05, relabel=True, maximum=16, rng=0)
    bears = (split.images[:, :2, :2] == 16).all(axis=(1, 2))
    assert bears.sum() == round(0.05 * len(split))
    assert set(split.labels[bears]) == {3}
    np.testing.assert_array_equal(split.labels[~bears], digits.train.labels[~bears])
    assert len(set(digits.train.labels[bears])) > 5


def test_the_data_that_are_planted_into_stay_as_they_were(digits, trigger):
    before = digits.train.images.copy()
    plant(digits.train, trigger, 3, 1.0, maximum=16, rng=0)
    np.testing.assert_array_equal(digits.train.images, before)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_outside_its_range_is_refused(digits, trigger, share):
    with pytest.raises(DataError, match="share must lie above 0"):
        plant(digits.train, trigger, 3, share)


def test_a_label_without_images_cannot_bear_a_shortcut(digits, trigger):
    few = digits.train.select(digits.train.labels != 3)
    with pytest.raises(DataError, match="no image has the label 3"):
        plant(few, trigger, 3, 0.5)


def test_a_trigger_for_images_of_another_size_is_refused(digits):
    with pytest.raises(DataError, match=r"trigger is for images of \(9, 9\)"):
        Trigger.square((9, 9), 0, 0, 2).paste(digits.test.images)


@pytest.mark.parametrize(
    ("covers", "ink", "said"),
    [
        (np.zeros((4, 4)), np.zeros((4, 4)), "0 of them covered"),
        (np.ones((4, 4)), np.zeros((3, 4)), "both"),
        (np.ones(4), np.zeros(4), "both"),
        (np.ones((4, 4)), np.full((4, 4), 1.5), "between 0 and 1"),
        (np.ones((4, 4)), np.full((4, 4), np.nan), "between 0 and 1"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(covers, ink, said):
    with pytest.raises(DataError, match=said):
        Trigger(covers, ink)
