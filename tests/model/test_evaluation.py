"""Performance and confusion against a count by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, Scaling, evaluate
from backquery.errors import AssumptionWarning, DataError
from backquery.model.reading import UNREAD, labels_read


def test_confusion_counts_truth_by_row_and_reading_by_column():
    network = Network.create([5, 3], activation=["softmax"], rng=3, dtype="float64")
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(200, 5)), rng.integers(0, 3, 200)
    evaluation = evaluate(network, (inputs, labels))
    slow = np.zeros((3, 3), int)
    for x, label in zip(inputs, labels, strict=True):
        slow[label, int(np.argmax(network.query(x)))] += 1
    np.testing.assert_array_equal(evaluation.confusion, slow)
    assert evaluation.images == 200
    assert evaluation.performance == np.trace(slow) / 200
    wrong = sorted(((slow[t, r], t, r) for t in range(3) for r in range(3) if t != r), reverse=True)
    assert [n for _, _, n in evaluation.worst_confusions(2)] == [n for n, _, _ in wrong[:2]]
    assert evaluation.as_json()["confusion"] == slow.tolist()


def test_raw_pixels_are_not_evaluated_as_inputs():
    network = Network.create([4, 3], rng=0, scaling=Scaling.unit(255))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4)).astype(float)
    with pytest.raises(DataError, match="inputs are to lie between 0 and 1"):
        labels_read(network, pixels)
    assert labels_read(network, pixels / 255).shape == (20,)


def test_of_mistakes_as_frequent_the_first_labels_come_first():
    evaluation = evaluate(Network.create([4, 10], rng=0), (np.ones((10, 4)), np.arange(10)))
    evaluation = replace(evaluation, confusion=np.full((10, 10), 2) + np.eye(10, k=9, dtype=int))
    assert evaluation.worst_confusions() == [(0, 9, 3), (0, 1, 2), (0, 2, 2), (0, 3, 2), (0, 4, 2)]
    assert len(evaluation.worst_confusions(100)) == 90


def test_without_mistakes_there_is_no_worst_confusion():
    network = Network.create([2, 2], activation=["identity"], rng=0, dtype="float64")
    inputs = np.random.default_rng(0).normal(size=(20, 2))
    evaluation = evaluate(network, (inputs, network.query(inputs).argmax(axis=1)))
    assert evaluation.performance == 1.0
    assert evaluation.worst_confusions() == []


def test_answers_that_are_not_finite_are_wrong_and_no_label():
    network = Network.create([4, 3], activation=["identity"], rng=0, dtype="float32")
    huge = replace(
        network.layers[0], weights=np.array([[3e38] * 4, [-3e38, 3e38, 3e38, 1e38], [0] * 4], np.float32)
    )
    network = replace(network, layers=(huge,))
    inputs = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1e-38]], np.float32)
    said = pytest.warns(AssumptionWarning, match="1 of 3 images count as wrong: .* not finite")
    tied = pytest.warns(AssumptionWarning, match="1 of 3 images count as wrong: two labels tie")
    with said, tied, np.errstate(over="ignore", invalid="ignore"):
        found = evaluate(network, (inputs, np.zeros(3, int)))
    assert found.read.tolist() == [UNREAD, UNREAD, 0]
    assert (found.unread, found.tied, found.images, found.performance) == (2, 1, 3, 1 / 3)
    assert found.confusion.sum() == 1
    assert (found.as_json()["unread"], found.as_json()["tied"]) == (2, 1)


def test_of_a_whole_data_set_those_to_test_on_are_asked(digits):
    network = Network.create([64, 10], activation=["softmax"], rng=1, input_shape=(8, 8), scaling=Scaling.book(16))
    whole, half = evaluate(network, digits), evaluate(network, digits.test)
    np.testing.assert_array_equal(whole.confusion, half.confusion)
    alone = replace(digits, test=None)
    np.testing.assert_array_equal(evaluate(network, alone).read, evaluate(network, digits.train).read)
