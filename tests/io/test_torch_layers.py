"""Layers of PyTorch models by their names: the signals are the module's own, and so are their slopes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

from backquery import back_query, from_torch
from backquery.errors import InversionError, ModelError, TargetError
from backquery.inversion import Ascent, channel, hidden_node
from backquery.inversion.readouts import layer_named
from backquery.model import LayerModel, Network
from backquery.model.statistics import Statistics
from tests.needs import needs
from tests.reference.inversion import finite_differences

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402


class Residual(nn.Module):
    """One ReLU called twice, in place, and a last layer that is named."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.relu, self.unused = nn.ReLU(inplace=True), nn.Linear(2, 2)
        self.norm, self.last = nn.BatchNorm2d(3), nn.Linear(3 * 4 * 5, 4)

    def forward(self, images):
        hidden = self.relu(self.norm(self.first(images)))
        hidden = self.relu(hidden + self.second(hidden))
        return self.last(hidden.flatten(1))


def residual():
    torch.manual_seed(3)
    module = Residual()
    with torch.no_grad():
        module(torch.randn(32, 1, 4, 5) * 2 + 1)
    return module.eval()


def images(count=3):
    return np.random.default_rng(0).uniform(0, 1, (count, 20))


def by_hand(module, x):
    """The signals of each layer, from its own calls in order."""
    module, images = module.double(), torch.tensor(x).reshape(-1, 1, 4, 5)
    with torch.no_grad():
        first = module.first(images)
        hidden = module.norm(first).relu()
        second = module.second(hidden)
        relu = (hidden + second).relu()
    return {
        "first": first.numpy(),
        "second": second.numpy(),
        "relu": relu.numpy(),
        "last": module.last(relu.flatten(1)).detach().numpy(),
    }


def test_signals_are_those_of_the_module_even_where_what_follows_works_in_place():
    model, x = from_torch(residual(), input_shape=(4, 5)), images()
    for name, expected in by_hand(residual(), x).items():
        layer = model.at(name)
        assert isinstance(layer, LayerModel) and layer is model.at(name)
        assert layer.shape == expected.shape[1:] and layer.outputs == expected[0].size
        np.testing.assert_allclose(layer.signals(x), expected, atol=1e-12)
        np.testing.assert_allclose(layer.query(x), expected.reshape(3, -1), atol=1e-12)
        np.testing.assert_allclose(model.quick.at(name).logits(x), layer.logits(x), atol=1e-5)
    assert not any(part._forward_hooks for part in model.module.modules())


def test_all_layers_but_the_last_are_heard_in_one_run_each_time_that_they_are_called():
    model, x = from_torch(residual(), input_shape=(4, 5)), images()
    found = model.hidden_signals(x)
    assert list(found) == ["first", "norm", "relu", "second", "relu, call 2"]
    for name in ("first", "norm", "second"):
        np.testing.assert_array_equal(found[name], model.at(name).signals(x))
    np.testing.assert_array_equal(found["relu, call 2"], model.at("relu").signals(x))
    np.testing.assert_array_equal(found["relu"], np.maximum(found["norm"], 0))


def test_layers_that_reshape_or_drop_say_nothing_new():
    module = nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.Dropout(), nn.Tanh(), nn.Identity(), nn.Linear(6, 2))
    model = from_torch(module.eval(), input_shape=(4, 5))
    assert {name: signals.shape for name, signals in model.hidden_signals(images()).items()} == {
        "1": (3, 6), "3": (3, 6),
    }  # fmt: skip
    assert from_torch(module[:2].eval(), input_shape=(4, 5)).hidden_signals(images()) == {}


@pytest.mark.parametrize("name", ["first", "relu"])
def test_products_with_a_layer_s_jacobian_are_those_of_finite_differences(name):
    layer, x = from_torch(residual(), input_shape=(4, 5)).at(name), images(2)
    vectors = np.random.default_rng(1).normal(size=(2, 3, layer.outputs))
    values, products = layer.logits_and_products(x, vectors)
    np.testing.assert_allclose(values, layer.logits(x), atol=1e-12)
    for row in range(2):
        slopes = finite_differences(lambda one: layer.logits(one[None])[0], x[row])
        np.testing.assert_allclose(products[row], vectors[row] @ slopes, atol=1e-6)


