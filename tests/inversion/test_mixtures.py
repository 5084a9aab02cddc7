"""Back queries under a mixture: the right component, the densest image, and what becomes of it elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from backquery import back_query
from backquery.errors import InversionError, ModelError
from backquery.inversion import GaussNewton, MixturePrior, Prior, kept_prior
from backquery.inversion.components import promises
from backquery.inversion.gauss_newton import BEHIND, TRIED
from backquery.inversion.problem import Problem
from backquery.inversion.targets import answers
from backquery.io.native import load, save
from backquery.model import IDENTITY, Mixture, Statistics
from backquery.model.network import Layer, Network
from tests.inversion.conftest import Opaque, network_of
from tests.reference.inversion import covariance

WIDE = (-1e3, 1e3)

THOROUGH = GaussNewton(tolerance=1e-6, optimality=1e-7)


def mixture_of(seed: int, count: int = 3, rank: int = 4) -> MixturePrior:
    """A mixture over images of 4 x 4, with means between 0 and 1."""
    return MixturePrior.of(statistics_of(seed, count, rank))


def statistics_of(seed: int, count: int = 3, rank: int = 4) -> Statistics:
    rng = np.random.default_rng(seed + 300)
    basis = np.linalg.qr(rng.normal(size=(16, 9)))[0].astype(np.float32)
    weights = rng.uniform(1, 2, count)
    mixture = Mixture(
        np.asarray(weights / weights.sum(), np.float32),
        basis,
        rng.normal(0, 0.5, (count, 9)).astype(np.float32),
        rng.normal(0, 0.2, (count, 9, rank)).astype(np.float32),
    )
    return Statistics(
        np.full(16, 0.5), rng.normal(0, 0.3, (16, 5)), np.full(16, 0.02), np.eye(3) * 2.0 - 1.0, mixture
    )


@given(seed=st.integers(0, 1000))
def test_the_density_is_that_of_scipy(seed: int) -> None:
    mixture = mixture_of(seed)
    images = np.random.default_rng(seed).uniform(size=(6, 16))
    each = [multivariate_normal(part.mean, covariance(part)).logpdf(images) for part in mixture.components]
    expected = logsumexp(np.transpose(each) + np.log(mixture.weights), axis=1)
    np.testing.assert_allclose(mixture.log_density(images), expected, rtol=1e-9)
    np.testing.assert_array_equal(
        mixture.likeliest(images).components, (np.transpose(each) + np.log(mixture.weights)).argmax(axis=1)
    )


def test_draws_have_the_mean_and_the_covariance_of_the_formula() -> None:
    mixture = mixture_of(1)
    images = mixture.draw(60_000, np.random.default_rng(0))
    mean = mixture.weights @ mixture.means
    second = sum(
        weight * (covariance(part) + np.outer(part.mean, part.mean))
        for weight, part in zip(mixture.weights, mixture.components, strict=True)
    )
    np.testing.assert_allclose(images.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(images.T), second - np.outer(mean, mean), atol=0.03)


@given(seed=st.integers(0, 1000))
def test_what_is_chosen_does_what_each_component_does(seed: int) -> None:
    mixture, rng = mixture_of(seed), np.random.default_rng(seed)
    chosen = mixture.chosen([2, 0, 2])
    y, u = rng.normal(size=(3, 16)), rng.normal(size=(3, 4))
    for row, component in enumerate([2, 0, 2]):
        prior = mixture.components[component]
        np.testing.assert_allclose(chosen.spread(u)[row], prior.spread(u[row : row + 1])[0], atol=1e-12)
        np.testing.assert_allclose(chosen.gather(y)[row], prior.gather(y[row]), atol=1e-12)
        for found, expected in zip(chosen.explained(y), prior.explained(y[row : row + 1]), strict=True):
            np.testing.assert_allclose(found[row], expected[0], rtol=1e-9)
    assert list(chosen.of(np.array([1])).components) == [0]


def linear(seed: int) -> Network:
    """Answers that are linear in the image, so that everything is known by formula."""
    rng = np.random.default_rng(seed)
    return Network((Layer(rng.normal(0, 0.5, (3, 16)), rng.normal(size=3), IDENTITY),), input_shape=(4, 4))


def exact(network: Network, mixture: MixturePrior, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each component the likeliest image that gives the answers, and the joint log density of its own."""
    layer = network.layers[0]
    images, densities = [], []
    for weight, part in zip(mixture.weights, mixture.components, strict=True):
        c = covariance(part)
        lacking = asked - layer.weights @ part.mean - layer.shifts
        gain = layer.weights @ c @ layer.weights.T
        images.append(part.mean + c @ layer.weights.T @ np.linalg.solve(gain, lacking))
        densities.append(np.log(weight) + multivariate_normal(part.mean, c).logpdf(images[-1]))
    return np.array(images), np.array(densities)


