"""PyTorch models: answers and slopes are the module's own, and the module stays as it was."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backquery import Network, Scaling, back_query, evaluate, from_torch, network_from_torch, network_to_torch
from backquery.datasets import Split
from backquery.errors import DataError, MissingExtraError, ModelError
from backquery.inversion import GaussNewton, fit_statistics
from backquery.model import Model
from backquery.model.activations import ACTIVATIONS, LEAKY_RELU, SOFTMAX
from backquery.model.statistics import Statistics
from tests.needs import needs

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def convolutional(outputs=3):
    """Everything that behaves otherwise in training: batch norm that has seen data, and dropout."""
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 3 * 4, outputs),
    )  # fmt: skip
    with torch.no_grad():
        module(torch.randn(64, 1, 6, 8) * 3 + 1)
    return module


def images(count=5, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (count, 48))


def own_answers(module, x, shape=(1, 6, 8)):
    module = deepcopy(module).double().eval()
    with torch.no_grad():
        return module(torch.tensor(x).reshape(-1, *shape)).numpy()


def dense(*parts, inputs=48):
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 7), *parts)


@pytest.mark.parametrize("device", DEVICES)
def test_answers_and_log_odds_are_those_of_the_module(device):
    module = convolutional().to(device)
    model = from_torch(module, input_shape=(6, 8), classes=("a", "b", "c"))
    scores = own_answers(deepcopy(module).cpu(), images())
    assert isinstance(model, Model)
    assert (model.inputs, model.outputs, model.classes) == (48, 3, ("a", "b", "c"))
    np.testing.assert_allclose(model.logits(images()), scores - scores.mean(axis=1, keepdims=True), atol=1e-10)
    np.testing.assert_allclose(model.query(images()), SOFTMAX.function(scores), atol=1e-10)
    np.testing.assert_allclose(model.query(images()[0]), model.query(images())[0], atol=1e-12)
    assert model.logits(np.zeros((0, 48))).shape == (0, 3)


@pytest.mark.parametrize("device", DEVICES)
def test_the_jacobian_is_that_of_finite_differences(device):
    model = from_torch(convolutional().to(device), input_shape=(6, 8))
    x, step = images(3), 1e-6  # the error is step^2 and 1e-16 / step; smaller steps cross fewer kinks of ReLU
    values, jacobian = model.logits_and_jacobian(x)
    np.testing.assert_allclose(values, model.logits(x), atol=1e-12)
    for pixel in range(48):
        shift = np.zeros(48)
        shift[pixel] = step
        slope = (model.logits(x + shift) - model.logits(x - shift)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, pixel], slope, atol=1e-7)


@pytest.mark.parametrize("device", DEVICES)
def test_products_with_the_jacobian_need_no_jacobian(device):
    model = from_torch(convolutional().to(device), input_shape=(6, 8))
    rng, x = np.random.default_rng(0), images(40)
    own, shared = rng.normal(size=(40, 2, 3)), rng.normal(size=(1, 5, 3))
    logits, jacobian = model.logits_and_jacobian(x)
    for vectors in (own, shared):
        values, products = model.logits_and_products(x, vectors)
        np.testing.assert_allclose(values, logits, atol=1e-12)
        np.testing.assert_allclose(products, vectors @ jacobian, atol=1e-12)
    assert model.logits_and_products(x[:0], shared)[1].shape == (0, 5, 48)


def test_the_quick_twin_is_the_same_model_in_float32():
    model = from_torch(convolutional(), input_shape=(6, 8))
    assert model.quick.dtype == "float32" and model.quick is model.quick
    assert model.quick.quick is model.quick
    np.testing.assert_allclose(model.quick.logits(images()), model.logits(images()), atol=1e-4)
    assert next(model.module.parameters()).dtype == torch.float64


class Doubled(nn.Module):
    """A module that works in double precision alone."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x):
        weights = torch.linspace(-1, 1, 144, dtype=torch.float64).reshape(48, 3)
        return self.gain * x.flatten(1) @ weights


def test_a_module_that_insists_on_float64_has_no_quick_twin():
    model = from_torch(Doubled(), input_shape=(6, 8))
    assert model.quick is model
    scans = back_query(model, model.query(images(3)), method="gauss-newton", prior="flat")
    assert scans.converged.all()


