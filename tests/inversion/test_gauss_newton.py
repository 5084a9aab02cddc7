"""The faithful back query: judged by running forwards, against SciPy's optimum, and by what must never matter."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery.errors import DataError, InversionError
from backquery.inversion import (
    GaussNewton,
    answers,
    back_query,
    confidence,
    difference,
    flat_prior,
    hidden_node,
    several,
)
from backquery.inversion.priors import data_prior, natural_prior
from backquery.inversion.targets import contrasts
from backquery.io import load_model
from backquery.model.activations import IDENTITY
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from backquery.model.statistics import Statistics
from tests.inversion.conftest import KINKED, SMOOTH, Opaque, image_of, network_of, prior_of
from tests.reference import inversion as twin


def asked_back(network, wanted, **options):
    return back_query(network, wanted, method="gauss-newton", **options)


def scipys_optimum(network, prior, logits, start) -> tuple[float, float]:
    """The prior's cost that trust-constr comes to, and how far it is from meeting the constraints."""
    from scipy.optimize import Bounds, NonlinearConstraint, minimize

    precision = np.linalg.inv(twin.covariance(prior))
    maps = contrasts(network.outputs) if network.output_activation.name == "softmax" else np.eye(network.outputs)
    constraint = NonlinearConstraint(
        lambda x: maps @ network.logits(x)[0],
        maps @ logits,
        maps @ logits,
        jac=lambda x: maps @ network.logits_and_jacobian(x)[1][0],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = minimize(
            lambda x: (x - prior.mean) @ precision @ (x - prior.mean),
            start,
            jac=lambda x: 2 * precision @ (x - prior.mean),
            hess=lambda x: 2 * precision,
            method="trust-constr",
            constraints=[constraint],
            bounds=Bounds(np.zeros(16), np.ones(16)),
            options={"gtol": 1e-7, "xtol": 1e-9, "maxiter": 800},
        )
    return float(found.fun), float(found.constr_violation)


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_cost_is_within_a_percent_of_scipy_s_optimum(kind: str, seed: int) -> None:
    network, prior = network_of(kind, seed), prior_of(seed)
    image = image_of(prior, seed)
    result = asked_back(network, network.query(image), prior=prior)
    assert result.outcome == ("converged",)
    cost = prior.squared_distance(result.images)[0]
    for start in (prior.mean, result.images[0]):
        optimum, violation = scipys_optimum(network, prior, network.logits(image)[0], start)
        assert violation < 1e-6
        assert cost <= 1.01 * optimum + 1e-4, "the error within the tolerance may be worth a little"
    assert cost <= 1.01 * prior.squared_distance(image[None])[0] + 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_linear_networks_have_the_optimum_of_every_set_of_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(2, 6))
    network = Network((Layer(weights, None, IDENTITY),), input_shape=(2, 3))
    prior = replace_pixels(prior_of(seed), 6)
    wanted = weights @ rng.uniform(size=6)
    result = GaussNewton(optimality=1e-6)
    images = back_query(network, wanted, method=result, prior=prior).images
    best = twin.likeliest_in_box(prior.mean, twin.covariance(prior), weights, wanted, 0.0, 1.0)
    np.testing.assert_allclose(weights @ images[0], wanted, atol=1e-3)
    np.testing.assert_allclose(
        prior.squared_distance(images), prior.squared_distance(best[None]), rtol=1e-2, atol=1e-3
    )


def replace_pixels(prior, pixels: int):
    return replace(prior, mean=prior.mean[:pixels], factor=prior.factor[:pixels], diagonal=prior.diagonal[:pixels])


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(list(SMOOTH)))
def test_answers_hold_when_run_forwards_and_images_stay_in_the_box(seed: int, kind: str) -> None:
    network, prior = network_of(kind, seed), prior_of(seed)
    wanted = network.logits(image_of(prior, seed))
    result = asked_back(network, network.query(image_of(prior, seed)[None]), prior=prior)
    assert result.outcome == ("converged",)
    assert np.abs(network.logits(result.images) - wanted).max() < 1e-3
    np.testing.assert_allclose(result.answers, network.query(result.images), atol=1e-12)
    assert result.read_as_asked.all()
    assert result.images.min() >= 0.0 and result.images.max() <= 1.0


@pytest.mark.parametrize("kind", KINKED)
def test_networks_with_kinks_are_met_as_well(kind: str) -> None:
    met = []
    for seed in range(8):
        network, prior = network_of(kind, seed), prior_of(seed)
        logits = network.logits(image_of(prior, seed)[None])
        if network.output_activation is IDENTITY or kind == "leaky relu":
            asked = answers(network, network.query(image_of(prior, seed)[None]))
        else:
            asked = answers(network, network.query(image_of(prior, seed)))
        result = asked_back(network, asked, prior=prior)
        met.append(
            result.outcome[0] == "converged" and np.abs(network.logits(result.images) - logits).max() < 1e-3
        )
    assert all(met)


