"""The last layer's weights: each look from its formula, and that the label that stands apart is the odd one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measurements.last_layer import LOOKS, last_weights, looks, oddest

from backquery.model import Network


def test_each_look_is_what_its_formula_says():
    weights = np.random.default_rng(0).normal(size=(4, 20))
    found = looks(weights)
    assert set(found) == set(LOOKS)
    for label, row in enumerate(weights):
        squares = sorted((value**2 for value in row), reverse=True)
        assert found["norm"][label] == pytest.approx(sum(squares) ** 0.5)
        assert found["sum"][label] == pytest.approx(sum(row))
        assert found["largest"][label] == pytest.approx(max(row))
        assert found["tail"][label] == pytest.approx((squares[0] + squares[1]) / sum(squares))


def test_what_all_labels_have_in_common_says_nothing():
    network = Network.create([6, 5, 4], rng=0)
    assert last_weights(network).sum(axis=0) == pytest.approx(0, abs=1e-6)


def test_one_row_that_is_larger_is_odd_in_length_and_in_sum():
    network = Network.create([6, 30, 10], rng=1, dtype=np.float64)
    usual = oddest(network)
    last = network.layers[-1]
    larger = np.array(last.weights)
    larger[3] += 2.0
    odd = oddest(Network((*network.layers[:-1], replace(last, weights=larger))))
    assert odd["norm"] > max(5.0, usual["norm"])
    assert odd["sum"] > max(5.0, usual["sum"])


@pytest.mark.needs("torch")
def test_a_module_of_pytorch_is_looked_at_as_the_network_that_it_is():
    from torch import nn

    from backquery import from_torch, network_from_torch

    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    model = from_torch(module, input_shape=(4, 4))
    np.testing.assert_allclose(last_weights(model), last_weights(network_from_torch(module)), atol=1e-6)
