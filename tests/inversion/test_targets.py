"""What can be asked, what it means for each kind of output, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from backquery.datasets import load
from backquery.errors import AssumptionWarning, TargetError
from backquery.inversion import (
    answers,
    back_query,
    confidence,
    difference,
    fit_statistics,
    hidden_node,
    several,
    typical,
)
from backquery.inversion.targets import STRONGEST, contrasts
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.model.statistics import Statistics
from backquery.training import train

SIGMOID = Network.create([16, 8, 4], rng=0, classes=("cat", "dog", "owl", "1"))
SOFTMAX = Network.create([16, 8, 4], activation="relu", rng=0)
TANH = Network.create([16, 8, 4], activation="tanh", rng=0)
LINEAR = Network.create([16, 8, 4], activation=["tanh", "identity"], rng=0)
RELU = Network.create([16, 8, 4], activation=["tanh", "relu"], rng=0)


PRIORS = {"gauss-newton": "flat"}


def remembering(network: Network) -> Network:
    table = np.arange(16.0).reshape(4, 4) / 4 - 2
    return replace(network, statistics=Statistics(np.full(16, 0.2), np.zeros((16, 1)), np.full(16, 0.01), table))


def test_a_confidence_means_what_the_outputs_mean() -> None:
    np.testing.assert_allclose(confidence(SIGMOID, [2], 0.6).answers, [[0.01, 0.01, 0.6, 0.01]])
    np.testing.assert_allclose(confidence(SIGMOID, [0], 0.99).answers, [[0.99, 0.01, 0.01, 0.01]])
    np.testing.assert_allclose(confidence(SIGMOID, [0], 0.999).answers, [[0.999, 0.001, 0.001, 0.001]])
    np.testing.assert_allclose(confidence(SIGMOID, [0], 0.7, others=0.3).answers, [[0.7, 0.3, 0.3, 0.3]])
    np.testing.assert_allclose(confidence(SOFTMAX, [1], 0.7).answers, [[0.1, 0.7, 0.1, 0.1]])
    np.testing.assert_allclose(confidence(TANH, [1], 0.9).answers, [[-0.98, 0.8, -0.98, -0.98]])
    np.testing.assert_allclose(confidence(LINEAR, [1], 0.99).answers, [[0.01, 0.99, 0.01, 0.01]])


def test_log_odds_are_the_answers_taken_back_through_the_outputs() -> None:
    asked = confidence(SIGMOID, [0, 3], 0.9)
    np.testing.assert_allclose(asked.logits, logit(asked.answers))
    np.testing.assert_allclose(asked.values, asked.logits)
    soft = confidence(SOFTMAX, [0, 3], 0.9)
    np.testing.assert_allclose(SOFTMAX.output_activation.function(soft.logits), soft.answers)
    np.testing.assert_allclose(soft.logits.sum(axis=1), 0, atol=1e-12)
    assert soft.values.shape == (2, 3), "softmax fixes all log-odds but one"


def test_labels_are_positions_or_names() -> None:
    asked = confidence(SIGMOID, [1, "1", "owl", np.int64(0)])
    np.testing.assert_array_equal(asked.labels, [1, 3, 2, 0])
    assert confidence(SIGMOID, "dog").labels.tolist() == [1]
    assert confidence(SIGMOID, 2).labels.tolist() == [2]


def test_typical_answers_come_from_the_statistics() -> None:
    asked = typical(remembering(SIGMOID), ["owl", 0])
    np.testing.assert_allclose(asked.logits, [[0, 0.25, 0.5, 0.75], [-2, -1.75, -1.5, -1.25]])
    np.testing.assert_allclose(logit(asked.answers), asked.logits, atol=1e-12)
    soft = typical(remembering(SOFTMAX), [0])
    np.testing.assert_allclose(soft.logits, [[-0.375, -0.125, 0.125, 0.375]])
    with pytest.raises(TargetError, match="fit_statistics"):
        typical(SIGMOID, [0])


def test_other_labels_can_be_asked_for_what_is_usual() -> None:
    model = remembering(SIGMOID)
    asked = confidence(model, ["owl", 0], 0.65, "typical")
    expected = np.array(typical(model, ["owl", 0]).answers)
    expected[0, 2] = expected[1, 0] = 0.65
    np.testing.assert_allclose(asked.answers, expected)
    soft = confidence(remembering(SOFTMAX), [1], 0.7, "typical").answers[0]
    usual = typical(remembering(SOFTMAX), [1]).answers[0]
    np.testing.assert_allclose(soft[1], 0.7)
    np.testing.assert_allclose(np.delete(soft, 1), np.delete(usual, 1) * 0.3 / np.delete(usual, 1).sum())
    np.testing.assert_allclose(confidence(remembering(TANH), [1], 0.9, "typical").answers[0, 1], 0.8)
    with pytest.raises(TargetError, match="between 0 and 1, both excluded"):
        confidence(model, [0], 1.5, "typical")


def test_several_labels_have_confidences_of_their_own() -> None:
    asked = several(SIGMOID, [{"cat": 0.9, "dog": 0.8}, {2: 0.6}])
    np.testing.assert_allclose(asked.answers, [[0.9, 0.8, 0.01, 0.01], [0.01, 0.01, 0.6, 0.01]])
    np.testing.assert_array_equal(asked.labels, [0, 2])
    np.testing.assert_allclose(several(SOFTMAX, {"0": 0.6, "1": 0.2}).answers, [[0.6, 0.2, 0.1, 0.1]])
    tie = several(SIGMOID, {"cat": 0.9, "dog": 0.9})
    np.testing.assert_array_equal(tie.labels, [-1])


def test_a_difference_constrains_two_labels_and_nothing_else() -> None:
    asked = difference(SIGMOID, [("cat", "owl"), (3, 1)], 5.0)
    np.testing.assert_array_equal(asked.of_logits([[7, 1, 2, 0], [0, 3, 0, 4]]), [[5], [1]])
    np.testing.assert_array_equal(asked.values, [[5], [5]])
    np.testing.assert_array_equal(asked.labels, [0, 3])
    assert asked.answers is None
    np.testing.assert_allclose(difference(SIGMOID, ("cat", "owl")).values, [[2 * logit(0.99)]])
    np.testing.assert_allclose(difference(remembering(SIGMOID), ("owl", "cat")).values, [[0.5]])


def test_a_hidden_node_is_asked_for_its_pre_activation() -> None:
    alike = [hidden_node(SIGMOID, 1, [2, 7, 5], value).values for value in (1.5, [1.5], [1.5] * 3)]
    assert all(np.array_equal(values, np.full((3, 1), 1.5)) for values in alike)
    with pytest.raises(TargetError, match="one number or 3 of them"):
        hidden_node(SIGMOID, 1, [2, 7, 5], [1.5, 1.0])
    asked = hidden_node(SIGMOID, 1, [2, 7], [1.5, -2.0])
    assert asked.layer == 1
    np.testing.assert_array_equal(asked.maps @ np.arange(8.0), [[2], [7]])
    np.testing.assert_array_equal(asked.values, [[1.5], [-2.0]])
    np.testing.assert_array_equal(asked.labels, [-1, -1])


def test_softmax_answers_add_up_to_1_but_for_rounding() -> None:
    rounded = answers(SOFTMAX, [0.99, 0.005, 0.005, 0.005])
    np.testing.assert_allclose(rounded.answers.sum(), 1)
    np.testing.assert_allclose(rounded.answers[0, 0] / rounded.answers[0, 1], 198)


def test_contrasts_are_orthonormal_and_add_up_to_zero() -> None:
    for count in (2, 3, 10):
        basis = contrasts(count)
        np.testing.assert_allclose(basis @ basis.T, np.eye(count - 1), atol=1e-14)
        np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-14)


def test_questions_can_be_taken_apart() -> None:
    asked = confidence(SIGMOID, [0, 1, 2])[np.array([2, 0])]
    np.testing.assert_array_equal(asked.labels, [2, 0])
    assert asked.answers[0].argmax() == 2
    pairs = difference(SIGMOID, [(0, 1), (2, 3)])[np.array([1])]
    assert pairs.maps.shape == (1, 1, 4)
    assert pairs.maps[0, 0].tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: confidence(SIGMOID, ["cow"]), "unknown label 'cow'; choose from cat, dog, owl, 1"),
        (lambda: confidence(SIGMOID, [4]), "unknown label 4"),
        (lambda: confidence(SIGMOID, [-1]), "unknown label -1"),
        (lambda: confidence(SIGMOID, [True]), "unknown label True"),
        (lambda: confidence(SIGMOID, []), "at least one label"),
        (lambda: confidence(SIGMOID, [0], 1.0), "between 0 and 1, both excluded"),
        (lambda: answers(SIGMOID, [[0.5, 1.5, 0.25, 0.1]]), "both excluded, so 1.5 cannot be asked for"),
        (lambda: confidence(SIGMOID, [0], float("nan")), "between 0 and 1, both excluded"),
        (lambda: confidence(SIGMOID, [0], 0.9, others=0.0), "others must lie between 0 and 1"),
        (lambda: confidence(SOFTMAX, [0], 0.9, others=0.1), "omit others"),
        (lambda: several(SOFTMAX, {0: 0.7, 1: 0.6}), r"already make 1.3.* \{'0': 0.52, '1': 0.45\}"),
        (lambda: several(SOFTMAX, {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5}), "those asked for to 2.*0.250, 0.250"),
        (
            lambda: answers(SOFTMAX, [0.9, 0.9, 0.05, 0.05]),
            r"those asked for to 1.9.*\[0.474, 0.474, 0.026, 0.026\]",
        ),
        (lambda: back_query(SOFTMAX, [[0.9, 0.9, 0.05, 0.05]]), "those asked for to 1.9"),
        (lambda: several(SIGMOID, []), "at least one label"),
        (lambda: several(SIGMOID, [{}]), "at least one label"),
        (lambda: difference(SIGMOID, ("cat", "cat")), "between two labels"),
        (lambda: difference(SIGMOID, ("cat", "dog"), float("inf")), "must be finite"),
        (lambda: hidden_node(SIGMOID, 2, 0, 1.0), "numbered 1 to 1; received 2"),
        (lambda: hidden_node(SIGMOID, 1, 8, 1.0), "numbered 0 to 7"),
        (lambda: hidden_node(SIGMOID, 1, 0, float("nan")), "must be finite"),
        (lambda: answers(SIGMOID, [0.1, 0.2]), "4 numbers each"),
        (lambda: answers(RELU, [0.0, 1.0, 1.0, 1.0]), "strictly inside"),
        (lambda: back_query(SIGMOID, [0.2, 0.5, 0.3, 0.4], confidence=0.9), "a confidence goes with labels"),
        (lambda: back_query(SIGMOID, [0], method="magic"), "unknown method 'magic'; choose one of transpose"),
    ],
)
def test_questions_without_an_answer_are_refused_in_words(ask, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        ask()


def many(seed: int = 0) -> Network:
    """A network that tells a hundred labels apart, and what is typical of them, as real images give it."""
    rng = np.random.default_rng(seed)
    network = Network.create([36, 200, 100], activation=["tanh", "softmax"], rng=seed, input_shape=(6, 6))
    answers = 4 * network.logits(rng.uniform(0, 1, (100, 36)))
    return replace(network, statistics=Statistics(np.full(36, 0.5), np.zeros((36, 0)), np.ones(36), answers))


def test_of_many_answers_the_strongest_are_asked_for_each_against_all_others() -> None:
    network = many()
    asked = typical(network, [3, 70])
    assert asked.own and asked.maps.shape == (2, STRONGEST, 100)
    for row in range(2):
        chosen = asked.maps[row].argmax(axis=1)
        strongest = np.argsort(-asked.answers[row])[:STRONGEST]
        assert set(chosen) == set(strongest)
        np.testing.assert_allclose(asked.values[row], logit(asked.answers[row, chosen]), rtol=1e-9)
    np.testing.assert_allclose(asked.of_logits(np.log(asked.answers)), asked.values)
    few = confidence(network, [3, 70], 0.9)
    assert few.maps.shape == (2, 1, 100), "the others are asked for alike, so that none stands out"
    np.testing.assert_allclose(few.values, logit(0.9))
    assert several(network, {"4": 0.5, "9": 0.3}).maps[0].argmax(axis=1).tolist() == [4, 9]


def test_outputs_that_exceed_what_is_usual_are_asked_for_too() -> None:
    network = many()
    asked = typical(network, [3])
    kept = np.log(asked.answers)
    assert not np.isfinite(asked.exceeding(kept, 1e-3)).any()
    last = int(asked.answers[0].argmin())
    louder = kept.copy()
    louder[0, last] = kept[0].max()
    above = asked.exceeding(louder, 1e-3)
    assert np.flatnonzero(np.isfinite(above[0])).tolist() == [last]
    more = asked.asking_more(np.array([[last]]))
    assert more.maps.shape == (1, STRONGEST + 1, 100) and more.maps[0, -1, last] == 1
    np.testing.assert_allclose(more.values[0, -1], logit(asked.answers[0, last]), rtol=1e-9)
    assert not np.isfinite(more.exceeding(louder, 1e-3)).any(), "what is asked for cannot exceed"


def test_a_search_for_many_answers_holds_for_all_outputs() -> None:
    network = many()
    asked = answers(network, network.query(np.random.default_rng(5).uniform(0, 1, (2, 36))))
    found = back_query(network, asked, method="gauss-newton", prior="natural")
    assert found.converged.all(), found.advice
    given = found.answers
    chosen = asked.maps.any(axis=1)
    np.testing.assert_allclose(logit(given[chosen]), logit(asked.answers[chosen]), atol=1.1e-3)
    highest = np.maximum(asked.answers, np.where(chosen, asked.answers, 1).min(axis=1, keepdims=True))
    assert np.all(logit(given) <= logit(highest) + 1.1e-3), "no other output is above its own"


def test_a_label_said_less_surely_than_usual_is_asked_for_on_the_way_from_all_labels_to_its_own() -> None:
    network = remembering(SIGMOID)
    known = network.statistics.typical
    asked = confidence(network, [3], 0.6, "typical")
    middle = known.mean(axis=0)
    share = (logit(0.6) - middle[3]) / (known[3, 3] - middle[3])
    assert 0 < share < 1
    np.testing.assert_allclose(asked.logits[0], middle + share * (known[3] - middle))
    np.testing.assert_allclose(asked.answers[0, 3], 0.6)
    surer = confidence(network, [3], 0.99, "typical")
    np.testing.assert_allclose(surer.logits[0, :3], known[3, :3], err_msg="surer: the others as usual")


def test_nothing_is_typical_of_a_label_that_is_never_read() -> None:
    digits = load("digits").train
    known = digits.select(digits.labels != 7)
    network = Network.create([64, 20, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16))
    network, _ = train(network, known, epochs=5)
    with pytest.warns(AssumptionWarning, match="reads none of these images as 7:"):
        network = replace(network, statistics=fit_statistics(network, known))
    with pytest.raises(TargetError, match=r"none of the images .* as '7'.*ask for a confidence, such as 0.99"):
        back_query(network, [7])

    scans = back_query(network, [6, 7])
    assert scans.outcome == ("converged", "not found")
    assert not scans.converged[1] and "ask for a confidence" in scans.advice[1] and not scans.advice[0]
    assert back_query(network, [7], confidence=0.99).question == "confidence 0.99"


@pytest.mark.parametrize("network", [SIGMOID, SOFTMAX, TANH, LINEAR])
@pytest.mark.parametrize("p", [0.001, 0.01, 0.1, 0.25])
@pytest.mark.parametrize("others", [None, "typical"])
def test_a_low_confidence_asks_for_the_label_that_was_named(network: Network, p: float, others) -> None:
    asked = confidence(remembering(network), [2, 0], p, others)
    assert asked.labels.tolist() == [2, 0]
    np.testing.assert_allclose(asked.answers[[0, 1], asked.labels], 2 * p - 1 if network is TANH else p)
    assert several(network, {2: p}).labels.tolist() == [2]


@pytest.mark.parametrize("method", ["transpose", "gauss-newton", "ascent"])
def test_what_is_asked_for_too_faintly_is_not_read_as_asked(method: str) -> None:
    found = back_query(SIGMOID, [0, 1, 2, 3], method=method, confidence=0.001, prior=PRIORS.get(method))
    assert found.labels.tolist() == [0, 1, 2, 3]
    assert not found.converged.any()
    if method != "ascent":
        assert found.outcome == ("not found",) * 4
        assert found.advice[1] == (
            "an image that answers 0.001 for 'dog' and 0.01 for 'cat' is not read as 'dog': ask for a higher "
            "confidence"
        )


@pytest.mark.parametrize("p", [0.01, 0.25])
def test_a_label_asked_for_no_more_than_the_others_is_not_named(p: float) -> None:
    """Of a tie nothing is read, not even where the label asked for is the first."""
    found = back_query(SOFTMAX if p == 0.25 else SIGMOID, [0], method="gauss-newton", prior="flat", confidence=p)
    assert (found.labels.tolist(), found.outcome) == ([0], ("not found",))
