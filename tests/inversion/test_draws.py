"""Many images for one answer: against the known posterior where there is one, and read as asked everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery.errors import DataError, InversionError
from backquery.inversion import GaussNewton, MixturePrior, answers, back_query, hidden_node, smooth_prior
from backquery.inversion.draws import sample
from backquery.model.activations import IDENTITY
from backquery.model.network import Layer, Network
from tests.inversion.conftest import image_of, network_of, prior_of
from tests.reference import inversion as twin

WIDE = (-1e3, 1e3)


def linear_network() -> Network:
    rng = np.random.default_rng(5)
    return Network((Layer(rng.normal(0, 1, (3, 16)), rng.normal(0, 1, 3), IDENTITY),), input_shape=(4, 4))


def test_draws_of_a_linear_model_have_the_posterior_s_mean_and_covariance() -> None:
    network, prior, asked = linear_network(), prior_of(1), np.array([1.0, -2.0, 0.5])
    mean, covariance = twin.posterior(prior, network.layers[0].weights, network.layers[0].biases, asked)
    drawn = np.concatenate(
        [
            back_query(network, asked, method="gauss-newton", prior=prior, many=64, bounds=WIDE, rng=seed).images
            for seed in range(40)
        ]
    )
    count, deviation = len(drawn), np.sqrt(np.diag(covariance))
    # Five standard errors: one figure in a million is as far by chance.
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 5 * deviation / np.sqrt(count))
    found = np.cov(drawn.T)
    error = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / count)
    assert np.all(np.abs(found - covariance) < 5 * error)
    np.testing.assert_allclose(network.query(drawn), np.tile(asked, (count, 1)), atol=2e-3)


@pytest.mark.parametrize("kind", ["the book's", "deep tanh", "tanh, softmax", "relu, softmax"])
def test_each_draw_is_read_as_asked_within_the_box_and_they_differ(kind: str) -> None:
    network, prior = network_of(kind), prior_of(rank=6)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in (1, 2, 3)]))
    result = back_query(network, wanted, method="gauss-newton", prior=prior, many=4)
    assert result.many == 4
    assert result.draw is not None
    assert result.draw.tolist() == [0, 1, 2, 3] * 3, "question by question"
    assert result.outcome == ("converged",) * 12
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    np.testing.assert_allclose(network.query(result.images), np.repeat(wanted, 4, axis=0), atol=1e-3)
    for images, apart in zip(result.images.reshape(3, 4, 16), result.apart, strict=True):
        each = [np.linalg.norm(images[a] - images[b]) for a in range(4) for b in range(a)]
        assert min(each) > 0.05
        assert apart == pytest.approx(np.mean(each))
    assert result.likeliest is not None
    usual = back_query(network, wanted, method="gauss-newton", prior=prior)
    np.testing.assert_array_equal(result.likeliest.images, usual.images)


def test_draws_are_the_same_for_a_seed_and_others_for_another() -> None:
    network, prior = network_of("deep tanh"), prior_of()
    wanted = network.query(image_of(prior))

    def drawn(seed: int) -> np.ndarray:
        return back_query(network, wanted, method="gauss-newton", prior=prior, many=3, rng=seed).images

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert np.abs(drawn(1) - drawn(2)).max() > 0.05


def test_a_draw_is_the_nearest_answer_to_an_image_of_the_prior() -> None:
    """It is as near to its image, to a tenth, as the smallest change of that image which gives the answer."""
    network, prior = network_of("deep tanh"), prior_of()
    wanted = network.query(image_of(prior))
    around = np.random.default_rng(3).uniform(0, 1, (1, 16))
    result = back_query(network, wanted, method="gauss-newton", prior=prior, many=1, around=around)
    near = back_query(network, wanted, method=GaussNewton(optimality=1e-4), prior=prior, near=around)
    distances = [prior.squared_distance(found.images, around[0])[0] for found in (result, near)]
    assert distances[0] <= 1.1 * distances[1]


def test_around_images_each_draw_is_near_one_of_them_chosen_blindly() -> None:
    network, prior = network_of("the book's"), prior_of()
    images = np.stack([image_of(prior, seed) for seed in range(30)])
    wanted = network.query(images[:2])
    result = back_query(network, wanted, method="gauss-newton", prior=prior, many=10, around=images, rng=1)
    assert result.converged.all()
    nearest = np.linalg.norm(result.images[:, None] - images, axis=2).argmin(axis=1)
    assert len(set(nearest.tolist())) > 6, "not the same image again and again"


def test_a_mixture_is_drawn_from_its_components_by_weight() -> None:
    network, (one, other) = network_of("the book's"), (prior_of(seed) for seed in (1, 2))
    other = replace(other, diagonal=one.diagonal)
    mixture = MixturePrior(np.array([0.7, 0.3]), (one, other), one)
    wanted = network.query(image_of(one, 4))
    result = back_query(network, wanted, method="gauss-newton", prior=mixture, many=60)
    assert result.converged.all()
    assert result.component is not None
    assert set(result.component.tolist()) == {0, 1}
    drawn = sample(mixture, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), 0.7 * one.mean + 0.3 * other.mean, atol=0.06)


def test_a_prior_s_samples_have_its_mean_and_covariance() -> None:
    for prior, covariance in (
        (prior_of(3), twin.covariance(prior_of(3))),
        (smooth_prior((4, 4)), twin.covariance(smooth_prior((4, 4)))),
    ):
        drawn = sample(prior, 20_000, np.random.default_rng(1))
        spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        np.testing.assert_allclose(drawn.mean(axis=0), prior.mean, atol=0.02)
        np.testing.assert_allclose(np.cov(drawn.T) / spread, covariance / spread, atol=0.05)


def test_waves_can_be_drawn_from_too() -> None:
    prior = smooth_prior((4, 4, 3))
    drawn = sample(prior, 20_000, np.random.default_rng(1))
    covariance = prior.covary(np.eye(48)) * np.outer(prior.deviation, prior.deviation)
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose(np.cov(drawn.T) / spread, covariance / spread, atol=0.05)


@pytest.mark.parametrize("steepness", [1.0, 3e3, 3e4])
def test_what_float32_cannot_tell_is_searched_on_in_float64(steepness: float) -> None:
    """Logits as sums of thousands, which float32 rounds by more than an answer's tolerance."""
    rng = np.random.default_rng(5)
    layer = Layer(steepness * rng.normal(0, 1, (3, 16)), steepness * rng.normal(0, 1, 3), IDENTITY)
    network, prior = Network((layer,), input_shape=(4, 4)), prior_of(rank=6)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in (1, 2)]))
    result = back_query(network, wanted, method="gauss-newton", prior=prior, many=8)
    assert result.outcome == ("converged",) * 16
    np.testing.assert_allclose(network.query(result.images), np.repeat(wanted, 8, axis=0), rtol=0, atol=1e-3)


