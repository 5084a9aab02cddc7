"""Neural Cleanse: its gradient against differences, its index against the definition, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from measurements.neural_cleanse import SUCCESS, anomaly_index, cross_entropy_gradient, neural_cleanse

from backquery.model.network import Network
from tests.backdoors import LABEL
from tests.inversion.conftest import Opaque

ACTIVATIONS = (["sigmoid", "sigmoid"], ["relu", "softmax"], ["tanh", "sigmoid", "softmax"])


def cross_entropy(network: Network, image: np.ndarray, label: int) -> float:
    logits = network.logits(image[None])[0]
    return float(np.log(np.sum(np.exp(logits))) - logits[label])


@pytest.mark.parametrize("wrap", [lambda network: network, Opaque], ids=["network", "any model"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids="-".join)
def test_the_gradient_is_what_differences_give(activation, wrap):
    sizes, settings = [9, *[7] * (len(activation) - 1), 4], {"biases": True, "rng": 1, "dtype": np.float64}
    network = Network.create(sizes, activation=activation, input_shape=(3, 3), **settings)
    images = np.random.default_rng(0).uniform(size=(5, 9))
    labels = np.array([0, 1, 2, 3, 0])
    _, found = cross_entropy_gradient(wrap(network), images, labels)
    step = np.finfo(float).eps ** (1 / 3)
    for image, label, gradient in zip(images, labels, found, strict=True):
        for pixel, value in enumerate(gradient):
            move = step * (np.arange(9) == pixel)
            up, down = (cross_entropy(network, image + side * move, label) for side in (1, -1))
            assert value == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-9)


def test_the_index_counts_median_absolute_deviations():
    norms = np.array([10.0, 11.0, 9.0, 10.0, 12.0, 2.0])
    away = sorted(abs(norm - 10.0) for norm in norms)
    deviation = 1.482602218505602 * (away[2] + away[3]) / 2
    np.testing.assert_allclose(anomaly_index(norms), np.abs(norms - 10.0) / deviation)


def test_the_mask_of_a_backdoor_is_the_smallest_and_lies_on_the_mark(digits, backdoored):
    found = neural_cleanse(backdoored, digits.test, rng=0)
    assert LABEL in found.flagged
    assert found.norms.argmin() == LABEL
    mark = [0, 1, 8, 9]
    assert found.masks[LABEL][mark].sum() > 0.5 * found.norms[LABEL]
    np.testing.assert_allclose(found.norms, found.masks.sum(axis=1))
    for values in (found.masks, found.patterns):
        assert values.shape == (10, 64)
        assert values.min() >= 0
        assert values.max() <= 1


def test_the_masks_that_are_kept_turn_the_images(digits, clean):
    """Their success was counted on ten batches of 32: within four standard errors of it on all images."""
    found = neural_cleanse(clean, digits.test, steps=300, rng=0)
    inputs = clean.scale(digits.test.images)
    for label, (mask, pattern) in enumerate(zip(found.masks, found.patterns, strict=True)):
        turned = clean.query(inputs + mask * (pattern - inputs)).argmax(axis=1) == label
        assert turned.mean() > SUCCESS - 4 * (SUCCESS * (1 - SUCCESS) / 320) ** 0.5


def test_any_model_is_searched_like_the_network_that_it_is(digits, clean):
    network, other = (neural_cleanse(model, digits.test, steps=20, rng=0) for model in (clean, Opaque(clean)))
    np.testing.assert_allclose(other.masks, network.masks, atol=1e-3)