def test_permuting_hidden_nodes_changes_nothing() -> None:
    network, prior = network_of("deep tanh", 4), prior_of(4)
    order = np.random.default_rng(0).permutation(8)
    first, second, last = network.layers
    shuffled = Network(
        (
            Layer(first.weights[order], first.biases[order], first.activation),
            Layer(second.weights[:, order], second.biases, second.activation),
            last,
        ),
        input_shape=(4, 4),
    )
    wanted = network.query(image_of(prior, 4))
    images = [asked_back(model, wanted, prior=prior).images for model in (network, shuffled)]
    np.testing.assert_allclose(images[1], images[0], atol=1e-6)


@pytest.mark.parametrize("scale", [2.0, 1e-3, 1e4])
def test_the_scale_of_the_prior_does_not_matter(scale: float) -> None:
    network, prior = network_of("sigmoid, softmax", 2), prior_of(2)
    wanted = network.query(image_of(prior, 2))
    once, twice = (asked_back(network, wanted, prior=p).images for p in (prior, prior.scaled(scale)))
    np.testing.assert_allclose(twice, once, atol=1e-6)


def test_the_same_question_has_the_same_answer_alone_or_among_others() -> None:
    network, prior = network_of("tanh, softmax", 1), prior_of(1)
    wanted = np.concatenate([network.query(image_of(prior, seed)[None]) for seed in range(5)])
    together = asked_back(network, wanted, prior=prior).images
    np.testing.assert_array_equal(asked_back(network, wanted, prior=prior).images, together)
    for row in range(5):
        np.testing.assert_allclose(
            asked_back(network, wanted[row], prior=prior).images[0], together[row], atol=1e-6
        )
    small = back_query(network, wanted, method=GaussNewton(block=2), prior=prior).images
    np.testing.assert_allclose(small, together, atol=1e-6)


def test_a_start_image_that_answers_as_asked_is_returned() -> None:
    network, prior = network_of("the book's", 5), prior_of(5)
    image = image_of(prior, 5)
    result = asked_back(network, network.query(image), prior=prior, near=image)
    np.testing.assert_array_equal(result.images[0], image)
    np.testing.assert_array_equal(result.change, np.zeros((1, 16)))
    assert (result.outcome, result.steps.tolist()) == (("converged",), [0])


def test_near_finds_a_smaller_change_than_starting_from_nothing() -> None:
    network, prior = network_of("deep tanh", 6), prior_of(6)
    image, other = image_of(prior, 6), image_of(prior, 7)
    wanted = network.query(other)
    near = asked_back(network, wanted, prior=prior, near=image)
    free = asked_back(network, wanted, prior=prior)
    assert near.outcome == free.outcome == ("converged",)
    np.testing.assert_allclose(near.change, near.images - image, atol=1e-15)
    change = prior.squared_distance(near.images, image)[0]
    assert change <= 1.01 * prior.squared_distance(free.images, image)[0]
    assert change <= 1.01 * prior.squared_distance(other[None], image)[0]
    assert prior.squared_distance(free.images)[0] <= 1.01 * prior.squared_distance(near.images)[0]


def test_a_difference_asks_for_nothing_else() -> None:
    network, prior = network_of("tanh, softmax", 3), prior_of(3)
    result = asked_back(network, difference(network, [("2", "0"), ("1", "3")], 0.4), prior=prior)
    logits = network.logits(result.images)
    np.testing.assert_allclose(logits[0, 2] - logits[0, 0], 0.4, atol=1e-3)
    np.testing.assert_allclose(logits[1, 1] - logits[1, 3], 0.4, atol=1e-3)
    assert result.targets is None
    np.testing.assert_array_equal(result.labels, [2, 1])
    whole = asked_back(network, network.query(result.images[0]), prior=prior)
    assert prior.squared_distance(result.images)[0] <= 1.01 * prior.squared_distance(whole.images)[0] + 1e-3