@given(seed=st.integers(0, 300))
def test_of_a_linear_model_the_components_are_ranked_and_answered_exactly(seed: int) -> None:
    network, mixture = linear(seed), mixture_of(seed, count=5)
    asked = np.random.default_rng(seed).normal(size=(4, 3))
    problem = Problem(network, answers(network, asked), np.full(16, WIDE[0]), np.full(16, WIDE[1]))
    promised = promises(problem, mixture)
    result = back_query(network, asked, method=THOROUGH, prior=mixture, bounds=WIDE)
    assert result.component is not None
    assert result.second_best is not None
    for row, wanted in enumerate(asked):
        images, densities = exact(network, mixture, wanted)
        np.testing.assert_allclose(promised[row], densities, rtol=1e-6)
        order = np.argsort(-densities)[: TRIED[0]]
        tried = order[densities[order] > densities.max() - BEHIND]
        whole = mixture.log_density(images[tried])
        best = tried[whole.argmax()]
        assert result.component[row] == best
        np.testing.assert_allclose(result.images[row], images[best], atol=1e-3)
        second = whole.max() - np.sort(whole)[-2] if len(tried) > 1 else np.nan
        assert result.second_best[row] == pytest.approx(second, abs=1e-2, nan_ok=True)


@pytest.mark.parametrize("kind", ["the book's", "relu, softmax"])
def test_one_component_answers_as_the_data_prior_does(kind: str) -> None:
    network, whole = network_of(kind), kept_prior(statistics_of(0))
    assert isinstance(whole, MixturePrior)
    one = whole.whole
    alone = MixturePrior(np.ones(1), (one,), one)
    labels = range(network.outputs)
    expected = back_query(network, labels, method="gauss-newton", prior=one, confidence=0.6)
    found = back_query(network, labels, method="gauss-newton", prior=alone, confidence=0.6)
    np.testing.assert_allclose(found.images, expected.images, atol=1e-9)
    images = np.random.default_rng(0).uniform(size=(5, 16))
    np.testing.assert_allclose(alone.log_density(images), one.log_density(images), atol=1e-9)
    assert found.component is not None
    assert not found.component.any()


def reachable(network: Network, mixture: MixturePrior) -> np.ndarray:
    """The answers to three images that the mixture drew, kept within the box."""
    return network.query(np.clip(mixture.draw(3, np.random.default_rng(5)), 0, 1))


@pytest.mark.parametrize("shown", [True, False], ids=["network", "opaque"])
def test_answers_hold_and_are_the_densest_of_those_found(shown: bool) -> None:
    network, mixture = network_of("deep tanh"), mixture_of(3, count=4)
    model = network if shown else Opaque(network)
    asked = reachable(network, mixture)
    result = back_query(model, asked, method="gauss-newton", prior=mixture)
    assert result.outcome == ("converged",) * 3
    assert result.prior == "mixture"
    assert result.component is not None
    assert result.as_json(network.classes)["scans"][0]["component"] == result.component[0]
    density = mixture.log_density(result.images)
    # Two of four are tried, by an estimate, and so at least the worst of all is never the answer.
    each = [back_query(model, asked, method="gauss-newton", prior=part) for part in mixture.components]
    for row in range(3):
        others = [mixture.log_density(one.images)[row] for one in each if one.outcome[row] == "converged"]
        assert density[row] > np.sort(others)[max(len(others) - 3, 0)] - 0.5


