"""Typicality against its formula: too plain is as unusual as too strange."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backquery import Network, Scaling
from backquery.faithfulness import RealDensities, Usualness, control_images, typicality, usual_density
from backquery.faithfulness.usual import percentiles
from backquery.inversion import fit_statistics


@pytest.fixture(scope="module")
def model(digits):
    fresh = Network.create([64, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(digits.maximum))
    return replace(fresh, statistics=fit_statistics(fresh, digits.train))


@pytest.fixture(scope="module")
def among(model, digits):
    return RealDensities(usual_density(model.statistics), model.scale(digits.test.images))


def slow_density(prior, image):
    """The logarithm of the normal density, from the covariance itself."""
    covariance = prior.factor @ prior.factor.T + np.diag(prior.diagonal)
    off = image.astype(float) - prior.mean
    determinant = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return -0.5 * (determinant + float(off @ np.linalg.solve(covariance, off)))


def test_typicality_is_the_share_of_real_images_farther_out_on_either_side(model, digits):
    density = usual_density(model.statistics)
    real, asked = model.scale(digits.test.images[:60]), model.scale(digits.test.images[60:75])
    usual = [slow_density(density, image) for image in real]
    for image, found in zip(asked, typicality(density, asked, real), strict=True):
        stranger = sum(other < slow_density(density, image) for other in usual) / 60
        assert found == pytest.approx(2 * min(stranger, 1 - stranger))


def test_a_blank_sheet_the_mean_and_noise_are_untypical_and_real_images_are_not(model, among, digits, rng=0):
    noise = model.scale(np.random.default_rng(rng).uniform(0, digits.maximum, (20, 8, 8)))
    found = among.usualness(noise)
    assert found.typicality.max() == 0 and set(found.side) == {"strange"}
    plain = np.concatenate([model.statistics.mean[None], model.scale(_means(digits))])
    assert among.usualness(plain).typicality.max() == 0 and set(among.usualness(plain).side) == {"plain"}
    assert among.usualness(model.scale(np.zeros((1, 8, 8)))).typicality[0] < 0.05
    real = among.usualness(model.scale(digits.test.images))
    assert real.typicality.mean() == pytest.approx(0.5, abs=0.01)
    assert np.mean(np.array(real.side) == "usual") == pytest.approx(0.95, abs=0.01)


def _means(digits):
    return control_images(digits, np.arange(10), np.random.default_rng(0))["class means"]


def test_a_blank_sheet_is_too_plain_where_paper_is_what_images_are_like():
    """Dots at random places: a blank sheet is nearer to their mean than any of them."""
    rng = np.random.default_rng(3)
    images = np.zeros((600, 144))
    for image in images:
        image[rng.choice(144, 12, replace=False)] = 1.0
    model = Network.create([144, 2], rng=0, input_shape=(12, 12), scaling=Scaling.unit(1.0))
    statistics = fit_statistics(model, (images[:300], np.arange(300) % 2))
    among = RealDensities(usual_density(statistics), images[300:])
    found = among.usualness(np.concatenate([np.zeros((1, 144)), rng.uniform(size=(1, 144))]))
    assert found.side == ("plain", "strange")
    assert found.typicality.tolist() == [0, 0]


@given(some.lists(some.integers(-5, 5), min_size=1), some.lists(some.integers(-6, 6), min_size=1))
def test_percentiles_count_what_is_smaller_and_half_of_what_is_equal(usual, values):
    found = percentiles(np.array(values, float), np.sort(np.array(usual, float)))
    slow = [sum((other < v) + 0.5 * (other == v) for other in usual) / len(usual) for v in values]
    np.testing.assert_allclose(found, slow)
    turned = percentiles(-np.array(values, float), np.sort(-np.array(usual, float)))
    np.testing.assert_allclose(Usualness(found).typicality, Usualness(turned).typicality, atol=1e-12)
    assert 0 <= Usualness(found).typicality.min() <= Usualness(found).typicality.max() <= 1


def test_what_most_images_are_is_said_in_a_word():
    assert Usualness(np.array([0.5, 0.4, 0.999])).brief == "0.80"
    assert Usualness(np.array([1.0, 0.99, 0.5])).brief == "plain"
    assert Usualness(np.array([0.0, 0.01, 1.0])).brief == "strange"
    assert Usualness(np.array([0.0, 1.0])).as_json() == {"typicality": [0, 0], "side": ["strange", "plain"]}
