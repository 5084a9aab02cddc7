"""Mixtures of low-rank Gaussians: what the fitting promises, held against the formulas and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from backquery import datasets, fit_statistics
from backquery.errors import DataError
from backquery.inversion import mixture_fitting
from backquery.inversion.fitting import components_gain
from backquery.inversion.mixture_fitting import Components, expect, fit_components, log_densities, maximise
from backquery.model import Scaling
from backquery.model.network import Network

NOISE = 0.05


def scores_of(seed: int, n: int = 60, width: int = 5) -> np.ndarray:
    """Scores in three heaps, each longer in a direction of its own."""
    rng = np.random.default_rng(seed)
    heap = rng.integers(3, size=n)
    return (
        rng.normal(0, 2, (3, width))[heap] + rng.normal(size=(n, width)) * rng.uniform(0.1, 1.5, (3, width))[heap]
    )


def dense(components: Components) -> list[np.ndarray]:
    """The covariances as matrices."""
    each = zip(components.variances, components.axes, strict=True)
    return [axes @ np.diag(variances) @ axes.T + NOISE * np.eye(len(axes)) for variances, axes in each]


@given(seed=st.integers(0, 1000), count=st.integers(1, 4), rank=st.integers(1, 5))
def test_densities_are_those_of_scipy(seed: int, count: int, rank: int) -> None:
    scores = scores_of(seed)
    components = fit_components(scores, NOISE, count, rank=rank, rng=seed)
    expected = [
        np.log(weight) + multivariate_normal(centre, covariance).logpdf(scores)
        for weight, centre, covariance in zip(
            components.weights, components.centres, dense(components), strict=True
        )
    ]
    nothing = -0.5 * scores.shape[1] * np.log(2 * np.pi * NOISE)
    found = log_densities(scores, components, NOISE) + nothing
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-8, atol=1e-7)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 5), rank=st.integers(1, 5))
def test_the_likelihood_never_falls(seed: int, count: int, rank: int) -> None:
    scores = scores_of(seed)
    components = fit_components(scores, NOISE, count, rank=rank, rng=seed)
    likelihoods = []
    for _ in range(6):
        responsibilities, likelihood = expect(scores, components, NOISE)
        likelihoods.append(likelihood)
        if np.any(responsibilities.sum(axis=0) < 2):
            break  # a component that answers for so little is dropped, which is no step of the algorithm
        components = maximise(scores, responsibilities, rank)
    assert np.all(np.diff(likelihoods) > -1e-6), likelihoods


@given(seed=st.integers(0, 1000))
def test_what_is_maximised_is_the_likelihood_seen_through_the_noise(seed: int) -> None:
    scores = scores_of(seed, n=20)
    components = fit_components(scores, NOISE, 3, rank=2, rng=seed)
    joint = [
        np.log(weight)
        + multivariate_normal(centre, covariance).logpdf(scores)
        - 0.5 * NOISE * np.trace(np.linalg.inv(covariance))
        for weight, centre, covariance in zip(
            components.weights, components.centres, dense(components), strict=True
        )
    ]
    # What the noise alone takes is the same for all components.
    nothing = -0.5 * scores.shape[1] * (np.log(2 * np.pi * NOISE) + 1)
    responsibilities, likelihood = expect(scores, components, NOISE)
    assert likelihood + nothing == pytest.approx(logsumexp(joint, axis=0).mean(), rel=1e-8)
    np.testing.assert_allclose(responsibilities, np.exp(joint - logsumexp(joint, axis=0)).T, rtol=1e-6, atol=1e-10)


def test_one_component_is_the_mean_and_the_leading_variances() -> None:
    scores = scores_of(0)
    components = fit_components(scores, NOISE, 1, rank=3)
    variances, axes = np.linalg.eigh(np.cov(scores.T, bias=True))
    expected = axes[:, -3:] @ np.diag(variances[-3:]) @ axes[:, -3:].T
    np.testing.assert_allclose(dense(components)[0] - NOISE * np.eye(5), expected, atol=1e-9)
    np.testing.assert_allclose(components.centres[0], scores.mean(axis=0), atol=1e-12)


def test_fewer_images_than_directions_leave_the_rest_without_variance() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 9))
    components = fit_components(scores, NOISE, 1, rank=8)
    assert np.count_nonzero(components.variances[0]) == 3, "four images differ in three directions"
    expected = np.cov(scores.T, bias=True)
    np.testing.assert_allclose(dense(components)[0] - NOISE * np.eye(9), expected, atol=1e-9)


def untrained(inputs: int, shape: tuple[int, int], maximum: float) -> Network:
    return Network.create(
        [inputs, 8, 10], activation="sigmoid", rng=0, input_shape=shape, scaling=Scaling.unit(maximum)
    )


def test_things_that_stand_anywhere_get_a_mixture_and_centred_digits_keep_one() -> None:
    shapes, digits = datasets.load("shapes"), datasets.load("digits")
    mixture = fit_statistics(untrained(1024, (32, 32), 255), shapes.train).mixture
    assert mixture is not None
    assert len(mixture) == 40, "6,000 images, 150 or more for each"
    np.testing.assert_allclose(mixture.basis.T @ mixture.basis, np.eye(mixture.basis.shape[1]), atol=1e-4)
    assert fit_statistics(untrained(64, (8, 8), 16), digits.train).mixture is None


def test_what_is_kept_is_what_pays() -> None:
    rng, shapes = np.random.default_rng(0), datasets.load("shapes").train
    one_heap = rng.normal(0.5, 0.1, (6000, 64)), np.zeros(6000, int)
    network = untrained(64, (8, 8), 1)
    assert components_gain(untrained(1024, (32, 32), 255), shapes) > mixture_fitting.PAYS
    assert components_gain(network, one_heap) < mixture_fitting.PAYS
    assert fit_statistics(network, one_heap).mixture is None


def test_as_many_components_as_are_asked_for() -> None:
    digits = datasets.load("digits")
    network = untrained(64, (8, 8), 16)
    mixture = fit_statistics(network, digits.train, components=7).mixture
    assert mixture is not None
    assert len(mixture) == 7
    assert fit_statistics(network, digits.train, components=1).mixture is None
    with pytest.raises(DataError, match="700 components are too many: 1078 images of 64 pixels allow 539"):
        fit_statistics(network, digits.train, components=700)
    with pytest.raises(DataError, match="components must be above zero"):
        fit_statistics(network, digits.train, components=0)


def test_the_mixture_knows_nothing_of_labels() -> None:
    digits = datasets.load("digits").train
    network = untrained(64, (8, 8), 16)
    shuffled = (digits.images, np.random.default_rng(0).permutation(digits.labels))
    inputs = network.scale(shuffled[0])
    first, second = (
        fit_statistics(network, (inputs, labels), components=5).mixture for labels in (digits.labels, shuffled[1])
    )
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.directions, second.directions)
