"""ONNX graphs of any layers: the same answers as onnxruntime's, differentiable, and nothing of the file run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import back_query, from_onnx, load_model
from backquery.errors import MissingExtraError, ModelError
from backquery.model import Model, Network, Scaling
from tests.io.test_onnx import model_of, node, run_onnx
from tests.needs import needs

needs("onnx", "onnxruntime", "torch", "onnxscript")

import onnx  # noqa: E402
import torch  # noqa: E402

from backquery.io.foreign import NOTES, write_notes  # noqa: E402
from backquery.io.torch import TorchModel  # noqa: E402
from tests.io.deep_modules import MODULES, made, pictures  # noqa: E402
from tests.io.test_onnx_exporters import export  # noqa: E402

TOLERANCE = 1e-4

pytestmark = [
    pytest.mark.filterwarnings("ignore:the model's pixels were taken to go:backquery.errors.AssumptionWarning"),
    pytest.mark.needs("onnx", "onnxruntime", "torch"),
]


def exported(name: str, path: Path, dynamo: bool, several: bool = True) -> bytes:
    """A module of the zoo as a file that takes any number of images, or one."""
    choice: dict[str, Any] = {}
    if several:
        dynamic = {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}
        choice = dynamic if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
    export(made(name), path, pictures(2 if several else 1), dynamo, **choice)
    return path.read_bytes()


def assert_answers_as_the_runtime(model: Model, content: bytes, together: bool = True) -> None:
    images = pictures(6, seed=3).numpy()
    parts = [images] if together else [image[None] for image in images]
    scores = np.concatenate([run_onnx(content, part) for part in parts]).astype(np.float64)
    expected = np.exp(scores - scores.max(1, keepdims=True))
    answers = model.query(images.reshape(6, -1))
    np.testing.assert_allclose(answers, expected / expected.sum(1, keepdims=True), atol=TOLERANCE)


@pytest.mark.reads("model", "ONNX of convolutional, residual, mobile and attending networks, by PyTorch",
                   "what `from_torch` makes, as PyTorch is there; compared with onnxruntime")  # fmt: skip
@pytest.mark.parametrize("name", MODULES)
def test_what_pytorch_exports_by_tracing(name: str, tmp_path: Path) -> None:
    content = exported(name, tmp_path / "m.onnx", dynamo=False)
    model = load_model(tmp_path / "m.onnx")
    assert isinstance(model, TorchModel) and model.input_shape == (3, 32, 32)
    assert_answers_as_the_runtime(model, content)


@pytest.mark.parametrize("name", ["attention", "normalisations"])
def test_what_pytorch_exports_by_torch_export(name: str, tmp_path: Path) -> None:
    content = exported(name, tmp_path / "m.onnx", dynamo=True)
    assert_answers_as_the_runtime(load_model(tmp_path / "m.onnx"), content)


@pytest.mark.reads("model", "ONNX that takes one image at a time, as exporters write where nobody says otherwise",
                   "asked about all of a batch, each for itself")  # fmt: skip
@pytest.mark.parametrize("name", ["convolutional", "vit"])
def test_a_file_that_takes_one_image_at_a_time(name: str, tmp_path: Path) -> None:
    content = exported(name, tmp_path / "m.onnx", dynamo=False, several=False)
    assert_answers_as_the_runtime(load_model(tmp_path / "m.onnx"), content, together=False)


@pytest.mark.parametrize("name", ["convolutional", "vit", "up and down"])
def test_slopes_are_those_of_the_answers(name: str, tmp_path: Path) -> None:
    """The Jacobian, by finite differences along random directions."""
    exported(name, tmp_path / "m.onnx", dynamo=False)
    model = load_model(tmp_path / "m.onnx")
    x = pictures(2).reshape(2, -1).double().numpy()
    step = 1e-5 * np.random.default_rng(0).normal(size=x.shape)
    _, slopes = model.logits_and_jacobian(x)
    change = model.logits(x + step) - model.logits(x - step)
    np.testing.assert_allclose(np.einsum("nki,ni->nk", slopes, 2 * step), change, atol=1e-8, rtol=1e-3)


def test_it_is_asked_backwards(tmp_path: Path) -> None:
    exported("convolutional", tmp_path / "m.onnx", dynamo=False)
    model = load_model(tmp_path / "m.onnx")
    answers = model.query(pictures(1).reshape(1, -1).numpy())
    scan = back_query(model, answers, prior="smooth")
    np.testing.assert_allclose(model.query(scan.images), answers, atol=1e-3)


def test_a_chain_of_dense_layers_is_still_a_network() -> None:
    content = model_of([node("MatMul", "x w", "h"), node("Softmax", "h")], {"w": np.eye(4, 3, dtype="float32")})
    assert isinstance(from_onnx(content), Network)


def picture_model(*nodes: Any, shape: tuple[Any, ...] = ("n", 2, 6, 6), **numbers: Any) -> bytes:
    return model_of(list(nodes), {name: np.asarray(values) for name, values in numbers.items()}, shape)


KERNEL = np.random.default_rng(0).normal(size=(3, 2, 3, 3)).astype("float32") / 4


def test_the_last_softmax_is_taken_off_so_that_log_odds_do_not_saturate() -> None:
    nodes = (
        node("Conv", "x k", "c"),
        node("GlobalMaxPool", "c", "p"),
        node("Flatten", "p", "f"),
        node("Softmax", "f"),
    )
    model = from_onnx(picture_model(*nodes, k=KERNEL * 1000))
    scores = from_onnx(picture_model(*nodes[:2], node("Flatten", "p"), k=KERNEL * 1000))
    x = np.random.default_rng(1).uniform(size=(3, 72))
    assert np.abs(model.logits(x)).max() > 40
    np.testing.assert_allclose(model.logits(x), scores.logits(x))
    assert np.ptp(model.query(x).sum(1)) < 1e-9


def test_division_by_255_first_tells_the_pixels() -> None:
    nodes = (node("Div", "x white", "u"), node("Conv", "u k", "c"), node("GlobalAveragePool", "c", "p"))
    model = from_onnx(picture_model(*nodes, node("Flatten", "p"), k=KERNEL, white=np.float32(255)))
    assert model.scaling is not None and model.scaling.maximum == 255
    own = from_onnx(
        picture_model(*nodes, node("Flatten", "p"), k=KERNEL, white=np.float32(255)), scaling=Scaling.unit(16)
    )
    assert own.scaling is not None and own.scaling.maximum == 16


def test_an_open_shape_has_to_be_told() -> None:
    nodes = (node("Conv", "x k", "c"), node("GlobalAveragePool", "c", "p"), node("Flatten", "p"))
    content = picture_model(*nodes, shape=("n", 2, "rows", "columns"), k=KERNEL)
    with pytest.raises(ModelError, match=r"open, as \(2, '\?', '\?'\); say input_shape="):
        from_onnx(content)
    assert from_onnx(content, input_shape=(2, 5, 7)).inputs == 70


def test_unknown_operators_are_named() -> None:
    nodes = (node("Conv", "x k", "c"), node("Bernoulli", "c", "b"), node("Det", "b"))
    with pytest.raises(ModelError, match="these operators in it are not understood: Bernoulli, Det"):
        from_onnx(picture_model(*nodes, k=KERNEL))


def test_answers_at_many_places_are_no_classifier() -> None:
    with pytest.raises(ModelError, match=r"numbers of shape \(3, 4, 4\), not with one for each label"):
        from_onnx(picture_model(node("Conv", "x k"), k=KERNEL))


def test_a_model_that_learns_is_refused() -> None:
    numbers = {name: np.ones(3, "float32") for name in "abcd"}
    nodes = (node("Conv", "x k", "s"), node("BatchNormalization", "s a b c d", training_mode=1))
    with pytest.raises(ModelError, match=r"BatchNormalization: it normalises .* not as it learns"):
        from_onnx(picture_model(*nodes, k=KERNEL, **numbers))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Expand", "one huge", "e"), node("ReduceMax", "e", "m"), node("Add", "x m", "s")],
        [node("ConstantOfShape", "huge", "e"), node("ReduceMax", "e", "m"), node("Add", "x m", "s")],
        [node("Tile", "x many", "s")],
        [node("Expand", "x wide", "s")],
        [node("Resize", "x none none larger", "s")],
        [node("Reshape", "x column", "c"), node("Reshape", "x row", "r"), node("Mul", "c r", "s")],
    ],
    ids=["a constant", "filled", "tiled", "expanded", "resized", "an outer product"],
)
def test_a_small_file_cannot_ask_for_much_memory(nodes: list[Any]) -> None:
    numbers = {
        "huge": np.int64([2**20, 2**20]),
        "one": np.float32(1),
        "many": np.int64([1, 1, 2**20, 2**10]),
        "wide": np.int64([2**24, 1, 2, 6, 6]),
        "none": np.float32([]),
        "larger": np.int64([1, 2, 12_000, 12_000]),
        "column": np.int64([-1, 1, 1, 1, 1, 1]),
        "row": np.int64([1, -1, 1, 1, 1, 1]),
        "k": KERNEL,
    }
    shape = ("n", 2, 6, 6) if nodes[-1].op_type != "Mul" else ("n", 2, 300, 300)
    with pytest.raises(ModelError, match=r"asks for [\d,]+ bytes"):
        from_onnx(picture_model(*nodes, node("Conv", "s k"), shape=shape, **numbers))


def test_notes_in_a_file_are_read_whatever_its_layers() -> None:
    described = Network.create([72, 3], input_shape=(2, 6, 6), classes=list("xyz"), scaling=Scaling.book(16.0))
    nodes = node("Conv", "x k", "c"), node("GlobalMaxPool", "c", "p"), node("Flatten", "p")
    file = onnx.load_from_string(picture_model(*nodes, k=KERNEL))
    onnx.helper.set_model_props(file, {NOTES: write_notes(described)})
    model = from_onnx(file.SerializeToString())
    assert isinstance(model, TorchModel)
    assert (model.classes, model.scaling) == (("x", "y", "z"), described.scaling)


def test_without_pytorch_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    content = picture_model(node("Conv", "x k"), k=KERNEL)
    with pytest.raises(MissingExtraError, match=r"operator Conv.*pip install 'backquery\[torch\]'"):
        from_onnx(content)


def branch(name: str, *nodes: Any) -> Any:
    from onnx import TensorProto, helper

    return helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])


def choice() -> Any:
    negative, itself = branch("t", node("Neg", "x", "t")), branch("e", node("Identity", "x", "e"))
    return node("If", "same", "s", then_branch=negative, else_branch=itself)


@pytest.mark.parametrize("same", [True, False])
def test_a_condition_that_is_settled_leaves_one_branch(same: bool) -> None:
    ends = (node("Conv", "s k", "c"), node("GlobalAveragePool", "c", "p"), node("Flatten", "p"))
    content = picture_model(choice(), *ends, k=KERNEL, same=np.bool_(same))
    x = np.random.default_rng(2).uniform(size=(2, 2, 6, 6)).astype("float32")
    scores = run_onnx(content, x)
    found = from_onnx(content).logits(x.reshape(2, -1))
    np.testing.assert_allclose(found, scores - scores.mean(1, keepdims=True), atol=1e-5)


def test_a_condition_on_shapes_chooses_a_branch() -> None:
    choose = choice()
    ends = (node("Conv", "s k", "c"), node("GlobalAveragePool", "c", "p"), node("Flatten", "p"))
    for length in (6, 7):
        asks = (node("Shape", "x", "l", start=3), node("Equal", "l six", "many"), node("Squeeze", "many", "same"))
        content = picture_model(
            *asks, choose, *ends, k=KERNEL, six=np.int64([6]), shape=("n", 2, "rows", "columns")
        )
        model = from_onnx(content, input_shape=(2, 6, length))
        x = np.random.default_rng(2).uniform(size=(2, 2, 6, length)).astype("float32")
        scores = run_onnx(content, x)
        np.testing.assert_allclose(
            model.logits(x.reshape(2, -1)), scores - scores.mean(1, keepdims=True), atol=1e-5
        )