@pytest.mark.parametrize("layer", [1, 2])
def test_a_hidden_node_gives_its_signal(layer: int) -> None:
    network, prior = network_of("sigmoid, softmax", 3), prior_of(3)
    layers, signals = network.layers, network.signals(image_of(prior, 3))
    wanted = layers[layer - 1].combine(signals[layer - 1])[0, [1, 4]]
    result = asked_back(network, hidden_node(network, layer, [1, 4], wanted), prior=prior)
    sums = layers[layer - 1].combine(network.signals(result.images)[layer - 1])
    np.testing.assert_allclose(sums[[0, 1], [1, 4]], wanted, atol=1e-3)
    assert result.read_as_asked.all() and result.outcome == ("converged",) * 2


def test_several_labels_at_once() -> None:
    network, prior = network_of("the book's", 1), prior_of(1)
    given = network.query(image_of(prior, 1))
    wanted = {"0": float(given[0]), "2": float(given[2])}
    result = asked_back(network, several(network, wanted, others=float(given[1])), prior=prior)
    assert result.outcome == ("converged",)
    np.testing.assert_allclose(result.answers, [given], atol=1e-3)


def test_what_no_image_can_give_is_not_converged() -> None:
    network, prior = network_of("the book's", 0), prior_of(0)
    result = asked_back(network, confidence(network, [1], 1 - 1e-9), prior=prior)
    assert result.outcome == ("proved impossible",)
    assert not result.converged.any()
    assert "was asked for" in result.advice[0] and "ask for the answers reached" in result.advice[0]
    reached = asked_back(network, result.answers, prior=prior)
    assert reached.outcome == ("converged",), "the advice can be followed"


def test_a_network_that_nothing_moves_can_give_nothing() -> None:
    network, prior = network_of("the book's", 0), prior_of(0)
    network = network.without_nodes(range(network.layers[0].outputs))
    result = asked_back(network, [0, 2], confidence=0.9, prior=prior)
    assert result.outcome == ("proved impossible",) * 2
    assert "it is proved that no image" in result.advice[0]
    assert np.isfinite(result.images).all()
    np.testing.assert_allclose(result.answers, 0.5)


def test_one_answer_among_others_that_cannot_be_had_is_named() -> None:
    network, prior = network_of("tanh, softmax", 1), prior_of(1)
    result = asked_back(network, answers(network, [[1e-9, 1e-9, 1.0 - 3e-9, 1e-9]]), prior=prior)
    assert result.outcome == ("proved impossible",)
    assert result.advice[0].startswith("output ")


def test_what_is_not_found_is_called_impossible_only_where_that_is_proved() -> None:
    network, prior = network_of("the book's", 0), prior_of(0)
    for model, outcome in ((network, "proved impossible"), (Opaque(network), "not found")):
        result = asked_back(model, confidence(model, [1], 1 - 1e-9), prior=prior)
        assert result.outcome == (outcome,)
        assert ("proved" in result.advice[0]) == (model is network)


def test_a_network_that_says_the_same_of_most_images_is_asked_for_that() -> None:
    """Behind dead ReLUs nothing moves, and constraints repeat one another."""
    network, prior = network_of("relu, identity", 0), prior_of(0)
    wanted = network.query(np.zeros((1, 16)))
    result = asked_back(network, wanted, prior=prior)
    assert result.outcome == ("converged",)
    np.testing.assert_allclose(result.answers, wanted, atol=1e-3)


@pytest.mark.parametrize("kind", ["the book's", "sigmoid, softmax", "relu, softmax"])
def test_starts_of_one_s_own_and_any_prior_and_box(kind: str) -> None:
    network, prior = network_of(kind, 1), prior_of(1)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in range(2)]))
    images = np.stack([image_of(prior, seed) for seed in (7, 8)])
    for options in ({"start": images}, {"near": images}, {"prior": flat_prior(16)}, {"bounds": (-0.5, 1.5)}):
        result = asked_back(network, wanted, **{"prior": prior, **options})
        assert set(result.outcome) == {"converged"}
        assert result.logit_error.max() < 1e-3


def test_factors_in_any_order_are_searched_alike() -> None:
    """Freshly fitted factors come column by column."""
    network, prior = network_of("the book's"), prior_of(1)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in range(2)]))
    columns = replace(prior, factor=np.asfortranarray(prior.factor))
    by_rows, by_columns = (asked_back(network, wanted, prior=p).images for p in (prior, columns))
    np.testing.assert_allclose(by_columns, by_rows, atol=1e-6)


def test_too_few_steps_are_called_stalled() -> None:
    network, prior = network_of("deep tanh", 1), prior_of(1)
    wanted = network.query(image_of(prior, 9))
    result = back_query(network, wanted, method=GaussNewton(steps=1, tolerance=1e-12), prior=prior)
    assert result.outcome == ("stalled",)
    assert "after 1 steps; allow more steps" in result.advice[0]
    assert result.steps.tolist() == [1]


