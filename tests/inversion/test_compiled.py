"""The compiled search against its NumPy twin: the same steps, and the same images but for rounding."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import kernels
from backquery.inversion import (
    BackQuery,
    GaussNewton,
    answers,
    back_query,
    confidence,
    difference,
    flat_prior,
    hidden_node,
)
from backquery.io import load_model
from tests.inversion.conftest import KINDS, Opaque, image_of, network_of, prior_of

pytestmark = pytest.mark.needs("Numba")

COUNT = 6


def both(model, wanted, **options) -> tuple[BackQuery, BackQuery]:
    """The same asked of NumPy and of compiled code."""
    return tuple(  # type: ignore[return-value]
        back_query(model, wanted, method=GaussNewton(compiled=compiled), **options) for compiled in (False, True)
    )


def assert_same(plain: BackQuery, compiled: BackQuery) -> None:
    assert plain.outcome == compiled.outcome
    assert plain.steps.tolist() == compiled.steps.tolist()
    np.testing.assert_allclose(compiled.images, plain.images, atol=1e-6)


def within_reach(network, count: int = COUNT) -> np.ndarray:
    return network.query(np.stack([image_of(prior_of(1), seed) for seed in range(count)]))


def test_networks_of_every_kind(kind: str) -> None:
    """Some pixel may decide a tie by its last bit, and then two searches part; hence all but one."""
    network, prior = network_of(kind, 1), prior_of(1)
    plain, compiled = both(network, within_reach(network), prior=prior)
    assert plain.outcome == compiled.outcome
    same = np.abs(plain.images - compiled.images).max(axis=1) < 1e-6
    assert same.sum() >= COUNT - 1
    assert np.sum(plain.steps == compiled.steps) >= COUNT - 1


@pytest.mark.parametrize("kind", ["the book's", "sigmoid, softmax", "relu, softmax"], indirect=True)
def test_starts_changes_and_priors(kind: str) -> None:
    network, prior = network_of(kind, 1), prior_of(1)
    wanted, images = within_reach(network, 2), np.stack([image_of(prior, seed) for seed in (7, 8)])
    assert_same(*both(network, wanted, prior=prior, start=images))
    assert_same(*both(network, wanted, prior=prior, near=images))
    assert_same(*both(network, wanted, prior=flat_prior(16)))
    assert_same(*both(network, wanted, prior=prior, bounds=(-0.5, 1.5)))


def test_questions_of_every_kind() -> None:
    for kind in ("sigmoid, softmax", "one layer"):
        network, prior = network_of(kind, 2), prior_of(2)
        first, second = network.log_odds(image_of(prior, 3))[0, :2]
        assert_same(*both(network, difference(network, [(0, 1)] * 2, first - second), prior=prior))
    network, image = network_of("sigmoid, softmax", 2), image_of(prior, 3)
    for layer in (1, 2):
        z = network.layers[layer - 1].combine(network.signals(image)[layer - 1])[0]
        assert_same(*both(network, hidden_node(network, layer, [0, 3], z[[0, 3]]), prior=prior))


def test_what_cannot_be_had_is_the_same_too() -> None:
    network, prior = network_of("tanh, softmax", 1), prior_of(1)
    never = answers(network, [[1e-9, 1e-9, 1.0 - 3e-9, 1e-9]])
    plain, compiled = both(network, never, prior=prior)
    assert plain.outcome == compiled.outcome == ("out of reach",)
    assert compiled.advice[0].startswith("output ")
    few = GaussNewton(steps=1, tolerance=1e-12, compiled=True)
    assert back_query(network, within_reach(network), method=few, prior=prior).steps.max() == 1


def test_constraints_that_say_the_same_twice_and_flat_networks() -> None:
    network, prior = network_of("relu, identity", 0), prior_of(0)
    dead = answers(network, network.query(np.zeros((1, 16))))
    assert_same(*both(network, dead, prior=prior))


def test_a_model_that_shows_no_layers_is_searched_without_it() -> None:
    network, prior = network_of("deep tanh", 1), prior_of(1)
    plain, compiled = both(Opaque(network), within_reach(network), prior=prior)
    np.testing.assert_array_equal(plain.images, compiled.images)


def test_the_bundled_network_and_a_slider() -> None:
    network, method = load_model("mnist"), GaussNewton(compiled=True)
    assert_same(*both(network, range(10)))
    image = back_query(network, [3], method=method, confidence=0.5).images
    for p in (0.55, 0.7, 0.95):
        asked = confidence(network, [3], p, "typical")
        plain, compiled = both(network, asked, start=image)
        assert_same(plain, compiled)
        assert compiled.converged.all()
        image = compiled.images


def test_one_compilation_serves_all() -> None:
    """Whatever is asked, arguments have the same types, so that nothing is compiled in the middle of a session."""
    method = GaussNewton(compiled=True)
    for kind in KINDS:
        network, prior = network_of(kind, 3, dtype=np.float32), prior_of(3)
        one = back_query(network, network.query(image_of(prior)), method=method, prior=prior)
        back_query(network, within_reach(network, 2), method=method, prior=flat_prior(16), start=one.images)
    back_query(load_model("mnist"), range(2), method=method)
    assert len(kernels.load("search").search.signatures) == 1


def test_factors_in_any_order_are_searched_alike() -> None:
    """Freshly fitted factors come column by column, for which other code would be compiled, with a warning."""
    from dataclasses import replace

    network, prior = network_of(next(iter(KINDS))), prior_of(1)
    columns = replace(prior, factor=np.asfortranarray(prior.factor))
    wanted, method = within_reach(network, 2), GaussNewton(compiled=True)
    by_rows, by_columns = (back_query(network, wanted, method=method, prior=p) for p in (prior, columns))
    assert_same(by_rows, by_columns)
