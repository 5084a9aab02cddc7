"""What a layer kept of an image: the signals come back, and nothing is kept that the layer cannot see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds, minimize

from backquery.errors import DataError, InversionError, TargetError
from backquery.inversion import kept_by_layer, smooth_prior
from backquery.inversion.kept import _Cost
from backquery.model import IDENTITY, Array
from tests.inversion.conftest import Opaque, image_of, network_of, prior_of
from tests.reference.inversion import finite_differences


@dataclass(frozen=True, eq=False)
class Shown(Opaque):
    """A network whose only layer by name is that of its answers' log-odds, times a matrix."""

    seen: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.outputs,)

    def at(self, name: str) -> Any:
        assert name == "seen"
        return self.seen


@dataclass(frozen=True, eq=False)
class Linear(Opaque):
    """Signals that are a matrix times the image, bent by tanh, (outputs, inputs)."""

    matrix: Any = None
    outputs: int = 0
    output_activation: Any = IDENTITY

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.outputs,)

    def logits(self, x: Array) -> Array:
        return np.tanh(np.atleast_2d(x) @ self.matrix.T)

    query = logits

    def logits_and_jacobian(self, x: Array) -> tuple[Array, Array]:
        signals = self.logits(x)
        return signals, (1 - signals**2)[:, :, None] * self.matrix


def shown(outputs: int) -> Shown:
    """A model of 16 pixels, of which the named layer cannot see the last four."""
    network = network_of("tanh, softmax")
    matrix = np.random.default_rng(5).normal(0, 0.3, (outputs, 16))
    matrix[:, 12:] = 0.0
    return Shown(network, Linear(network, matrix, outputs))


@pytest.mark.parametrize(("outputs", "constraint"), [(6, "hard"), (100, "least squares")])
def test_signals_come_back_and_pixels_that_the_layer_cannot_see_do_not(outputs: int, constraint: str) -> None:
    model, prior = shown(outputs), prior_of(rank=0)
    originals = np.stack([image_of(prior, seed) for seed in range(3)])
    kept = kept_by_layer(model, "seen", originals, prior=prior, tolerance=0.01)
    assert kept.constraint == (constraint,) * 3 and len(kept) == 3 and kept.prior == "drawn"
    assert kept.within.all() and kept.shape == (outputs,)
    wanted, found = (model.seen.logits(images) for images in (originals, kept.images))
    error = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    np.testing.assert_allclose(kept.error, error, atol=1e-12)
    assert error.max() < 0.01
    # Pixels are independent under this prior: what is not seen is the mean, the likeliest of all.
    np.testing.assert_allclose(kept.images[:, 12:], np.tile(prior.mean[12:], (3, 1)), atol=1e-3)
    np.testing.assert_allclose(kept.answers, model.query(kept.images))
    np.testing.assert_allclose(kept.original_answers, model.query(originals))
    assert kept.images.min() >= 0 and kept.images.max() <= 1


def test_the_hard_constraint_gives_the_likeliest_such_image() -> None:
    """A slow twin: SLSQP on the same problem, in the pixels themselves."""
    model, prior = shown(3), prior_of()
    original = image_of(prior)
    wanted = model.seen.logits(original)[0]
    kept = kept_by_layer(model, "seen", original, prior=prior, constraint="hard")
    precision = np.linalg.inv(prior.factor @ prior.factor.T + np.diag(prior.diagonal))
    slow = minimize(
        lambda x: (x - prior.mean) @ precision @ (x - prior.mean),
        prior.mean,
        bounds=Bounds(np.zeros(16), np.ones(16)),
        constraints={"type": "eq", "fun": lambda x: model.seen.logits(x)[0] - wanted},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-10},
    )
    cost = prior.squared_distance(kept.images)[0]
    assert kept.within.all() and cost < 1.02 * slow.fun


@pytest.mark.parametrize("constraint", ["hard", "least squares"])
def test_a_network_tells_what_its_numbered_layers_kept_of_the_pre_activations(constraint: Any) -> None:
    network, prior = network_of("sigmoid, softmax"), prior_of()
    originals = np.stack([image_of(prior, seed) for seed in range(2)])
    kept = kept_by_layer(network, 2, originals, prior=prior, tolerance=0.01, constraint=constraint)
    assert kept.shape == (8,) and kept.layer == 2 and kept.constraint == (constraint,) * 2 and kept.within.all()

    def signals(images: Array) -> Array:
        first, second = network.layers[:2]
        return (
            first.activation.function(images @ first.weights.T + first.biases) @ second.weights.T + second.biases
        )

    wanted = signals(originals)
    off = np.linalg.norm(signals(kept.images) - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    np.testing.assert_allclose(kept.error, off, atol=1e-12)
    assert off.max() < 0.01 and (prior.squared_distance(kept.images) < prior.squared_distance(originals)).all()


def test_the_slopes_of_least_squares_are_those_of_finite_differences() -> None:
    model, low_rank = shown(10), prior_of()
    wanted = model.seen.logits(image_of(low_rank))[0]
    y = np.random.default_rng(2).normal(size=16)
    for prior in (low_rank, smooth_prior((4, 4)), smooth_prior((2, 2, 4))):
        cost = _Cost(model.seen, prior, wanted, 7.0)
        slopes = finite_differences(lambda at, cost=cost: np.array([cost(at)[0]]), y)[0]
        np.testing.assert_allclose(cost(y)[1], slopes, atol=1e-6)
        image = prior.unwhiten(y)[None]
        off = model.seen.logits(image)[0] - wanted
        np.testing.assert_allclose(cost(y)[0], 0.5 * prior.squared_distance(image)[0] + 3.5 * off @ off, rtol=1e-9)


def test_signals_that_no_image_gives_are_not_kept_and_said_so() -> None:
    model, prior = shown(100), prior_of()
    kept = kept_by_layer(model, "seen", image_of(prior), prior=prior, bounds=(0.45, 0.55), tolerance=1e-3)
    assert not kept.within[0] and kept.error[0] > 1e-3
    assert kept.images.min() >= 0.45 and kept.images.max() <= 0.55
    assert kept.as_json()["within"] == [False] and kept.as_json()["layer"] == "seen"


def test_where_the_hard_constraint_is_in_vain_least_squares_come_as_near_as_they_can() -> None:
    model, prior = shown(20), prior_of()
    kept = kept_by_layer(model, "seen", image_of(prior), prior=prior, bounds=(0.4, 0.6))
    assert kept.constraint == ("least squares",)
    only = kept_by_layer(model, "seen", image_of(prior), prior=prior, bounds=(0.4, 0.6), constraint="hard")
    assert only.constraint == ("hard",) and not only.within[0]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"tolerance": 0.0}, InversionError, "above zero"),
        ({"constraint": "soft"}, InversionError, "'hard' or 'least squares'"),
        ({"images": np.full((1, 16), np.nan)}, DataError, "finite"),
        ({"model": network_of("tanh, softmax")}, InversionError, "no layers with names .* are numbered 1 to 1"),
        ({"model": network_of("tanh, softmax"), "layer": 2}, TargetError, "numbered 1 to 1; received 2"),
        ({"layer": 1}, TargetError, "only a Network's layers are numbered"),
    ],
)
def test_what_cannot_be_asked_is_said(asked: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"model": shown(4), "layer": "seen", "images": np.zeros((1, 16)), "prior": prior_of(), **asked}
    with pytest.raises(error, match=message):
        kept_by_layer(given.pop("model"), given.pop("layer"), given.pop("images"), **given)
