"""Answers are read as the strongest label's, and as none where they are not numbers."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import Layer, Network
from backquery.errors import ModelError
from backquery.model.activations import activation_named
from backquery.model.reading import UNREAD, finite_answer, labels_read, name_read, strongest_labels


def test_the_strongest_answer_is_read_unless_one_is_not_finite() -> None:
    answers = np.array([[0.1, 0.9], [np.nan, np.nan], [np.inf, 0.0], [0.3, -np.inf], [2.0, 1.0]])
    read = strongest_labels(answers)
    assert read.tolist() == [1, UNREAD, UNREAD, UNREAD, 0]
    assert [name_read("ab", label) for label in read] == ["b", *["unread"] * 3, "a"]


def test_a_tie_is_no_reading() -> None:
    answers = np.array([[0.5, 0.5, 0.1], [0.1, 0.5, 0.5], [0.2, 0.2, 0.2], [0.1, 0.1, 0.2]])
    assert strongest_labels(answers).tolist() == [UNREAD, UNREAD, UNREAD, 2]
    assert strongest_labels(np.array([[3.0], [-3.0]])).tolist() == [0, 0]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softmax"])
def test_answers_that_round_to_one_number_are_read_by_their_logits(activation: str) -> None:
    network = Network((Layer(np.array([[40.0], [41.0]], "f4"), None, activation_named(activation)),))
    inputs = np.array([[1.0], [-1.0], [0.0]], "f4")
    assert labels_read(network, inputs).tolist() == [1, 0, UNREAD]
    assert labels_read(network.astype("f8"), inputs).tolist() == [1, 0, UNREAD]


def test_what_a_relu_cuts_off_is_no_answer() -> None:
    network = Network((Layer(np.array([[1.0], [2.0]], "f4"), None, activation_named("relu")),))
    assert labels_read(network, np.array([[1.0], [-1.0]])).tolist() == [1, UNREAD]


def test_one_image_without_finite_answers_is_an_error() -> None:
    np.testing.assert_array_equal(finite_answer(np.array([1.0, 2.0])), [1.0, 2.0])
    with pytest.raises(ModelError, match="not finite"):
        finite_answer(np.array([1.0, np.nan]))


def test_a_network_says_so_too() -> None:
    network = Network.create([2, 2], activation=["identity"], rng=0, dtype="float32")
    with pytest.raises(ModelError, match="not finite"), np.errstate(over="ignore", invalid="ignore"):
        network.query(np.full(2, 3.4e38))
