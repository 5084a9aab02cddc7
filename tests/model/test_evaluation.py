"""Performance and confusion against a count by hand."""

from __future__ import annotations

import numpy as np

from backquery import Network, evaluate


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


def test_without_mistakes_there_is_no_worst_confusion():
    network = Network.create([2, 2], activation=["identity"], rng=0, dtype="float64")
    inputs = np.random.default_rng(0).normal(size=(20, 2))
    evaluation = evaluate(network, (inputs, network.query(inputs).argmax(axis=1)))
    assert evaluation.performance == 1.0
    assert evaluation.worst_confusions() == []
