"""Strong signals: no drawn image gives a stronger one, and so strong a one can be had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backquery.inversion import (
    MixturePrior,
    Prior,
    back_query,
    flat_prior,
    hidden_node,
    natural_prior,
    smooth_prior,
    strongest_signals,
)
from backquery.inversion.starts import DRAWS
from tests.inversion.conftest import network_of, prior_of

NETWORK = network_of("sigmoid, softmax")


def signals(images: Any, layer: int) -> Any:
    """The pre-activations of a hidden layer, written from the formula."""
    for each in NETWORK.layers[:layer]:
        sums = images @ each.weights.T + each.biases
        images = each.activation.function(sums)
    return sums


@pytest.mark.parametrize("layer", [1, 2])
def test_it_is_the_largest_signal_of_many_draws_within_the_box(layer: int) -> None:
    """A slow twin: draws from the whole covariance, by its Cholesky factor, kept within the box."""
    prior = prior_of()
    asked = hidden_node(NETWORK, layer, [0, 3, 7], 0.0)
    found = strongest_signals(NETWORK, asked, prior=prior)
    root = np.linalg.cholesky(prior.factor @ prior.factor.T + np.diag(prior.diagonal))
    tops = []
    for seed in range(20):
        drawn = prior.mean + np.random.default_rng(seed).normal(size=(DRAWS, 16)) @ root.T
        tops.append(signals(np.clip(drawn, 0, 1), layer)[:, [0, 3, 7]].max(axis=0))
    low, high = np.mean(tops, axis=0) - 4 * np.std(tops, axis=0), np.mean(tops, axis=0) + 4 * np.std(tops, axis=0)
    assert found.shape == (3,) and (found > low).all() and (found < high).all()
    np.testing.assert_array_equal(found, strongest_signals(NETWORK, asked, prior=prior))


@pytest.mark.parametrize(
    "prior",
    [prior_of(), flat_prior(16), smooth_prior((4, 4)), natural_prior((4, 4)), "mixture"],
    ids=["low rank", "flat", "smooth", "natural", "mixture"],
)
def test_what_is_strong_can_be_had_and_less_is_had_in_a_smaller_box(prior: Any) -> None:
    if prior == "mixture":
        parts: list[Prior] = [
            replace(prior_of(seed), name="mixture", diagonal=prior_of().diagonal) for seed in (0, 1)
        ]
        prior = MixturePrior(np.array([0.3, 0.7]), tuple(parts), parts[0])
    nodes = range(10)
    strong = strongest_signals(NETWORK, hidden_node(NETWORK, 1, nodes, 0.0), prior=prior)
    scans = back_query(NETWORK, hidden_node(NETWORK, 1, nodes, strong), method="gauss-newton", prior=prior)
    assert scans.read_as_asked.all() and scans.error.max() < 1e-3
    inner = strongest_signals(NETWORK, hidden_node(NETWORK, 1, nodes, 0.0), prior=prior, bounds=(0.4, 0.6))
    most = signals(np.full((1, 16), 0.5), 1)[0] + 0.1 * np.abs(NETWORK.layers[0].weights).sum(axis=1)
    assert (inner <= most + 1e-12).all()
