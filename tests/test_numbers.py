"""The numbers themselves: every derivative against finite differences, every way of computing against the others.

Finite differences are central, in float64, with a step of 1e-6: they are off by its square from the curvature and
by 1e-16 over it from rounding. All weights are random, so that no kink of a ReLU is met.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.numbers import BOUNDS, PEERS, WORK, apart, learned
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backquery import FullBatch, MiniBatch, Network, Online, train
from backquery.evidence.sensitivity import Question
from backquery.inversion import Ascent, confidence, hidden_node
from backquery.inversion.ascent import _uphill
from backquery.inversion.readouts import Readout, readout_for
from backquery.model import ACTIVATIONS, SOFTMAX, Layer, Layout, Model, activation_named
from backquery.training import LOSSES
from backquery.training.gradients import loss_of
from backquery.training.recipes import Loss, Recipe, target_values
from tests.inversion.conftest import Opaque
from tests.needs import needs
from tests.reference import training as twin
from tests.reference.inversion import finite_differences, total_variation

Array = NDArray[np.float64]

WITHIN = 1e-6
"""How far a derivative may be from finite differences, in float64."""

HIDDEN = [*(name for name in ACTIVATIONS if name != "softmax"), "leaky-relu:0.3"]
OUTPUTS = [*HIDDEN, "softmax"]
DEPTHS = (1, 2, 3)
SIZES = (5, 4, 6, 3)

WAYS: dict[str, tuple[Callable[[Loss], Recipe], str]] = {
    "sparse kernel": (lambda loss: Online(1.0, loss), "sparse"),
    "dense kernel": (lambda loss: Online(1.0, loss), "dense"),
    "NumPy": (lambda loss: Online(1.0, loss), "numpy"),
    "a batch": (lambda loss: MiniBatch(1.0, loss, batch_size=1, optimizer="momentum"), "auto"),
    "all at once": (lambda loss: FullBatch(1.0, loss), "auto"),
}


def network_of(hidden: str, output: str, depth: int, sizes: tuple[int, ...] = SIZES) -> Network:
    """Layers with random weights and biases: one, two or three."""
    rng, nodes = np.random.default_rng(depth), [*sizes[:depth], sizes[-1]]
    names = [hidden] * (depth - 1) + [output]
    layers = [
        Layer(rng.normal(0, 0.5, (after, before)), rng.normal(0, 0.3, after), activation_named(name))
        for before, after, name in zip(nodes, nodes[1:], names, strict=False)
    ]
    return Network(tuple(layers))


def chains() -> Iterator[tuple[str, str, int]]:
    """Every activation of hidden layers with every one of outputs, in every depth."""
    for depth, output in product(DEPTHS, OUTPUTS):
        yield from ((hidden, output, depth) for hidden in (HIDDEN if depth > 1 else HIDDEN[:1]))


def trainings() -> Iterator[tuple[str, str, int, Loss]]:
    """The same with every loss that is defined for such outputs."""
    for hidden, output, depth in chains():
        for loss in LOSSES if output in ("sigmoid", "softmax") else LOSSES[:2]:
            yield hidden, output, depth, loss


def parameters(network: Network) -> Array:
    return np.concatenate([part.ravel() for layer in network.layers for part in (layer.weights, layer.shifts)])


def with_parameters(network: Network, values: Array) -> Network:
    layers, place = [], 0
    for layer in network.layers:
        weights = values[place : place + layer.weights.size].reshape(layer.weights.shape)
        place += layer.weights.size
        layers.append(replace(layer, weights=weights, biases=values[place : place + layer.outputs]))
        place += layer.outputs
    return Network(tuple(layers))


IMAGE, LABEL = np.random.default_rng(5).uniform(0.1, 1, (1, SIZES[0])), np.array([1])


def wanted_step(network: Network, loss: Loss) -> Array:
    """What one step at the rate 1 changes: minus the gradient or, of the book's rule, what its formula says."""
    low, high = target_values(network, loss)
    if loss == "book":
        weights, biases = twin.train(network, IMAGE, LABEL, [1.0], loss, low, high)
        layers = zip(network.layers, weights, biases, strict=True)
        after = Network(tuple(replace(layer, weights=w, biases=b) for layer, w, b in layers))
        return parameters(after) - parameters(network)
    targets = np.where(np.arange(network.outputs) == LABEL[:, None], high, low)

    def lost(values: Array) -> Array:
        answers = with_parameters(network, values).query(IMAGE)
        return np.array([loss_of(network.output_activation, loss, answers, targets)])

    return -finite_differences(lost, parameters(network))[0]


