"""Activations, layers, networks, scaling: what must always hold."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import Layer, Network, Scaling, Statistics
from backquery.errors import DataError, ModelError
from backquery.model.activations import (
    ACTIVATIONS,
    LEAKY_RELU,
    RELU,
    SOFTMAX,
    activation_named,
    leaky_relu,
    rounded_slope,
)  # fmt: skip
from tests.reference import training as twin

NAMES = [*sorted(ACTIVATIONS), "leaky-relu:0.2", "leaky-relu:1.5"]
ELEMENTWISE = [name for name in NAMES if name != "softmax"]
POINTS = np.array([[-3.0, -0.7, 0.2, 1.1, 4.0]])


def network(sizes=(6, 5, 4), activation="tanh", **settings):
    return Network.create(sizes, activation=activation, biases=True, rng=1, dtype="float64", **settings)


def test_a_misspelt_setting_is_named_with_those_that_there_are():
    with pytest.raises(
        TypeError, match=r"create\(\) takes no activations; choose from activation, biases, .*classes"
    ):
        Network.create([4, 2], activations="relu")
    assert Network.create([4, 2], about={"recipe": "none"}).about == {"recipe": "none"}


@pytest.mark.parametrize("name", NAMES)
def test_functions_match_their_formulas(name):
    np.testing.assert_allclose(
        activation_named(name).function(POINTS)[0], twin.activate(name, POINTS[0]), rtol=1e-12
    )
    np.testing.assert_allclose(
        activation_named(name).derivative(POINTS)[0], twin.slope(name, POINTS[0]), rtol=1e-9
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_match_central_differences(name):
    """A step of 1e-6 balances rounding (1e-16 / h) against the curve (h^2)."""
    f, h = activation_named(name), 1e-6
    slow = (f.function(POINTS + h) - f.function(POINTS - h)) / (2 * h)
    np.testing.assert_allclose(f.derivative(POINTS), slow, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if activation_named(name).inverse is not None])
def test_inverses_undo_their_functions(name):
    f = activation_named(name)
    answers = f.function(POINTS)
    assert f.contains(answers)
    np.testing.assert_allclose(f.function(f.inverse(answers)), answers, rtol=1e-9)
    np.testing.assert_array_equal(f.inverse(answers[0]), f.inverse(answers)[0])
    if name != "softmax":
        np.testing.assert_allclose(f.inverse(answers), POINTS, rtol=1e-9)
    else:
        np.testing.assert_allclose(f.inverse(answers), POINTS - POINTS.mean(), rtol=1e-9)


def test_of_all_functions_relu_alone_has_no_inverse():
    assert [name for name in NAMES if activation_named(name).inverse is None] == ["relu"]


@pytest.mark.parametrize("name", NAMES)
def test_answers_come_near_the_ends_of_the_range_and_never_leave_it(name):
    f, far = activation_named(name), np.linspace(-30, 30, 601)
    answers = f.function(np.stack([far, -far], axis=1))
    for end, reached in ((f.low, answers.min()), (f.high, answers.max())):
        assert reached == pytest.approx(end, abs=1e-12) if np.isfinite(end) else abs(reached) > 0.29
    assert f.low <= answers.min() and answers.max() <= f.high
    assert f.bounded == (name in ("sigmoid", "tanh", "softmax"))


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2, 0.3, 1, 1.5])
def test_a_leaky_relu_of_a_slope_is_always_the_same(slope):
    activation = leaky_relu(slope)
    for again in (leaky_relu(slope), activation_named(activation.name), copy.copy(activation),
                  copy.deepcopy(activation), pickle.loads(pickle.dumps(activation))):  # fmt: skip
        assert again is activation
    assert activation.leak == slope
    assert activation.function(np.array([-2.0, 2.0])).tolist() == [-2 * slope, 2.0]


def test_the_usual_slopes_keep_their_names():
    assert leaky_relu(0.01) is LEAKY_RELU and leaky_relu(0) is RELU and leaky_relu(-0.0) is RELU
    assert leaky_relu(0.2).name == "leaky-relu:0.2"
    assert rounded_slope(float(np.float32(0.01))) == 0.01 and rounded_slope(1 / 3) == 1 / 3


@pytest.mark.parametrize("name", ["leaky-relu:-0.1", "leaky-relu:nan", "leaky-relu:inf"])
def test_slopes_whose_output_does_not_tell_their_derivative_are_refused(name):
    with pytest.raises(ModelError, match="needs a slope of 0 or more"):
        activation_named(name)


@pytest.mark.parametrize("name", ["leaky-relu:", "leaky-relu:steep", "relu:0.2", "leaky"])
def test_unknown_names_are_answered_with_those_there_are(name):
    with pytest.raises(ModelError, match=r"unknown activation .* such as leaky-relu:0.2"):
        activation_named(name)


def test_extreme_signals_stay_finite():
    extreme = np.array([[-1e4, 0.0, 1e4]])
    for name in NAMES:
        assert np.all(np.isfinite(activation_named(name).function(extreme))), name


def test_the_forward_pass_is_the_formula():
    net = network((6, 5, 4, 3), ["tanh", "leaky-relu", "softmax"])
    x = np.random.default_rng(0).normal(size=(3, 6))
    weights, biases = [layer.weights for layer in net.layers], [layer.biases for layer in net.layers]
    for row, answer in zip(x, net.query(x), strict=True):
        _, signals = twin.forward(weights, biases, ["tanh", "leaky-relu", "softmax"], row)
        np.testing.assert_allclose(answer, signals[-1], rtol=1e-12)
    np.testing.assert_allclose(net.query(x[0]), net.query(x)[0])


@pytest.mark.parametrize(
    "activation",
    [["tanh", "sigmoid"], ["relu", "softmax"], ["leaky-relu", "tanh"], ["leaky-relu:0.3", "tanh"], "identity"],
)
def test_logits_and_their_jacobian(activation):
    """Central differences in float64, step 1e-6; ReLU's kinks are not met by these inputs."""
    net = network(activation=activation)
    x = np.random.default_rng(2).normal(size=(2, 6))
    logits, jacobian = net.logits_and_jacobian(x)
    np.testing.assert_allclose(logits, net.logits(x))
    np.testing.assert_allclose(net.output_activation.function(logits), net.query(x), rtol=1e-9)
    for pixel in range(6):
        step = np.eye(6)[pixel] * 1e-6
        slow = (net.logits(x + step) - net.logits(x - step)) / 2e-6
        np.testing.assert_allclose(jacobian[:, :, pixel], slow, atol=1e-8)
    if net.output_activation is SOFTMAX:
        np.testing.assert_allclose(logits.sum(axis=1), 0, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_permuting_hidden_nodes_changes_nothing(seed, sizes):
    rng = np.random.default_rng(seed)
    net = Network.create(sizes, activation="tanh", biases=True, rng=seed, dtype="float64")
    layers = list(net.layers)
    for place in range(len(layers) - 1):
        order = rng.permutation(layers[place].outputs)
        here, after = layers[place], layers[place + 1]
        layers[place] = Layer(here.weights[order], here.biases[order], here.activation)
        layers[place + 1] = Layer(after.weights[:, order], after.biases, after.activation)
    x = rng.normal(size=(4, sizes[0]))
    np.testing.assert_allclose(replace(net, layers=tuple(layers)).query(x), net.query(x), atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["sigmoid", "relu"]), st.data())
