"""What questions of limits ask for, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import back_query
from backquery.errors import BackqueryError
from backquery.inversion import at_least, emptiest, most_sure, read_as, within
from tests.inversion.conftest import network_of


def test_each_limit_lacks_what_it_lacks() -> None:
    network = network_of("the book's")
    limits = within(network, {0: (0.8, None), 2: (0.2, 0.4)})
    z = np.array([[0.0, 5.0, 3.0]])
    low, high, ahead = np.split(limits.lacking(z)[0], 3)
    np.testing.assert_allclose(low, [np.log(4), -np.inf, -np.log(4) - 3])
    np.testing.assert_allclose(high, [-np.inf, -np.inf, 3 - np.log(2 / 3)])
    np.testing.assert_array_equal(ahead, -np.inf)


def test_a_softmax_s_limits_are_on_each_answer_s_own_log_odds() -> None:
    network = network_of("tanh, softmax")
    limits = at_least(network, ["1"], 0.7, others_at_most=0.2)
    answers = np.array([[0.2, 0.7, 0.05, 0.05]])
    lacking = limits.lacking(np.log(answers))[0]
    assert lacking[5] == -np.inf  # the label has no upper end
    np.testing.assert_allclose(lacking[[1, 4]], 0, atol=1e-9)
    assert lacking[8] < 0


def test_active_limits_are_asked_for_exactly() -> None:
    network = network_of("the book's")
    limits = at_least(network, [0, 2], 0.8, others_at_most=0.1)
    active = np.zeros((2, 9), bool)
    active[0, [0, 4]] = active[1, [3, 7]] = True
    asked = limits.as_equalities(active)
    np.testing.assert_array_equal(asked.maps[0], [[1, 0, 0], [0, -1, 0]])
    np.testing.assert_array_equal(asked.maps[1], [[-1, 0, 0], [0, -1, 1]])
    np.testing.assert_allclose(asked.values, [[np.log(4), np.log(9)], [np.log(9), 0.01]])


def test_limits_are_told_in_words() -> None:
    network = network_of("the book's")
    limits = at_least(network, [1], 0.8, others_at_most=0.1)
    assert [limits.words(network, 0, k) for k in (1, 3, 8)] == ["1 at least 0.8", "0 at most 0.1", "1 ahead of 2"]
    assert limits.question == "at least 0.8, others at most 0.1"


def test_questions_can_be_taken_apart() -> None:
    network = network_of("the book's")
    limits = read_as(network, range(3))
    np.testing.assert_array_equal(limits[np.array([2, 0])].labels, [2, 0])
    np.testing.assert_array_equal(limits[np.array([2])].ahead, [[0.01, 0.01, -np.inf]])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda n: within(n, {}), "at least one output"),
        (lambda n: within(n, {0: (0.5, 0.4)}), "at least more than"),
        (lambda n: within(n, {0: (0.0, None)}), "between 0 and 1"),
        (lambda n: within(n, dict.fromkeys(range(4), (0.8, None))), "can be at least 0.25 each"),
        (lambda n: within(n, dict.fromkeys(range(4), (None, 0.1))), "at most 0.4 together"),
        (lambda n: at_least(n, ["no"], 0.8), "unknown label"),
        (lambda n: most_sure(n, [0], -1.0), "above zero"),
        (lambda n: back_query(n, at_least(n, [0], 0.8), method="transpose"), "gauss-newton"),
        (lambda n: back_query(n, emptiest(n, [0]), prior="smooth"), "leave out"),
        (lambda n: back_query(n, at_least(n, [0], 0.8), confidence=0.9), "already say"),
    ],
)
def test_what_no_answers_can_be_is_refused_in_words(ask, words) -> None:
    with pytest.raises(BackqueryError, match=words):
        ask(network_of("tanh, softmax"))
