"""Real images beside others: the nearest, and what is a copy."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.datasets import Split, load
from backquery.faithfulness import RealImages


@pytest.fixture(scope="module")
def real(digits):
    return RealImages(digits.train.images, digits.train.labels, digits.maximum)


def test_neighbours_are_the_nearest_by_distance(real, digits):
    pictures = digits.test.images[:7].reshape(7, -1) / 16
    distances, positions = real.neighbours(pictures, 3)
    for picture, near, places in zip(pictures, distances, positions, strict=True):
        slow = [sum((a - b) ** 2 for a, b in zip(picture, other, strict=True)) ** 0.5 for other in real.ink]
        order = np.argsort(slow, kind="stable")[:3]
        np.testing.assert_allclose(near, np.array(slow)[order], rtol=1e-4)
        assert set(places) == set(order)


def test_of_equally_near_images_the_first_come_first_and_none_is_lost(digits):
    """Ten times the same image beside a slightly darker one: float32 sums alone could not tell them apart."""
    image = digits.test.images[0].reshape(1, -1).astype(float)
    others = np.repeat(image, 11, axis=0)
    others[4, np.argmax(image)] -= 1e-4
    found = RealImages(others, np.arange(11), digits.maximum)
    distances, positions = found.neighbours(image / 16, 11)
    assert positions[0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 4]
    assert distances[0, :10].max() == 0 < distances[0, 10]


def test_distances_stand_beside_those_of_held_out_images(real, digits):
    asked = digits.test.images[:9].reshape(9, -1) / 16
    near = real.nearness(asked, digits.test)
    held_out = digits.test.images.reshape(-1, 1, 64) / 16
    usual = np.array([np.linalg.norm(real.ink - image, axis=1).min() for image in held_out])
    for image, distance, nearest, percentile in zip(
        asked, near.distance, near.nearest, near.percentile, strict=True
    ):
        gaps = np.linalg.norm(real.ink - image, axis=1)
        assert distance == pytest.approx(gaps.min(), rel=1e-6) and nearest == gaps.argmin()
        same = np.isclose(usual, gaps.min(), rtol=1e-9)
        assert percentile == pytest.approx(np.mean((usual < gaps.min()) & ~same) + np.mean(same) / 2)


def test_a_training_image_is_a_copy_with_faint_noise_too_and_held_out_images_are_not(real, digits):
    rng = np.random.default_rng(2)
    training = real.ink[rng.choice(len(real.ink), 100, replace=False)]
    assert real.nearness(training, digits.test).copy.all()
    faint = np.clip(training + rng.normal(0, 0.02, training.shape), 0, 1)
    assert real.nearness(faint, digits.test).copy.all()
    held_out = digits.test.images.reshape(-1, 64) / 16
    assert real.nearness(held_out, digits.test).copy.mean() <= 0.01
    nothing = np.concatenate([np.zeros((1, 64)), rng.uniform(size=(5, 64)), real.ink.mean(axis=0)[None]])
    assert not real.nearness(nothing, digits.test).copy.any()


@pytest.mark.parametrize("name", ["shapes", pytest.param("mnist", marks=pytest.mark.needs("real data"))])
def test_so_it_is_with_other_images(name):
    data = load(name)
    train, test = data.train.select(slice(10_000)), data.to_test_on
    rng = np.random.default_rng(2)
    real = RealImages(train.images, train.labels, data.maximum)
    training = real.ink[rng.choice(len(real.ink), 50, replace=False)]
    faint = np.clip(training + rng.normal(0, 0.02, training.shape), 0, 1)
    assert real.nearness(np.concatenate([training, faint]), test).copy.all()
    held_out = test.images[:1000].reshape(-1, data.inputs) / data.maximum
    assert real.nearness(held_out, test).copy.mean() <= 0.01


def test_held_out_images_that_stand_in_the_training_half_do_not_hide_a_copy(digits):
    """Half of the test images are training images: those say nothing of how near another one comes."""
    mixed = Split(
        np.concatenate([digits.train.images[:400], digits.test.images[:400]]),
        np.concatenate([digits.train.labels[:400], digits.test.labels[:400]]),
    )
    real = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    alone = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    faint = np.clip(real.ink[500:520] + 0.01, 0, 1)
    near = real.nearness(faint, mixed)
    np.testing.assert_array_equal(near.usual, alone.nearness(faint, digits.test.select(slice(400))).usual)
    assert near.copy.all() and near.brief == "0.00, 20 copies"


def test_without_a_test_half_training_images_are_held_out_one_at_a_time(digits):
    few = digits.train.select(slice(60))
    real = RealImages(few.images, few.labels, digits.maximum)
    near = real.nearness(digits.test.images[:5].reshape(5, -1) / 16, None)
    gaps = np.linalg.norm(real.ink[:, None] - real.ink[None], axis=2) + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(near.usual, np.sort(gaps.min(axis=1)), rtol=1e-6)
    assert not near.copy.any()


def test_where_all_held_out_images_stand_in_the_training_half_only_the_same_image_is_a_copy(digits):
    few = digits.train.select(slice(30))
    real = RealImages(few.images, few.labels, digits.maximum)
    near = real.nearness(np.concatenate([real.ink[:2], real.ink[:2] + 0.01]), few)
    assert near.copy.tolist() == [True, True, False, False]
    assert near.as_json()["nearest"] == [0, 1, 0, 1]