def test_a_search_can_begin_where_another_ended() -> None:
    network, prior = network_of("deep tanh", 2), prior_of(2)
    wanted = network.query(image_of(prior, 2))
    first = asked_back(network, wanted, prior=prior)
    again = asked_back(network, wanted, prior=prior, start=first.images)
    assert again.steps[0] <= 3
    assert prior.squared_distance(again.images)[0] <= prior.squared_distance(first.images)[0] + 1e-9


def test_a_bad_start_is_left_for_a_better_one() -> None:
    network, prior = network_of("deep tanh", 2), prior_of(2)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in range(6)]))
    corners = (np.random.default_rng(0).random((6, 16)) < 0.5).astype(float)
    result = asked_back(network, wanted, prior=prior, start=corners)
    assert set(result.outcome) == {"converged"}
    once = prior.squared_distance(asked_back(network, wanted, prior=prior).images)
    assert np.all(prior.squared_distance(result.images) <= 1.05 * once + 1e-3)


def test_a_bad_start_costs_no_more_steps_than_were_allowed() -> None:
    network, prior = network_of("deep tanh", 2), prior_of(2)
    wanted = network.query(np.stack([image_of(prior, seed) for seed in range(6)]))
    corners = (np.random.default_rng(0).random((6, 16)) < 0.5).astype(float)
    for steps in (1, 2, 30):
        result = back_query(network, wanted, method=GaussNewton(steps=steps), prior=prior, start=corners)
        assert result.steps.max() <= steps
        assert all(outcome == "converged" for outcome in result.outcome) == (steps == 30)


@pytest.mark.parametrize("kind", ["the book's", "deep tanh", "one layer"])
@pytest.mark.parametrize("prior", [prior_of(2), natural_prior((4, 4))], ids=lambda prior: prior.name)
def test_multipliers_are_what_a_little_more_of_each_constraint_costs(kind: str, prior: Any) -> None:
    network, method, little = network_of(kind, 2), GaussNewton(tolerance=1e-7, optimality=1e-8), 1e-3
    image = prior.mean + 0.1 * np.random.default_rng(4).normal(size=16)
    asked = answers(network, network.query(np.clip(image, 0.05, 0.95)[None]))
    found = back_query(Opaque(network), asked, method=method, prior=prior)
    assert found.outcome == ("converged",)
    for place, multiplier in enumerate(found.multipliers[0]):
        costs = [
            prior.squared_distance(back_query(
                Opaque(network), replace(asked, values=asked.values + step * np.eye(asked.values.shape[1])[place]),
                method=method, prior=prior, start=found.images,
            ).images)[0] / 2
            for step in (-little, little)
        ]  # fmt: skip
        expected = (costs[1] - costs[0]) / (2 * little)
        assert multiplier == pytest.approx(expected, rel=0.05, abs=0.02 * np.abs(found.multipliers).max())


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("seed", range(6))
def test_multipliers_explain_the_image_whichever_step_led_to_it(kind: str, seed: int) -> None:
    """Of pixels between their bounds ``C^-1 (x - m) = J' multipliers``."""
    network = network_of(kind, seed)
    for prior in (prior_of(seed), natural_prior((4, 4))):
        image = np.clip(prior.mean + 0.15 * np.random.default_rng(seed).normal(size=16), 0, 1)
        asked = answers(network, network.query(image[None]))
        found = back_query(Opaque(network), asked, prior=prior)
        if found.outcome != ("converged",):
            continue
        y = prior.whiten(found.images)
        wish = prior.precise(y, prior.explained(y)[0])[0]
        jacobian = asked.maps @ network.logits_and_jacobian(found.images)[1][0] * prior.deviation
        free = (found.images[0] > 1e-9) & (found.images[0] < 1 - 1e-9)
        rest = (wish - found.multipliers[0] @ jacobian)[free]
        assert np.linalg.norm(rest) < 0.25 * np.linalg.norm(wish), (prior.name, found.steps)


@pytest.mark.parametrize("kind", ["deep tanh", "relu, softmax"])
def test_an_answer_that_was_had_is_never_lost_however_the_steps_run_out(kind: str) -> None:
    network, prior = network_of(kind, 2), prior_of(2)
    corners = (np.random.default_rng(0).random((6, 16)) < 0.5).astype(float)
    asked = answers(network, network.query(corners))
    for steps in range(1, 12):
        for either in (prior, natural_prior((4, 4))):
            method = GaussNewton(steps=steps)
            result = back_query(network, asked, method=method, prior=either, start=corners)
            assert set(result.outcome) == {"converged"}, (kind, steps, either.name)
            at_first = either.squared_distance(corners)
            assert np.all(either.squared_distance(result.images) <= at_first * (1 + 1e-9))


