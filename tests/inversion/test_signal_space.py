"""The likeliest answer of all images, against the pixels' own update, and what it is worth to a search."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.inversion import Prior, back_query, confidence, hidden_node
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import readout_for
from backquery.inversion.signal_space import NEAR, likeliest_answer
from tests.inversion.conftest import image_of, network_of, prior_of
from tests.reference import inversion as twin

SMALL = Prior("small", np.full(16, 0.4), prior_of(1).factor, prior_of(1).diagonal)


def guess(network, asked, prior: Prior = SMALL) -> np.ndarray:
    problem = Problem(network, asked, np.zeros(16), np.ones(16))
    readout = readout_for(network, asked.layer, asked.maps, prior.mean, prior.deviation)
    return likeliest_answer(problem, prior, readout)  # type: ignore[arg-type]


def test_it_answers_as_asked_but_for_what_is_left_to_the_search(kind: str) -> None:
    network = network_of(kind, 1)
    wanted = network.logits(np.stack([image_of(SMALL, seed) for seed in range(4)]))
    asked = confidence(network, [0, 1, 2], 0.6)
    asked = type(asked)("drawn", asked.maps, wanted @ asked.maps.T, np.full(4, -1), wanted, wanted)
    found = asked.of_logits(network.logits(guess(network, asked)))
    met = np.abs(found - asked.values).max(axis=1) < NEAR
    assert met.sum() >= 3


def test_of_linear_questions_it_is_the_likeliest_of_all_images() -> None:
    network = network_of("sigmoid, softmax", 2)
    asked = hidden_node(network, 1, [1, 4], [3.0, -3.0])
    weights, biases = network.layers[0].weights, network.layers[0].shifts
    images = guess(network, asked)
    for image, node, value in zip(images, (1, 4), (3.0, -3.0), strict=True):
        jacobian = weights[node : node + 1]
        here = jacobian @ SMALL.mean + biases[node]
        expected = twin.gauss_newton_step(SMALL.mean, here, jacobian, [value], SMALL.mean, twin.covariance(SMALL))
        np.testing.assert_allclose(image - SMALL.mean, expected - SMALL.mean, rtol=5e-3)


@pytest.mark.parametrize("kind", ["the book's", "deep tanh", "relu, softmax"])
def test_it_stays_where_the_prior_s_covariance_leads(kind: str) -> None:
    """The image leaves the mean along C J' alone, as the likeliest one must."""
    network = network_of(kind, 1)
    image = guess(network, confidence(network, [1], 0.6))[0]
    directions = twin.covariance(SMALL) @ network.layers[0].weights.T
    left = np.linalg.lstsq(directions, image - SMALL.mean, rcond=None)[0]
    np.testing.assert_allclose(directions @ left, image - SMALL.mean, atol=1e-8)


def test_a_network_that_nothing_moves_leaves_the_mean() -> None:
    network = network_of("the book's", 0)
    network = network.without_nodes(range(network.layers[0].outputs))
    np.testing.assert_allclose(guess(network, confidence(network, [0, 2], 0.9)), [SMALL.mean] * 2)
    assert np.isfinite(back_query(network, [0], method="gauss-newton", prior=SMALL).images).all()