def test_a_hidden_node_has_many_images_too() -> None:
    network, prior = network_of("the book's"), prior_of()
    result = back_query(network, hidden_node(network, 1, [0, 3], 0.5), method="gauss-newton", prior=prior, many=5)
    signals = network.layers[0].weights @ result.images.T
    np.testing.assert_allclose(signals[0, :5], 0.5, atol=1e-3)
    np.testing.assert_allclose(signals[3, 5:], 0.5, atol=1e-3)


def test_an_answer_that_no_image_gives_is_said_of_each_draw() -> None:
    network = network_of("deep tanh")
    extreme = answers(network, np.full((1, 3), 1 - 1e-9))
    result = back_query(network, extreme, method="gauss-newton", prior=prior_of(), many=3)
    assert not result.converged.any()
    assert all(outcome in ("proved impossible", "not found", "stalled") for outcome in result.outcome)
    assert all(result.advice)


def test_what_cannot_be_drawn_is_an_error() -> None:
    network, image = network_of("the book's"), image_of(prior_of())
    with pytest.raises(InversionError, match="only the method 'gauss-newton'"):
        back_query(network, [0], method="transpose", many=3)
    with pytest.raises(InversionError, match="at least one image"):
        back_query(network, [0], method="gauss-newton", many=0)
    with pytest.raises(InversionError, match="leave out near and start"):
        back_query(network, [0], method="gauss-newton", many=3, near=image)
    with pytest.raises((InversionError, DataError), match="around images"):
        back_query(network, [0], method="gauss-newton", many=3, around=image[:5])
