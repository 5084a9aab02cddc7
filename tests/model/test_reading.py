"""Answers are read as the strongest label's, and as none where they are not numbers."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import Network
from backquery.errors import ModelError
from backquery.model.reading import UNREAD, finite_answer, labels_read, name_read


def test_the_strongest_answer_is_read_unless_one_is_not_finite() -> None:
    answers = np.array([[0.1, 0.9], [np.nan, np.nan], [np.inf, 0.0], [0.3, -np.inf], [2.0, 1.0]])
    assert labels_read(answers).tolist() == [1, UNREAD, UNREAD, UNREAD, 0]
    assert [name_read("ab", label) for label in labels_read(answers)] == ["b", *["unread"] * 3, "a"]


def test_one_image_without_finite_answers_is_an_error() -> None:
    np.testing.assert_array_equal(finite_answer(np.array([1.0, 2.0])), [1.0, 2.0])
    with pytest.raises(ModelError, match="not finite"):
        finite_answer(np.array([1.0, np.nan]))


def test_a_network_says_so_too() -> None:
    network = Network.create([2, 2], activation=["identity"], rng=0, dtype="float32")
    with pytest.raises(ModelError, match="not finite"), np.errstate(over="ignore", invalid="ignore"):
        network.query(np.full(2, 3.4e38))
