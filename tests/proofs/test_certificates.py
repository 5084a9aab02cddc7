"""Certificates: never wrong, not far from what an exhaustive search finds, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import back_query
from backquery.errors import DataError
from backquery.inversion import confidence, difference
from backquery.model import IDENTITY, SIGMOID, Layer, Network, Scaling
from backquery.proofs import certify
from tests.inversion.conftest import Opaque, network_of, prior_of
from tests.proofs.conftest import drawn, networks, spread
from tests.reference import proofs as slow


@given(networks(), st.integers(0, 99))
@settings(max_examples=100)
def test_every_image_within_the_radius_is_read_alike(network: Network, seed: int) -> None:
    images = np.random.default_rng(seed).uniform(0, 1, (2, network.inputs))
    found = certify(network, images)
    # Where answers are nearly equal, rounding may read either: nothing is certain then.
    assert np.array_equal(found.read[found.certain], network.query(images).argmax(axis=1)[found.certain])
    for image, label, certain, radius in zip(images, found.read, found.certain, found.inputs, strict=True):
        if certain:
            near = spread(np.maximum(image - radius, 0), np.minimum(image + radius, 1), seed)
            for program in (network, network.astype(np.float64)):
                assert np.all(program.query(near).argmax(axis=1) == label)


def test_answers_that_are_rounded_to_nothing_are_not_told_apart() -> None:
    layer = Layer(np.array([[-200.0], [-150.0]], np.float32), None, SIGMOID)
    for program, certain in ((Network((layer,)), False), (Network((layer,)).astype(np.float64), True)):
        found = certify(program, [[1.0]])
        assert (program.query([[1.0]])[0, 1] > 0) == certain == bool(found.certain[0])
    assert certify(Network((layer,)), [[0.2]]).certain[0], "where they can be told apart, they are"


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_the_radius_is_near_what_an_exhaustive_search_finds(activation: str) -> None:
    shares = []
    for seed in range(12):
        network = drawn([2, 4, 3], [activation, "identity"], seed, gain=6.0)
        image = np.random.default_rng(seed).uniform(0, 1, 2)
        proved, there = certify(network, image).inputs[0], slow.radius_by_search(network, image, 201)
        assert proved <= there
        if np.isfinite(there):
            shares.append(proved / there)
    assert len(shares) >= 4
    assert np.mean(shares) > 0.5


def test_the_radius_of_a_linear_model_is_exact() -> None:
    """Two log-odds that differ by ``w x`` are equal at a distance of ``w x / |w|_1``."""
    weights = np.array([[1.0, -0.5, 0.25], [0.0, 0.0, 0.0]])
    network = Network((Layer(weights, None, IDENTITY),), scaling=Scaling.between(-1, 1))
    found = certify(network, np.array([[0.3, -0.2, 0.4]]))
    assert found.inputs[0] == pytest.approx(0.5 / 1.75, rel=1e-2)
    assert found.grey_levels[0] == pytest.approx(found.inputs[0] * 255 / 2)
    assert found.inputs[0] < 0.5 / 1.75


def test_inputs_that_are_scaled_differently_have_grey_levels_of_their_own() -> None:
    weights, gain = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 4.0]) / 255
    network = Network((Layer(weights, None, IDENTITY),), scaling=Scaling(gain, 0.0))
    found = certify(network, np.array([[0.2, 3.0]]))
    # The first rises by r, the other falls by 4 r, until they meet; 1 is as far as the first one's range goes.
    assert found.grey_levels[0] == pytest.approx(255 * 2.8 / 5, rel=1e-2)
    assert found.inputs[0] == pytest.approx(found.grey_levels[0] / 255)


def test_answers_to_a_back_query_are_proved_to_be_as_asked() -> None:
    network, prior = network_of("sigmoid, softmax", 3), prior_of(3)
    result = back_query(network, network.query(prior.mean[None]), prior=prior, method="gauss-newton")
    assert result.converged.all()
    assert certify(network, result).as_asked.tolist() == [True]
    assert certify(network, result, tolerance=1e-9 * result.logit_error.max()).as_asked.tolist() == [False]
    missed = replace(result, logits=result.logits + np.array([[0.01, -0.01, 0, 0]]))
    assert certify(network, missed).as_asked.tolist() == [False]
    assert certify(network, result.images).as_asked is None
    one = back_query(network, difference(network, ("0", "1"), 1.0), prior=prior, method="gauss-newton")
    assert certify(network, one).as_asked is None


def test_of_a_model_that_shows_no_layers_nothing_is_proved() -> None:
    network = network_of("the book's", 0)
    found = certify(Opaque(network), np.full((2, 16), 0.5))
    assert (found.certain.tolist(), np.isnan(found.grey_levels).all()) == ([False] * 2, True)
    assert found.told(0, network.classes) == "not proved: Opaque does not show its layers"
    assert found.plain(0)["unknown"] == "Opaque does not show its layers"


def test_words_and_plain_values() -> None:
    network = network_of("the book's", 0)
    result = back_query(network, confidence(network, [1], 0.8), prior=prior_of(0), method="gauss-newton")
    found = certify(network, result)
    plain = found.plain(0)
    assert found.told(0, network.classes) == (
        f"every image within {found.brief(0)} grey levels of it is read as {network.classes[found.read[0]]} "
        "(proved)"
    )
    assert float(found.brief(0)) <= found.grey_levels[0] < float(found.brief(0)) + 0.1
    assert plain["read"] is True
    assert plain["inputs"] == pytest.approx(plain["grey_levels"] / 255)
    assert len(found) == 1
    assert found.told_of_all(network.classes) == found.told(0, network.classes)


def test_words_about_several_images() -> None:
    network, prior = network_of("the book's", 0), prior_of(0)
    result = back_query(network, network.query(np.stack([prior.mean] * 2)), prior=prior, method="gauss-newton")
    classes = network.classes
    alike = "every image within so many grey levels of it is read alike"
    found = certify(network, result)
    told = f"proved for each: {alike}, and its logits are within 0.001 of those asked for"
    assert found.told_of_all(classes) == told
    half = replace(found, certain=np.array([True, False]), as_asked=None)
    assert half.told_of_all(classes) == f"proved for 1 of 2: {alike}"
    assert certify(Opaque(network), result).told_of_all(classes).startswith("not proved: Opaque")
    assert replace(found, certain=np.zeros(2, bool)).told_of_all(classes) == "not proved"


def test_a_reading_that_is_a_tie_is_not_proved() -> None:
    network = Network((Layer(np.ones((2, 3)), None, IDENTITY),))
    found = certify(network, np.full((1, 3), 0.5))
    assert (found.certain[0], found.brief(0), found.told(0, ("a", "b"))) == (False, "-", "not proved")
    assert found.plain(0)["grey_levels"] is None


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="rows of 16 finite inputs"):
        certify(network_of("the book's", 0), np.zeros((2, 5)))