@pytest.mark.parametrize(("hidden", "output", "depth", "loss"), list(trainings()))
def test_every_way_of_training_steps_along_the_gradient(hidden: str, output: str, depth: int, loss: Loss) -> None:
    """Every activation, loss, depth and way; the book's rule, which is no gradient, as it is written."""
    network = network_of(hidden, output, depth)
    wanted = wanted_step(network, loss)
    assert np.abs(wanted).max() > 1e-3
    for recipe, kernel in WAYS.values():
        after, _ = train(network, (IMAGE, LABEL), recipe(loss), epochs=1, rng=1, kernel=kernel)
        np.testing.assert_allclose(parameters(after) - parameters(network), wanted, rtol=0, atol=WITHIN)


def value_of(readout: Readout, row: int) -> Callable[[Array], Array]:
    return lambda one: readout.values(one[None], np.array([row]))[0][0]


@pytest.mark.parametrize(("hidden", "output", "depth"), list(chains()))
def test_every_derivative_that_a_search_follows(hidden: str, output: str, depth: int) -> None:
    """Logits, each output's own log-odds, hidden nodes, and what evidence is measured by, by the inputs."""
    network = network_of(hidden, output, depth, (6, 4, 6, 3))
    rng = np.random.default_rng(3)
    x, deviation, origin = rng.normal(size=(2, 6)), rng.uniform(0.5, 1, 6), rng.normal(size=6)
    slow = np.stack([finite_differences(lambda one: network.logits(one[None])[0], row) for row in x])
    np.testing.assert_allclose(network.logits_and_jacobian(x)[1], slow, rtol=0, atol=WITHIN)
    asked = confidence(network, [0, 1], 0.9) if output in ("sigmoid", "tanh", "softmax") else None
    maps = np.eye(3) if asked is None else asked.maps
    models: list[Model] = [network, Opaque(network)]
    layers: list[int | None] = [None, *range(1, depth)]
    for model, layer, own in product(models, layers, (False, True)):
        if layer is not None and (own or model is not network):
            continue
        chosen = maps if layer is None else hidden_node(network, layer, [0, 1], 1.0).maps
        readout = readout_for(model, layer, chosen, origin, deviation, own and output == SOFTMAX.name)
        _, kept = readout.values(x, np.arange(2))
        for row, jacobian in enumerate(readout.jacobian(kept, np.arange(2))):
            slow = finite_differences(value_of(readout, row), x[row])
            np.testing.assert_allclose(jacobian, slow, rtol=0, atol=WITHIN)
    question = Question((0, 1))
    slow = finite_differences(lambda one: question.log_odds(network, one[None]), x[0])
    np.testing.assert_allclose(question.gradients(network, x[:1]), slow, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("output", ["sigmoid", "tanh", "softmax"])
def test_an_ascent_climbs_along_the_slope_of_what_it_climbs(output: str) -> None:
    network, layout, method = network_of("tanh", output, 2, (16, 5, 3, 3)), Layout(4, 4), Ascent()
    maps = _uphill(confidence(network, [1], 0.9), network.outputs)
    readout = readout_for(network, None, maps, np.zeros(16), np.ones(16))
    ink = np.random.default_rng(0).uniform(0.2, 0.8, (1, 16))

    def height(one: Array) -> Array:
        calm = method.total_variation * total_variation(one.reshape(4, 4)) + method.l2 * np.sum(one**2)
        return value_of(readout, 0)(one) - calm

    slope = method._slope(readout, ink, layout)
    np.testing.assert_allclose(slope, finite_differences(height, ink[0]), rtol=0, atol=WITHIN)


def torch_chain(hidden: str, output: str, depth: int) -> Any:
    """The layers of `network_of` as PyTorch has them, in float64, without the activation of the outputs."""
    import torch

    made = {
        "sigmoid": torch.nn.Sigmoid,
        "tanh": torch.nn.Tanh,
        "relu": torch.nn.ReLU,
        "identity": torch.nn.Identity,
    }
    modules: list[Any] = []
    for layer in network_of(hidden, output, depth, (6, 4, 6, 3)).layers:
        linear = torch.nn.Linear(layer.inputs, layer.outputs, dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(layer.weights), torch.tensor(layer.shifts)
        leak = activation_named(hidden).leak
        modules += [linear, torch.nn.LeakyReLU(leak) if leak and hidden != "relu" else made[hidden]()]
    return torch.nn.Sequential(*modules[:-1])


@pytest.mark.needs("torch")
@pytest.mark.parametrize(("hidden", "depth"), list(product(HIDDEN, DEPTHS)))
def test_pytorch_s_derivatives_are_ours_and_those_of_finite_differences(hidden: str, depth: int) -> None:
    from backquery import from_torch

    model = from_torch(torch_chain(hidden, "identity", depth), input_shape=(6,))
    ours = network_of(hidden, "softmax", depth, (6, 4, 6, 3))
    x = np.random.default_rng(3).normal(size=(2, 6))
    jacobian = model.logits_and_jacobian(x)[1]
    slow = np.stack([finite_differences(lambda one: model.logits(one[None])[0], row) for row in x])
    np.testing.assert_allclose(jacobian, slow, rtol=0, atol=WITHIN)
    np.testing.assert_allclose(jacobian, ours.logits_and_jacobian(x)[1], rtol=0, atol=1e-12)


def of_keras(folder: Path) -> Model:
    needs("keras", "h5py", "torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    from backquery import load_model

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((6, 6, 1)), layers.Conv2D(3, 3, activation="elu"), layers.AveragePooling2D(2),
            layers.Flatten(), layers.Dense(4, activation="gelu"), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    model.save(folder / "m.keras")
    return load_model(folder / "m.keras")


def of_onnx(folder: Path) -> Model:
    needs("onnx", "onnxruntime", "torch")
    import torch

    from backquery import load_model

    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3),
        torch.nn.SiLU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(12, 3),
    )
    torch.onnx.export(module, torch.zeros(1, 1, 6, 6), folder / "m.onnx", dynamo=False)
    return load_model(folder / "m.onnx")


def of_torch(folder: Path) -> Model:
    needs("torch")
    import torch

    from backquery import from_torch

    torch.manual_seed(1)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.GELU(), torch.nn.AvgPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(12, 3),
    )  # fmt: skip
    return from_torch(module.eval(), input_shape=(6, 6))


