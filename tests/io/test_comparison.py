"""A network and what it was made of are asked the same, and may not differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery.errors import AssumptionWarning, ModelError
from backquery.io.comparison import compare, not_compared, probes
from backquery.model import Network, Scaling


@pytest.fixture
def network() -> Network:
    return Network.create([6, 5, 3], activation=["tanh", "softmax"], rng=0, scaling=Scaling.unit(16), biases=True)


def test_probes_hold_paper_ink_and_noise_between(network: Network) -> None:
    asked = probes(network)
    assert not asked[0].any() and (asked[1] == 1).all()
    assert asked.min() >= 0 and asked.max() <= 1 and len(np.unique(asked[2:])) > 100


def test_equal_answers_pass_as_probabilities_and_as_scores(network: Network) -> None:
    compare(network, network.query, "the original", raw=False)
    compare(network, network.logits, "the original", raw=True)


def test_a_small_difference_is_refused_and_told(network: Network) -> None:
    with pytest.raises(ModelError, match=r"the original does not answer .* differ by up to 0.00"):
        compare(network, lambda x: network.query(x) + 2e-3, "the original", raw=False)
    with pytest.raises(ModelError, match="finite answers where the network made of it has none"):
        compare(network, lambda x: network.query(x) * np.nan, "the original", raw=False)


def test_one_answer_is_compared_as_two(network: Network) -> None:
    last = replace(network.layers[-1], weights=network.layers[-1].weights[:2], biases=None)
    two = replace(network, layers=(network.layers[0], last), classes=())
    compare(two, lambda x: two.query(x)[:, 1], "the original", raw=False)
    compare(two, lambda x: np.diff(two.logits(x), axis=1), "the original", raw=True)
    with pytest.raises(ModelError, match="differ by"):
        compare(two, lambda x: two.query(x)[:, :1], "the original", raw=False)


def test_another_number_of_answers_is_told(network: Network) -> None:
    with pytest.raises(ModelError, match=r"gives \(2,\) answers"):
        compare(network, lambda x: network.query(x)[:, :2], "the original", raw=False)


def test_what_was_not_compared_is_said() -> None:
    with pytest.warns(AssumptionWarning, match=r"net.onnx was not compared .* pip install 'backquery\[onnx\]'"):
        not_compared("net.onnx", "onnxruntime", "onnx")