def test_many_images_go_through_in_pieces_and_come_out_in_order():
    model = from_torch(convolutional(), input_shape=(6, 8))
    x = images(70)
    values, jacobian = model.logits_and_jacobian(x)
    assert jacobian.shape == (70, 3, 48)
    np.testing.assert_allclose(jacobian[69], model.logits_and_jacobian(x[69:])[1][0], atol=1e-12)
    np.testing.assert_allclose(model.logits(images(600))[599:], model.logits(images(600)[599:]), atol=1e-12)
    np.testing.assert_allclose(values, model.logits(x), atol=1e-12)


def test_the_module_and_pytorch_stay_as_they_were():
    module = convolutional()
    module.train()
    module[1].eval()
    module[0].weight.grad = torch.ones_like(module[0].weight)
    before = deepcopy(module.state_dict())
    x = images()
    given_x = x.copy()
    model = from_torch(module, input_shape=(6, 8))
    model.query(x)
    model.logits_and_jacobian(x)
    assert [part.training for part in module] == [True, False, True, True, True, True, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(p.requires_grad and p.dtype == torch.float32 for p in module.parameters())
    assert torch.equal(module[0].weight.grad, torch.ones_like(module[0].weight))
    assert module[6].weight.grad is None
    assert all(p.grad is None for p in model.module.parameters())
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    np.testing.assert_array_equal(x, given_x)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_modes_neither_disturb_nor_change(mode):
    expected = from_torch(convolutional(), input_shape=(6, 8)).logits_and_jacobian(images())
    module = convolutional()
    with mode():
        model = from_torch(module, input_shape=(6, 8))
        found = model.logits_and_jacobian(images())
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_what_the_module_learns_later_is_not_seen():
    module = convolutional()
    model = from_torch(module, input_shape=(6, 8))
    before = model.query(images())
    with torch.no_grad():
        module[6].weight.zero_()
    np.testing.assert_array_equal(model.query(images()), before)


def test_an_in_place_module_does_not_reach_the_callers_images():
    model = from_torch(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 3)), input_shape=(6, 8))
    x = images() - 0.5
    before = x.copy()
    model.logits(x)
    model.logits_and_jacobian(x)
    np.testing.assert_array_equal(x, before)


def test_probabilities_are_taken_back_to_the_same_log_odds():
    scores = convolutional()
    logits = from_torch(scores, input_shape=(6, 8))
    answers = from_torch(nn.Sequential(scores, nn.Softmax(dim=1)), input_shape=(6, 8), outputs="probabilities")
    logarithms = from_torch(nn.Sequential(scores, nn.LogSoftmax(dim=1)), input_shape=(6, 8))
    for other in (answers, logarithms):
        np.testing.assert_allclose(other.logits(images()), logits.logits(images()), atol=1e-9)
        for mine, yours in zip(
            other.logits_and_jacobian(images()), logits.logits_and_jacobian(images()), strict=True
        ):
            np.testing.assert_allclose(mine, yours, atol=1e-9)


@pytest.mark.parametrize("last", [[], [nn.Flatten(0)]])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_one_output_is_the_second_of_two_labels(outputs, last):
    sigmoid = [nn.Sigmoid()] if outputs == "probabilities" else []
    module = dense(nn.Tanh(), nn.Linear(7, 1), *sigmoid, *last)
    model = from_torch(module, input_shape=(6, 8), outputs=outputs)
    z = own_answers(module, images()).ravel()
    expected = z if outputs == "probabilities" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.query(images()), np.stack([1 - expected, expected], axis=1), atol=1e-12)
    assert model.query(images()[:1]).shape == (1, 2)


def test_module_shape_says_how_the_module_takes_an_image():
    flat = nn.Linear(48, 3)
    with pytest.raises(ModelError, match=r"module_shape=, such as \(48,\)"):
        from_torch(flat, input_shape=(6, 8))
    model = from_torch(flat, input_shape=(6, 8), module_shape=(48,))
    scores = own_answers(flat, images(), (48,))
    np.testing.assert_allclose(model.query(images()), SOFTMAX.function(scores), atol=1e-12)


