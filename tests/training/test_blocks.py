"""The first layer in blocks by NumPy: the steps of the slow twin, which makes them one after another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from backquery import Network, Online, Scaling, train
from backquery.model import ACTIVATIONS, Examples, Layer, activation_named
from backquery.training import LOSSES
from backquery.training.batch import BatchTraining
from backquery.training.blocks import BLOCK, BlockTraining
from backquery.training.recipes import target_values

HIDDEN = [name for name in ACTIVATIONS if name != "softmax"] + ["leaky-relu:0.3", "leaky-relu:1.5"]


def targets_for(network, loss):
    low, high = target_values(network, loss)
    targets = np.full((network.outputs, network.outputs), low, network.dtype)
    np.fill_diagonal(targets, high)
    return targets


def both(network, data, loss):
    """The blocks and their slow twin, ready to run."""
    examples, targets = Examples.of(network, data), targets_for(network, loss)
    blocks = BlockTraining(network, examples, loss, targets)
    twin = BatchTraining(network, examples, Online(1.0, loss), targets)
    blocks.prepare()
    twin.prepare()
    assert blocks.inputs.dtype == twin.inputs.dtype == network.dtype
    return blocks, twin


def images_for(network, count, rng):
    """Mostly blank images: 0.01 but for some ink."""
    shape = (count, network.inputs)
    inputs = np.where(rng.random(shape) < 0.4, rng.uniform(0.02, 1, shape), 0.01)
    return inputs, rng.integers(0, network.outputs, count)


def assert_same(blocks, twin):
    """Equal up to rounding: as 1 to 1e-9 in float64."""
    tolerance = 1e-9 if blocks.network.dtype == np.float64 else 2e-4
    for a, b in zip(blocks.snapshot().layers, twin.snapshot().layers, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, rtol=0, atol=tolerance)
        np.testing.assert_allclose(a.shifts, b.shifts, rtol=0, atol=tolerance)
    assert blocks.totals[0] == pytest.approx(twin.totals[0], rel=tolerance)


@st.composite
def networks(draw, dtypes=("float32", "float64")):
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=5))
    names = [draw(st.sampled_from(HIDDEN)) for _ in sizes[2:]] + [draw(st.sampled_from([*HIDDEN, "softmax"]))]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    layers = []
    for inputs, outputs, name in zip(sizes[:-1], sizes[1:], names, strict=True):
        biases = rng.normal(0, 0.2, outputs) if draw(st.booleans()) else None
        layers.append(Layer(rng.normal(0, inputs**-0.5, (outputs, inputs)), biases, activation_named(name)))
    return Network(tuple(layers)).astype(draw(st.sampled_from(dtypes)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_blocks_take_the_steps_of_the_slow_twin(data):
    network = data.draw(networks())
    possible = LOSSES if network.output_activation.name in ("sigmoid", "softmax") else LOSSES[:2]
    loss, count = data.draw(st.sampled_from(possible)), data.draw(st.integers(1, 2 * BLOCK + 5))
    rng = np.random.default_rng(count)
    blocks, twin = both(network, images_for(network, 100, rng), loss)
    order = rng.integers(0, 100, count)
    rates = data.draw(st.tuples(st.floats(0.001, 0.02), st.floats(0, 0.02)))
    assert blocks.run(order, *rates) == twin.run(order, *rates) == -1
    assert_same(blocks, twin)
    if network.dtype == np.float64:
        assert blocks.totals[1] == twin.totals[1]


@settings(max_examples=20, deadline=None)
@given(networks(("float64",)), st.integers(0, 100))
def test_where_a_run_is_cut_changes_rounding_alone(network, cut):
    data = images_for(network, 100, np.random.default_rng(1))
    whole, _ = both(network, data, "squared")
    parts, _ = both(network, data, "squared")
    order = np.arange(100)
    whole.run(order, 0.02, 0.01)
    middle = 0.02 - 0.01 * cut / 100
    parts.run(order[:cut], 0.02, middle)
    parts.run(order[cut:], middle, 0.01)
    assert_same(parts, whole)


@pytest.mark.parametrize("hidden", ["identity", "relu"])
@pytest.mark.parametrize("place", [0, 5, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
def test_divergence_is_told_at_its_image(place, hidden):
    """An image of enormous numbers gives answers of which the loss is too large, wherever in a block it stands."""
    network = Network.create([12, 8, 3], activation=[hidden, "identity"], rng=1, dtype="float64")
    inputs, labels = images_for(network, 3 * BLOCK, np.random.default_rng(0))
    inputs[place] = 1e200
    blocks, twin = both(network, (inputs, labels), "squared")
    order = np.arange(len(inputs))
    assert blocks.run(order, 0.01, 0.01) == twin.run(order, 0.01, 0.01) == place


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_whose_exponentials_overflow_are_learned_from(dtype):
    rng = np.random.default_rng(3)
    network = Network((Layer(rng.normal(0, 2000, (3, 6)), None, activation_named("softmax")),)).astype(dtype)
    blocks, twin = both(network, images_for(network, 20, rng), "squared")
    assert np.abs(network.logits(blocks.inputs)).max() > 1500
    assert blocks.run(np.arange(20), 0.1, 0.1) == twin.run(np.arange(20), 0.1, 0.1) == -1
    for a, b in zip(blocks.snapshot().layers, twin.snapshot().layers, strict=True):
        np.testing.assert_allclose(a.weights, b.weights, rtol=1e-6)


def test_a_dead_node_stays_dead():
    network = Network.create([12, 8, 3], biases=True, rng=1, dtype="float64").without_nodes([2, 5])
    blocks, twin = both(network, images_for(network, 150, np.random.default_rng(0)), "squared")
    assert blocks.run(np.arange(150), 0.1, 0.1) == twin.run(np.arange(150), 0.1, 0.1) == -1
    assert_same(blocks, twin)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_written_into_another_training_goes_on_to_the_same_bytes(dtype):
    network = Network.create([12, 8, 5, 3], activation="relu", biases=True, rng=1, dtype=dtype)
    data = images_for(network, 300, np.random.default_rng(0))
    one, _ = both(network, data, "cross-entropy")
    other, _ = both(network, data, "cross-entropy")
    one.run(np.arange(200), 0.02, 0.01)
    kept = {name: values.copy() for name, values in one.state().items()}
    one.run(np.arange(200, 300), 0.01, 0.0)
    for name, values in other.state().items():
        values[...] = kept[name]
    other.run(np.arange(200, 300), 0.01, 0.0)
    for name, values in one.state().items():
        np.testing.assert_array_equal(values, other.state()[name])
    for a, b in zip(one.snapshot().layers, other.snapshot().layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.shifts, b.shifts)


class Watched(BlockTraining):
    """Notes how many threads BLAS may use while a block is learned."""

    def _learn(self, *block):
        self.seen = blas_threads()
        super()._learn(*block)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_has_one_thread_during_a_run_and_no_longer():
    network = Network.create([12, 8, 3], rng=1)
    examples = Examples.of(network, images_for(network, 100, np.random.default_rng(0)))
    watched = Watched(network, examples, "book", targets_for(network, "book"))
    watched.prepare()
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        watched.run(np.arange(100), 0.1, 0.1)
        assert watched.seen == [1] * len(before)
        assert blas_threads() == before


def test_the_kernel_numpy_is_these_blocks():
    network = Network.create([12, 8, 3], rng=1)
    data = images_for(network, 150, np.random.default_rng(0))
    blocks, _ = both(network, data, "book")
    blocks.run(np.arange(150), 0.1, 0.1)
    trained, history = train(network, data, Online(0.1), epochs=1, kernel="numpy")
    assert history.kernel == "numpy"
    for a, b in zip(trained.layers, blocks.snapshot().layers, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_blocks_and_single_steps_agree_on_mnist(activation, dtype, mnist):
    scaling = Scaling.book() if activation == "sigmoid" else Scaling.unit()
    network = Network.create(
        [784, 200, 10], activation=activation, biases=activation == "relu", rng=2, dtype=dtype,
        input_shape=(28, 28), scaling=scaling,
    )  # fmt: skip
    few = SimpleNamespace(images=mnist.train.images[:400], labels=mnist.train.labels[:400])
    blocks, twin = both(network, few, "book" if activation == "sigmoid" else "cross-entropy")
    order = np.random.default_rng(0).permutation(400)
    assert blocks.run(order, 0.05, 0.01) == twin.run(order, 0.05, 0.01) == -1
    assert_same(blocks, twin)
    assert blocks.totals[1] == pytest.approx(twin.totals[1], abs=1)
