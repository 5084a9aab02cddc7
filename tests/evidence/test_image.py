"""The evidence of one image: against slow twins and closed forms, where things move, and on what is no picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from backquery import image_evidence, plots
from backquery.datasets import Dataset
from backquery.errors import BackqueryError
from backquery.evidence import AGAINST, INSENSITIVE, SUPPORT, UNCLEAR, ImageEvidence, measure_evidence
from backquery.evidence.image import GROUPS, _changed, _effects, _Sheet, _trials
from backquery.evidence.sensitivity import Question
from backquery.model import Layout
from backquery.model.activations import SIGMOID
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from tests.evidence.test_measure import PIXELS, SIDE, Bowl, learned
from tests.inversion.conftest import Opaque
from tests.plots.test_plots import assert_nothing_is_clipped, texts
from tests.reference import evidence as slow


def picture(seed: int = 0) -> np.ndarray:
    """An image of strokes: a third of its pixels have ink."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(PIXELS) < 1 / 3, rng.uniform(0.3, 1, PIXELS), 0.0)


def linear(weights: np.ndarray, **description: Any) -> Network:
    return Network((Layer(np.stack([weights, -weights]), np.zeros(2), SIGMOID),), **description)


@dataclass(frozen=True, eq=False)
class Finder:
    """Reads bars of three pixels anywhere: lying ones speak for the first label, standing ones for the second.

    The log-odds are the best match of the one over all places, less that of the other, both softened.
    """

    side: int = 10
    sharpness: float = 6.0
    input_shape: tuple[int, ...] = (10, 10)
    inputs: int = 100
    outputs: int = 2
    classes: tuple[str, ...] = ("lying", "standing")
    scaling: Scaling | None = None
    statistics: Any = None
    output_activation: Any = SIGMOID

    def bars(self) -> np.ndarray:
        """All bars, (2, places, inputs)."""
        lying = []
        for row in range(1, self.side - 1):
            for column in range(self.side - 2):
                bar = np.zeros((self.side, self.side))
                bar[row, column : column + 3] = 1
                bar[[row - 1, row + 1], column + 1] = -1
                lying.append(bar)
        standing = [bar.T for bar in lying]
        return np.array([lying, standing]).reshape(2, len(lying), -1)

    def scale(self, images: Any) -> Any:
        raise AssertionError("there is nothing to scale")

    def query(self, x: Any) -> Any:
        return SIGMOID.function(self.logits(x))

    def logits(self, x: Any) -> Any:
        return self.logits_and_jacobian(x)[0]

    def logits_and_jacobian(self, x: Any) -> Any:
        matches = self.sharpness * np.einsum("lpi,ni->lnp", self.bars(), np.asarray(x, np.float64))
        best = np.log(np.exp(matches).sum(axis=2))
        z = best[0] - best[1]
        slopes = self.sharpness * np.einsum("lnp,lpi->lni", softmax(matches, axis=2), self.bars())
        return np.stack([z, -z], axis=1), np.stack([slopes[0] - slopes[1], slopes[1] - slopes[0]], axis=1)

    def images(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        bars = np.maximum(self.bars(), 0)
        return bars[labels, rng.integers(0, bars.shape[1], count)], labels


# What a pixel's ink does


@pytest.mark.parametrize("action", list(GROUPS))
def test_effects_are_slopes_where_a_pixel_is_on_its_way(action: str):
    network = Network.create([PIXELS, 5, 3], activation="tanh", biases=True, rng=3, dtype=np.float64)
    sheet = _Sheet.of(replace(network, input_shape=(SIDE, SIDE)), picture())
    question = Question((1,))
    found = _effects(sheet, question, action, np.random.default_rng(5))
    images, moved = _changed(sheet, action, np.random.default_rng(5))

    def log_odds(ink: list[float]) -> float:
        return float(question.log_odds(network, np.array([ink]))[0])

    expected = slow.effects(log_odds, images[: 3 * GROUPS[action]].tolist(), moved.tolist(), GROUPS[action])
    np.testing.assert_allclose(found[:3], expected, rtol=1e-3, atol=1e-5)
    assert np.all(np.where(moved, 0, images - sheet.ink) == 0)
    toward = images - sheet.ink
    assert np.all(toward >= 0 if action == "ink added" else toward <= 0)
    assert images.min() >= 0 and images.max() <= 1


def test_a_linear_rule_is_found_exactly():
    rng = np.random.default_rng(1)
    weights = np.where(rng.random(PIXELS) < 0.3, rng.choice([-1, 1], PIXELS) * rng.uniform(0.3, 2, PIXELS), 0.0)
    found = image_evidence(linear(weights, input_shape=(SIDE, SIDE)), picture(), 0)
    np.testing.assert_allclose(found.findings.mean, weights, atol=1e-9)
    np.testing.assert_allclose(found.findings.error, 0, atol=1e-9)
    expected = np.select([weights > 0, weights < 0], [SUPPORT, AGAINST], INSENSITIVE)
    np.testing.assert_array_equal(found.findings.verdict, expected)
    assert found.log_odds == pytest.approx(weights @ picture(), abs=1e-5)
    assert found.held == len(found.claims) == 6


def test_effects_add_up_to_the_finite_change():
    """On a rule that bends, taking all of a pixel's ink changes it by a + c (x - 1), inking paper by a + c x."""
    rng = np.random.default_rng(2)
    a, c, x = rng.normal(0, 1, PIXELS), rng.uniform(-2, 2, PIXELS), picture(2)
    found = image_evidence(Bowl(a, c), x, 0)
    exact = np.where(x >= 0.1, a + c * (x - 1), a + c * x)
    away = (found.findings.mean - exact) / found.findings.error
    assert np.abs(away).max() < 4.5
    assert away.std() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("pixel", [9, 36])
def test_a_network_that_reads_one_pixel_points_at_it(pixel: int):
    network = Network.create([PIXELS, 12, 2], activation="relu", biases=True, rng=4, dtype=np.float64)
    first = np.zeros_like(network.layers[0].weights)
    first[:, pixel] = np.abs(network.layers[0].weights[:, pixel]) + 0.5
    second = np.stack([np.ones(12), -np.ones(12)])
    layers = (replace(network.layers[0], weights=first), replace(network.layers[1], weights=second))
    x = picture()
    x[[9, 36]] = 1.0, 0.0
    found = image_evidence(replace(network, layers=layers, input_shape=(SIDE, SIDE)), x, 0)
    assert np.flatnonzero(found.findings.verdict == SUPPORT).tolist() == [pixel]
    assert np.all(np.delete(found.findings.verdict, pixel) == INSENSITIVE)
    (tried,) = [one for one in found.claims if one.region == "support"]
    assert (tried.pixels, tried.action) == (1, "ink taken" if x[pixel] else "ink added")
    assert tried.held
    assert tried.others == pytest.approx(0, abs=1e-6)
    assert abs(tried.change) == pytest.approx(found.findings.mean[pixel], rel=1e-3)


# What is tried


def test_a_trial_is_the_change_of_all_such_pixels_at_once():
    weights = np.resize([0.5, -0.5, 0.0, 0.5], PIXELS)
    found = image_evidence(linear(weights, input_shape=(SIDE, SIDE)), picture(), 0)
    for one in found.trials:
        weight, sign = {"support": 0.5, "against": -0.5}.get(one.region, 0.0), 1 if "added" in one.action else -1
        assert one.change == pytest.approx(sign * weight * one.ink, abs=1e-5)
        assert one.limit == pytest.approx(0.1 * one.ink)
        assert one.ink <= found.ink.sum() / 2 + 1e-9
        assert one.low <= one.others <= one.high
        assert 1 <= one.pixels <= found.counts["paper" if "added" in one.action else "ink"][one.region]


def test_claims_that_are_false_are_said_not_to_hold():
    weights = np.resize([0.5, -0.5, 0.0, 0.5], PIXELS)
    model, rng = linear(weights, input_shape=(SIDE, SIDE)), np.random.default_rng(0)
    findings = image_evidence(model, picture(), 0).findings
    wrong = np.select([weights > 0, weights < 0], [AGAINST, INSENSITIVE], SUPPORT).astype(np.int8)
    sheet = _Sheet.of(model, picture())
    found = list(_trials(sheet, Question((0,)), replace(findings, verdict=wrong), 0.1, rng))
    assert [one.held for one in found] == [False] * 6


def test_ink_that_does_no_more_than_other_ink_does_not_hold():
    """All ink supports alike: the strongest half of it lowers the log-odds no more than the other half."""
    found = image_evidence(
        linear(np.full(PIXELS, 0.5), input_shape=(SIDE, SIDE)), (picture() > 0).astype(float), 0
    )
    (taken,) = [one for one in found.claims if one.action == "ink taken"]
    assert taken.change < 0
    assert taken.others == pytest.approx(taken.change, rel=0.05)
    assert taken.held is False


def test_where_things_stand_anywhere_means_say_little_and_the_image_says_it():
    """The means leave nine pixels of ten unclear; in each image the bar is support, and beside it is against."""
    model = Finder()
    (means,) = measure_evidence(model, model.images(1200, 0), ["lying"], held_out=model.images(1200, 1))
    assert means.counts["unclear"] >= 90
    for image in model.images(20, 2)[0][::2]:
        found = image_evidence(model, image)
        assert found.question == "lying"
        np.testing.assert_array_equal(found.inked & (found.findings.verdict == SUPPORT), image > 0)
        taken = {one.action: one.change for one in found.claims if one.region == "support"}
        assert taken["ink taken"] < -2
        middle = image.reshape(10, 10).any(axis=1).argmax()
        above = found.findings.verdict.reshape(10, 10)[middle - 1]
        assert AGAINST in above


def test_what_a_trained_network_says_of_digits_mostly_holds(digits: Dataset):
    network = learned(digits)
    found = [image_evidence(network, x) for x in network.scale(digits.test.images[:20])]
    held, claims = sum(one.held for one in found), sum(len(one.claims) for one in found)
    assert claims >= 80
    assert held >= 0.9 * claims
    assert [one.read for one in found] == network.query(network.scale(digits.test.images[:20])).argmax(1).tolist()


# Whatever the model, the scaling, the shape


def same(one: ImageEvidence, other: ImageEvidence) -> None:
    np.testing.assert_array_equal(one.findings.verdict, other.findings.verdict)
    np.testing.assert_allclose(one.findings.mean, other.findings.mean, rtol=1e-4, atol=1e-5)


def test_the_seed_alone_decides_and_any_model_says_the_same(digits: Dataset):
    network = learned(digits)
    x = network.scale(digits.test.images[:1])
    found = image_evidence(network, x, rng=5)
    assert found.trials == image_evidence(network, x, rng=5).trials
    assert found.trials != image_evidence(network, x, rng=6).trials
    same(found, image_evidence(Opaque(network), x, rng=5))
    turned = image_evidence(network, x, between=(found.read, 3), rng=5)
    assert turned.question == f"{network.classes[found.read]} rather than 3"


def test_ink_is_ink_whatever_the_scaling():
    weights, ink, found = np.random.default_rng(0).normal(0, 1, PIXELS), picture(), []
    for scaling in (Scaling.unit(16), Scaling(-1 / 16, 1.0, 16), Scaling.between(-2, 3, 16)):
        gain, offset = scaling.gain * 16, scaling.offset
        layer = Layer(
            np.stack([weights, -weights]) / gain, np.array([-1, 1]) * weights.sum() * offset / gain, SIGMOID
        )
        model = Network((layer,), input_shape=(SIDE, SIDE), scaling=scaling)
        found.append(image_evidence(model, model.scale(16 * ink.reshape(1, SIDE, SIDE)), 0))
    for one in found[1:]:
        same(one, found[0])
        np.testing.assert_allclose(one.ink, ink, atol=1e-6)


@pytest.mark.parametrize("shape", [(48,), (4, 4, 3), (3, 4, 4), (1, 6, 8), (2, 24)])
@pytest.mark.parametrize("ink", [0.0, 1.0, 0.5])
def test_any_shape_will_do_and_so_will_blank_and_black_paper(shape: tuple[int, ...], ink: float):
    network = Network.create([48, 6, 3], biases=True, rng=1, dtype=np.float64, input_shape=shape)
    found = image_evidence(network, np.full(48, ink))
    assert found.inked.all() == (ink > 0)
    untried = [one for one in found.trials if one.held is None]
    assert {one.action for one in untried} >= {"ink added" if ink else "ink taken"}
    assert all(one.change is None and one.pixels == 0 for one in untried)
    layout = Layout.of(shape)
    assert sum(sum(half.values()) for half in found.counts.values()) == layout.rows * layout.columns
    assert_nothing_is_clipped(plots.image_evidence_maps([found], network))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"label": 12}, "unknown label 12"),
        ({"between": (1, "1")}, "two different labels"),
        ({"label": 0, "between": (0, 1)}, "not for both"),
        ({"rate": 0.7}, "received 0.7 and 0.1"),
        ({"smallest": -1.0}, "a number from 0 on"),
        ({"image": np.zeros((2, PIXELS))}, "one image is asked about; received 2"),
        ({"image": np.full(PIXELS, np.nan)}, "must be finite"),
        ({"image": np.zeros(5)}, "received"),
    ],
)
def test_questions_that_cannot_be_put_are_refused(asked: dict[str, Any], said: str):
    model = linear(np.ones(PIXELS), input_shape=(SIDE, SIDE))
    with pytest.raises(BackqueryError, match=said):
        image_evidence(model, **{"image": picture(), **asked})