def test_raw_images_and_statistics():
    scaling = Scaling.unit()
    model = from_torch(convolutional(), input_shape=(6, 8), scaling=scaling)
    pixels = np.random.default_rng(3).integers(0, 256, (30, 6, 8), dtype=np.uint8)
    np.testing.assert_allclose(model.query_images(pixels), model.query(pixels.reshape(30, 48) / 255), atol=1e-12)
    knowing = replace(model, statistics=fit_statistics(model, (images(30), np.arange(30) % 3)))
    result = back_query(knowing, range(3))
    assert result.question == "typical"
    assert result.prior == "data"
    assert result.method == "gauss-newton"


def test_gauss_newton_asks_a_convolutional_network():
    model = from_torch(convolutional(), input_shape=(6, 8))
    result = back_query(model, [0, 1, 2], method="gauss-newton", confidence=0.6, bounds=(-3, 3))
    assert result.read.tolist() == [0, 1, 2]
    assert np.all(result.error < 1e-3)


class Noisy(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x.flatten(1)[:, :3], 0.5)


class Single(nn.Module):
    def forward(self, x):
        return x.flatten(1) @ torch.ones(48, 3)


class Detached(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3].detach() * 2


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, slope):
        return 2 * slope


class Handmade(nn.Module):
    def forward(self, x):
        return Doubling.apply(x.flatten(1)[:, :3])


BATCHED = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(), nn.Linear(48, 3))
FEATURES = nn.Conv2d(1, 3, 3)
UNFINISHED = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
with torch.no_grad():
    UNFINISHED[1].bias[0] = torch.nan


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (Noisy(), {}, "noise or dropout that ignores eval"),
        (BATCHED, {}, "batch norm without running statistics"),
        (FEATURES, {}, r"scores of shape \(n, outputs\)"),
        (UNFINISHED, {}, "not all finite"),
        (Detached(), {}, "detach"),
        (Handmade(), {}, "cannot be differentiated with torch.func"),
        (dense(), {"outputs": "probabilities"}, "outputs='logits'"),
        (dense(nn.Sigmoid()), {"outputs": "probabilities"}, "add up to 1"),
        (dense(), {"outputs": "odds"}, "'logits', 'probabilities', 'sigmoids'"),
        (dense(), {"dtype": "float16"}, "'float64' or 'float32'"),
        (dense(), {"classes": ("a", "b")}, "7 outputs need as many class names; received 2"),
        (dense(), {"classes": tuple("aabcdef")}, "must differ"),
        (dense(), {"module_shape": (7, 7)}, "pixels must agree"),
        (dense(), {"statistics": Statistics(np.zeros(9), np.zeros((9, 1)), np.ones(9))}, "another size"),
        (lambda x: x, {}, "takes a torch.nn.Module; received function"),
    ],
)
def test_what_cannot_be_used_is_refused_with_advice(module, options, message):
    with pytest.raises(ModelError, match=message):
        from_torch(module, **{"input_shape": (6, 8), **options})


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.attention(x).mean(dim=1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 5, batch_first=True)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


@pytest.mark.parametrize("kind", [Attending, Recurrent])
def test_other_architectures_have_true_slopes_too(kind):
    torch.manual_seed(3)
    model = from_torch(kind(), input_shape=(6, 8), module_shape=(6, 8))
    x, direction = images(2), np.random.default_rng(1).normal(size=48)
    slope = (model.logits(x + 1e-6 * direction) - model.logits(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(model.logits_and_jacobian(x)[1] @ direction, slope, atol=1e-7)


def test_a_module_that_insists_on_float32_can_have_it():
    with pytest.raises(ModelError, match="dtype='float32'"):
        from_torch(Single(), input_shape=(6, 8)).query(images())
    model = from_torch(Single(), input_shape=(6, 8), dtype="float32")
    values, jacobian = model.logits_and_jacobian(images())
    assert values.dtype == jacobian.dtype == np.float32


def test_inputs_are_checked():
    model = from_torch(convolutional(), input_shape=(6, 8))
    with pytest.raises(DataError, match="takes 48 inputs"):
        model.query(np.zeros((2, 47)))
    with pytest.raises(DataError, match="finite"):
        model.logits_and_jacobian(np.full((2, 48), np.nan))
    with pytest.raises(ModelError, match="give it a scaling"):
        model.scale(np.zeros((2, 6, 8)))


def test_without_pytorch_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'backquery\[torch\]'"):
        from_torch(None, input_shape=(6, 8))


HIDDEN = ["sigmoid", "tanh", "relu", "leaky-relu", "leaky-relu:0.3", "identity"]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    outputs=st.integers(2, 6),
    names=st.lists(st.sampled_from(HIDDEN), min_size=3, max_size=3),
    answer=st.sampled_from(list(ACTIVATIONS)),
    biases=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 999),
)
def test_a_dense_chain_goes_there_and_back(sizes, outputs, names, answer, biases, dtype, seed):
    activations = [*names[: len(sizes) - 1], answer]
    network = Network.create([*sizes, outputs], activation=activations, biases=biases, rng=seed, dtype=dtype)
    module = network_to_torch(network)
    back = network_from_torch(module, outputs="scores", classes=network.classes)
    x = np.random.default_rng(seed).normal(size=(4, sizes[0])).astype(dtype)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(x)).numpy(), network.query(x), atol=1e-6)
    assert back.dtype == network.dtype
    for mine, yours in zip(back.layers, network.layers, strict=True):
        np.testing.assert_array_equal(mine.weights, yours.weights)
        assert mine.activation is yours.activation
        assert (mine.biases is None) == (yours.biases is None)
        assert mine.biases is None or np.array_equal(mine.biases, yours.biases)


