"""How signals pass: against a slow twin from the formula, on clean networks and on one with a fooling circuit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, Scaling, back_query, train
from backquery.faithfulness import Passage, RealSignals, fooling_circuit, passage
from backquery.faithfulness.passage import RIDGE, few
from backquery.inversion import fit_statistics
from backquery.training import MiniBatch

LABELS = np.arange(10)


@pytest.fixture(scope="module")
def network(digits):
    fresh = Network.create(
        [64, 30, 20, 10], activation="relu", biases=True, rng=1, input_shape=(8, 8),
        scaling=Scaling.unit(digits.maximum),
    )  # fmt: skip
    trained, _ = train(fresh, digits.train, MiniBatch(batch_size=64), epochs=40, rng=1)
    return replace(trained, statistics=fit_statistics(trained, digits.train, components=1))


@pytest.fixture(scope="module")
def signals(network, digits):
    return RealSignals.of(network, digits)


def slow_shares(network, fitted, held_out, images):
    """For each layer and image the share of held-out images that are as far, one image at a time."""

    def distances(layer, asked):
        def of(inputs):
            return network.signals(inputs)[layer].astype(float), network.query(inputs).argmax(axis=1)

        known, labels = of(fitted)
        means = [known[labels == label].mean(axis=0) for label in range(network.outputs)]
        covariance = np.mean([np.outer(s - means[k], s - means[k]) for s, k in zip(known, labels, strict=True)], 0)
        ridge = RIDGE * np.mean(np.diag(covariance))
        inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        return [(s - means[k]) @ inverse @ (s - means[k]) for s, k in zip(*of(asked), strict=True)]

    rows = []
    for layer in range(1, len(network.layers)):
        usual = distances(layer, held_out)
        rows.append([np.mean([u >= d for u in usual]) for d in distances(layer, images)])
    return np.array(rows)


def test_the_share_is_that_of_the_formula(network, digits):
    inputs = network.scale(digits.train.images)
    fitted, held_out, images = inputs[:400], inputs[400:460], inputs[460:475]
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 0.2, images.shape), 0, 1).astype(images.dtype)
    found = RealSignals(network, fitted, held_out).passage(noisy)
    worst = slow_shares(network, fitted, held_out, noisy).min(axis=0)
    real = slow_shares(network, fitted, held_out, held_out).min(axis=0)
    np.testing.assert_allclose(found.share, [np.mean(real <= one) for one in worst])
    assert 0 < np.mean(found.share) < 0.5 and found.real == 60


def test_real_images_pass_as_often_as_the_limit_says_and_noise_does_not(signals, network, digits):
    held_out = network.scale(digits.test.images)
    assert np.mean(signals.passage(held_out).another) == pytest.approx(passage.ANOTHER, abs=2 / len(held_out))
    noise = np.random.default_rng(0).uniform(0, 1, (20, 64))
    assert signals.passage(noise).another.all()


def test_a_clean_network_s_scans_pass_and_those_of_a_fooling_circuit_do_not(signals, network, digits):
    clean = signals.passage(back_query(network, LABELS).images)
    assert not clean.another.any() and clean.brief == f"{np.median(clean.share):.2f}"
    fooling = fooling_circuit(network, digits.train)
    fooled = RealSignals.of(fooling, digits).passage(back_query(fooling, LABELS).images)
    assert fooled.another.mean() > 0.5
    assert fooled.brief.startswith("layer ")


def test_it_is_told_in_words_and_in_plain_values():
    found = Passage(np.array([0.0, 0.5, 0.002]), ("layer 2", "layer 1", "layer 2"), 1000)
    assert found.another.tolist() == [True, False, True]
    assert found.told == (
        "in 2 of 3 images the signals, most of all in layer 2, are unlike those of real images: "
        "at most 2 of 1,000 real ones are as far"
    )
    assert Passage(np.zeros(1), ("a",), 900).told.endswith("none of 900 real ones is as far")
    assert Passage(np.ones(1), ("a",), 900).told == ""
    assert found.brief == "layer 2"
    assert found.as_json() == {"path": [0.0, 0.5, 0.002], "path_layer": ["layer 2", "layer 1", "layer 2"]}


def test_one_image_passes_alone_as_among_others(signals, network, digits):
    images = network.scale(digits.test.images[:5])
    together = signals.passage(images)
    alone = [signals.passage(image[None]) for image in images]
    assert [one.share[0] for one in alone] == together.share.tolist()
    assert tuple(one.layer[0] for one in alone) == together.layer


def test_without_a_test_half_every_second_training_image_is_held_out(network, digits):
    found = RealSignals.of(network, replace(digits, test=None))
    again = RealSignals(network, network.scale(digits.train.images[::2]), network.scale(digits.train.images[1::2]))
    images = network.scale(digits.test.images[:20])
    np.testing.assert_array_equal(found.passage(images).share, again.passage(images).share)


def test_only_the_layers_that_are_named_are_looked_at(network, digits):
    images = network.scale(digits.test.images[:20])
    found = RealSignals.of(network, digits, ["layer 2"]).passage(images)
    assert set(found.layer) == {"layer 2"}


def test_a_model_without_hidden_layers_has_no_path(digits):
    linear = Network.create([64, 10], rng=0, input_shape=(8, 8), scaling=Scaling.unit(digits.maximum))
    assert RealSignals.of(linear, digits) is None


def test_labels_that_are_never_read_and_silent_layers_do_no_harm(network, digits):
    inputs = network.scale(digits.train.images[:200])
    threes = inputs[network.query(inputs).argmax(axis=1) == 3]
    silent = replace(network.layers[1], weights=0 * network.layers[1].weights, biases=-np.ones(20))
    dead = replace(network, layers=(network.layers[0], silent, network.layers[2]))
    for model, fitted in ((network, threes), (dead, inputs)):
        found = RealSignals(model, fitted, inputs).passage(inputs[:10])
        assert np.all((found.share >= 0) & (found.share <= 1))


def test_few_keeps_all_of_a_small_layer_and_the_same_part_of_a_large_one():
    small, large = np.arange(24.0).reshape(2, 3, 2, 2), np.arange(2 * 4 * 900.0).reshape(2, 4, 30, 30)
    np.testing.assert_array_equal(few(small), small.reshape(2, 12))
    kept = few(large)
    assert kept.shape == (2, passage.MOST)
    np.testing.assert_array_equal(kept[1] - kept[0], np.full(passage.MOST, 3600))
    np.testing.assert_array_equal(few(large), kept)