def test_layers_behind_a_removed_softmax_keep_their_names():
    torch.manual_seed(0)
    inner = nn.Sequential(OrderedDict(scores=nn.Linear(6, 3), answers=nn.Softmax(1)))
    module = nn.Sequential(OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(20, 6), bend=nn.Tanh(), head=inner))
    model = from_torch(module, input_shape=(4, 5), outputs="probabilities")
    assert model.bare
    with torch.no_grad():
        scores = inner[0](module[:3](torch.tensor(images()).float())).numpy()
    np.testing.assert_allclose(model.at("head.scores").signals(images()), scores, atol=1e-5)
    assert model.at("hidden").shape == (6,)


def test_statistics_go_along_without_typical_answers():
    kept = Statistics(np.full(20, 0.5), np.zeros((20, 1)), np.ones(20), np.zeros((4, 4)))
    model = replace(from_torch(residual(), input_shape=(4, 5)), statistics=kept)
    assert model.at("first").statistics.typical is None
    assert model.at("first").statistics.mean is kept.mean


def test_a_name_that_is_not_there_is_answered_with_all_names():
    model = from_torch(residual(), input_shape=(4, 5))
    with pytest.raises(ModelError, match="no layer 'third'; its layers are first, second, relu, unused, norm"):
        model.at("third")
    with pytest.raises(ModelError, match="'unused' takes no part"):
        model.at("unused")


def test_layers_that_give_no_signals_for_each_image_are_refused():
    class Counting(nn.Module):
        def forward(self, scores):
            return scores.argmax(1)

    class Sorting(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.dense, self.label = nn.Flatten(), nn.Linear(20, 3), Counting()

        def forward(self, images):
            scores = self.dense(self.flat(images))
            self.label(scores)
            return scores

    model = from_torch(Sorting(), input_shape=(4, 5))
    with pytest.raises(ModelError, match=r"'label' must give numbers of shape \(n, ...\)"):
        model.at("label")


@pytest.mark.parametrize("prior", ["smooth", "natural"])
def test_a_node_and_a_channel_give_the_signals_asked_for(prior):
    model = from_torch(residual(), input_shape=(4, 5))
    usual = model.at("second").signals(images(200))
    node = hidden_node(model, "second", [7, 44], usual.reshape(200, -1)[5, [7, 44]])
    found = back_query(model, node, method="gauss-newton", prior=prior)
    assert found.outcome == ("converged",) * 2
    np.testing.assert_allclose(
        model.at("second").logits(found.images)[[0, 1], [7, 44]], node.values[:, 0], atol=2e-3
    )
    everywhere = channel(model, "second", [0, 2], usual[5].mean(axis=(1, 2))[[0, 2]])
    found = back_query(model, everywhere, method="gauss-newton", prior=prior)
    means = model.at("second").signals(found.images).mean(axis=(2, 3))
    assert found.read_as_asked.all()
    np.testing.assert_allclose(means[[0, 1], [0, 2]], everywhere.values[:, 0], atol=2e-3)
    place = channel(model, "second", 1, float(usual[5, 1, 2, 3]), place=(2, 3))
    found = back_query(model, place, method="gauss-newton", prior=prior)
    np.testing.assert_allclose(model.at("second").signals(found.images)[0, 1, 2, 3], place.values[0, 0], atol=2e-3)
    assert place.question == "channels of layer second at (2, 3)"


def test_ascent_climbs_a_channel():
    model = from_torch(residual(), input_shape=(4, 5))
    found = back_query(model, channel(model, "second", 1, 100.0), method=Ascent(total_variation=0, l2=0, jitter=0))
    start = model.at("second").signals(images(20)).mean(axis=(2, 3))[:, 1].max()
    assert model.at("second").signals(found.images).mean(axis=(2, 3))[0, 1] > start


def test_what_cannot_be_asked_of_a_layer_is_said():
    model, network = from_torch(residual(), input_shape=(4, 5)), Network.create([20, 3, 2], rng=0)
    for refused, error, message in (
        (lambda: channel(model, "last", 0, 1.0), TargetError, r"'last' gives \(4,\)"),
        (lambda: channel(model, "first", 3, 1.0), TargetError, "channels of layer 'first' are numbered 0 to 2"),
        (lambda: channel(model, "first", 0, 1.0, place=(4, 0)), TargetError, "numbered 0 to 3; received 4"),
        (lambda: channel(model, "first", 0, np.inf), TargetError, "must be finite"),
        (lambda: hidden_node(model, "first", 60, 1.0), TargetError, "numbered 0 to 59"),
        (lambda: hidden_node(model, 1, 0, 1.0), TargetError, "have names"),
        (lambda: layer_named(network, "first"), InversionError, "its hidden layers are numbered 1 to 1"),
    ):
        with pytest.raises(error, match=message):
            refused()
