"""The likeliest image within limits: the conditions of Karush, Kuhn and Tucker, and a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from backquery import back_query
from backquery.inversion import (
    GaussNewton,
    Limits,
    Prior,
    answers,
    at_least,
    confidence,
    emptiest,
    most_sure,
    read_as,
    within,
)
from backquery.inversion.log_odds import own_log_odds_pulled
from backquery.inversion.mixtures import MixturePrior
from backquery.model import own_log_odds
from tests.inversion.conftest import SMOOTH, Opaque, image_of, network_of, prior_of
from tests.reference.inversion import covariance

FINELY = GaussNewton(optimality=1e-7)


def likeliest_by_slsqp(network, limits: Limits, prior, start) -> np.ndarray:
    """The minimum of (x - m)' C^-1 (x - m) within the limits and the box, by sequential quadratic programs."""
    precision, finite = np.linalg.inv(covariance(prior)), np.isfinite(limits.bounds[0])

    def spare(x):
        return -limits.lacking(network.logits(x[None]))[0, finite]

    def cost(x):
        return (x - prior.mean) @ precision @ (x - prior.mean)

    found = minimize(
        cost, start, jac=lambda x: 2 * precision @ (x - prior.mean), method="SLSQP", bounds=[(0, 1)] * 16,
        constraints={"type": "ineq", "fun": spare}, options={"maxiter": 500, "ftol": 1e-10},
    )  # fmt: skip
    assert found.success
    return found.x


def ranges_about(network, image, seed: int) -> dict[int, tuple[float | None, float | None]]:
    """Ranges that this image keeps, some of them without an end."""
    rng = np.random.default_rng(seed)
    given_ = network.query(image[None])[0]
    confidences = (given_ + 1) / 2 if network.output_activation.name == "tanh" else given_
    room = rng.uniform(0.0, 0.1, (2, len(confidences))) * np.minimum(confidences, 1 - confidences)
    ends = confidences - room[0], confidences + room[1]
    kept = rng.random((2, len(confidences))) < 0.6
    return {
        k: tuple(float(end[k]) if keep[k] else None for end, keep in zip(ends, kept, strict=True))
        for k in range(len(confidences))
    }


