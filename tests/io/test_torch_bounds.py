"""Bounds of PyTorch models: no image falls below them, and what is not known is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import from_torch, network_to_torch
from backquery.errors import ProofError
from backquery.inversion.targets import contrasts
from backquery.io.torch import TorchModel
from backquery.proofs import Constraints, certify, proved_impossible
from backquery.proofs.dense import Dense
from tests.needs import needs
from tests.proofs.conftest import drawn, spread

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from backquery.io.torch_bounds import TorchProver  # noqa: E402
from backquery.io.torch_curves import CURVES, curve_named  # noqa: E402


class Residual(nn.Module):
    """Two ways from one signal, an addition in place, and a signal that is used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.rest, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.rest(self.norm(self.first(x)))
        beside, aside = x, 0.5 * x - 1
        x = self.second(x)
        x += beside
        x = torch.cat([self.rest(x), aside], 1)[:, 2:6]
        return self.last(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Arithmetic(nn.Module):
    """Signals and numbers joined by every sign, on either side and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 9), nn.Linear(9, 3)
        self.weights = nn.Parameter(torch.randn(9, 9) / 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1))
        turned = torch.tanh(-x) - torch.neg(2.3 - x) / 0.7
        turned *= -1.5
        turned -= 0.2
        turned /= 3
        return self.last((1 - turned @ self.weights).relu() + x.abs() - x)


def dense(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), activation, nn.Linear(12, 3))


def module_named(name: str) -> nn.Module:
    torch.manual_seed(0)
    return {
        "convolutions": lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 1, padding=1), nn.Flatten(), nn.Dropout(), nn.Linear(72, 3),
        ),
        "strides and means": lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(6, 3),
        ),
        "residual": Residual,
        "arithmetic": Arithmetic,
        "probabilities": lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1)
        ),
        "sigmoids": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Sigmoid()),
        "one output": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 1)),
    }[name]()  # fmt: skip


MODULES = [
    "convolutions",
    "strides and means",
    "residual",
    "arithmetic",
    "probabilities",
    "sigmoids",
    "one output",
]
ACTIVATIONS: list[nn.Module] = [
    nn.GELU(), nn.SiLU(), nn.ELU(), nn.ELU(0.5), nn.SELU(), nn.CELU(2.0), nn.Softplus(), nn.Hardswish(),
    nn.Hardtanh(), nn.Hardtanh(-0.5, 2.0), nn.ReLU6(), nn.Hardsigmoid(), nn.LogSigmoid(), nn.Softsign(),
    nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Tanh(), nn.ReLU(),
]  # fmt: skip


def model_of(module: nn.Module, **settings: Any) -> TorchModel:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    for numbers in module.parameters():
        numbers.data *= 2
    ending = type(list(module.modules())[-1]).__name__
    settings |= {"outputs": {"Softmax": "probabilities", "Sigmoid": "sigmoids"}.get(ending, "logits")}
    return from_torch(module.eval(), input_shape=(8, 8), **settings)


def check(model: TorchModel, tight: float) -> None:
    """That images of small and large boxes stay above their bounds, and read as certified."""
    rng = np.random.default_rng(0)
    images, forms = rng.uniform(0, 1, (3, 64)), rng.normal(size=(1, 3, model.outputs))
    for reach in (0.0, 0.03, 0.5):
        least = TorchProver(model, model.dtype).over(images - reach, images + reach).lowest(forms)
        for image, bound in zip(images, least, strict=True):
            values = model.logits(spread(image - reach, image + reach, 1, 100)) @ forms[0].T
            assert np.all(values.min(axis=0) >= bound)
            assert reach or np.all(values.min(axis=0) - bound < tight)
    found = certify(model, images)
    assert found.unknown == ""
    for image, label, radius in zip(images, found.read, found.inputs, strict=True):
        if radius == radius:
            near = spread(np.maximum(image - radius, 0), np.minimum(image + radius, 1), 2, 200)
            assert np.all(model.query(near).argmax(axis=1) == label)


@pytest.mark.parametrize("name", MODULES)
def test_no_image_of_a_box_falls_below_the_bounds(name: str) -> None:
    check(model_of(module_named(name)), 1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_every_activation_s_curve_is_bounded(activation: nn.Module) -> None:
    check(model_of(dense(activation)), 1e-7)


@pytest.mark.parametrize("name", ["convolutions", "arithmetic"])
def test_a_program_in_float32_is_inside_its_own_wider_bounds(name: str) -> None:
    check(model_of(module_named(name), dtype="float32"), 1e-2)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_no_curve_bends_more_than_is_said(name: str) -> None:
    settings = {"clamp": (-0.5, 1.0), "clamp_min": (0.1,)}.get(name, ())
    curve = curve_named(name, *settings)
    if not np.isfinite(curve.bend):
        return
    z, step = np.linspace(-9, 9, 30_001), 1e-3
    at = np.min([np.abs(z - kink) for kink in curve.kinks] or [np.full_like(z, np.inf)], axis=0) > 2 * step
    bend = (curve.function(z + step) - 2 * curve.function(z) + curve.function(z - step)) / step**2
    assert np.abs(bend[at]).max() <= curve.bend + 1e-6
    assert not curve.rising or np.all(np.diff(curve.function(z)) >= 0)
    of_torch = getattr(torch, name, None) or getattr(
        nn.functional, name.replace("log_sigmoid", "logsigmoid"), None
    )
    given = of_torch(torch.tensor(z), *settings).numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        assert np.all(
            np.abs(curve.function(z) - given) <= curve.loose(np.maximum(np.abs(z), np.abs(given)), np.float64)
        )


def test_a_chain_is_bounded_as_the_same_network_is() -> None:
    network = drawn([64, 12, 3], ["relu", "identity"], 0)
    model = from_torch(network_to_torch(network), input_shape=(8, 8), module_shape=(64,))
    images = np.random.default_rng(0).uniform(0, 1, (4, 64))
    form = np.array([[[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]])
    ours = Dense(network.layers, np.float64).over(images - 0.02, images + 0.02).lowest(form)
    theirs = TorchProver(model, np.float64).over(images - 0.02, images + 0.02).lowest(form)
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


class Odd(nn.Module):
    """A linear layer, and something odd before it."""

    def __init__(self, odd: Any) -> None:
        super().__init__()
        self.odd, self.last = odd, nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.odd(x.flatten(1)))


def in_place_of_a_view(x: torch.Tensor) -> torch.Tensor:
    x = x + 0
    x.view(-1, 8, 8).mul_(2)
    return x


ODD = {
    "an exchange between images": lambda x: x.transpose(0, 1).reshape(x.shape),
    "the operation layer_norm": lambda x: nn.functional.layer_norm(x, (64,)),
    "the operation mish": nn.functional.mish,
    "a GELU by tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "a product of two signals": lambda x: x * x,
    "an operation in place, of numbers that another name stands for too": in_place_of_a_view,
    "the operation __get__": lambda x: x.T.T,
    "the operation sort": lambda x: x.sort(dim=1).values,
}


@pytest.mark.parametrize("named", ODD)
def test_what_is_not_known_is_named_and_nothing_is_proved(named: str) -> None:
    model = from_torch(Odd(nn.Identity()), input_shape=(8, 8))
    model.module.odd.forward = ODD[named]
    found = certify(model, np.random.default_rng(0).uniform(0, 1, (2, 64)))
    assert found.unknown == named
    assert not found.certain.any()


def test_numbers_that_are_smuggled_past_the_table_prove_nothing() -> None:
    def smuggled(x: torch.Tensor) -> torch.Tensor:
        with torch._C.DisableTorchFunctionSubclass():
            number = torch.zeros(64, dtype=x.dtype) + x.data.detach().as_subclass(torch.Tensor)[0]
        return x - number

    model = from_torch(Odd(nn.Identity()), input_shape=(8, 8))
    model.module.odd.forward = smuggled
    assert not certify(model, np.full((1, 64), 0.5)).certain.any()


def test_a_table_that_is_mistaken_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from backquery.io.torch_operations import OPERATIONS

    monkeypatch.setitem(OPERATIONS, "mish", OPERATIONS["relu"])
    model = from_torch(Odd(nn.functional.mish), input_shape=(8, 8))
    image = np.full((1, 64), 0.5)
    with pytest.raises(ProofError, match="other numbers than those known of it"):
        TorchProver(model, np.float64).over(image, image)


def test_a_part_without_derivatives_is_refused() -> None:
    def hidden(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return x * 2

    model = from_torch(Odd(nn.Identity()), input_shape=(8, 8))
    model.module.odd.forward = hidden
    image = np.random.default_rng(0).uniform(0, 1, (1, 64))
    least = TorchProver(model, np.float64).over(image - 0.1, image + 0.1).lowest(np.eye(3)[None])
    values = model.logits(spread(image[0] - 0.1, image[0] + 0.1, 0))
    assert np.all(values.min(axis=0) >= least[0])


def test_models_that_would_take_minutes_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    from backquery.io import torch_intervals

    monkeypatch.setattr(torch_intervals, "MOST_SIGNALS", 100)
    found = certify(model_of(dense(nn.ReLU())), np.full((1, 64), 0.5))
    assert found.unknown.startswith("a model of ")


def test_answers_far_beyond_a_module_s_are_proved_impossible() -> None:
    model, low, high = model_of(module_named("convolutions")), np.zeros(64), np.ones(64)
    values = model.logits(np.full((1, 64), 0.5))[0] @ contrasts(3).T
    there, beyond = (Constraints(contrasts(3), values + gap, values, 1e-3) for gap in (0.0, 1e4))
    assert proved_impossible(model, None, [there, beyond], low, high, True).tolist() == [False, True]
    assert not proved_impossible(model, None, [beyond], low, high, False).any(), "there is no time to look"


@pytest.mark.needs("onnx")
def test_graphs_of_files_are_bounded_too(tmp_path: Path) -> None:
    import onnx
    from onnx import helper, numpy_helper

    from backquery.io.onnx import from_onnx

    rng = np.random.default_rng(0)
    numbers = {"w": rng.normal(size=(4, 1, 3, 3)), "g": rng.normal(size=(3, 4)), "b": rng.normal(size=3)}
    steps = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["m"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "g", "b"], ["y"], transB=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", ["n", 1, 8, 8]), ("y", ["n", 3]))
    ]
    given = [numpy_helper.from_array(each.astype(np.float32), name) for name, each in numbers.items()]
    graph = helper.make_graph(steps, "graph", ends[:1], ends[1:], given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "graph.onnx")
    model = from_onnx(tmp_path / "graph.onnx", outputs="logits", input_shape=(8, 8))
    assert isinstance(model, TorchModel)
    check(model, 1e-9)
