"""Bounds of dense networks: sound, beside programs and exact fractions, and as close as the formulas make them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery.model import Network
from backquery.proofs.dense import Dense, Ends
from tests.proofs.conftest import drawn, networks, spread
from tests.reference import proofs as slow


@given(networks(), st.integers(0, 99), st.sampled_from([0.0, 0.01, 0.3, 1.0]))
@settings(max_examples=150)
def test_no_image_of_a_box_falls_below_the_bound(network: Network, seed: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 1, network.inputs)
    low, high = image - reach, image + reach
    forms = rng.normal(size=(1, 3, network.outputs))
    (least,) = Dense(network.layers, network.dtype).over(low[None], high[None]).lowest(forms)
    images = spread(low, high, seed)
    for program in (network, network.astype(np.float64)):
        values = slow.sums_of(program, images) @ forms[0].T
        assert np.all(values.min(axis=0) >= least)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exact_sums_and_the_program_s_are_inside(dtype: type) -> None:
    for seed in range(20):
        network = drawn([30, 20, 3], ["relu", "identity"], seed, dtype)
        image = np.random.default_rng(seed).uniform(0, 1, 30).astype(dtype).astype(float)
        bounds = Dense(network.layers, dtype).over(image[None], image[None])
        low, high = bounds.lowest(np.eye(3)[None])[0], -bounds.lowest(-np.eye(3)[None])[0]
        exact = slow.exact_sums(network, image)
        for k, program in enumerate(slow.sums_of(network, image[None])[0]):
            assert low[k] <= exact[k] <= high[k]
            assert low[k] <= program <= high[k]
        assert np.all(high - low < (1e-3 if dtype is np.float32 else 1e-11))


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_better_of_crown_and_intervals(seed: int) -> None:
    network = drawn([6, 9, 3], ["relu", "identity"], seed)
    rng = np.random.default_rng(seed)
    image, form, reach = rng.uniform(0, 1, 6), rng.normal(size=3), [0.05, 0.5][seed % 2]
    low, high = image - reach, image + reach
    least = Dense(network.layers, np.float64).over(low[None], high[None]).lowest(form[None, None])[0, 0]
    ways = [way(network, form, low, high) for way in (slow.crown_of_one_hidden_layer, slow.interval_bound)]
    assert least == pytest.approx(max(ways), rel=1e-9, abs=1e-9)


@given(networks(outputs=["identity"]), st.integers(0, 99))
@settings(max_examples=40)
def test_it_is_no_worse_than_intervals(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 1, network.inputs)
    high, form = low + rng.uniform(0, 1), rng.normal(size=network.outputs)
    least = Dense(network.layers, np.float64).over(low[None], high[None]).lowest(form[None, None])[0, 0]
    plain = slow.interval_bound(network.astype(np.float64), form, low, high)
    assert least >= plain - 1e-6 * (1 + abs(plain))


@given(st.integers(0, 50), st.sampled_from(["relu", "sigmoid", "tanh"]))
@settings(max_examples=40)
def test_split_sums_bound_their_images_whatever_is_pulled(seed: int, activation: str) -> None:
    network, rng = drawn([3, 4, 2], [activation, "identity"], seed), np.random.default_rng(seed)
    images = spread(np.zeros(3), np.ones(3), seed, 3000)
    sums = network.layers[0].combine(images)
    node, at = int(rng.integers(4)), float(np.median(sums[:, seed % 4]))
    low, high = np.full((1, 4), -np.inf), np.full((1, 4), np.inf)
    low[0, node] = at
    there = images[sums[:, node] >= at]
    boxes = Dense(network.layers, np.float64).over(np.zeros((1, 3)), np.ones((1, 3)), Ends(low, high))
    form, pull = rng.normal(size=(1, 1, 2)), rng.normal(size=(1, 1, 4))
    for least in (boxes.lowest(form), boxes.lowest(form, pull)):
        assert not len(there) or (slow.sums_of(network, there) @ form[0, 0]).min() >= least[0, 0]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("seed", range(4))
def test_the_sums_at_the_lowest_are_those_of_the_linear_bound(seed: int, activation: str) -> None:
    network, rng = drawn([5, 7, 6, 3], [activation, activation, "identity"], seed), np.random.default_rng(seed)
    image, forms = rng.uniform(0, 1, (2, 5)), rng.normal(size=(2, 1, 3))
    low, high = image - 0.3, image + 0.3
    bounds = Dense(network.layers, np.float64).over(low, high)
    first, last = bounds.sums_at_the_lowest(forms, np.zeros((2, 1, 7)))
    linear, pull = bounds.at_the_images(forms), rng.normal(size=(2, 1, 7))
    pulled = bounds.at_the_images(forms, pull)
    np.testing.assert_allclose(pulled.form, linear.form - pull @ network.layers[0].weights, atol=1e-12)
    corner = np.where(linear.form[:, 0] > 0, low, high)
    bound = np.einsum("ni,ni->n", linear.form[:, 0], corner) + linear.known[:, 0]
    np.testing.assert_allclose(first, network.layers[0].combine(corner), rtol=1e-9)
    np.testing.assert_allclose(np.einsum("nk,nk->n", forms[:, 0], last), bound, rtol=1e-9)


def test_overflow_leaves_nothing_known() -> None:
    network = drawn([2, 3, 2], ["relu", "identity"], 0, np.float32, 1e30)
    bounds = Dense(network.layers, np.float32).over(np.ones((1, 2)), np.ones((1, 2)))
    assert not np.any(bounds.lowest(np.eye(2)[None]) > -1e38)
