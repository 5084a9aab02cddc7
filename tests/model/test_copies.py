"""Copies of a network, by `copy` or between processes, are the same network and as fixed as it was."""

from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np
import pytest

from backquery import Network
from backquery.model.activations import ACTIVATIONS


@pytest.mark.parametrize("copied", [deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("answers", ACTIVATIONS)
def test_a_copy_answers_alike_and_cannot_be_changed(copied, answers):
    network = Network.create([5, 4, 3], activation=["tanh", answers], biases=True, rng=1)
    other = copied(network)
    x = np.random.default_rng(0).uniform(0, 1, (6, 5))
    np.testing.assert_array_equal(other.logits(x), network.logits(x))
    np.testing.assert_array_equal(other.query(x), network.query(x))
    assert other.output_activation is network.output_activation is ACTIVATIONS[answers]
    with pytest.raises(ValueError, match="read-only"):
        other.layers[0].weights[0, 0] = 1
