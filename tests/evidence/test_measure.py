"""Evidence: gradients against differences, rates over many seeds, claims that hold, and claims that must not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from backquery import plots
from backquery.datasets import Dataset, Split
from backquery.errors import BackqueryError, DataError
from backquery.evidence import (
    AGAINST,
    INSENSITIVE,
    NEVER_INKED,
    SUPPORT,
    UNCLEAR,
    caution,
    control_evidence,
    held_of,
    measure_evidence,
)
from backquery.evidence.interventions import agreement, intervene
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import judge
from backquery.inversion import fit_statistics
from backquery.model.activations import RELU, SIGMOID
from backquery.model.meaning import INK_ON_PAPER
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from backquery.training import MiniBatch, train
from tests.inversion.conftest import Opaque
from tests.plots.test_plots import assert_nothing_is_clipped, texts
from tests.reference import evidence as slow

# The number that is asked about


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("sigmoid", slow.sigmoid_log_odds),
        ("softmax", slow.label_log_odds),
        ("tanh", slow.tanh_log_odds),
        ("identity", lambda answers, label: answers[label]),
    ],
)
def test_it_is_the_label_s_log_odds_and_its_gradient_that_of_differences(activation, formula):
    """Central differences in float64: a step of 1e-5 leaves an error of about 1e-10."""
    network = Network.create([9, 7, 4], activation=["tanh", activation], biases=True, rng=3, dtype=np.float64)
    x = np.random.default_rng(0).uniform(0, 1, (5, 9))
    for label in range(4):
        question = Question((label,))
        expected = [formula([float(a) for a in network.query(row)], label) for row in x]
        np.testing.assert_allclose(question.log_odds(network, x), expected, rtol=1e-9)
        found = question.gradients(network, x)
        np.testing.assert_allclose(question.gradients(Opaque(network), x), found, rtol=1e-9, atol=1e-12)
        for pixel in range(9):
            step = np.eye(9)[pixel] * 1e-5
            slope = (question.log_odds(network, x + step) - question.log_odds(network, x - step)) / 2e-5
            np.testing.assert_allclose(found[:, pixel], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "tanh"])
def test_between_two_labels_it_is_the_difference_of_their_log_odds(activation):
    network = Network.create([9, 7, 4], activation=["tanh", activation], rng=3, dtype=np.float64)
    x = np.random.default_rng(0).uniform(0, 1, (5, 9))
    answers = network.query(x)
    expected = {
        "sigmoid": lambda: SIGMOID.inverse(answers[:, 1]) - SIGMOID.inverse(answers[:, 3]),
        "softmax": lambda: np.log(answers[:, 1] / answers[:, 3]),
        "tanh": lambda: 2 * (np.arctanh(answers[:, 1]) - np.arctanh(answers[:, 3])),
    }[activation]()
    found = Question((1, 3)).log_odds(network, x)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert Question((1, 3)).name(("a", "b", "c", "d")) == "b rather than d"


# Verdicts


def test_verdicts_are_those_of_student_s_test_and_benjamini_and_hochberg_s_procedure():
    rng = np.random.default_rng(4)
    values = rng.normal(rng.choice([-0.5, -0.1, 0.0, 0.1, 0.5], 60), rng.choice([0.03, 0.3, 1.0], 60), (30, 60))
    found = judge(values, np.ones(60, bool), rate=0.1, smallest=0.1)
    up = ttest_1samp(values, 0.1, alternative="greater").pvalue
    down = ttest_1samp(values, -0.1, alternative="less").pvalue
    small = ttest_1samp(np.abs(values), 0.1, alternative="less").pvalue
    either = slow.benjamini_hochberg(list(np.minimum(2 * np.minimum(up, down), 1)), 0.1)
    hardly = slow.benjamini_hochberg(list(small), 0.1)
    for pixel in range(60):
        direction = SUPPORT if values[:, pixel].mean() > 0 else AGAINST
        expected = direction if either[pixel] else INSENSITIVE if hardly[pixel] else UNCLEAR
        assert found.verdict[pixel] == expected
    assert set(found.verdict) == {SUPPORT, AGAINST, INSENSITIVE, UNCLEAR}
    np.testing.assert_allclose(found.error, values.std(axis=0, ddof=1) / 30**0.5)


def test_what_was_never_inked_is_not_judged_and_costs_the_others_nothing():
    values = np.random.default_rng(1).normal(0.3, 0.3, (20, 40))
    inked = np.arange(40) < 10
    found = judge(values, inked, rate=0.05, smallest=0.1)
    alone = judge(values[:, :10], np.ones(10, bool), rate=0.05, smallest=0.1)
    assert set(found.verdict[10:]) == {NEVER_INKED}
    np.testing.assert_array_equal(found.verdict[:10], alone.verdict)


def test_ink_that_matters_one_way_or_the_other_is_not_called_insensitive():
    values = np.where(np.random.default_rng(0).random((500, 3)) < 0.5, 1.0, -1.0)
    assert set(judge(values, np.ones(3, bool), rate=0.05, smallest=0.1).verdict) == {UNCLEAR}


def test_few_images_show_nothing_and_many_show_what_is_so():
    """Not significant is not insensitive: with ten images most pixels stay unclear."""
    rng = np.random.default_rng(2)
    few, many = (rng.normal(0.0, 0.1, (count, 200)) for count in (10, 1000))
    unclear = [
        np.mean(judge(each, np.ones(200, bool), rate=0.05, smallest=0.1).verdict == UNCLEAR)
        for each in (few, many)
    ]
    assert unclear[0] > 0.5
    assert unclear[1] == 0


# Networks whose answer is known by construction


SIDE = 8
PIXELS = SIDE * SIDE


@dataclass(frozen=True, eq=False)
class Bowl:
    """Two outputs, z and -z, with ``z = a x + c (x - 1/2)^2``.

    The sensitivity to pixel j, a_j + 2 c_j (x_j - 1/2), varies in size and sign from image to image. Over images
    drawn evenly from 0 to 1 its mean is a_j, exactly.
    """

    a: np.ndarray
    c: np.ndarray
    input_shape: tuple[int, ...] = (SIDE, SIDE)
    inputs: int = PIXELS
    outputs: int = 2
    classes: tuple[str, ...] = ("0", "1")
    scaling: Scaling | None = None
    statistics: Any = None
    output_activation: Any = SIGMOID

    def scale(self, images: Any) -> Any:
        raise AssertionError("there is nothing to scale")

    def logits(self, x: Any) -> Any:
        z = x @ self.a + (x - 0.5) ** 2 @ self.c
        return np.stack([z, -z], axis=1)

    def query(self, x: Any) -> Any:
        return SIGMOID.function(self.logits(x))

    def logits_and_jacobian(self, x: Any) -> Any:
        slope = self.a + 2 * self.c * (x - 0.5)
        return self.logits(x), np.stack([slope, -slope], axis=1)


def drawn(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0, 1, (count, PIXELS)), np.arange(count) % 2


def test_a_rule_on_chosen_pixels_is_found_exactly():
    """A network of one layer: the pixels it reads, with the sign of their weights, and no other. Every seed."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weights = np.zeros(PIXELS)
        chosen = rng.choice(PIXELS, 20, replace=False)
        weights[chosen] = rng.choice([-1, 1], 20) * rng.uniform(0.3, 2.0, 20)
        layer = Layer(np.stack([weights, -weights]), np.zeros(2), SIGMOID)
        network = Network((layer,), input_shape=(SIDE, SIDE))
        (found,) = measure_evidence(network, drawn(rng, 100), [0], rng=seed)
        expected = np.select([weights > 0, weights < 0], [SUPPORT, AGAINST], INSENSITIVE)
        np.testing.assert_array_equal(found.findings.verdict, expected)
        assert found.held == len(found.claims) == 6
        np.testing.assert_allclose(found.findings.mean, weights, atol=1e-12)


