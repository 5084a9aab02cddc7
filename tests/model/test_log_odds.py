"""The log-odds of an answer are ln(p / (1 - p)), whatever its output."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit

from backquery.inversion import answers, back_query
from backquery.model import Network, answers_log_odds

X = np.random.default_rng(0).uniform(0, 1, (5, 9))


@pytest.mark.parametrize(
    ("outputs", "p"), [("sigmoid", lambda y: y), ("softmax", lambda y: y), ("tanh", lambda y: (1 + y) / 2)]
)
def test_they_are_those_of_the_answers(outputs: str, p) -> None:
    network = Network.create([9, 6, 4], activation=["tanh", outputs], rng=1, dtype=np.float64)
    np.testing.assert_allclose(answers_log_odds(network, network.logits(X)), logit(p(network.query(X))), atol=1e-9)


def test_of_outputs_without_bounds_they_are_the_scores() -> None:
    network = Network.create([9, 6, 4], activation=["tanh", "identity"], rng=1)
    np.testing.assert_array_equal(answers_log_odds(network, network.logits(X)), network.logits(X))


def test_advice_says_the_log_odds_of_the_answer_beside_it() -> None:
    network = Network.create([9, 6, 3], activation=["tanh", "softmax"], rng=1)
    result = back_query(network, answers(network, [0.9995, 0.00025, 0.00025]), method="gauss-newton")
    (said,) = result.advice
    numbers = [float(word.strip("();,")) for word in said.split() if word.strip("();,")[0] in "-0123456789"]
    wanted, wanted_odds, got, got_odds = numbers[:4]
    assert got_odds == pytest.approx(logit(got), abs=0.01)
    assert wanted_odds == pytest.approx(logit(wanted), abs=0.01)