def test_a_usual_sequential_becomes_a_network():
    module = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Dropout(0.3)),
        nn.Linear(48, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.BatchNorm1d(9, affine=False),
        nn.Linear(9, 5), nn.Linear(5, 4, bias=False), nn.Identity(),
    )  # fmt: skip
    module(torch.randn(90, 48) * 2 + 1)
    network = network_from_torch(module, input_shape=(6, 8), classes=tuple("abcd"), scaling=Scaling.book())
    scores = own_answers(module, images(), (48,))
    np.testing.assert_allclose(network.query(images()), SOFTMAX.function(scores), atol=1e-6)
    assert network.sizes == (48, 9, 5, 4)
    assert network.classes == tuple("abcd")
    assert module.training
    raw = network_from_torch(module, outputs="scores")
    np.testing.assert_allclose(raw.query(images()), scores, atol=1e-5)


@pytest.mark.parametrize("last", [[], [nn.Sigmoid()]])
def test_one_output_of_a_chain_becomes_two_labels(last):
    module = dense(nn.LeakyReLU(), nn.Linear(7, 1), *last)
    network = network_from_torch(module)
    z = own_answers(module, images())
    p = z if last else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(network.query(images()), np.hstack([1 - p, p]), atol=1e-6)
    assert network.layers[0].activation is LEAKY_RELU


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (convolutional(), r"Conv2d\(.*\) \(0\) cannot be converted"),
        (dense(nn.Sequential(nn.GELU())), r"GELU\(.*\) \(2\.0\) cannot"),
        (dense(nn.LeakyReLU(-0.2)), "negative_slope=-0.2.*a slope of 0 or more"),
        (dense(nn.ReLU(), nn.Tanh()), r"Tanh\(\) \(3\) .* follows no weights"),
        (dense(nn.Softmax(dim=1), nn.Linear(7, 2)), "softmax is for the output layer only"),
        (nn.Sequential(nn.Flatten()), "no weights"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(8, 2)), "Flatten"),
    ],
)
def test_what_is_no_dense_chain_is_named(module, message):
    with pytest.raises(ModelError, match=message):
        network_from_torch(module)


def settled_norms(module):
    """The module after batch norm has seen some data, in evaluation mode."""
    with torch.no_grad():
        module.train()(torch.rand(90, 48) * 2)
    return module.eval()