def test_the_box_is_that_of_the_scaling_to_the_last_bit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 16)).astype(np.uint8)
    for scaling in (Scaling.book(), Scaling.unit(), Scaling.standardised(pixels)):
        network = Network.create([16, 12, 3], activation="tanh", rng=1, scaling=scaling, input_shape=(4, 4))
        result = asked_back(network, [0, 1, 2], confidence=0.6)
        assert np.all(result.images >= scaling.low) and np.all(result.images <= scaling.high)


def test_bounds_of_one_s_own() -> None:
    network = Network.create([16, 12, 3], activation="tanh", rng=1, input_shape=(4, 4))
    result = asked_back(network, [0, 1], confidence=0.6, bounds=(-2.0, np.full(16, 0.25)))
    assert result.images.min() >= -2.0 and result.images.max() <= 0.25
    with pytest.raises(InversionError, match="must lie below"):
        asked_back(network, [0], bounds=(1.0, 0.0))
    with pytest.raises(InversionError, match="two vectors of 16 numbers"):
        asked_back(network, [0], bounds=(np.zeros(3), 1.0))


def test_the_model_s_own_statistics_are_the_default() -> None:
    prior, network = prior_of(1), network_of("the book's", 1)
    table = network.logits(np.stack([image_of(prior, seed) for seed in range(3)]))
    remembering = replace(network, statistics=Statistics(prior.mean, prior.factor, prior.diagonal, table))
    result = back_query(remembering, [0, 1, 2])
    assert (result.method, result.question, result.prior) == ("gauss-newton", "typical", "data")
    np.testing.assert_allclose(network.logits(result.images), table, atol=1e-3)
    np.testing.assert_allclose(result.logits, table)
    sure = back_query(remembering, [1], confidence=0.5)
    np.testing.assert_allclose(np.delete(sure.logits[0], 1), np.delete(table[1], 1), atol=1e-9)
    assert sure.targets[0, 1] == 0.5
    book = back_query(remembering, [1], method="transpose", confidence=0.9)
    np.testing.assert_allclose(book.targets, [[0.01, 0.9, 0.01]])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"near": np.full(15, 0.5)}, DataError, "near must be one image of 16 inputs"),
        ({"near": np.full(16, 200.0)}, DataError, "Scale raw images first"),
        ({"start": np.full(16, np.nan)}, DataError, "start must be finite"),
    ],
)
def test_images_that_do_not_fit_are_refused(options, error, words: str) -> None:
    with pytest.raises(error, match=words):
        asked_back(network_of("the book's"), [0], **options)


@pytest.mark.parametrize("settings_", [{"tolerance": 0}, {"steps": 0}, {"block": 0}, {"optimality": -1}])
def test_settings_must_make_sense(settings_) -> None:
    with pytest.raises(InversionError, match="above zero"):
        GaussNewton(**settings_)


def test_what_follows_a_slider_is_content_with_one_step():
    network = load_model("mnist")
    before = back_query(network, [3], confidence=0.9)
    asked = {"confidence": 0.92, "start": before.images}
    sure, quick = (
        back_query(network, [3], method=GaussNewton(confirming=confirming), **asked)
        for confirming in (True, False)
    )
    assert quick.steps[0] == 1 < sure.steps[0]
    assert quick.converged.all()
    assert quick.read_as_asked.all()
    costs = data_prior(network.statistics).squared_distance(np.stack([sure.images[0], quick.images[0]]))
    assert costs[1] < 1.01 * costs[0]


def test_a_slider_that_jumped_is_searched_to_the_end():
    network = load_model("mnist")
    start = back_query(network, [3], confidence=0.9).images
    sure, quick = (
        back_query(network, [8], method=GaussNewton(confirming=confirming), start=start)
        for confirming in (True, False)
    )
    np.testing.assert_array_equal(sure.images, quick.images)


def test_progress_says_how_many_questions_are_answered_and_how_far_off_the_present_ones_are() -> None:
    network, said = network_of("deep tanh"), []
    asked = network.query([image_of(prior_of(), seed) for seed in range(3)])
    method = GaussNewton(block=1)
    back_query(network, asked, method=method, prior=prior_of(), progress=lambda *told: said.append(told))
    done = [one for one, _, _ in said]
    assert sorted(set(done)) == [0.0, 1.0, 2.0] and done == sorted(done)
    assert {total for _, total, _ in said} == {3}
    assert all(words.startswith("step ") and words.endswith("from what is asked") for _, _, words in said)
