"""ONNX: the same answers in onnxruntime and here, for what others export and for what is written here."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io.onnx import network_from_onnx, network_to_onnx, save_onnx
from backquery.model import activation_named
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from tests.io.chains import assert_described_alike, inputs_for, networks

TOLERANCE = 1e-5

pytestmark = pytest.mark.needs("onnx", "onnxruntime")


def run_onnx(content: bytes, x: NDArray[Any], output: int = 0) -> NDArray[Any]:
    """The answers of the independent runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[output])


def model_of(nodes: list[Any], numbers: dict[str, NDArray[Any]], shape: tuple[Any, ...] = ("n", 4)) -> bytes:
    """A model from ``x`` to ``y`` made of these operators and constants."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def node(kind: str, inputs: str, output: str = "y", **settings: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs.split(), [output], **settings)


W = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")
B = np.array([0.5, -1, 2], "float32")


@settings(max_examples=60)
@given(network=networks())
def test_a_network_goes_there_and_back_unchanged(network: Network) -> None:
    again = network_from_onnx(network_to_onnx(network).SerializeToString())
    x = inputs_for(network)
    assert np.array_equal(again.query(x), network.query(x))
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in network.layers]
    assert_described_alike(network, again)


def test_a_slope_that_the_file_rounds_is_no_difference() -> None:
    """The file holds 0.3 in float32, and the runtime computes with that; in float64 it shows."""
    first, last = (activation_named(name) for name in ("leaky-relu:0.3", "identity"))
    # Large signals that cancel each other, of which one has the slope.
    weights = np.array([[-30.0], [30.0]]), np.array([[10.0, 3.0]])
    network = Network((Layer(weights[0], None, first), Layer(weights[1], None, last)), input_shape=(1,))
    again = network_from_onnx(network_to_onnx(network).SerializeToString())
    assert again.layers[0].activation is first


@settings(max_examples=25)
@given(network=networks())
def test_the_runtime_answers_as_the_network_does(network: Network) -> None:
    x = inputs_for(network)
    answers = run_onnx(network_to_onnx(network).SerializeToString(), x)
    np.testing.assert_allclose(answers, network.query(x), atol=TOLERANCE, rtol=TOLERANCE)


def test_what_is_written_is_a_valid_model(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "network.onnx"
    network = Network.create([784, 30, 10], activation="relu", biases=True, rng=1, input_shape=(28, 28))
    save_onnx(network, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert network_from_onnx(path).input_shape == (28, 28)


CHAINS = {
    "gemm": lambda: ([node("Gemm", "x w b", transB=0)], {"w": W, "b": B}),
    "gemm turned": lambda: ([node("Gemm", "x w b", transB=1)], {"w": W.T.copy(), "b": B}),
    "gemm scaled": lambda: ([node("Gemm", "x w b", alpha=0.5, beta=-2.0)], {"w": W, "b": B[None]}),
    "gemm, one bias": lambda: ([node("Gemm", "x w b")], {"w": W, "b": np.float32(0.25)}),
    "matmul, add": lambda: ([node("MatMul", "x w", "s"), node("Add", "b s")], {"w": W, "b": B}),
    "weights turned round": lambda: (
        [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t")],
        {"w": W.T.copy()},
    ),
    "standardised first": lambda: (
        [node("Sub", "x m", "c"), node("Div", "c d", "z"), node("MatMul", "z w")],
        {"m": np.float32([1, 2, 3, 4]), "d": np.float32([2, 3, 4, 5]), "w": W},
    ),
    "rescaled between": lambda: (
        [node("MatMul", "x w", "s"), node("Tanh", "s", "h"), node("Mul", "h g", "r"), node("MatMul", "r v")],
        {"w": W, "g": np.float32(3), "v": W.T.copy()},
    ),
    "turned over": lambda: ([node("Sub", "one x", "r"), node("MatMul", "r w")], {"one": np.float32(1), "w": W}),
    "normalised at the start": lambda: (
        [node("BatchNormalization", "x f b m v", "n"), node("MatMul", "n w")],
        {
            "w": W,
            "f": np.float32([1, 2, -1, 1]),
            "b": np.float32([0, 1, 0, 2]),
            "m": np.float32([1, 0, 2, 0]),
            "v": np.float32([1, 4, 2, 0.1]),
        },
    ),
    "normalised between": lambda: (
        [
            node("MatMul", "x w", "s"),
            node("Relu", "s", "h"),
            node("BatchNormalization", "h f b b v", "n"),
            node("MatMul", "n w2", "t"),
            node("BatchNormalization", "t f4 f4 f4 f4", epsilon=0.5),
        ],
        {
            "w": W,
            "w2": W.T.copy(),
            "f": np.float32([1, 2, -1]),
            "b": B,
            "v": np.float32([1, 4, 2]),
            "f4": np.float32([1, 2, 3, 4]),
        },
    ),
    "turned and cut": lambda: (
        [
            node("Reshape", "x s", "r"),
            node("Mul", "r g", "m"),
            node("Transpose", "m", "t", perm=[0, 2, 1]),
            node("Slice", "t from to axes", "c"),
            node("Flatten", "c", "f"),
            node("MatMul", "f w", "p"),
            node("Gather", "p backwards", axis=1),
        ],
        {
            "s": np.array([-1, 2, 2]),
            "g": np.float32([[1, 2]]),
            "w": W[:2],
            "from": np.array([1]),
            "to": np.array([2**62]),
            "axes": np.array([1]),
            "backwards": np.array([2, 0, 1]),
        },
    ),
    "every other, backwards": lambda: (
        [node("Slice", "x from to axes by", "c"), node("MatMul", "c w")],
        {
            "w": W[:2],
            "from": np.array([3]),
            "to": np.array([-(2**62)]),
            "axes": np.array([1]),
            "by": np.array([-2]),
        },
    ),
    "cut where every axis is told": lambda: (
        [node("Slice", "x from to", "c"), node("MatMul", "c w")],
        {"w": W[:2], "from": np.array([0, 1]), "to": np.array([2**62, -1])},
    ),
    "hidden signals turned": lambda: (
        [
            node("MatMul", "x w", "s"),
            node("Tanh", "s", "h"),
            node("Mul", "h g", "m"),
            node("Gather", "m backwards", "t", axis=-1),
            node("MatMul", "t v"),
        ],
        {"w": W, "v": W.T.copy(), "g": np.float32([1, 2, 3]), "backwards": np.array([2, 0, 1])},
    ),
    "in rows of one": lambda: (
        [
            node("Unsqueeze", "x axis", "r"),
            node("MatMul", "r w", "s"),
            node("Add", "b s", "t"),
            node("Neg", "t", "u"),
            node("Squeeze", "u axis"),
        ],
        {"axis": np.array([1]), "w": W, "b": B},
    ),
    "squeezed wherever it can be": lambda: (
        [node("Unsqueeze", "x axis", "r"), node("MatMul", "r w", "u"), node("Squeeze", "u")],
        {"axis": np.array([1]), "w": W[:, :2].copy()},
    ),
    "clipped where it never reaches": lambda: (
        [
            node("MatMul", "x w", "s"),
            node("Clip", "s zero", "h"),
            node("MatMul", "h v", "t"),
            node("Sigmoid", "t", "p"),
            node("Clip", "p zero one"),
        ],
        {"w": W, "v": W.T.copy(), "zero": np.float32(0), "one": np.float32(1)},
    ),
    "weights that are computed": lambda: (
        [
            node("Mul", "w g", "a"),
            node("Sqrt", "a2", "r"),
            node("Div", "a r", "c"),
            node("Reshape", "c s", "e"),
            node("Sub", "e b", "k"),
            node("MatMul", "x k"),
        ],
        {
            "w": W,
            "g": np.float32([2, 3, 4]),
            "a2": np.float32([[4], [9], [1], [16]]),
            "s": np.array([0, -1]),
            "b": B,
        },
    ),
    "leaky": lambda: ([node("MatMul", "x w", "s"), node("LeakyRelu", "s", alpha=0.01)], {"w": W}),
    "leaky, steeper": lambda: ([node("MatMul", "x w", "s"), node("LeakyRelu", "s", alpha=0.2)], {"w": W}),
    "old dropout": lambda: (
        [
            node("MatMul", "x w", "s"),
            node("Dropout", "s", "d"),
            node("Identity", "d", "i"),
            node("Cast", "i", to=1),
        ],
        {"w": W},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_operators_mean_here_what_they_mean_in_the_runtime(name: str) -> None:
    content = model_of(*CHAINS[name]())
    network = network_from_onnx(content, outputs="scores", scaling=Scaling.unit())
    x = inputs_for(network)
    np.testing.assert_allclose(network.query(x), run_onnx(content, x), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("reshaped", ["flatten", "fixed", "computed"])
def test_images_are_flattened_in_any_of_the_usual_ways(reshaped: str) -> None:
    shapes = {"new": np.array([-1, 4]), "zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1])}
    ways = {
        "flatten": [node("Flatten", "x", "f")],
        "fixed": [node("Reshape", "x new", "f")],
        "computed": [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n axis", "u"),
            node("Concat", "u rest", "t", axis=0),
            node("Reshape", "x t", "f"),
        ],
    }
    content = model_of([*ways[reshaped], node("Gemm", "f w", "s2"), node("Softmax", "s2")], {"w": W, **shapes},
                       ("n", 1, 2, 2))  # fmt: skip
    network = network_from_onnx(content)
    x = inputs_for(network)
    assert network.input_shape == (2, 2)
    np.testing.assert_allclose(network.query(x), run_onnx(content, x.reshape(-1, 1, 2, 2)), atol=TOLERANCE)


def test_scores_without_softmax_are_logits_unless_told_otherwise() -> None:
    content = model_of([node("MatMul", "x w")], {"w": W})
    x = inputs_for(network_from_onnx(content))
    scores = run_onnx(content, x)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network_from_onnx(content).query(x), probabilities, atol=TOLERANCE)
    np.testing.assert_allclose(network_from_onnx(content, outputs="scores").query(x), scores, atol=TOLERANCE)
    with pytest.raises(ModelError, match=r"outputs are 'logits' or 'scores'; received 'both'"):
        network_from_onnx(content, outputs="both")


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (lambda: [node("MatMul", "x w", "s"), node("Clip", "s g h")], "Clip: its bounds 2 and 6"),
        (lambda: [node("BatchNormalization", "x f f f f", training_mode=1), node("MatMul", "y w", "z")],
         "BatchNormalization: it normalises by the images of one batch"),
        (lambda: [node("MatMul", "x w", "s"), node("Dropout", "s g true")], "drops signals at random"),
        (lambda: [node("MatMul", "x w", "s"), node("Exp", "s")], "Exp: it is understood after LogSoftmax only"),
        (lambda: [node("MatMul", "x w", "s"), node("Squeeze", "s one")], "leaves out axes .*hold more than one"),
        (lambda: [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "w t")], "joins examples"),
        (lambda: [node("MatMul", "x w", "s"), node("Gather", "s one", axis=0)], "chooses among examples"),
        (lambda: [node("MatMul", "x w", "s"), node("Gather", "s nine", axis=1)], "signals that are not there"),
        (lambda: [node("MatMul", "x w", "s"), node("Softmax", "s", "p"), node("Gather", "p one", axis=1)],
         "leaves out some of the answers"),
        (lambda: [node("MatMul", "x w", "s"), node("Elu", "s")], "stopped at the operator Elu"),
        (lambda: [node("MatMul", "x w", "s"), node("LeakyRelu", "s", alpha=-0.2)], "LeakyRelu: .*slope of 0 or"),
        (lambda: [node("MatMul", "x w", "s"), node("Add", "s s")], "Add: .*meet themselves"),
        (lambda: [node("MatMul", "x w", "s"), node("Tanh", "s", "t"), node("Add", "s t")], "Add: it joins"),
        (lambda: [node("MatMul", "x w", "s"), node("Softmax", "s", axis=0)], "Softmax: it runs along"),
        (lambda: [node("MatMul", "x w", "s"), node("Softmax", "s", "h"), node("MatMul", "h v")], "softmax is for"),
        (lambda: [node("Gemm", "x w", transA=1)], "Gemm: the signals must be its first matrix"),
        (lambda: [node("Relu", "x")], "Relu: relu follows no weights"),
        (lambda: [node("Identity", "x")], "no weights"),
        (lambda: [node("MatMul", "x w", "s"), node("Tanh", "s", "h"), node("Mul", "h g")], "rescaled after"),
        (lambda: [node("MatMul", "x nothing")], "nothing in it makes 'nothing'"),
        (lambda: [node("MatMul", "x v")], "take 3 signals, but signals of shape"),
        (lambda: [node("MatMul", "x inf")], "not finite"),
        (lambda: [node("MatMul", "x int8")], "int8 holds no plain numbers"),
        (lambda: [node("Abs", "w", "a"), node("MatMul", "x a")], "operator Abs, which computes a constant"),
    ],
)  # fmt: skip
def test_what_is_no_dense_chain_is_named(nodes: Any, said: str) -> None:
    numbers = {"w": W, "v": W.T.copy(), "g": np.float32(2), "inf": W * np.inf, "int8": W.astype("int8")}
    numbers |= {"f": np.ones(4, "float32"), "h": np.float32(6), "true": np.array(True)}
    numbers |= {"one": np.array([1]), "nine": np.array([9])}
    with pytest.raises(ModelError, match=said):
        network_from_onnx(model_of(nodes(), numbers))


def test_a_convolution_is_named() -> None:
    kernel = np.ones((1, 1, 2, 2), "float32")
    content = model_of([node("Conv", "x k", "c"), node("Flatten", "c", "f"), node("MatMul", "f w")],
                       {"k": kernel, "w": W}, ("n", 1, 3, 3))  # fmt: skip
    with pytest.raises(ModelError, match="stopped at the operator Conv"):
        network_from_onnx(content)


def test_a_tensor_that_promises_more_than_it_holds_is_refused() -> None:
    import onnx

    model = onnx.ModelProto.FromString(model_of([node("MatMul", "x w")], {"w": W}))
    model.graph.initializer[0].dims[:] = [4, 10**12]
    with pytest.raises(ModelError, match="w does not hold as many numbers"):
        network_from_onnx(model.SerializeToString())


def test_names_that_double_themselves_do_not_take_forever() -> None:
    doubling = [node("Concat", f"c{n} c{n}", f"c{n + 1}", axis=0) for n in range(60)]
    content = model_of([*doubling, node("Reshape", "x c60")], {"c0": np.array([], "int64")})
    with pytest.raises(ModelError, match="Reshape"):
        network_from_onnx(content)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (lambda: [node("Relu", "x", "a"), node("Relu", "a", "a"), node("Relu", "a")], "form a circle"),
        (lambda: [node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "a")], "nothing of the inputs"),
        (lambda: [node("Transpose", "b", "a"), node("Identity", "a", "b"), node("MatMul", "x a")], "too deeply"),
    ],
)
def test_operators_in_a_circle_end_in_an_error(nodes: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        network_from_onnx(model_of(nodes(), {}))


@pytest.mark.parametrize("content", [b"", b"anything at all", bytes(1000)])
def test_other_bytes_are_no_model(content: bytes) -> None:
    with pytest.raises(ModelError, match="it is no ONNX model"):
        network_from_onnx(content)


def test_a_model_cut_short_anywhere_is_an_error_of_ours() -> None:
    content = network_to_onnx(Network.create([4, 3, 2], biases=True, rng=1)).SerializeToString()
    whole = network_from_onnx(content)
    for length in range(len(content)):
        try:
            part = network_from_onnx(content[:length])
        except ModelError:
            continue
        assert part.sizes == whole.sizes


@pytest.mark.needs("skl2onnx")
class TestScikitLearn:
    """What scikit-learn's exporter writes."""

    @staticmethod
    def export(estimator: Any, labels: NDArray[Any], **options: Any) -> tuple[bytes, NDArray[Any]]:
        from sklearn.exceptions import ConvergenceWarning

        x = np.random.default_rng(0).normal(size=(90, 9)).astype("float32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(x, labels)
        return TestScikitLearn.export_fitted(estimator, x, **options), x

    @staticmethod
    def export_fitted(estimator: Any, x: NDArray[Any], **options: Any) -> bytes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from skl2onnx import to_onnx

            example = x[:1].astype("float32")
            return bytes(to_onnx(estimator, example, options=options or None).SerializeToString())

    @pytest.mark.parametrize("hidden", [(5,), (6, 4)])
    @pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
    @pytest.mark.parametrize("labels", [3, 2])
    def test_perceptrons(self, hidden: tuple[int, ...], activation: str, labels: int) -> None:
        from sklearn.neural_network import MLPClassifier

        estimator = MLPClassifier(hidden, activation=activation, max_iter=3, random_state=1)
        names = np.array(["ant", "bee", "cat"])[np.arange(90) % labels]
        content, x = self.export(estimator, names)
        network = network_from_onnx(content)
        assert network.classes == tuple(estimator.classes_)
        assert network.input_shape == (3, 3)
        np.testing.assert_allclose(network.query(x), estimator.predict_proba(x), atol=TOLERANCE)

    @pytest.mark.parametrize("labels", [4, 2])
    @pytest.mark.parametrize("zipmap", [True, False])
    def test_pipelines_and_linear_models(self, labels: int, zipmap: bool) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import MinMaxScaler, StandardScaler

        for steps in (
            (LogisticRegression(),),
            (StandardScaler(), LogisticRegression()),
            (StandardScaler(), MLPClassifier((5,), max_iter=3, random_state=1)),
            (MinMaxScaler(), MLPClassifier((5,), max_iter=3, random_state=1)),
        ):
            estimator = make_pipeline(*steps)
            content, x = self.export(estimator, np.arange(90) % labels + 5, zipmap=zipmap)
            network = network_from_onnx(content)
            np.testing.assert_allclose(network.query(x), estimator.predict_proba(x), atol=TOLERANCE)
            assert network.classes == tuple(str(5 + number) for number in range(labels))


@pytest.mark.needs("torch", "onnxscript")
class TestPyTorch:
    """What PyTorch's two exporters write."""

    @pytest.mark.parametrize("dynamo", [True, False])
    @pytest.mark.parametrize("batch", ["open", "fixed"])
    def test_sequential_and_hand_written_modules(self, dynamo: bool, batch: str, tmp_path: Path) -> None:
        import torch
        from torch import nn

        class Standardising(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.chain = nn.Sequential(nn.Linear(16, 5, bias=False), nn.LeakyReLU(), nn.Linear(5, 3))

            def forward(self, x: Any) -> Any:
                return self.chain((x.view(x.shape[0], -1) - 0.13) / 0.3)

        sequential = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)
        )
        for position, module in enumerate((sequential.eval(), Standardising().eval())):
            path = tmp_path / f"{position}.onnx"
            self.export(module, path, dynamo, batch)
            network = network_from_onnx(path, outputs="scores", scaling=Scaling.unit())
            x = inputs_for(network, 2)
            with torch.no_grad():
                answers = module(torch.tensor(x).reshape(2, 1, 4, 4)).numpy()
            np.testing.assert_allclose(network.query(x), answers, atol=TOLERANCE)
            assert network.input_shape == (4, 4)

    @staticmethod
    def export(module: Any, path: Path, dynamo: bool, batch: str) -> None:
        import torch

        choice: dict[str, Any] = {"external_data": False, "verbose": False}
        if batch == "open" and dynamo:
            choice["dynamic_shapes"] = ({0: torch.export.Dim("n")},)
        elif batch == "open":
            choice["dynamic_axes"] = {"x": {0: "n"}}
        logging.disable(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (torch.zeros(2, 1, 4, 4),), path, dynamo=dynamo, input_names=["x"], **choice)
        logging.disable(logging.NOTSET)


def test_layers_without_biases_stay_without() -> None:
    network = Network((Layer(W.T, None, Network.create([1, 1]).layers[0].activation),))
    assert network_from_onnx(network_to_onnx(network).SerializeToString()).layers[0].biases is None