@pytest.mark.parametrize("opened", [of_torch, of_keras, of_onnx])
@pytest.mark.filterwarnings("ignore")
def test_models_of_other_programs_give_derivatives_of_their_own_answers(
    opened: Callable[[Path], Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the inputs in input scale, in float64, whatever precision their file has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = opened(tmp_path)
    x = np.random.default_rng(0).uniform(0, 1, (2, 36))
    slow = np.stack([finite_differences(lambda one: model.logits(one[None])[0], row) for row in x])
    np.testing.assert_allclose(model.logits_and_jacobian(x)[1], slow, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("peer", PEERS)
def test_all_ways_of_training_agree_within_what_is_promised(peer: str, dtype: str) -> None:
    """After an epoch on the same images in the same order; bounds as `docs/promises.md` states them."""
    needs(*(["torch"] if peer == "PyTorch" else ["compiled kernels"] if "kernel" in peer else []))
    difference = apart(learned("NumPy", dtype), learned(peer, dtype))
    assert difference <= BOUNDS[dtype]
    assert learned(peer, dtype)[0].dtype == np.dtype(dtype)


@pytest.mark.parametrize("work", ["training by single steps", "the same by NumPy"])
def test_single_steps_are_the_same_bytes_by_any_number_of_threads(work: str) -> None:
    """Batches are not, nor are answers and searches: products of matrices are added up in another order."""
    found = []
    for count in (1, 2):
        with threadpool_limits(count, user_api="blas"):
            found.append(WORK[work]())
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
