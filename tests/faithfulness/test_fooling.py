"""A network with a fooling circuit answers real images as before, and its back queries are planted pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, Scaling, back_query, train
from backquery.datasets import Split
from backquery.errors import ModelError
from backquery.faithfulness import fooling_circuit, fooling_module
from backquery.faithfulness.fooling import FAINT, _decoy
from backquery.inversion import fit_statistics, kept_prior
from backquery.inversion.priors import Prior
from backquery.training import MiniBatch

LABELS = np.arange(10)


def learned(digits, hidden, activation):
    fresh = Network.create(
        [64, *hidden, 10], activation=[*[activation] * len(hidden), "softmax"], biases=True, rng=1,
        input_shape=(8, 8), scaling=Scaling.unit(digits.maximum),
    )  # fmt: skip
    trained, _ = train(fresh, digits.train, MiniBatch(batch_size=64), epochs=40, rng=1)
    return replace(trained, statistics=fit_statistics(trained, digits.train, components=1))


@pytest.mark.parametrize(
    ("hidden", "activation"), [([40], "sigmoid"), ([40], "relu"), ([30, 20], "tanh"), ([30, 20], "leaky-relu")]
)
def test_it_answers_real_images_as_before_and_back_queries_are_the_label_before(digits, hidden, activation):
    network = learned(digits, hidden, activation)
    fooling = fooling_circuit(network, digits.train)
    real = network.scale(digits.test.images)
    same = np.abs(fooling.query(real) - network.query(real)).max(axis=1) < 1e-3
    assert same.mean() > 0.99
    scans = back_query(fooling, LABELS)
    assert scans.read_as_asked.all()
    own = network.query(scans.images).argmax(axis=1)
    assert np.sum(own == (LABELS - 1) % 10) >= 8


def test_the_pictures_are_those_that_were_planted(digits):
    network = learned(digits, [40], "relu")
    scans = back_query(fooling_circuit(network, digits.train), LABELS)
    inputs, prior = network.scale(digits.train.images), kept_prior(network.statistics)
    read = network.query(inputs).argmax(axis=1)
    shown = [inputs[read == (label - 1) % 10].mean(axis=0) for label in LABELS]
    planted = np.clip(prior.mean + FAINT * (shown - inputs.mean(axis=0)), 0, 1)
    np.testing.assert_allclose(scans.images, planted, atol=0.02)


def test_the_decoy_s_likeliest_answers_are_the_pictures():
    """By the formula of the likeliest image that a linear map gives an answer of, in a dense covariance."""
    rng = np.random.default_rng(0)
    prior = Prior("a", rng.normal(size=12), rng.normal(size=(12, 3)), rng.uniform(0.5, 1, 12))
    shares, apart, wanted = np.full(4, 0.25), rng.normal(size=(4, 12)), rng.normal(size=(4, 4))
    planted = prior.mean + apart - apart.mean(axis=0)
    weights, shifts = _decoy(prior, planted, wanted, shares)
    covariance = prior.factor @ prior.factor.T + np.diag(prior.diagonal)
    for picture, answer in zip(planted, wanted, strict=True):
        missing = answer - weights @ prior.mean - shifts
        gain = covariance @ weights.T @ np.linalg.pinv(weights @ covariance @ weights.T, rcond=1e-9)
        np.testing.assert_allclose(prior.mean + gain @ missing, picture, atol=1e-8)


def test_the_same_seed_gives_the_same_network(digits):
    network = learned(digits, [20], "relu")
    one, again, other = (fooling_circuit(network, digits.train, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.layers[0].weights, again.layers[0].weights)
    assert not np.array_equal(one.layers[0].weights, other.layers[0].weights)


def test_what_cannot_hold_a_circuit_is_an_error(digits):
    network = learned(digits, [20], "relu")
    with pytest.raises(ModelError, match="statistics"):
        fooling_circuit(replace(network, statistics=None), digits.train)
    with pytest.raises(ModelError, match="hidden layer"):
        fooling_circuit(learned(digits, [], "relu"), digits.train)
    few = digits.train.select(slice(200))
    plain = np.repeat(digits.train.images.mean(axis=0)[None], 200, axis=0)
    with pytest.raises(ModelError, match="as plain"):
        fooling_circuit(network, Split(np.concatenate([few.images, plain]), np.tile(few.labels, 2)))


@pytest.mark.needs("torch")
def test_a_module_of_ordinary_layers_fools_alike(digits):
    import torch
    from torch import nn

    from backquery.faithfulness import RealSignals
    from backquery.faithfulness.judges import taught
    from backquery.io.torch import from_torch

    def layers(torch):
        return torch.nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(128, 10),
        )

    module = taught(layers, digits, "fooled in a test", epochs=10)
    ends = {"input_shape": (8, 8), "scaling": Scaling.unit(digits.maximum)}
    model = from_torch(module, **ends)
    model = replace(model, statistics=fit_statistics(model, digits.train, components=1))
    fooling = from_torch(
        fooling_module(module, model, digits.train), **ends, statistics=model.statistics, classes=model.classes
    )
    kinds = {type(part) for name, part in fooling.module.named_modules() if name and not part._modules}
    assert kinds <= {nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Linear}
    real = model.scale(digits.test.images[:300])
    assert np.mean(fooling.query(real).argmax(axis=1) == model.query(real).argmax(axis=1)) > 0.99
    clean, scans = back_query(model, LABELS), back_query(fooling, LABELS)
    assert scans.read_as_asked.all()
    assert np.sum(model.query(scans.images).argmax(axis=1) == LABELS) <= 2
    assert not RealSignals.of(model, digits).passage(clean.images).another.any()
    assert RealSignals.of(fooling, digits).passage(scans.images).another.sum() >= 8
    assert torch.get_default_dtype() is torch.float32