def test_false_discoveries_stay_at_the_stated_rate_and_hardly_anything_is_missed():
    """300 seeds, 64 pixels whose sensitivities vary in sign, half of them with a mean exactly at the limit.

    The mean false-discovery proportion may exceed the rate by luck: by four standard errors at the most.
    """
    rate, smallest, proportions, found_of_true = 0.1, 0.1, [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        signs = rng.choice([-1, 1], PIXELS)
        matters = np.arange(PIXELS) < PIXELS // 2
        a = signs * np.where(matters, 0.6, smallest)
        model = Bowl(a, rng.uniform(0.3, 0.8, PIXELS))
        (found,) = measure_evidence(model, drawn(rng, 240), [0], rate=rate, smallest=smallest, rng=seed)
        said = np.isin(found.findings.verdict, (SUPPORT, AGAINST))
        wrong_way = said & (found.findings.verdict != np.where(a > 0, SUPPORT, AGAINST))
        false = said & (~matters | wrong_way)
        proportions.append(false.sum() / max(said.sum(), 1))
        found_of_true.append(np.mean(said[matters]))
    error = np.std(proportions) / len(proportions) ** 0.5
    assert np.mean(proportions) <= rate + 4 * error
    assert np.mean(proportions) > rate / 10, "the limit is where the tests are at their weakest: errors must occur"
    assert np.mean(found_of_true) > 0.99


def test_insensitive_is_said_falsely_at_most_at_the_stated_rate():
    """300 seeds: half of the pixels have a mean absolute sensitivity exactly at the limit, half far below.

    With a = 0 the sensitivity is even between -c and c, and its mean absolute value c / 2.
    """
    rate, smallest, proportions, found_of_true = 0.1, 0.1, [], []
    for seed in range(300):
        rng = np.random.default_rng(1000 + seed)
        small = np.arange(PIXELS) < PIXELS // 2
        model = Bowl(np.zeros(PIXELS), np.where(small, 0.05, 2 * smallest))
        (found,) = measure_evidence(model, drawn(rng, 240), [0], rate=rate, smallest=smallest, rng=seed)
        said = found.findings.verdict == INSENSITIVE
        proportions.append(np.sum(said & ~small) / max(said.sum(), 1))
        found_of_true.append(np.mean(said[small]))
    assert np.mean(proportions) <= rate + 4 * np.std(proportions) / len(proportions) ** 0.5
    assert np.mean(found_of_true) == 1.0


def test_claims_that_are_false_are_said_not_to_hold():
    """The same network, with the verdicts turned round: support is called against, what matters insensitive."""
    rng = np.random.default_rng(0)
    a = np.repeat([0.8, -0.8, 0.0, 0.8], PIXELS // 4)
    model = Bowl(a, np.full(PIXELS, 0.02))
    x, _ = drawn(rng, 200)
    right = np.repeat([SUPPORT, AGAINST, INSENSITIVE, UNCLEAR], PIXELS // 4).astype(np.int8)
    wrong = np.repeat([AGAINST, SUPPORT, UNCLEAR, INSENSITIVE], PIXELS // 4).astype(np.int8)
    for verdict, expected in ((right, True), (wrong, False)):
        found = intervene(model, Question((0,)), verdict, x, smallest=0.1, rng=rng)
        assert [one.held for one in found] == [expected] * 6 + [None]
        for one in found[:6]:
            value, low, high = one.tested
            assert (value, high) == ((one.change, one.high) if one.claim else (one.size, one.size_high))
            side = (low, 0.0) if one.claim == 1 else (0.0, high) if one.claim == -1 else (one.limit, high)
            assert (side[0] > side[1]) == expected, (
                "the drawn interval lies where the claim says, or it does not hold"
            )


# Whether images agree on what a pixel means


def turning(side: int = 4) -> tuple[Network, Dataset]:
    """Its log-odds rise with more ink where there is much, fall with more ink where there is none; and images.

    Over the images every pixel is support for the first label, but ink on paper speaks against it.
    """
    eye = np.eye(side * side)
    hidden = Layer(np.concatenate([eye, -eye]), np.repeat([-0.5, 0.5], side * side), RELU)
    weights = np.repeat([0.5, 0.75], side * side)
    last = Layer(np.stack([weights, -weights]), np.zeros(2), SIGMOID)
    network = Network((hidden, last), input_shape=(side, side), scaling=Scaling.unit(255, INK_ON_PAPER))
    inked = np.random.default_rng(0).random((800, side, side)) < 0.8
    halves = [Split(np.where(half, 255, 0).astype(np.uint8), np.arange(400) % 2) for half in np.split(inked, 2)]
    return network, Dataset("turning", *halves, ("0", "1"), 255.0, INK_ON_PAPER)


def test_agreement_is_what_the_formula_says():
    rng = np.random.default_rng(3)
    slopes, ink = rng.normal(0.2, 1, (40, 30)), rng.choice([0.0, 0.05, 0.5, 0.95, 1.0], (40, 30))
    verdict = rng.integers(0, 5, 30).astype(np.int8)
    support, against = (np.flatnonzero(verdict == code).tolist() for code in (SUPPORT, AGAINST))
    expected = slow.agreement(slopes.tolist(), ink.tolist(), support, against)
    assert agreement(slopes, ink, verdict) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("verdicts", "expected"), [((INSENSITIVE, NEVER_INKED), 1.0), ((INSENSITIVE, UNCLEAR), 0.0)]
)
def test_without_support_and_against_images_agree_unless_something_is_unclear(verdicts, expected):
    verdict = np.resize(np.array(verdicts, np.int8), 8)
    assert agreement(np.ones((5, 8)), np.full((5, 8), 0.5), verdict) == expected


def test_a_linear_rule_is_agreed_on_and_one_that_turns_round_is_not():
    """Support on average, but against wherever there is paper to ink: the claims fail, and that is said before."""
    rng = np.random.default_rng(0)
    signs = np.resize([1.0, -1.0], PIXELS)
    (plain,) = measure_evidence(Bowl(0.5 * signs, np.zeros(PIXELS)), drawn(rng, 200), [0])
    assert (plain.agreement, plain.caution) == (pytest.approx(1), "")
    ends = (rng.uniform(0, 1, (400, PIXELS)) < 0.8).astype(float), np.arange(400) % 2
    (turning,) = measure_evidence(Bowl(-0.05 * signs, signs), ends, [0])
    assert turning.agreement < 0.2
    assert "changes from image to image" in turning.caution
    assert turning.held < len(turning.claims)
    assert turning.as_json(("0", "1"))["caution"] == turning.caution
    assert caution([plain, plain, plain, turning]) == ""
    assert_nothing_is_clipped(figure := plots.evidence_maps([turning], (SIDE, SIDE)))
    assert "changes from image to image" in " ".join(" ".join(texts(figure)).split())


def test_on_centred_digits_nothing_is_said(measured):
    assert caution(measured) == ""
    assert min(one.agreement for one in measured) > 0.7


def test_an_intervention_says_by_how_much_and_agrees_with_arithmetic():
    """On a linear rule the change is the weight times the ink moved, whatever pixels are drawn."""
    weights = np.full(PIXELS, 0.25)
    model, (x, _) = Bowl(weights, np.zeros(PIXELS)), drawn(np.random.default_rng(1), 150)
    verdict = np.full(PIXELS, SUPPORT, np.int8)
    found = intervene(model, Question((0,)), verdict, x, smallest=0.1, rng=np.random.default_rng(2))
    added, taken = found[0], found[1]
    assert (added.region, added.action, added.images) == ("support", "ink added", 150)
    assert added.change == pytest.approx(0.25 * added.ink)
    assert taken.change == pytest.approx(-0.25 * taken.ink)
    assert added.limit == pytest.approx(0.1 * added.ink)
    assert all(one.change is None and one.held is None and one.images == 0 for one in found[2:])


# Real networks


def learned(digits: Dataset) -> Network:
    """A network that has learned the digits, with statistics of them."""
    fresh = Network.create([64, 30, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16, INK_ON_PAPER))
    trained, _ = train(fresh, digits.train, MiniBatch(learning_rate=0.01), epochs=30, rng=1)
    return replace(trained, statistics=fit_statistics(trained, digits.train))


@pytest.fixture(scope="module")
def network(digits: Dataset) -> Network:
    return learned(digits)


@pytest.fixture(scope="module")
def measured(network: Network, digits: Dataset):
    return measure_evidence(network, digits.train, held_out=digits.test)


def test_nearly_all_claims_about_a_trained_network_hold_on_held_out_images(measured):
    """Each interval misses in five of a hundred cases, and the claims are about means that differ from zero."""
    held, claims = held_of(one for each in measured for one in each.interventions)
    assert claims >= 40
    assert held >= 0.9 * claims
    assert [one.question for one in measured] == [str(k) for k in range(10)]


def test_pixels_that_no_image_inks_are_said_to_be_so(measured, digits):
    never = ~np.any([half.images.reshape(-1, 64).any(axis=0) for _, half in digits.halves], axis=0)
    assert never.any()
    for one in measured:
        np.testing.assert_array_equal(one.findings.verdict == NEVER_INKED, never)
        assert sum(one.counts.values()) == 64


def test_the_regions_of_controls_say_nothing_about_the_network(network, digits, measured):
    """What a control supports is as likely to be against here: far from nearly all of its claims hold."""
    controls = control_evidence(network, digits, measured, rng=0)
    assert [one.name for one in controls] == ["untrained", "shuffled labels"]
    own = np.mean([one.likeness for one in measured])
    for control in controls:
        held, claims = control.borrowed_held
        assert held <= 0.75 * claims
        assert abs(control.likeness) < 0.15 < own
    assert controls[0].borrowed_held[1] >= 20


def test_images_and_pixels_are_drawn_by_the_seed_alone(network, digits):
    def claims(rng: int) -> Any:
        return measure_evidence(network, digits.train, [3], images=50, rng=rng)[0].interventions

    assert claims(5) == claims(5)
    assert claims(5) != claims(6)


def test_any_model_is_asked_and_gives_the_same(network, digits):
    plain, opaque = (
        measure_evidence(model, digits.train, [3], held_out=digits.test)[0] for model in (network, Opaque(network))
    )
    assert plain.interventions == opaque.interventions
    np.testing.assert_array_equal(plain.findings.verdict, opaque.findings.verdict)


def test_ink_is_ink_whatever_the_scaling(digits):
    """Weights that undo a negative or a standardised scaling see the same images, and say the same of the ink."""
    rng = np.random.default_rng(0)
    weights, found = rng.normal(0, 1, (2, 64)), []
    for scaling in (Scaling.unit(16), Scaling(-1 / 16, 1.0, 16), Scaling.standardised(digits.train.images, 16)):
        gain, offset = np.broadcast_to(scaling.gain, 64) * 16, np.broadcast_to(scaling.offset, 64)
        layer = Layer(weights / gain, -(weights / gain) @ offset, SIGMOID)
        model = Network((layer,), input_shape=(8, 8), scaling=scaling)
        two = replace(digits, test=None).train
        two = two.select(two.labels < 2)
        found.append(measure_evidence(model, two, [1])[0])
    for one in found[1:]:
        np.testing.assert_array_equal(one.findings.verdict, found[0].findings.verdict)
        np.testing.assert_allclose(one.findings.mean, weights[1], atol=1e-9)
        np.testing.assert_allclose(one.mean_ink, found[0].mean_ink, atol=1e-9)
        assert Paper.of(model).ink(model.scale(digits.train.images)).min() >= -1e-9


def test_between_two_labels_both_have_as_many_images(network, digits):
    (found,) = measure_evidence(network, digits.train, between=("4", 9), held_out=digits.test, images=40)
    assert found.question == "4 rather than 9"
    assert found.images == 80
    (turned,) = measure_evidence(network, digits.train, between=(9, 4), held_out=digits.test, images=40)
    np.testing.assert_allclose(turned.contrast, -found.contrast, atol=0.1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"labels": [12]}, "unknown label 12"),
        ({"between": (4, "4")}, "two different labels"),
        ({"labels": [3], "between": (4, 9)}, "not for both"),
        ({"rate": 0.0}, "received 0, 0.1 and 1000"),
        ({"rate": 0.7}, "the rate lies between"),
        ({"smallest": -1.0}, "a number from 0 on"),
        ({"smallest": np.inf}, "received 0.05, inf"),
        ({"images": 3}, "at least 10 images"),
    ],
)
def test_questions_that_cannot_be_put_are_refused(network, digits, asked, said):
    with pytest.raises(BackqueryError, match=said):
        measure_evidence(network, digits.train, **asked)