# The picture


def test_the_picture_shows_what_was_found(digits: Dataset):
    network = learned(digits)
    x = network.scale(digits.test.images[:1])
    found = [image_evidence(network, x), image_evidence(network, x, 3)]
    figure = plots.image_evidence_maps(found, network)
    assert_nothing_is_clipped(figure)
    said = " ".join(texts(figure))
    held, claims = sum(one.held for one in found), sum(len(one.claims) for one in found)
    assert f"Read as {network.classes[found[0].read]}; {held} of {claims} claims held" in said
    for one in (each for every in found for each in every.claims):
        assert f"{one.pixels} pixel{'s' if one.pixels > 1 else ''}: reads {network.classes[one.read]}" in said
    colours = plots.evidence_colours(found[0], (8, 8), 1.0).reshape(64, 3)
    assert np.all(colours[found[0].findings.verdict == UNCLEAR] == 1)
    assert found[0].as_json(network.classes)["trials"][0]["read"] in (*network.classes, None)


@pytest.mark.parametrize("shape", [(3, SIDE, SIDE), (SIDE, SIDE, 3)])
def test_in_colour_a_pixel_goes_the_longer_way_in_all_of_its_channels(shape: tuple[int, ...]):
    rng, layout = np.random.default_rng(6), Layout.of(shape)
    grid, weights = rng.random((SIDE, SIDE, 3)), rng.normal(0, 1, (SIDE, SIDE, 3))
    model = linear(layout.flat(weights), input_shape=shape)
    found = image_evidence(model, layout.flat(grid), 0)
    light = grid.mean(axis=-1).ravel() >= 0.5
    np.testing.assert_array_equal(found.inked, light)
    assert 0 < light.sum() < PIXELS
    to_white, to_black = (np.sum(weights * way, axis=-1) / way.mean(axis=-1) for way in (1 - grid, grid))
    np.testing.assert_allclose(found.findings.mean, np.where(light, to_black.ravel(), to_white.ravel()), atol=1e-6)
    assert found.findings.verdict.shape == (PIXELS,)
    assert {one.action for one in found.claims} == {"ink added", "ink taken"}
    figure = plots.image_evidence_maps([found], model)
    assert_nothing_is_clipped(figure)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), grid, atol=1e-6)
    assert plots.evidence_colours(found, shape, 1.0).shape == (SIDE, SIDE, 3)
