"""Answers that no image can give: proved where an exhaustive search finds none, never where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.inversion.targets import contrasts
from backquery.proofs import Constraints, parts, proved_impossible
from tests.inversion.conftest import Opaque
from tests.proofs.conftest import drawn, spread
from tests.reference import proofs as slow

CHAINS = {
    "sigmoid": ["sigmoid", "sigmoid"],
    "relu": ["relu", "identity"],
    "tanh, softmax": ["tanh", "softmax"],
    "deep": ["relu", "tanh", "identity"],
    "one layer": ["identity"],
}


def asked_at(network, images, where, tolerance: float = 0.05) -> tuple[Constraints, bool]:
    """A question whose answers are `where` (in spreads from the mean of all), and whether any image gives it."""
    maps = contrasts(3) if network.output_activation.name == "softmax" else np.eye(3)
    values = slow.sums_of(network, images) @ maps.T
    wanted = values.mean(axis=0) + values.std(axis=0) * where[: len(maps)]
    away = np.abs(values - wanted).max(axis=1)
    tolerance *= float(values.std(axis=0).min())
    return Constraints(maps, wanted, values[away.argmin()], tolerance), bool(away.min() < tolerance)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("inputs", [2, 12])
def test_nothing_that_an_image_gives_is_called_impossible(
    chain: str, inputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_PARTS", 64)
    activations = CHAINS[chain]
    for seed in range(3):
        network, rng = (
            drawn([inputs, *[5] * (len(activations) - 1), 3], activations, seed),
            np.random.default_rng(seed),
        )
        low, high = np.zeros(inputs), np.ones(inputs)
        (image,) = spread(low, high, seed, 1)
        maps = np.eye(3)
        values = slow.sums_of(network, image[None])[0]
        asked = Constraints(maps, values + rng.uniform(-1, 1, 3) * 0.9e-3, values + rng.normal(size=3), 1e-3)
        assert not proved_impossible(network, None, [asked], low, high, True)[0]


@pytest.mark.parametrize("chain", CHAINS)
def test_of_two_inputs_all_that_a_grid_does_not_find_is_proved(chain: str) -> None:
    activations, proved, lacking = CHAINS[chain], 0, 0
    images = slow.grid([0, 0], [1, 1], 301)
    for seed in range(10):
        network = drawn([2, *[5] * (len(activations) - 1), 3], activations, seed)
        question, there = asked_at(network, images, np.random.default_rng(seed).normal(size=3) * 1.5)
        found = proved_impossible(network, None, [question], np.zeros(2), np.ones(2), True)[0]
        assert not (found and there)
        proved, lacking = proved + found, lacking + (not there)
    assert proved >= lacking - 1 > 0


def test_halving_at_sums_proves_what_the_whole_box_does_not() -> None:
    whole, in_parts, low, high = 0, 0, np.zeros(12), np.ones(12)
    for seed in range(8, 15):
        network = drawn([12, 6, 3], ["relu", "identity"], seed)
        images = spread(low, high, seed, 5000)
        question, there = asked_at(network, images, np.random.default_rng(seed).normal(size=3) * 1.2)
        found = [proved_impossible(network, None, [question], low, high, halved)[0] for halved in (False, True)]
        assert not (any(found) and there)
        assert found[1] >= found[0]
        whole, in_parts = whole + found[0], in_parts + found[1]
    assert in_parts > whole


def test_a_hidden_layer_s_sums_are_bounded_too() -> None:
    network = drawn([4, 3, 2], ["sigmoid", "sigmoid"], 0)
    weights, biases = network.layers[0].weights, network.layers[0].biases
    highest = float(biases[0] + weights[0].clip(min=0).sum())
    form = np.eye(3)[:1]
    questions = [Constraints(form, np.array([highest + gap]), np.array([highest]), 1e-3) for gap in (-0.1, 0.01)]
    assert proved_impossible(network, 1, questions, np.zeros(4), np.ones(4), True).tolist() == [False, True]


def test_of_what_is_not_known_nothing_is_proved() -> None:
    network = drawn([4, 3, 2], ["sigmoid", "sigmoid"], 0)
    question = Constraints(np.eye(2), np.full(2, 1e6), np.zeros(2), 1e-3)
    for model, layer in ((Opaque(network), None), (network, "a name")):
        assert not proved_impossible(model, layer, [question], np.zeros(4), np.ones(4), True)[0]
    assert proved_impossible(network, None, [question], np.zeros(4), np.ones(4), True)[0]