def test_labels_with_too_few_images_are_left_out_unless_they_are_asked_for(network, digits):
    few = digits.train.select((digits.train.labels != 3) | (np.cumsum(digits.train.labels == 3) <= 15))
    assert [one.labels for one in measure_evidence(network, few)] == [(k,) for k in range(10) if k != 3]
    with pytest.raises(DataError, match="fewer of 3"):
        measure_evidence(network, few, ["3", "4"])
    with pytest.raises(DataError, match="fewer of every label"):
        measure_evidence(network, digits.train.select(slice(40)))


# The picture and the command


def test_the_picture_colours_what_was_found(measured, network):
    figure = plots.evidence_maps(measured, network.input_shape)
    held = sum(one.held for one in measured)
    assert f"{held} of {sum(len(one.claims) for one in measured)} claims held" in " ".join(texts(figure))
    assert_nothing_is_clipped(figure)
    one = measured[0]
    colours = plots.evidence_colours(one, (8, 8), 1.0).reshape(64, 3)
    red, _, blue = colours.T
    verdict = one.findings.verdict
    assert np.all(red[verdict == SUPPORT] > blue[verdict == SUPPORT])
    assert np.all(red[verdict == AGAINST] < blue[verdict == AGAINST])
    assert np.all(red[verdict == INSENSITIVE] == blue[verdict == INSENSITIVE])
    assert np.all(colours[verdict == UNCLEAR] == 1)


def test_a_model_that_nothing_moves_can_be_drawn(network, digits):
    layers = tuple(replace(layer, weights=np.zeros_like(layer.weights)) for layer in network.layers)
    found = measure_evidence(replace(network, layers=layers), digits.train, held_out=digits.test)
    assert {verdict for one in found for verdict in one.findings.verdict} <= {INSENSITIVE, NEVER_INKED}
    assert_nothing_is_clipped(plots.evidence_maps(found, network.input_shape))


def test_a_single_question_with_a_long_name_fits_its_picture(network, digits):
    named = replace(network, classes=tuple(f"a label with a name, {k}" for k in range(10)))
    found = measure_evidence(named, digits.train, between=(4, 9), held_out=digits.test)
    assert_nothing_is_clipped(plots.evidence_maps(found, named.input_shape))
