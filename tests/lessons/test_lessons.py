"""The lessons: their numbers against formulas, differences and the package's own training; their pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backquery import Network
from backquery.errors import DataError, ExperimentError
from backquery.lessons import (
    LESSONS,
    back_propagation_lesson,
    descent_lesson,
    forward_lesson,
    one_hot,
    one_hot_lesson,
    sigmoid_lesson,
)
from backquery.lessons.descent import function, slope
from backquery.lessons.forward import by_loops, by_matrices
from backquery.plots import lesson_figure
from backquery.training import FullBatch, train
from tests.plots.test_plots import assert_nothing_is_clipped, texts
from tests.reference.training import forward


@pytest.fixture(scope="module")
def given():
    return {name: lesson.give() for name, lesson in LESSONS.items()}


def test_a_weight_is_four_times_the_slope_and_the_bias_moves_the_middle():
    found = sigmoid_lesson(weights=(0.5, 3.0, -1.0), biases=(-2.0, 1.0), weight=2.0)
    for one in (*found.by_weight, *found.by_bias):
        np.testing.assert_allclose(one.y, 1 / (1 + np.exp(-(one.weight * one.x + one.bias))), rtol=1e-12)
        steps = np.diff(one.y) / np.diff(one.x)
        # Between two points 0.05 apart, the slope differs from the steepest by less than 1 %.
        assert np.abs(steps).max() == pytest.approx(abs(one.steepest), rel=0.01)
        assert one.steepest == one.weight / 4
        assert np.interp(one.middle, one.x, one.y) == pytest.approx(0.5, abs=1e-3)
    assert [one.middle for one in found.by_bias] == [1.0, -0.5]


def test_a_weight_of_zero_has_nothing_to_teach():
    with pytest.raises(ExperimentError, match="the same to every input"):
        sigmoid_lesson(weights=(1.0, 0.0))


def test_the_descent_ends_at_the_minimum_by_the_rule():
    found = descent_lesson()
    assert found.converged
    assert found.path[-1] == pytest.approx(2.25, abs=1e-3)
    np.testing.assert_allclose(np.diff(found.path), -0.01 * slope(found.path[:-1]), atol=1e-12)
    steps = np.abs(np.diff(found.path))
    assert np.all(steps[:-1] >= 1e-5)
    assert steps[-1] < 1e-5
    np.testing.assert_array_equal(found.values, function(found.path))
    assert found.steps == len(found.path) - 1
    assert "minimum lies at 2.25" in found.told()[0]


def test_the_slope_is_the_derivative():
    """Central differences, step 1e-6: rounding 1e-9."""
    x = np.linspace(-1, 4, 23)
    np.testing.assert_allclose(slope(x), (function(x + 1e-6) - function(x - 1e-6)) / 2e-6, atol=1e-6)


def test_a_descent_that_does_not_arrive_says_so():
    flat = descent_lesson(start=-0.5, most_steps=5000)
    assert flat.converged
    assert abs(flat.path[-1]) < 0.1
    assert "the minimum lies at 2.25" in flat.told()[0]
    assert "slope is small" in flat.told()[0]
    for lost in (descent_lesson(rate=0.2), descent_lesson(rate=1e-4, most_steps=5)):
        assert not lost.converged
        assert np.all(np.isfinite(lost.values))
        assert "without coming to rest" in lost.told()[0]
        assert_nothing_is_clipped(lesson_figure(lost))


def test_a_descent_that_runs_away_is_told_in_whole_numbers():
    away = descent_lesson(rate=0.3)
    assert "lead to 4,621,250 without coming to rest" in away.told()[0]
    figure = lesson_figure(away)
    figure.draw_without_rendering()
    whole = figure.axes[0]
    assert whole.yaxis.get_offset_text().get_text() == whole.xaxis.get_offset_text().get_text() == ""
    assert "4e+26" in [tick.get_text() for tick in whole.get_yticklabels()]


@pytest.mark.parametrize("settings", [{"rate": 0}, {"precision": -1}, {"start": float("nan")}, {"most_steps": 0}])
def test_a_descent_without_sense_is_refused(settings):
    with pytest.raises(ExperimentError, match="a descent needs"):
        descent_lesson(**settings)


def test_loops_and_matrices_are_the_same_pass():
    rng = np.random.default_rng(0)
    network = Network.create((4, 5, 3, 2), biases=True, rng=rng, dtype="float64")
    weights, biases = (
        [one.weights for one in network.layers],
        [rng.normal(size=one.outputs) for one in network.layers],
    )
    x = rng.uniform(size=4)
    _, signals = forward(weights, biases, ["sigmoid"] * 3, x)
    np.testing.assert_allclose(by_loops(weights, biases, x), signals[-1], rtol=1e-12)
    np.testing.assert_allclose(by_matrices(weights, biases, x), signals[-1], rtol=1e-12)


def test_timings_stand_beside_the_published_ones_and_the_answers_agree():
    found = forward_lesson(((3, 3, 1), (3, 3, 3, 1), (2, 2)))
    assert [one.published for one in found.timings] == [40.0, 70.0, None]
    assert all(one.difference < 1e-12 for one in found.timings)
    assert all(one.loops > 0 and one.matrices > 0 for one in found.timings)
    assert [line.split(":")[0] for line in found.told()] == ["3-3-1", "3-3-3-1", "2-2"]


def test_one_hot_vectors_have_one_high_place_and_lead_back():
    labels = np.array([3, 0, 9, 3])
    vectors = one_hot(labels, 10, low=0.01, high=0.99)
    for label, vector in zip(labels, vectors, strict=True):
        assert vector.tolist() == [0.99 if place == label else 0.01 for place in range(10)]
    np.testing.assert_array_equal(vectors.argmax(axis=1), labels)
    assert one_hot_lesson((2,), 3).told()[0] == "2 becomes 0 0 1"


@pytest.mark.parametrize("labels", [[10], [-1], [0.5], [[1]]])
def test_labels_that_there_are_not_have_no_vector(labels):
    with pytest.raises(DataError, match="whole numbers from 0 to 9"):
        one_hot(labels, 10)


def test_back_propagation_is_the_gradient():
    """Central differences in float64, step 1e-6: rounding 1e-10."""
    found = back_propagation_lesson()
    for place, name in ((0, "dJ/dW1"), (1, "dJ/dW2")):
        gradient = found.value(name)
        for index in np.ndindex(gradient.shape):
            up, down = (_error(found, place, index, step) for step in (1e-6, -1e-6))
            assert gradient[index] == pytest.approx((up - down) / 2e-6, abs=1e-8)
    assert float(found.value("J after")) < float(found.value("J"))


def _error(found, place, index, step):
    weights = [layer.weights.copy() for layer in found.before.layers]
    weights[place][index] += step
    biases = [layer.biases for layer in found.before.layers]
    _, signals = forward(weights, biases, ["sigmoid"] * 2, found.x)
    return sum((y - h) ** 2 for y, h in zip(found.wanted, signals[-1], strict=True)) / 2


def test_back_propagation_is_what_the_training_does():
    found = back_propagation_lesson(wanted=(1.0, 0.0))
    data = (found.x[None], np.array([0]))
    trained, _ = train(found.before, data, FullBatch(found.rate), epochs=1)
    for mine, theirs in zip(found.after.layers, trained.layers, strict=True):
        np.testing.assert_allclose(mine.weights, theirs.weights, atol=1e-12)
        np.testing.assert_allclose(mine.biases, theirs.biases, atol=1e-12)


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_tells_what_it_found_and_draws_it(name, given):
    assert all(line and len(line) < 200 for line in given[name].told())
    json.dumps(given[name].as_json(), allow_nan=False)
    figure = lesson_figure(given[name])
    assert any(character.isdigit() for character in figure.texts[0].get_text()), "the title says the number"
    assert_nothing_is_clipped(figure)


def test_the_drawing_of_back_propagation_shows_every_number(given):
    found = given["back-propagation"]
    written = texts(lesson_figure(found))
    for layer in found.before.layers:
        assert all(f"{weight:g}" in written for weight in layer.weights.ravel())
        assert all(f"b = {bias:g}" in written for bias in layer.biases)
    for name in ("d1", "d2"):
        assert all(f"d = {error:.4f}" in written for error in found.value(name))
    for name in ("h1", "h2"):
        assert all(f"{signal:.4f}" in written for signal in found.value(name))
