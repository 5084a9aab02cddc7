"""Finite ink: against a slow twin and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery.evidence.finite import MOVED, ROUNDS, SAMPLES, finite_effects
from backquery.evidence.interventions import ACTIONS, has_room
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import Effects, judge, judge_effects
from backquery.model.network import Network
from tests.evidence.test_measure import PIXELS, SIDE, Bowl, drawn
from tests.reference import evidence as slow


def test_effects_are_means_of_slopes_where_pixels_are_on_their_way():
    network = Network.create([9, 5, 3], activation="tanh", biases=True, rng=3, dtype=np.float64)
    ink = np.random.default_rng(1).choice([0.0, 0.05, 0.4, 1.0], (12, 9))
    question, found = Question((1,)), finite_effects(network, Question((1,)), ink, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    for action, one, end in zip(ACTIONS, found, (1.0, 0.0), strict=True):
        room = has_room(ink, action)
        share = np.clip(SAMPLES / (ROUNDS * np.maximum(room.sum(axis=0), 1)), MOVED, 1.0)
        rounds = []
        for _ in range(ROUNDS):
            moved = room & (rng.random(ink.shape) < share)
            rounds.append((moved.tolist(), rng.random((len(ink), 1))[:, 0].tolist()))

        def log_odds(image: list[float]) -> float:
            return float(question.log_odds(network, np.array([image]))[0])

        slopes = slow.slopes_on_the_way(log_odds, ink.tolist(), rounds, end)
        for pixel in range(9):
            means = [sum(row[pixel]) / len(row[pixel]) for row in slopes if row[pixel]]
            assert (one.possible[pixel], one.count[pixel]) == (room[:, pixel].sum(), len(means))
            for name, values in (("", means), ("size", [abs(mean) for mean in means])):
                mean, error = slow.mean_and_error(values)
                assert getattr(one, name or "mean")[pixel] == pytest.approx(mean, abs=1e-4)
                assert getattr(one, f"{name}_error" if name else "error")[pixel] == pytest.approx(error, abs=1e-4)


def test_effects_are_the_finite_change_on_a_rule_that_bends():
    """With slope a + c (2 x - 1): from x to full ink a + c x for a full pixel, from x to paper a + c (x - 1)."""
    rng = np.random.default_rng(2)
    a, c = rng.normal(0, 1, PIXELS), rng.uniform(-2, 2, PIXELS)
    x, _ = drawn(rng, 600)
    added, taken = finite_effects(Bowl(a, c), Question((0,)), x, np.random.default_rng(0))
    for action, one, bend in zip(ACTIONS, (added, taken), (x, x - 1), strict=True):
        room = has_room(x, action)
        exact = a + c * np.sum(np.where(room, bend, 0), axis=0) / room.sum(axis=0)
        away = (one.mean - exact) / one.error
        assert np.abs(away).max() < 5
        assert away.std() == pytest.approx(1, abs=0.35)


def test_both_ways_must_say_the_same_and_what_cannot_be_done_is_not_asked_for():
    def effects(mean: float, possible: int, count: int) -> Effects:
        every = np.ones(4)
        return Effects(
            np.full(4, possible), np.full(4, count), mean * every, 0.01 * every, abs(mean) * every, every
        )

    inked = np.ones(4, bool)
    up, down = effects(1.0, 50, 50), effects(-1.0, 50, 50)
    for pair, verdict in (
        ([up, up], "support"), ([down, down], "against"), ([up, down], "unclear"),
        ([up, effects(-1.0, 0, 0)], "support"), ([up, effects(1.0, 3, 1)], "unclear"),
    ):  # fmt: skip
        found = judge_effects(pair, inked, rate=0.05, smallest=0.1)
        assert {("insensitive", "support", "against", "unclear")[code] for code in found.verdict} == {verdict}
    values = np.random.default_rng(0).normal(0.2, 1, (30, 8))
    once = judge_effects([Effects.of(values)] * 2, np.ones(8, bool), rate=0.1, smallest=0.0)
    alone = judge(values, np.ones(8, bool), rate=0.1, smallest=0.0)
    np.testing.assert_allclose(once.direction, alone.direction)
    np.testing.assert_allclose(once.mean, alone.mean)


@pytest.mark.parametrize("shape", [(3, SIDE, SIDE), (SIDE, SIDE, 3)])
def test_a_pixel_goes_all_of_its_channels_way(shape: tuple[int, ...]):
    """On a linear rule the effect of full light is the sum of the weights times how far each channel has to go."""
    rng = np.random.default_rng(4)
    grid, weights = rng.random((40, SIDE, SIDE, 3)), rng.normal(0, 1, (SIDE, SIDE, 3))
    network = Network.create([3 * PIXELS, 2], rng=0, dtype=np.float64, input_shape=shape)
    layout = Paper.of(network).layout
    flat = layout.flat(weights)
    layer = replace(network.layers[0], weights=np.stack([flat, -flat]))
    linear = replace(network, layers=(layer,))
    found = finite_effects(linear, Question((0,)), layout.flat(grid), np.random.default_rng(0))
    for action, one, way in zip(ACTIONS, found, (1 - grid, grid), strict=True):
        there = has_room(grid.mean(axis=-1), action)
        effects = np.sum(weights * way, axis=-1) / way.mean(axis=-1)
        means = np.array([effects[there[:, r, c], r, c].mean() for r in range(SIDE) for c in range(SIDE)])
        assert one.possible.tolist() == there.reshape(len(grid), -1).sum(axis=0).tolist()
        assert np.abs(one.mean - means).max() < 1.0
        full = one.count == one.possible
        np.testing.assert_allclose(one.mean[full], means[full], rtol=1e-4, atol=1e-4)
