"""What exporters of PyTorch, Keras and scikit-learn write into ONNX files, told apart by their own answers."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backquery.errors import AssumptionWarning, ModelError
from backquery.io import load_model
from backquery.io.onnx import network_from_onnx
from backquery.model import SIGMOID, SOFTMAX, Network
from tests.io.test_onnx import B, W, model_of, node, run_onnx

Array = NDArray[Any]
TOLERANCE = 1e-5

pytestmark = pytest.mark.needs("onnx", "onnxruntime")


def export(module: Any, path: Path, example: Any, dynamo: bool, **choice: Any) -> None:
    """Write a PyTorch module as it answers, quietly."""
    import torch

    choice = {"external_data": False, "verbose": False, **choice} if dynamo else choice
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), path, dynamo=dynamo, input_names=["x"], **choice)
    logging.disable(logging.NOTSET)


def chain_of(answer: Callable[..., Any], *sizes: int, norms: tuple[Any, ...] = ()) -> Any:
    """A module that answers by a function of its layers and an image."""
    import torch
    from torch import nn

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([*(nn.Linear(*pair) for pair in pairwise(sizes)), *norms])

        def forward(self, x: Any) -> Any:
            return answer(self.layers, x)

    torch.manual_seed(1)
    module = Own()
    for norm in norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return module


def pixels(shape: tuple[int, ...] = (4, 1, 6, 6)) -> Any:
    import torch

    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def answers_of(module: Any, example: Any) -> Array:
    import torch

    with torch.no_grad():
        return np.asarray(module(example).double())


def log_softmax(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](x.flatten(1)).relu()).log_softmax(-1)


def norms_everywhere(layers: Any, x: Any) -> Any:
    picture, first, between, last = layers[2:]
    signals = last(layers[0](first(picture(x).flatten(1))))
    return layers[1](between(signals.relu())).softmax(1)


def channels_last(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](x.permute(0, 3, 1, 2).flatten(1)).tanh()).softmax(1)


def one_logit(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](x.flatten(1)).relu())


def bytes_in(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](((x.float() / 255 - 0.1307) / 0.3081).flatten(1)).relu()).softmax(1)


def many_sigmoids(layers: Any, x: Any) -> Any:
    return layers[1](layers[0](x.flatten(1)).relu()).sigmoid()


@pytest.mark.needs("torch", "onnxscript")
@pytest.mark.parametrize("dynamo", [True, False])
class TestPyTorch:
    @pytest.mark.reads("model", "ONNX that ends in LogSoftmax, as PyTorch's own MNIST example does",
                       "answers are the softmax")  # fmt: skip
    def test_log_softmax(self, dynamo: bool, tmp_path: Path) -> None:
        module = chain_of(log_softmax, 36, 5, 3)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        network = load_model(tmp_path / "m.onnx")
        np.testing.assert_allclose(
            network.query(pixels().reshape(4, -1)), np.exp(answers_of(module, pixels())), atol=TOLERANCE
        )

    @pytest.mark.reads("model", "ONNX with BatchNormalization at the start, after weights or after activations",
                       "folded into the weights beside it")  # fmt: skip
    def test_batch_normalization_anywhere(self, dynamo: bool, tmp_path: Path) -> None:
        from torch import nn

        norms = (nn.BatchNorm2d(1), nn.BatchNorm1d(36), nn.BatchNorm1d(5), nn.BatchNorm1d(5))
        module = chain_of(norms_everywhere, 36, 5, 3, norms=norms)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        network = load_model(tmp_path / "m.onnx")
        assert network.sizes == (36, 5, 3)
        np.testing.assert_allclose(
            network.query(pixels().reshape(4, -1)), answers_of(module, pixels()), atol=TOLERANCE
        )

    @pytest.mark.reads("model", "ONNX whose pictures have their channels last, one or several (Transpose)",
                       "the weights are put into the order of the inputs")  # fmt: skip
    @pytest.mark.parametrize("channels", [1, 3])
    def test_channels_last(self, channels: int, dynamo: bool, tmp_path: Path) -> None:
        module, example = chain_of(channels_last, 36 * channels, 5, 3), pixels((4, 6, 6, channels))
        export(module, tmp_path / "m.onnx", example, dynamo)
        network = load_model(tmp_path / "m.onnx")
        assert network.input_shape == ((6, 6) if channels == 1 else (6, 6, 3))
        np.testing.assert_allclose(
            network.query(example.reshape(4, -1)), answers_of(module, example), atol=TOLERANCE
        )

    @pytest.mark.reads("model", "ONNX with one answer: squeezed, chosen by its place, or in a row of its own",
                       "two labels, answered by its sigmoid")  # fmt: skip
    @pytest.mark.parametrize("way", ["squeeze", "view", "index", "row", "sigmoid"])
    def test_one_logit(self, way: str, dynamo: bool, tmp_path: Path) -> None:
        ends = {
            "squeeze": lambda z: z.squeeze(1),
            "view": lambda z: z.view(-1),
            "index": lambda z: z[:, 0],
            "row": lambda z: z,
            "sigmoid": lambda z: z.sigmoid().squeeze(),
        }
        module = chain_of(lambda layers, x: ends[way](one_logit(layers, x)), 36, 5, 1)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        given = answers_of(module, pixels()).ravel()
        expected = given if way == "sigmoid" else SIGMOID.function(given)
        network = load_model(tmp_path / "m.onnx")
        np.testing.assert_allclose(network.query(pixels().reshape(4, -1))[:, 1], expected, atol=TOLERANCE)

    @pytest.mark.reads("model", "ONNX that divides by 255 first (or multiplies by 0.0039), bytes or fractions",
                       "takes pixels from 0 to 255 as they are; its scaling says so")  # fmt: skip
    def test_bytes(self, dynamo: bool, tmp_path: Path) -> None:
        import torch

        module, example = chain_of(bytes_in, 36, 5, 3), (pixels() * 255).to(torch.uint8)
        export(module, tmp_path / "m.onnx", example, dynamo)
        network = load_model(tmp_path / "m.onnx")
        np.testing.assert_allclose(
            network.query_images(example.numpy()), answers_of(module, example), atol=TOLERANCE
        )
        with pytest.raises(ModelError, match="whole numbers from 0 to 255, and its scaling makes"):
            from backquery.model import Scaling

            network_from_onnx(tmp_path / "m.onnx", scaling=Scaling(-1.0, 0.0, 255))

    @pytest.mark.reads("model", "ONNX that subtracts a mean and divides by a deviation first",
                       "takes pixels up to 1, 16 or 255, the least that it can be; one line says so")  # fmt: skip
    def test_standardised_pixels(self, dynamo: bool, tmp_path: Path) -> None:
        module = chain_of(lambda layers, x: one_logit(layers, (x - 0.1307) / 0.3081), 36, 5, 3)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        with pytest.warns(AssumptionWarning, match="0 to 1, as it begins by standardising"):
            network = load_model(tmp_path / "m.onnx")
        np.testing.assert_allclose(
            network.query_images(pixels().numpy()), SOFTMAX.function(answers_of(module, pixels())), atol=TOLERANCE
        )

    @pytest.mark.reads("model", "ONNX that ends in several sigmoids", "independent sigmoids")
    def test_many_sigmoids(self, dynamo: bool, tmp_path: Path) -> None:
        module = chain_of(many_sigmoids, 36, 5, 4)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        network = load_model(tmp_path / "m.onnx")
        assert network.output_activation is SIGMOID
        np.testing.assert_allclose(
            network.query(pixels().reshape(4, -1)), answers_of(module, pixels()), atol=TOLERANCE
        )

    @pytest.mark.reads("model", "ONNX in half precision", "float32, compared within 0.02")
    def test_half_precision(self, dynamo: bool, tmp_path: Path) -> None:
        module = chain_of(log_softmax, 36, 5, 3).half()
        export(module, tmp_path / "m.onnx", pixels().half(), dynamo)
        network = load_model(tmp_path / "m.onnx")
        assert network.dtype == np.float32
        np.testing.assert_allclose(
            network.query(pixels().reshape(4, -1)), np.exp(answers_of(module, pixels().half())), atol=1e-3
        )

    @pytest.mark.reads("model", "ONNX with several outputs: scores and what is made of them (label, softmax)",
                       "the one that answers; several of a kind are listed with their shapes")  # fmt: skip
    def test_several_outputs(self, dynamo: bool, tmp_path: Path) -> None:
        def with_label(layers: Any, x: Any) -> Any:
            scores = one_logit(layers, x)
            return scores, scores.softmax(1), scores.argmax(1)

        def with_features(layers: Any, x: Any) -> Any:
            features = layers[0](x.flatten(1))
            return {"features": features, "scores": layers[1](features.relu())}

        def two_heads(layers: Any, x: Any) -> Any:
            return layers[0](x.flatten(1)), layers[2](x.flatten(1))

        plain = chain_of(one_logit, 36, 5, 3)
        expected = SOFTMAX.function(answers_of(plain, pixels()))
        export(chain_of(with_label, 36, 5, 3), tmp_path / "label.onnx", pixels(), dynamo)
        network = load_model(tmp_path / "label.onnx")
        np.testing.assert_allclose(network.query(pixels().reshape(4, -1)), expected, atol=TOLERANCE)
        names = {"output_names": ["features", "scores"]}
        export(chain_of(with_features, 36, 5, 3), tmp_path / "two.onnx", pixels(), dynamo, **names)
        with pytest.warns(AssumptionWarning, match=r"features \(4, 5\), scores \(4, 3\); scores was taken"):
            network = load_model(tmp_path / "two.onnx")
        np.testing.assert_allclose(network.query(pixels().reshape(4, -1)), expected, atol=TOLERANCE)
        heads = chain_of(two_heads, 36, 5, 36, 3)
        export(heads, tmp_path / "heads.onnx", pixels(), dynamo, output_names=["five", "three"])
        with pytest.raises(ModelError, match=r"outputs are five \(4, 5\), three \(4, 3\).*output="):
            load_model(tmp_path / "heads.onnx")
        assert network_from_onnx(tmp_path / "heads.onnx", output="three").outputs == 3

    def test_the_label_alone_has_scores_before_it(self, dynamo: bool, tmp_path: Path) -> None:
        module = chain_of(lambda layers, x: one_logit(layers, x).argmax(1), 36, 5, 3)
        export(module, tmp_path / "m.onnx", pixels(), dynamo)
        answers = load_model(tmp_path / "m.onnx").query(pixels().reshape(4, -1))
        assert np.array_equal(answers.argmax(axis=1), answers_of(module, pixels()))

    def test_an_open_batch_and_shapes_that_are_computed(self, dynamo: bool, tmp_path: Path) -> None:
        import torch

        module = chain_of(lambda layers, x: log_softmax(layers, x.view(x.size(0), -1)), 36, 5, 3)
        choice: dict[str, Any] = (
            {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
        )
        export(module, tmp_path / "m.onnx", pixels(), dynamo, **choice)
        answers = load_model(tmp_path / "m.onnx").query(pixels().reshape(4, -1))
        np.testing.assert_allclose(answers, np.exp(answers_of(module, pixels())), atol=TOLERANCE)


@pytest.mark.needs("torch", "onnxscript")
@pytest.mark.reads("model", "ONNX with its numbers in a second file (PyTorch's default since 2.9)",
                   "opened where it lies in the model's own folder")  # fmt: skip
def test_numbers_beside_the_file(tmp_path: Path) -> None:
    module = chain_of(log_softmax, 36, 50, 3)
    export(module, tmp_path / "m.onnx", pixels(), dynamo=True, external_data=True)
    assert (tmp_path / "m.onnx.data").exists()
    network = load_model(tmp_path / "m.onnx")
    np.testing.assert_allclose(
        network.query(pixels().reshape(4, -1)), np.exp(answers_of(module, pixels())), atol=TOLERANCE
    )


@pytest.mark.needs("torch", "onnxscript", "keras")
@pytest.mark.reads("model", "ONNX that Keras exported (on PyTorch)", "as the Keras model answers")
def test_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(5, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x = np.round(pixels((5, 6, 6, 1)).numpy() * 255)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        expected = model.predict(x, verbose=0)
        model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
    logging.disable(logging.NOTSET)
    network = load_model(tmp_path / "m.onnx")
    np.testing.assert_allclose(network.query_images(x), expected, atol=TOLERANCE)


@pytest.mark.needs("skl2onnx")
@pytest.mark.reads("model", "ONNX that skl2onnx wrote of a scaler and a classifier",
                   "as the pipeline answers; the scaler tells how far pixels go")  # fmt: skip
def test_a_scaler_tells_the_pixels() -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    from tests.io.test_onnx import TestScikitLearn

    x, y = load_digits(return_X_y=True)
    for scaler in (StandardScaler(), MinMaxScaler()):
        estimator = make_pipeline(scaler, LogisticRegression(max_iter=2000))
        content = TestScikitLearn.export_fitted(estimator.fit(x, y), x)
        with pytest.warns(AssumptionWarning, match="0 to 16, as it begins by standardising"):
            network = network_from_onnx(content)
        np.testing.assert_allclose(network.query_images(x), estimator.predict_proba(x), atol=TOLERANCE)


def test_probabilities_without_softmax_prove_themselves() -> None:
    """Weights that hand on shares of a softmax-like kind cannot be written; a mean of one-hot rows can."""
    shares = np.abs(W) / np.abs(W).sum(axis=1, keepdims=True)
    content = model_of(
        [node("MatMul", "x z", "s"), node("Add", "s b", "t"), node("MatMul", "t e")],
        {"z": np.zeros((4, 4), "float32"), "b": np.float32([1, 0, 0, 0]), "e": shares},
    )
    network = network_from_onnx(content)
    np.testing.assert_allclose(network.query(np.ones((1, 4), "float32")), shares[:1], atol=TOLERANCE)
    assert network_from_onnx(content, outputs="logits").output_activation is SOFTMAX


def test_what_tf2onnx_writes_is_read() -> None:
    """Channel-last pictures, a Reshape to rows, MatMul and Add, and one output of any batch."""
    content = model_of(
        [node("Reshape", "x rows", "model/flatten/Reshape:0"), node("Mul", "model/flatten/Reshape:0 n", "m"),
         node("MatMul", "m w", "s"), node("Add", "s b", "t"), node("Softmax", "t", axis=1)],
        {"rows": np.array([-1, 4]), "n": np.float32(1 / 255), "w": W, "b": B},
        ("unk__6", 2, 2, 1),
    )  # fmt: skip
    network: Network = network_from_onnx(content)
    x = np.arange(12, dtype="float32").reshape(3, 2, 2, 1)
    assert network.input_shape == (2, 2)
    np.testing.assert_allclose(network.query_images(x), run_onnx(content, x), atol=TOLERANCE)
