"""Copies of PyTorch modules that have learned nothing: begun anew, or their weights shuffled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery import compare_methods, evaluate, fit_statistics, from_torch, measure_evidence
from backquery.datasets import Dataset
from backquery.errors import ModelError
from backquery.evidence import control_evidence
from backquery.faithfulness import control_networks
from backquery.model import Scaling
from tests.needs import needs

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from backquery.io.torch import TorchModel  # noqa: E402


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


@pytest.fixture(scope="module")
def learned(digits: Dataset) -> nn.Module:
    module = convolutional()
    images = torch.tensor(digits.train.images / 16, dtype=torch.float32)[:, None]
    labels, optimiser = torch.tensor(digits.train.labels), torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(images), labels).backward()
        optimiser.step()
    return module


@pytest.fixture(scope="module")
def model(learned: nn.Module, digits: Dataset) -> TorchModel:
    model = from_torch(learned, input_shape=(8, 8), scaling=Scaling.unit(16))
    return replace(model, statistics=fit_statistics(model, digits.train))


def test_an_untrained_twin_reads_nothing_and_the_module_stays_as_it_is(
    learned: nn.Module, model: TorchModel, digits: Dataset
) -> None:
    assert digits.test is not None
    before = {name: tensor.clone() for name, tensor in learned.state_dict().items()}
    mine, training = model.query_images(digits.test.images), learned.training
    torch.manual_seed(5)
    state = torch.get_rng_state()
    twin = model.untrained(rng=3)
    assert evaluate(model, digits.test).performance > 0.9
    assert evaluate(twin, digits.test).performance < 0.4
    assert twin.statistics is None and twin.classes == model.classes and twin.scaling == model.scaling
    assert torch.equal(torch.get_rng_state(), state) and learned.training == training
    assert all(torch.equal(before[name], tensor) for name, tensor in learned.state_dict().items())
    np.testing.assert_array_equal(model.query_images(digits.test.images), mine)
    assert torch.equal(twin.module[1].running_mean, torch.zeros(8, dtype=torch.float64))


def test_the_same_rng_gives_the_same_twin(model: TorchModel) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (5, 64))
    one, again, other = (twin.logits(x) for twin in map(model.untrained, (3, 3, 4)))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    shuffled = [model.shuffled(rng).logits(x) for rng in (3, np.random.default_rng(3), 4)]
    np.testing.assert_array_equal(shuffled[0], shuffled[1])
    assert np.abs(shuffled[0] - shuffled[2]).max() > 0.01


def test_shuffled_weights_are_the_same_numbers_elsewhere(model: TorchModel) -> None:
    own, shuffled = model.module.state_dict(), model.shuffled(rng=1).module.state_dict()
    for name, tensor in own.items():
        assert torch.equal(tensor.flatten().sort().values, shuffled[name].flatten().sort().values)
        assert torch.equal(tensor, shuffled[name]) == (tensor.ndim < 2)


class Whole(nn.Module):
    """It begins its part in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(64, 3)

    def reset_parameters(self) -> None:
        nn.init.constant_(self.part.bias, 7.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.part(images.flatten(1))


def test_a_whole_begins_after_its_parts() -> None:
    twin = from_torch(Whole(), input_shape=(8, 8)).untrained(rng=0)
    assert torch.equal(twin.module.part.bias, torch.full((3,), 7.0, dtype=torch.float64))


class Added(Whole):
    """It holds a parameter that nobody can draw anew."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Sequential(Scaled(), nn.Identity())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(super().forward(images))


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.ones(3))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return scores * self.by


def test_a_layer_that_cannot_begin_anew_is_named() -> None:
    model = from_torch(Added(), input_shape=(8, 8))
    with pytest.raises(ModelError, match=r"layers cannot begin anew: Scaled has no reset_parameters"):
        model.untrained(rng=0)


def test_attention_begins_anew() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.last = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(64, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            rows = images.reshape(-1, 8, 8)
            return self.last(self.attention(rows, rows, rows)[0].flatten(1))

    model = from_torch(Attending(), input_shape=(8, 8))
    twin = model.untrained(rng=0)
    assert not torch.equal(twin.module.attention.in_proj_weight, model.module.attention.in_proj_weight)


def test_a_comparison_shows_the_controls_of_a_module(model: TorchModel, digits: Dataset) -> None:
    found = compare_methods(model, digits, judges=[], confidences=False)
    networks = [row.name for row in found.rows if row.kind == "network"]
    assert networks == [
        f"{name}, {asked}" for name in ("untrained", "shuffled weights") for asked in ("typical", "0.99")
    ]
    assert "fooling circuit: it is made for dense networks" in found.left_out
    assert [row["name"] for row in found.as_json()["rows"]][-4:] == networks


def test_a_control_that_cannot_be_made_is_told_in_a_line(digits: Dataset) -> None:
    class Small(Added):
        def __init__(self) -> None:
            super().__init__()
            self.part, self.last[0].by = nn.Linear(64, 10), nn.Parameter(torch.ones(10))

    model = from_torch(Small(), input_shape=(8, 8), scaling=Scaling.unit(16))
    left_out: list[str] = []
    made = control_networks(model, digits, np.random.default_rng(0), left_out=left_out)
    assert list(made) == ["shuffled weights"]
    (line,) = left_out
    assert line.startswith("untrained network: its layers cannot begin anew: Scaled")


def test_evidence_has_an_untrained_control_too(model: TorchModel, digits: Dataset) -> None:
    found = measure_evidence(model, digits.train, ["3"], held_out=digits.test, images=30)
    (control,) = control_evidence(model, digits, found, images=30)
    assert control.name == "untrained" and len(control.evidence) == 1


@pytest.mark.needs("onnx")
def test_what_was_read_from_a_file_is_shuffled_and_says_why_it_cannot_begin_anew(
    digits: Dataset, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from backquery import from_onnx

    rng = np.random.default_rng(1)
    arrays = {"w": rng.normal(size=(4, 1, 3, 3)), "v": rng.normal(size=(144, 10))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    model = from_onnx(path, scaling=Scaling.unit(16))
    left_out: list[str] = []
    (made,) = control_networks(
        model, digits, np.random.default_rng(0), statistics=False, left_out=left_out
    ).values()
    assert left_out == ["untrained network: its layers cannot begin anew: a file does not say how they began"]
    x = np.random.default_rng(0).uniform(0, 1, (5, 64))
    assert np.abs(made.logits(x) - model.logits(x)).max() > 0.1