def test_a_network_without_nodes_is_one_built_without_them(seed, activation, data):
    """The nodes' rows and columns are cut out of the weights: nothing of them is left, forwards."""
    rng = np.random.default_rng(seed)
    net = Network.create([5, 6, 4, 3], activation=activation, biases=True, rng=rng, dtype="float64")
    net = replace(net, layers=tuple(replace(layer, biases=rng.normal(size=layer.outputs)) for layer in net.layers))
    place = data.draw(st.integers(1, 2))
    gone = data.draw(st.lists(st.integers(0, net.sizes[place] - 1), max_size=net.sizes[place] - 1))
    layers = list(net.layers)
    before, after = layers[place - 1 : place + 1]
    layers[place - 1] = Layer(
        np.delete(before.weights, gone, 0), np.delete(before.biases, gone), before.activation
    )
    layers[place] = Layer(np.delete(after.weights, gone, 1), after.biases, after.activation)
    x = rng.normal(size=(7, 5))
    damaged = net.without_nodes(np.array(gone, int), layer=place)
    np.testing.assert_allclose(damaged.query(x), Network(tuple(layers)).query(x), atol=1e-12)


def test_removals_follow_one_another_and_are_told():
    net = replace(network((6, 5, 4, 3)), about={"seed": 1, "performance": 0.9, "test_images": 10})
    damaged = net.without_nodes([4, 0]).without_nodes([1, 0]).without_nodes(2, layer=2)
    assert damaged.about == {"seed": 1, "removed_nodes": {"1": [0, 1, 4], "2": [2]}}
    assert damaged.sizes == net.sizes
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_allclose(damaged.query(x), net.without_nodes([0, 1, 4]).without_nodes([2], 2).query(x))
    assert net.without_nodes([]) is net
    assert net.about["performance"] == 0.9


def test_a_network_without_any_hidden_node_answers_its_biases_to_everything():
    net = network((6, 5, 4))
    net = replace(net, layers=(net.layers[0], replace(net.layers[1], biases=np.arange(4.0))))
    answers = net.without_nodes(range(5)).logits(np.random.default_rng(0).normal(size=(3, 6)))
    np.testing.assert_array_equal(answers, [[0, 1, 2, 3]] * 3)


@pytest.mark.parametrize(
    ("nodes", "layer", "message"),
    [
        ([0], 0, "hidden layers are numbered 1 to 1; received 0"),
        ([0], 2, "hidden layers are numbered 1 to 1; received 2"),
        ([5], 1, r"numbered 0 to 4; received \[5\]"),
        ([-1], 1, "numbered 0 to 4"),
        ([True] * 5, 1, "numbered 0 to 4"),
        ([0.5], 1, "numbered 0 to 4"),
    ],
)
def test_nodes_that_there_are_not_cannot_be_removed(nodes, layer, message):
    with pytest.raises(ModelError, match=message):
        network((6, 5, 4)).without_nodes(nodes, layer=layer)


