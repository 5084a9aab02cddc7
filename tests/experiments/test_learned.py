"""Who trains a network in Python can ask it backwards in earnest, as after the command."""

from __future__ import annotations

import numpy as np
import pytest

import backquery as bq
from backquery import training
from backquery.datasets import load
from backquery.inversion import fit_statistics
from backquery.model import Scaling

DIGITS = load("digits")


def fresh() -> bq.Network:
    return bq.Network.create([64, 40, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(DIGITS.maximum))


def test_a_network_remembers_what_it_learned_from() -> None:
    network, history = bq.train(fresh(), DIGITS, epochs=8, test=DIGITS)
    bare, same = training.train(fresh(), DIGITS.train, epochs=8, test=DIGITS.test)
    for layer, other in zip(network.layers, bare.layers, strict=True):
        np.testing.assert_array_equal(layer.weights, other.weights)
    assert [one.test_accuracy for one in history.epochs] == [one.test_accuracy for one in same.epochs]
    expected = fit_statistics(bare, DIGITS.train)
    assert network.statistics is not None and bare.statistics is None
    np.testing.assert_array_equal(network.statistics.mean, expected.mean)
    np.testing.assert_array_equal(network.statistics.typical, expected.typical)

    scans = bq.back_query(network, list(range(10)))
    assert (scans.question, scans.prior) == ("typical", "data")
    assert scans.converged.all()


@pytest.mark.parametrize("statistics", [None, False])
def test_nothing_is_remembered_of_bare_inputs_or_where_it_is_not_wanted(statistics: bool | None) -> None:
    inputs = fresh().scale(DIGITS.train.images[:100])
    data = (inputs, DIGITS.train.labels[:100]) if statistics is None else DIGITS.train
    assert bq.train(fresh(), data, epochs=1, statistics=statistics)[0].statistics is None
    asked = bq.train(fresh(), (inputs, DIGITS.train.labels[:100]), epochs=1, statistics=True)[0]
    assert asked.statistics is not None