def slopes(network, limits: Limits, image) -> np.ndarray:
    """The derivatives (3 outputs, inputs) of what the limits bound, by single rows."""
    z, jacobian = network.logits_and_jacobian(image[None])
    outputs = network.outputs
    each = own_log_odds_pulled(z, np.eye(outputs)[None])[0] @ jacobian[0] if limits.own else jacobian[0]
    label = each[limits.labels[0]]
    return np.concatenate([each, -each, label - each])


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("seed", range(4))
def test_what_holds_the_image_back_would_make_it_likelier_and_all_else_is_kept(kind: str, seed: int) -> None:
    network, prior = network_of(kind, seed), prior_of(seed)
    limits = within(network, ranges_about(network, image_of(prior, seed), seed))
    result = back_query(network, limits, prior=prior, method=FINELY)
    assert result.outcome == ("converged",)
    assert result.read_as_asked.all()
    (image,) = result.images
    lacking = limits.lacking(network.logits(image[None]))[0]
    assert lacking.max() < 1e-3
    active = lacking > -1e-3
    assert len(result.active[0]) <= active.sum()
    pull = np.linalg.solve(covariance(prior), image - prior.mean)
    free = (image > 1e-9) & (image < 1 - 1e-9)
    rows = slopes(network, limits, image)[active]
    _, unexplained = nnls(rows[:, free].T, pull[free]) if active.any() else (None, np.linalg.norm(pull[free]))
    assert unexplained < 0.02 * np.linalg.norm(pull) + 1e-9


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_no_image_that_scipy_finds_is_likelier(kind: str, seed: int) -> None:
    network, prior = network_of(kind, seed), prior_of(seed)
    image = image_of(prior, seed)
    limits = within(network, ranges_about(network, image, seed))
    result = back_query(network, limits, prior=prior, method=FINELY)
    slow = likeliest_by_slsqp(network, limits, prior, image)
    mine, theirs = prior.squared_distance(np.stack([result.images[0], slow]))
    assert mine < 1.02 * theirs + 1e-6


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_linear_log_odds_have_one_optimum_within_any_limits(seed: int) -> None:
    network, prior = network_of("one layer", seed % 7), prior_of(seed)
    image = image_of(prior, seed)
    limits = within(network, ranges_about(network, image, seed))
    result = back_query(network, limits, prior=prior, method=FINELY)
    slow = likeliest_by_slsqp(network, limits, prior, image)
    mine, theirs = prior.squared_distance(np.stack([result.images[0], slow]))
    assert result.outcome == ("converged",)
    assert mine == pytest.approx(theirs, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("kind", ["the book's", "tanh, softmax"])
def test_at_least_is_never_less_likely_than_exactly(kind: str) -> None:
    network, prior = network_of(kind), prior_of()
    surely = network.query(prior.mean[None])[0]
    asked = float(surely.max()) + 0.05
    label = int(surely.argmax())
    exactly = back_query(network, confidence(network, [label], asked), prior=prior)
    found = back_query(network, at_least(network, [label], asked), prior=prior)
    assert found.read_as_asked.all()
    assert found.answers[0, label] > asked - 1e-3
    assert prior.squared_distance(found.images) < prior.squared_distance(exactly.images) * 1.01
    assert found.as_json(network.classes)["scans"][0]["active"] == list(found.active[0]) != []


def test_what_the_likeliest_image_of_all_keeps_asks_for_nothing() -> None:
    network, prior = network_of("tanh, softmax"), prior_of()
    label = int(network.query(prior.mean[None]).argmax())
    result = back_query(network, read_as(network, [label]), prior=prior)
    np.testing.assert_array_equal(result.images[0], prior.mean)
    assert result.active == ((),)
    assert result.steps.tolist() == [0]


def test_no_other_is_above_what_it_may_be() -> None:
    network, prior = network_of("sigmoid, softmax"), prior_of()
    image = image_of(prior)
    best = int(network.query(image[None]).argmax())
    asked = at_least(network, [best], 0.36, others_at_most=0.3)
    result = back_query(network, asked, prior=prior)
    others = np.delete(result.answers[0], best)
    assert others.max() < 0.301
    assert result.read.tolist() == [best]


def test_questions_are_answered_alone_as_among_others_and_by_models_without_layers() -> None:
    network, prior = network_of("tanh, softmax"), prior_of()
    labels = range(network.outputs)
    together = back_query(network, read_as(network, labels), prior=prior)
    opaque = back_query(Opaque(network), read_as(network, labels), prior=prior)
    assert together.read.tolist() == opaque.read.tolist() == list(labels)
    for label in labels:
        alone = back_query(network, read_as(network, [label]), prior=prior)
        np.testing.assert_allclose(alone.images[0], together.images[label], atol=1e-9)


def test_the_emptiest_image_is_the_nearest_to_paper() -> None:
    network = network_of("tanh, softmax")
    result = back_query(network, emptiest(network, range(4)), method=FINELY)
    drawn = np.random.default_rng(0).uniform(0, 1, (20_000, 16)) * np.random.default_rng(1).uniform(
        0, 1, (20_000, 1)
    )
    read = network.query(drawn).argmax(axis=1)
    for label in range(4):
        assert result.read_as_asked[label] == np.any(read == label)
        if not result.read_as_asked[label]:
            continue
        ink = (drawn[read == label] ** 2).sum(axis=1)
        assert (result.images[label] ** 2).sum() <= ink.min(initial=np.inf)
    np.testing.assert_array_equal(result.change, result.images)


def test_the_surest_image_of_a_distance_is_that_of_the_formula_where_log_odds_are_linear() -> None:
    network, prior = network_of("one layer"), prior_of()
    result = back_query(network, most_sure(network, [1], 2.0), prior=prior, bounds=(-9.0, 9.0))
    z, jacobian = network.logits_and_jacobian(prior.mean[None])
    slope = jacobian[0, 1]
    surest = z[0, 1] + 2.0**0.5 * (slope @ covariance(prior) @ slope) ** 0.5
    assert prior.squared_distance(result.images)[0] <= 2.0 + 1e-6
    assert network.logits(result.images)[0, 1] == pytest.approx(surest, abs=0.03)
    assert result.active[0][0].startswith("1 at log-odds")


@pytest.mark.parametrize("kind", ["the book's", "tanh, softmax"])
def test_no_image_drawn_at_the_distance_is_surer(kind: str) -> None:
    network, prior = network_of(kind), prior_of()
    result = back_query(network, most_sure(network, [0]), prior=prior)
    distance = prior.squared_distance(result.images)[0]
    assert distance <= 16
    rng = np.random.default_rng(0)
    drawn = rng.multivariate_normal(np.zeros(16), covariance(prior), 5000)
    drawn *= (16 / prior.squared_distance(prior.mean + drawn))[:, None] ** 0.5
    inside = np.clip(prior.mean + drawn, 0, 1)
    inside = inside[(prior.squared_distance(inside) <= 16) & (network.query(inside).argmax(axis=1) == 0)]
    z, best = network.logits(inside), network.logits(result.images)
    if kind == "tanh, softmax":
        z, best = own_log_odds(z), own_log_odds(best)
    assert best[0, 0] > z[:, 0].max()


def test_a_mixture_is_searched_under_its_components() -> None:
    network, whole = network_of("tanh, softmax"), prior_of()
    other = Prior("mixture", np.clip(whole.mean + 0.2, 0, 1), whole.factor, whole.diagonal)
    prior = MixturePrior(np.array([0.6, 0.4]), (whole, other), whole)
    result = back_query(network, read_as(network, range(4)), prior=prior)
    assert result.read.tolist() == [0, 1, 2, 3]
    assert result.component is not None


def test_what_cannot_be_had_says_what_it_lacks() -> None:
    network, prior = network_of("the book's"), prior_of()
    result = back_query(network, at_least(network, [0], 1 - 1e-12), prior=prior)
    assert not result.converged.any()
    assert result.outcome[0] in ("proved impossible", "not found", "stalled")
    assert "in log-odds of 0 at least 1" in result.advice[0]


def test_exactly_is_a_range_without_room() -> None:
    network, prior = network_of("the book's"), prior_of()
    wanted = network.query(image_of(prior)[None])[0]
    asked = within(network, {k: (float(p), float(p)) for k, p in enumerate(wanted)})
    result = back_query(network, asked, prior=prior, method=FINELY)
    exactly = back_query(network, answers(network, wanted), prior=prior, method=FINELY)
    np.testing.assert_allclose(result.answers[0], wanted, atol=1e-3)
    np.testing.assert_allclose(result.images, exactly.images, atol=2e-2)