class Speechless(Opaque):
    """A model whose answers are not numbers."""

    def __getattr__(self, name: str) -> Any:
        outputs, inputs = self.network.outputs, self.network.inputs
        nothing = {
            "query": lambda images: np.full((len(images), outputs), np.nan),
            "logits": lambda images: np.full((len(images), outputs), np.nan),
            "logits_and_jacobian": lambda images: (
                np.full((len(images), outputs), np.nan),
                np.full((len(images), outputs, inputs), np.nan),
            ),
        }
        return nothing[name] if name in nothing else super().__getattr__(name)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_model_that_answers_nothing_is_told_as_what_it_is() -> None:
    model, mixture = Speechless(network_of("the book's")), mixture_of(3, count=4)
    result = back_query(model, [[0.5, 0.1, 0.1], [0.3, 0.2, 0.2]], method="gauss-newton", prior=mixture)
    assert "converged" not in result.outcome
    assert not result.read_as_asked.any()


def test_what_follows_a_slider_stays_within_its_component() -> None:
    network, mixture = network_of("deep tanh"), mixture_of(3, count=4)
    asked = reachable(network, mixture)[:1]
    first = back_query(network, asked, method="gauss-newton", prior=mixture)
    component = mixture.likeliest(first.images).components
    moved = back_query(network, 0.99 * asked, method="gauss-newton", prior=mixture, start=first.images)
    assert moved.outcome == ("converged",)
    np.testing.assert_array_equal(moved.component, component)


def test_the_smallest_change_is_measured_by_the_component_of_the_image() -> None:
    network, mixture = network_of("the book's"), mixture_of(3, count=4)
    near, asked = np.clip(mixture.means[2], 0, 1), reachable(network, mixture)[:1]
    result = back_query(network, asked, method=THOROUGH, prior=mixture, near=near)
    alone = back_query(network, asked, method=THOROUGH, prior=mixture.components[2], near=near)
    assert result.outcome == ("converged",)
    np.testing.assert_allclose(result.images, alone.images, atol=1e-3)


def test_a_model_that_keeps_a_mixture_is_asked_under_it_and_one_that_does_not_says_so() -> None:
    from dataclasses import replace

    network = replace(network_of("the book's"), statistics=statistics_of(1))
    assert back_query(network, [0], confidence=0.5).prior == "mixture"
    assert back_query(network, [0], confidence=0.5, prior="data").prior == "data"
    without = replace(network, statistics=replace(statistics_of(1), mixture=None))
    assert back_query(without, [0], confidence=0.5).prior == "data"
    with pytest.raises(InversionError, match="keeps no mixture"):
        back_query(without, [0], confidence=0.5, prior="mixture")


def test_a_mixture_is_kept_in_the_file(tmp_path) -> None:
    from dataclasses import replace

    network = replace(network_of("the book's"), statistics=statistics_of(1))
    save(network, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert again.statistics is not None
    assert again.statistics.mixture is not None
    for part in ("weights", "basis", "centres", "directions"):
        np.testing.assert_array_equal(
            getattr(again.statistics.mixture, part), getattr(network.statistics.mixture, part)
        )
    save(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": np.array([0.5, 0.6])}, "add up to 1"),
        ({"weights": np.array([1.5, -0.5])}, "positive"),
        ({"centres": np.zeros((2, 4))}, "needs weights"),
        ({"directions": np.full((2, 3, 1), np.nan)}, "not finite"),
    ],
)
def test_a_mixture_checks_its_parts(change: dict[str, np.ndarray], words: str) -> None:
    parts = {
        "weights": np.array([0.5, 0.5]), "basis": np.eye(16)[:, :3], "centres": np.zeros((2, 3)),
        "directions": np.zeros((2, 3, 1)),
    }  # fmt: skip
    with pytest.raises(ModelError, match=words):
        Mixture(**{**parts, **change})


def test_a_mixture_must_fit_the_statistics() -> None:
    mixture = Mixture(np.ones(1), np.eye(9)[:, :3], np.zeros((1, 3)), np.zeros((1, 3, 1)))
    with pytest.raises(ModelError, match="basis must have 16 rows"):
        Statistics(np.zeros(16), np.zeros((16, 0)), np.ones(16), None, mixture)


def test_priors_of_a_mixture_are_ordinary_ones() -> None:
    assert all(isinstance(component, Prior) for component in mixture_of(0).components)
