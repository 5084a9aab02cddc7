"""Activation maximisation: its penalty against finite differences, that it climbs, and that it can be repeated."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.errors import InversionError, TargetError
from backquery.inversion import Ascent, answers, back_query, difference, hidden_node
from backquery.inversion.ascent import _roughness_slope
from backquery.model.layout import Layout
from backquery.model.network import Network
from tests.inversion.conftest import Opaque, network_of
from tests.reference.inversion import finite_differences, total_variation

QUICK = Ascent(steps=60, total_variation=0.0, l2=0.0, jitter=0)


def test_the_slope_of_the_total_variation_is_its_derivative() -> None:
    image = np.random.default_rng(0).uniform(size=(4, 5))
    slope = _roughness_slope(image.reshape(1, -1), Layout(4, 5))
    expected = finite_differences(lambda x: np.array([total_variation(x.reshape(4, 5))]), image.ravel())
    np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_colours_vary_each_for_itself() -> None:
    image = np.random.default_rng(0).uniform(size=(4, 5, 2))
    slope = _roughness_slope(image.reshape(1, -1), Layout(4, 5, 2)).reshape(4, 5, 2)
    for colour in range(2):
        alone = _roughness_slope(image[..., colour].reshape(1, -1), Layout(4, 5)).reshape(4, 5)
        np.testing.assert_allclose(slope[..., colour], alone)


def test_it_climbs_for_every_kind_of_network(kind: str) -> None:
    network = network_of(kind)
    result = back_query(network, answers_for(network), method=QUICK)
    start = np.full((network.outputs, 16), 0.5)
    label = np.arange(network.outputs)
    assert np.all(network.logits(result.images)[label, label] > network.logits(start)[label, label])
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert set(result.outcome) == {"climbed"} and set(result.steps) == {60}


def answers_for(network: Network):
    table = np.full((network.outputs, network.outputs), 0.1) + 0.6 * np.eye(network.outputs)
    return answers(network, table)


def test_jitter_total_variation_and_l2_make_images_calmer() -> None:
    network = network_of("the book's")
    wild, calm = (back_query(network, [0, 1, 2], method=method).images for method in (QUICK, Ascent(steps=60)))
    roughness = [sum(total_variation(image.reshape(4, 4)) for image in images) for images in (wild, calm)]
    assert roughness[1] < 0.7 * roughness[0]
    assert calm.sum() < wild.sum()


def test_the_same_seed_climbs_to_the_same_image() -> None:
    network = network_of("the book's")
    one, same, other = (
        back_query(network, [0, 1], method=Ascent(steps=20), rng=seed).images for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_model_that_shows_no_layers_is_climbed_alike() -> None:
    network = network_of("tanh, softmax")
    images = [back_query(model, [0, 1], method=QUICK).images for model in (network, Opaque(network))]
    np.testing.assert_allclose(images[0], images[1], atol=1e-9)


def test_differences_and_hidden_nodes_are_climbed() -> None:
    network = network_of("sigmoid, softmax")
    start = np.full(16, 0.5)
    apart = back_query(network, difference(network, (0, 2)), method=QUICK)
    before, after = network.logits(start)[0], network.logits(apart.images)[0]
    assert after[0] - after[2] > before[0] - before[2]
    node = back_query(network, hidden_node(network, 1, 3, 0.0), method=QUICK)
    sums = [network.layers[0].combine(x.reshape(1, -1))[0, 3] for x in (start, node.images[0])]
    assert sums[1] > sums[0]
    assert node.read_as_asked[0] == (sums[1] >= 0)


def test_it_can_start_from_an_image_and_shows_the_change() -> None:
    network, image = network_of("the book's"), np.random.default_rng(0).uniform(size=16)
    result = back_query(network, [1], method=Ascent(steps=1, jitter=0), near=image)
    np.testing.assert_allclose(result.change, result.images - image)
    assert 0 < np.abs(result.change).max() <= 0.05 + 1e-9, "Adam's first step is the learning rate, in ink"


def test_images_without_a_shape_are_climbed_without_neighbours() -> None:
    network = Network.create([16, 8, 3], rng=0)
    assert back_query(network, [0], method=QUICK).images.shape == (1, 16)


def test_what_it_cannot_do_is_said() -> None:
    network = network_of("the book's")
    with pytest.raises(TargetError, match="name no single one; use gauss-newton"):
        back_query(network, [0.4, 0.4, 0.2], method="ascent")
    with pytest.raises(InversionError, match="at least one step"):
        Ascent(steps=0)
    with pytest.raises(InversionError, match="cannot be negative"):
        Ascent(total_variation=-1)
