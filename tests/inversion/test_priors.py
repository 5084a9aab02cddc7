"""Priors against their dense covariance, and what each of them knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from backquery.errors import InversionError, TargetError
from backquery.inversion import PRIORS, Prior, back_query, flat_prior, smooth_prior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.priors import NOISE, SMOOTH_VARIANCE
from backquery.model.network import Network
from tests.inversion.conftest import prior_of
from tests.reference.inversion import covariance


@given(seed=st.integers(0, 1000), rank=st.integers(0, 6))
def test_products_and_distances_equal_the_dense_ones(seed: int, rank: int) -> None:
    prior = prior_of(seed, rank)
    dense = covariance(prior)
    rows = np.random.default_rng(seed).normal(size=(5, 16))
    np.testing.assert_allclose(prior.covariance_times(rows), rows @ dense, atol=1e-12)
    distances = np.einsum("ni,ij,nj->n", rows - prior.mean, np.linalg.inv(dense), rows - prior.mean)
    np.testing.assert_allclose(prior.squared_distance(rows), distances, rtol=1e-9)
    np.testing.assert_allclose(prior.squared_distance(rows, rows), 0, atol=1e-9)


@given(seed=st.integers(0, 1000), rank=st.integers(0, 6))
def test_operations_equal_their_matrices(seed: int, rank: int) -> None:
    prior, rng = prior_of(seed, rank), np.random.default_rng(seed)
    factor = prior.factor / np.sqrt(prior.diagonal)[:, None]
    y, u, origin = rng.normal(size=(5, 16)), rng.normal(size=(5, rank)), rng.normal(size=16)
    np.testing.assert_allclose(prior.spread(u), u @ factor.T, atol=1e-12)
    np.testing.assert_allclose(prior.gather(y), y @ factor, atol=1e-12)
    np.testing.assert_allclose(prior.gather(y[:, None]), y[:, None] @ factor, atol=1e-12)
    np.testing.assert_allclose(prior.whiten(prior.unwhiten(y)), y, atol=1e-12)
    np.testing.assert_allclose(prior.unwhiten(y, origin), origin + np.sqrt(prior.diagonal) * y, atol=1e-12)
    scores, squares = prior.explained(y)
    inverse = np.linalg.inv(np.eye(16) + factor @ factor.T)
    np.testing.assert_allclose(scores, y @ inverse @ factor, atol=1e-10)
    np.testing.assert_allclose(squares, np.einsum("ni,ij,nj->n", y, inverse, y), rtol=1e-9)


@given(seed=st.integers(0, 1000), rank=st.integers(0, 6))
def test_the_density_is_that_of_scipy(seed: int, rank: int) -> None:
    prior = prior_of(seed, rank)
    rows = np.random.default_rng(seed).normal(size=(5, 16))
    expected = multivariate_normal(prior.mean, covariance(prior)).logpdf(rows)
    np.testing.assert_allclose(prior.log_density(rows), expected, rtol=1e-9)


def test_draws_come_in_pairs_about_the_mean_and_vary_as_the_factor_says() -> None:
    prior = prior_of(1)
    images = prior.unwhiten(prior.spread(prior.draw(20_000, np.random.default_rng(0))))
    np.testing.assert_allclose(images.mean(axis=0), prior.mean, atol=1e-12)
    np.testing.assert_allclose(np.cov(images.T), prior.factor @ prior.factor.T, atol=0.03)


def test_a_scaled_prior_has_the_same_mean_and_a_scaled_covariance() -> None:
    prior = prior_of(3)
    np.testing.assert_allclose(covariance(prior.scaled(5.0)), 5 * covariance(prior))
    np.testing.assert_array_equal(prior.scaled(5.0).mean, prior.mean)


def test_the_smooth_prior_is_the_squared_exponential_but_for_noise() -> None:
    prior = smooth_prior((6, 9), length=1.5)
    places = np.stack(np.meshgrid(np.arange(6), np.arange(9), indexing="ij"), axis=-1).reshape(-1, 2)
    squared = ((places[:, None] - places) ** 2).sum(axis=-1)
    expected = SMOOTH_VARIANCE * np.exp(-squared / (2 * 1.5**2))
    dense = covariance(prior)
    np.testing.assert_allclose(np.diag(dense), SMOOTH_VARIANCE + NOISE, rtol=1e-9)
    off = ~np.eye(54, dtype=bool)
    assert np.abs(dense - expected)[off].max() < NOISE, "what is cut off lies below the noise"
    assert np.linalg.norm((dense - expected)[off]) < 0.05 * np.linalg.norm(expected[off])


def test_the_smooth_prior_scales_with_the_image_and_with_the_inputs() -> None:
    small, large = smooth_prior((28, 28)), smooth_prior((100, 100))
    assert large.inputs == 10_000
    assert small.rank < large.rank < 2 * small.rank, "the same picture, more finely drawn, is little richer"
    shifted = smooth_prior((4, 4), low=-1.0, high=3.0)
    np.testing.assert_allclose(covariance(shifted), 16 * covariance(smooth_prior((4, 4))))
    np.testing.assert_array_equal(shifted.mean, -1)


def test_the_flat_prior_knows_nothing() -> None:
    np.testing.assert_array_equal(covariance(flat_prior(4, 0, 2)), 4 * np.eye(4))


def test_the_default_is_the_most_that_is_known() -> None:
    square = Network.create([16, 5, 3], rng=0, input_shape=(4, 4))
    row = Network.create([16, 5, 3], rng=0)
    assert prior_for(square, None, 0, 1).name == "smooth"
    assert prior_for(row, None, 0, 1).name == "flat"
    assert prior_for(square, None, 0, 1) is prior_for(square, "smooth", 0, 1), "remembered, not made again"
    colour = Network.create([48, 5, 3], rng=0, input_shape=(4, 4, 3))
    assert prior_for(colour, None, 0, 1).name == "natural"
    assert set(PRIORS) == {"data", "mixture", "natural", "smooth", "flat"}


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        ("data", InversionError, "needs statistics"),
        ("mixture", InversionError, "'mixture' needs statistics"),
        ("warm", TargetError, "unknown prior 'warm'; choose one of data, mixture, natural, smooth, flat"),
        ("smooth", InversionError, "where the pixels lie"),
        (flat_prior(9), InversionError, "images of 9 pixels, but the model takes 16"),
    ],
)
def test_priors_that_do_not_fit_are_refused(prior, error, words: str) -> None:
    with pytest.raises(error, match=words):
        back_query(Network.create([16, 5, 3], rng=0), [0], method="gauss-newton", prior=prior)


@pytest.mark.parametrize(
    ("mean", "factor", "diagonal", "words"),
    [
        (np.zeros(4), np.zeros((3, 1)), np.ones(4), "received"),
        (np.zeros(4), np.zeros((4, 1)), np.zeros(4), "positive"),
        (np.full(4, np.nan), np.zeros((4, 1)), np.ones(4), "not finite"),
    ],
)
def test_a_prior_checks_its_parts(mean, factor, diagonal, words: str) -> None:
    with pytest.raises(InversionError, match=words):
        Prior("odd", mean, factor, diagonal)


def test_a_length_must_be_positive() -> None:
    with pytest.raises(InversionError, match="positive number of pixels"):
        smooth_prior((4, 4), length=0)


def test_a_prior_s_numbers_are_its_own_and_stay_as_they_are() -> None:
    mean = np.full(4, 0.5)
    prior = Prior("own", mean, np.ones((4, 1)), np.ones(4))
    mean[0] = 0.25
    assert prior.mean[0] == 0.5
    for numbers in (prior.mean, prior.factor, prior.diagonal):
        with pytest.raises(ValueError, match="read-only"):
            numbers[0] = 1.0


def test_a_flat_prior_asked_for_by_name_lies_in_the_box_that_is_asked_for() -> None:
    network = Network.create([4, 3], rng=1)
    found = prior_for(network, "flat", -1.0, 3.0)
    np.testing.assert_array_equal(found.mean, np.full(4, -1.0), "blank paper")
    np.testing.assert_allclose(found.diagonal, 4.0**2 * flat_prior(4).diagonal)