CHAINS = {
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(48, 9)), nn.Tanh()), nn.Linear(9, 4)),
    "log-softmax": lambda: nn.Sequential(nn.Linear(48, 9), nn.ReLU(), nn.Linear(9, 4), nn.LogSoftmax(dim=-1)),
    "softmax": lambda: nn.Sequential(nn.Linear(48, 4), nn.Softmax(dim=1), nn.Identity()),
    "norms before": lambda: nn.Sequential(nn.BatchNorm1d(48), nn.Linear(48, 9), nn.BatchNorm1d(9), nn.ReLU(),
                                          nn.Linear(9, 4)),
    "norms after": lambda: nn.Sequential(nn.Linear(48, 9), nn.ReLU(), nn.BatchNorm1d(9), nn.Linear(9, 4),
                                         nn.BatchNorm1d(4, 0.5, affine=False)),
    "reshaped": lambda: nn.Sequential(nn.Unflatten(1, (6, 8)), nn.Flatten(1), nn.Linear(48, 9), nn.Sigmoid(),
                                      nn.Unflatten(1, (3, 3)), nn.Flatten(), nn.Linear(9, 4)),
    "dropouts": lambda: nn.Sequential(nn.Dropout(0.3), nn.Linear(48, 9), nn.Dropout1d(0.3), nn.ReLU(),
                                      nn.AlphaDropout(0.3), nn.Linear(9, 4), nn.FeatureAlphaDropout(0.3)),
    "one output in a row": lambda: nn.Sequential(nn.Linear(48, 9), nn.ReLU(), nn.Linear(9, 1), nn.Flatten(0)),
}  # fmt: skip

CHAIN_ROWS = {
    "nested": ("nested `Sequential` of dense layers (PyTorch)", "a `Network`"),
    "log-softmax": ("`LogSoftmax` at the end (PyTorch)", "softmax answers"),
    "norms before": ("`BatchNorm1d` before or after activations (PyTorch)", "folded into the weights"),
    "reshaped": ("`Flatten`, `Unflatten`, `Identity`, every kind of dropout (PyTorch)", "passed over"),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.reads("model", *CHAIN_ROWS[kind]) if kind in CHAIN_ROWS else ())
        for kind in CHAINS
    ],
)
def test_chains_as_people_write_them_become_networks(kind):
    torch.manual_seed(1)
    module = settled_norms(CHAINS[kind]())
    network = network_from_torch(module, input_shape=(6, 8))
    with torch.no_grad():
        said = module(torch.tensor(images(), dtype=torch.float32)).double().numpy()
    if said.ndim == 1:
        said = np.stack([-said / 2, said / 2], axis=1)
    expected = said if kind == "softmax" else SOFTMAX.function(said)
    np.testing.assert_allclose(network.query(images()), expected, atol=1e-5)


def test_parts_that_only_look_like_a_chain_are_refused():
    rows = nn.Sequential(nn.Unflatten(1, (6, 8)), nn.Linear(8, 3))
    with pytest.raises(ModelError, match="use from_torch"):
        network_from_torch(rows)

    class Masked(nn.Linear):
        def forward(self, x):
            return super().forward(x * (x > 0.5))

    with pytest.raises(ModelError, match=r"code of its own in Masked \(1\); use from_torch"):
        network_from_torch(nn.Sequential(nn.Flatten(), Masked(48, 3)))


def test_images_reach_a_chain_that_wants_their_shape():
    module = nn.Sequential(nn.Flatten(1, 2), nn.Linear(48, 3))
    scores = own_answers(module, images(), (6, 8))
    np.testing.assert_allclose(
        network_from_torch(module, input_shape=(6, 8)).query(images()), SOFTMAX.function(scores), atol=1e-6
    )


@pytest.fixture(scope="module")
def learned(mnist):
    """The example's own network after one epoch of a quarter of MNIST."""
    example = run_path(str(Path(__file__).parents[2] / "examples" / "convolutional_network.py"))
    torch.manual_seed(0)
    some = Split(mnist.train.images[:15000], mnist.train.labels[:15000])
    network = example["learn"](example["convolutional_network"](), some.images, some.labels)
    return example["as_model"](network, Split(some.images[:5000], some.labels[:5000]))


def test_a_convolutional_network_learns_mnist(learned, mnist):
    assert evaluate(learned, Split(mnist.test.images[:2000], mnist.test.labels[:2000])).performance > 0.94


@pytest.mark.parametrize("question", [{}, {"confidence": 0.99}])
def test_a_convolutional_network_reads_all_ten_labels_as_asked(learned, question):
    result = back_query(learned, range(10), method=GaussNewton(tolerance=5e-4), **question)
    assert result.read.tolist() == list(range(10))
    assert result.converged.all()
    assert result.logit_error.max() < 1e-3
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    np.testing.assert_allclose(learned.query(result.images), result.answers, atol=1e-12)