def test_the_same_seed_gives_the_same_weights_and_inits_have_their_authors_spread():
    a, b, c = (Network.create([300, 200, 10], rng=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(a.layers[0].weights, b.layers[0].weights)
    assert not np.array_equal(a.layers[0].weights, c.layers[0].weights)
    assert a.dtype == np.float32
    spread = {
        init: Network.create([300, 200, 10], init=init, rng=1).layers[0].weights.std()
        for init in ("book", "glorot", "he")
    }
    assert spread["book"] == pytest.approx(200**-0.5, rel=0.02)
    assert spread["glorot"] == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert spread["he"] == pytest.approx((2 / 300) ** 0.5, rel=0.02)


def test_networks_are_frozen_values():
    weights = np.ones((2, 3))
    layer = Layer(weights, None, ACTIVATIONS["tanh"])
    weights[0, 0] = 5
    assert layer.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0] = 2
    with pytest.raises(AttributeError):
        layer.weights = weights


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network.create([784, 0, 10]), "positive numbers of nodes"),
        (lambda: Network.create([784]), "two or more"),
        (lambda: Network.create([4, 3], activation="softplus"), "choose one of"),
        (lambda: Network.create([4, 3, 2], activation=["tanh"]), "as many activations"),
        (lambda: Network.create([4, 3, 2], activation="softmax"), "output layer only"),
        (lambda: Network.create([4, 3, 2], activation=["softmax", "tanh"]), "output layer only"),
        (lambda: Network.create([4, 3, 2], init="lecun"), "unknown init"),
        (lambda: Network(()), "at least one layer"),
        (lambda: Layer(np.ones(3), None, SOFTMAX), "matrix"),
        (lambda: Layer(np.ones((2, 3)), np.ones(3), SOFTMAX), "vector of 2 numbers"),
        (lambda: Network((*network((6, 5)).layers, *network((4, 3)).layers)), "gives 5 signals"),
        (lambda: Network((*network((6, 5)).layers, *network((5, 3)).astype("float32").layers)), "the same dtype"),
        (lambda: network(input_shape=(2, 2)), "does not make 6 inputs"),
        (lambda: network(classes=("a", "b")), "as many class names"),
        (lambda: network(classes=("a", "a", "b", "c")), "differ"),
        (lambda: network(scaling=Scaling(np.ones(3), 0.0)), "as many numbers"),
        (lambda: network(statistics=Statistics(np.zeros(3), np.zeros((3, 1)), np.ones(3))), "another size"),
        (lambda: Statistics(np.zeros(3), np.zeros((3, 1)), np.zeros(3)), "positive"),
        (lambda: Scaling(float("nan"), 0.0), "finite"),
    ],
)
def test_what_makes_no_network_is_one_clear_error(make, message):
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda net: net.query(np.zeros(5)), "6 inputs"),
        (lambda net: net.query([[np.nan] * 6]), "finite"),
        (lambda net: net.query([["a"] * 6]), "numbers"),
        (lambda net: net.query_images(np.full((1, 6), 256)), "between 0 and 255"),
        (lambda net: net.query_images(np.zeros((1, 7))), "images of shape"),
        (lambda net: net.label("seven"), "unknown label"),
        (lambda net: net.label(4), "unknown label"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_error(ask, message):
    with pytest.raises(DataError, match=message):
        ask(network(scaling=Scaling.book()))


def test_labels_are_known_by_name_and_by_number():
    net = network(classes=("cat", "dog", "7", "3"))
    assert [net.label("dog"), net.label(1), net.label("3"), net.label(3)] == [1, 1, 3, 3]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["book", "unit", "standardised"]))
def test_ink_undoes_the_scaling(seed, kind):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 17, (5, 2, 3))
    images[0, 0, 0], images[1, 0, 0] = 0, 16
    scaling = Scaling.standardised(images, 16) if kind == "standardised" else getattr(Scaling, kind)(16)
    inputs = scaling.apply(images)
    np.testing.assert_allclose(scaling.ink(inputs), images.reshape(5, 6) / 16, atol=1e-12)
    if kind == "standardised":
        np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-12)


def test_the_book_s_scale_is_the_book_s():
    np.testing.assert_allclose(Scaling.book().apply([[0, 51, 255]]), [[0.01, 51 / 255 * 0.99 + 0.01, 1.0]])


def test_hidden_signals_are_those_between_inputs_and_answers():
    network = Network.create([6, 5, 4, 3], rng=0)
    inputs = np.random.default_rng(0).uniform(0, 1, (2, 6))
    found = network.hidden_signals(inputs)
    assert list(found) == ["layer 1", "layer 2"]
    for signals, expected in zip(found.values(), network.signals(inputs)[1:-1], strict=True):
        np.testing.assert_array_equal(signals, expected)
