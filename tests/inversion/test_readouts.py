"""What a question reads from a network: values against queries, Jacobians against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.errors import InversionError
from backquery.inversion import GaussNewton, back_query, confidence, difference, hidden_node
from backquery.inversion.readouts import readout_for
from tests.inversion.conftest import Opaque, image_of, network_of, prior_of
from tests.reference.inversion import finite_differences

DEVIATION = np.random.default_rng(9).uniform(0.1, 0.4, 16)
ORIGIN = np.random.default_rng(8).uniform(0.2, 0.6, 16)


def whitened(count: int = 3) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, 16))


def test_values_and_jacobians_of_all_answers(kind: str) -> None:
    network = network_of(kind)
    asked = confidence(network, [0, 1, 2], 0.9)
    readout = readout_for(network, None, asked.maps, ORIGIN, DEVIATION)
    y, rows = whitened(), np.arange(3)
    values, kept = readout.values(y, rows)
    np.testing.assert_allclose(values, asked.of_logits(network.logits(ORIGIN + DEVIATION * y)), atol=1e-12)
    jacobian = readout.jacobian(kept, rows)
    for row in rows:
        slopes = finite_differences(lambda one: readout.values(one[None], np.array([0]))[0][0], y[row])
        np.testing.assert_allclose(jacobian[row], slopes, atol=1e-7)


def test_slopes_of_which_nobody_asks_the_values_are_the_same(kind: str) -> None:
    network = network_of(kind)
    asked = confidence(network, [0, 1, 2], 0.9)
    y, rows, origins = whitened(2), np.array([2, 0]), np.add(ORIGIN, [[0.0], [0.1], [0.3]])
    for model in (network, Opaque(network)):
        for own in (False, True):
            readout = readout_for(model, None, asked.maps, origins, DEVIATION, own)
            jacobian = readout.jacobian(readout.values(y, rows)[1], rows)
            np.testing.assert_array_equal(readout.slopes(y, rows), jacobian)


def test_a_model_that_shows_no_layers_reads_the_same(kind: str) -> None:
    network = network_of(kind)
    asked = difference(network, [(0, 1), (2, 0), (1, 2)])
    y, rows = whitened(), np.array([0, 2])
    results = []
    for model in (network, Opaque(network)):
        readout = readout_for(model, None, asked.maps, np.tile(ORIGIN, (3, 1)), DEVIATION)
        values, kept = readout.values(y[rows], rows)
        results.append((values, readout.jacobian(kept, rows)))
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-12)


@pytest.mark.parametrize("layer", [1, 2])
def test_hidden_nodes_are_read_before_their_activation(layer: int) -> None:
    network = network_of("sigmoid, softmax")
    asked = hidden_node(network, layer, [0, 3, 5], 1.0)
    readout = readout_for(network, layer, asked.maps, ORIGIN, DEVIATION)
    y, rows = whitened(), np.arange(3)
    values, kept = readout.values(y, rows)
    signals = network.signals(ORIGIN + DEVIATION * y)
    expected = network.layers[layer - 1].combine(signals[layer - 1])[rows, [0, 3, 5]]
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-12)
    jacobian = readout.jacobian(kept, rows)
    for row in rows:
        slopes = finite_differences(lambda one, row=row: readout.values(one[None], np.array([row]))[0][0], y[row])
        np.testing.assert_allclose(jacobian[row], slopes, atol=1e-7)


def test_limits_are_never_left(kind: str) -> None:
    network = network_of(kind)
    asked = confidence(network, [0], 0.9)
    readout = readout_for(network, None, asked.maps, ORIGIN, DEVIATION)
    low, high = -ORIGIN / DEVIATION, (1 - ORIGIN) / DEVIATION
    lowest, highest = readout.limits(low, high)
    corners = np.where(np.random.default_rng(1).random((500, 16)) < 0.5, low, high)
    values, _ = readout.values(corners, np.zeros(500, int))
    assert np.all(values >= lowest - 1e-9) and np.all(values <= highest + 1e-9)
    assert np.all(np.isfinite(lowest)) and np.all(np.isfinite(highest))


def test_only_a_network_has_hidden_nodes() -> None:
    network = network_of("the book's")
    asked = hidden_node(network, 1, 0, 1.0)
    with pytest.raises(InversionError, match="only a Network"):
        back_query(Opaque(network), asked, method="gauss-newton", prior=prior_of())


def test_a_model_that_shows_no_layers_is_inverted_as_its_network_is() -> None:
    network = network_of("tanh, softmax")
    prior = prior_of()
    wanted = network.query(image_of(prior))
    method = GaussNewton(tolerance=1e-7, optimality=1e-7)
    shown, opaque = (back_query(model, wanted, method=method, prior=prior) for model in (network, Opaque(network)))
    assert opaque.outcome == shown.outcome == ("converged",)
    np.testing.assert_allclose(opaque.images, shown.images, atol=1e-4, err_msg="they begin at different images")
