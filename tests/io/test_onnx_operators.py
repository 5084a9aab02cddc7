"""ONNX's operators one by one, with their settings, as onnxruntime has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.needs import needs

needs("onnx", "onnxruntime", "torch")

import torch  # noqa: E402
from onnx.defs import onnx_opset_version  # noqa: E402

from backquery.io.onnx_file import read_model  # noqa: E402
from backquery.io.onnx_graph import Graph  # noqa: E402
from backquery.io.onnx_module import module_from  # noqa: E402
from backquery.io.onnx_operators import OPERATORS  # noqa: E402
from tests.io.test_onnx import node  # noqa: E402

Array = NDArray[Any]
RNG = np.random.default_rng(7)

pytestmark = pytest.mark.needs("onnx", "onnxruntime", "torch")


def numbers(*shape: int) -> Array:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype("float32")


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


PICTURE = (2, 4, 7, 9)
K = numbers(6, 4, 3, 3)
CASES: dict[str, tuple[Callable[[], Any], dict[str, Array], tuple[int, ...]]] = {}


def case(kind: str, given: str = "x", shape: tuple[int, ...] = PICTURE, name: str = "", **more: Any) -> None:
    """One operator on ``x``; arrays among `more` are its other inputs, all else are settings."""
    numeric = (np.ndarray, np.generic)
    arrays = {key: np.asarray(value) for key, value in more.items() if isinstance(value, numeric)}
    settings = {key: value for key, value in more.items() if not isinstance(value, numeric)}
    CASES[f"{kind} {name or settings or ' '.join(arrays)}"] = (
        lambda: node(kind, given, "out", **settings),
        arrays,
        shape,
    )


for pads in ([1, 0, 2, 1], [1, 1, 1, 1], [0, 2, 0, 2]):
    case("Conv", "x k", k=K, pads=pads, strides=[2, 1])
    case("MaxPool", kernel_shape=[3, 3], pads=pads, strides=[2, 2])
    case("MaxPool", kernel_shape=[3, 3], pads=pads, strides=[3, 2], ceil_mode=1)
    for include in (0, 1):
        case("AveragePool", kernel_shape=[3, 4], pads=pads, strides=[2, 1], count_include_pad=include)
    case("ConvTranspose", "x k", k=numbers(4, 3, 3, 3), pads=pads, strides=[2, 3])
for automatic in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    case("Conv", "x k", k=K, auto_pad=automatic, strides=[2, 3])
    case("MaxPool", kernel_shape=[2, 3], auto_pad=automatic, strides=[2, 2])
    case("AveragePool", kernel_shape=[2, 3], auto_pad=automatic, strides=[2, 2])
    case("ConvTranspose", "x k", k=numbers(4, 3, 3, 2), auto_pad=automatic, strides=[2, 3])
case("Conv", "x k b", k=numbers(8, 2, 3, 3), b=numbers(8), group=2, dilations=[2, 1])
case("Conv", "x k", k=numbers(4, 1, 3, 3), group=4, name="by depth")
case("Conv", "x k", (2, 3, 11), k=numbers(5, 3, 4), pads=[2, 1], name="one axis")
case("Conv", "x k", (2, 3, 4, 5, 6), k=numbers(5, 3, 2, 3, 2), name="three axes")
case("ConvTranspose", "x k b", k=numbers(4, 2, 3, 3), b=numbers(4), group=2, dilations=[2, 1])
case("ConvTranspose", "x k", k=numbers(4, 2, 3, 3), strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1])
case("ConvTranspose", "x k", k=numbers(4, 2, 3, 3), strides=[2, 2], output_shape=[14, 18])
case("MaxPool", kernel_shape=[2, 2], dilations=[2, 3])
case("MaxPool", shape=(2, 3, 9), kernel_shape=[3], strides=[2], name="one axis")
for kind in ("GlobalAveragePool", "GlobalMaxPool"):
    case(kind)
for mode in ("nearest", "linear", "cubic"):
    for placed in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"):
        for scale in (1.7, 0.6):
            case(
                "Resize", "x r s", r=np.zeros(0, "float32"), s=np.float32([1, 1, scale, 2 * scale]), mode=mode,
                coordinate_transformation_mode=placed, name=f"{mode} {placed} {scale}",
            )  # fmt: skip
for nearest in ("floor", "ceil", "round_prefer_ceil", "round_prefer_floor"):
    case(
        "Resize", "x r e t", r=np.zeros(0, "float32"), e=np.zeros(0, "float32"), t=whole(2, 4, 3, 20),
        nearest_mode=nearest, coordinate_transformation_mode="asymmetric", name=nearest,
    )  # fmt: skip
case("Upsample", "x s", s=np.float32([1, 1, 2, 3]), mode="linear")
for mode in ("constant", "reflect", "edge"):
    case("Pad", "x p", p=whole(0, 0, 3, 2, 0, 1, 1, 4), mode=mode, name=mode)
case("Pad", "x p v", p=whole(0, 0, -1, 2, 0, 0, 1, -3), v=np.float32(0.5), name="less and more")
for starts, ends, axes, steps in (
    ([1], [-1], [2], [2]),
    ([-1, 0], [-99, 3], [3, 1], [-2, 1]),
    ([5], [2], [3], [1]),
):
    case(
        "Slice", "x a b c d", a=whole(*starts), b=whole(*ends), c=whole(*axes), d=whole(*steps),
        name=f"{starts} {ends} {steps}",
    )  # fmt: skip
case("Gather", "x i", i=whole(2, -1), axis=3)
case("Gather", "x i", i=np.int64(-2), axis=2, name="one")
case("Gather", "x i", i=np.int64([[0, 1], [2, 3]]), axis=1, name="a table")
case("GatherElements", "x i", i=np.int64(np.arange(2 * 4 * 7 * 2).reshape(2, 4, 7, 2) % 9), axis=3)
case("Reshape", "x s", s=whole(0, -1, 3))
case("Flatten", axis=2)
case("Flatten", axis=-1)
case("Transpose", perm=[0, 2, 3, 1])
case("Squeeze", "x a", (2, 1, 3, 1), a=whole(-1), name="last")
case("Squeeze", shape=(2, 1, 3, 1))
case("Unsqueeze", "x a", a=whole(1, -1))
case("Expand", "x s", (2, 1, 3), s=whole(1, 4, 1))
case("Tile", "x t", t=whole(1, 2, 1, 3))
case("Where", "c x y", c=numbers(4, 1, 1) > 0, y=numbers(1, 9))
case("Concat", "x y x", y=numbers(2, 3, 7, 9), axis=1)
for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu"):
    case(kind, "x y", y=numbers(4, 1, 1))
for kind in ("Pow",):
    case(kind, "x y", y=np.float32(3))
case("Mod", "x y", y=np.float32(0.7), fmod=1)
for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceL1", "ReduceProd", "ReduceSumSquare",
             "ReduceLogSumExp"):  # fmt: skip
    case(kind, axes=[1, -1], keepdims=0)
    case(kind)
case("ReduceSum", "x a", a=whole(2, 3))
for kind in ("Abs", "Neg", "Exp", "Erf", "Sign", "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Atan", "Sinh",
             "Cosh", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "HardSigmoid", "LeakyRelu",
             "Elu", "Celu", "Selu", "ThresholdedRelu", "Softmax", "LogSoftmax", "Identity", "Reciprocal",
             "Dropout", "Shrink"):  # fmt: skip
    case(kind)
case("Elu", alpha=0.5)
case("Celu", alpha=0.5)
case("Selu", alpha=1.5, gamma=1.1)
case("HardSigmoid", alpha=0.3, beta=0.4)
case("LeakyRelu", alpha=0.2)
case("ThresholdedRelu", alpha=0.4)
case("Shrink", lambd=0.3, bias=0.1)
case("Softmax", axis=1)
case("LogSoftmax", axis=2)
case("Clip", "x a b", a=np.float32(-0.5), b=np.float32(0.5))
case("MatMul", "x w", (2, 3, 5), w=numbers(5, 4))
case("MatMul", "w x", (2, 5, 3), w=numbers(4, 5))
case("Gemm", "x w b", (3, 5), w=numbers(4, 5), b=numbers(4), transB=1, alpha=0.5, beta=2.0)
case("Gemm", "w x", (3, 5), w=numbers(3, 4), transA=1)
case("Einsum", "x w", (2, 3, 5), w=numbers(4, 5), equation="nij,kj->nki")
case(
    "BatchNormalization", "x a b c d", a=numbers(4), b=numbers(4), c=numbers(4), d=np.abs(numbers(4)), epsilon=0.1
)
case("InstanceNormalization", "x a b", a=numbers(4), b=numbers(4), epsilon=0.1)
case("LayerNormalization", "x a b", a=numbers(7, 9), b=numbers(7, 9), axis=2)
case("LayerNormalization", "x a", a=numbers(9), name="without a shift")
case("MeanVarianceNormalization", axes=[0, 2, 3])
case("LpNormalization", axis=1, p=2)
case("LpNormalization", name="as it is usually")
case("LRN", size=3, alpha=0.5, beta=0.6, bias=2.0)
case("DepthToSpace", shape=(2, 8, 3, 4), blocksize=2)
case("DepthToSpace", shape=(2, 8, 3, 4), blocksize=2, mode="CRD")
case("SpaceToDepth", shape=(2, 3, 4, 6), blocksize=2)
case("Trilu", "x k", k=np.int64(1), upper=0)


def built(operators: list[Any], arrays: dict[str, Array], shape: tuple[int, ...], opset: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        operators,
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape[1:]])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def assert_as_the_runtime(content: bytes, shape: tuple[int, ...], ends: bool) -> None:
    """Ours and the runtime's, `ends` where a whole graph would go on to answers."""
    import onnxruntime

    x = numbers(*shape)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0]
    module, ending = module_from(Graph(read_model(content)))
    found = module.steps.walk({"x": torch.tensor(x)})[0]
    if ending == "Softmax":
        found = found.softmax(1 if ends else -1)
    found = found.sigmoid() if ending == "Sigmoid" else found
    assert tuple(found.shape) == expected.shape
    np.testing.assert_allclose(found.double().numpy(), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_it_does_what_the_runtime_does(name: str) -> None:
    make, arrays, shape = CASES[name]
    opset = {"Upsample": 9, "Resize": 19}.get(name.split(" ")[0], 17)
    content = built([make()], arrays, shape, opset)
    assert_as_the_runtime(content, shape, ends="'axis': 1" in name)


@pytest.mark.parametrize(
    ("kind", "given", "arrays", "settings", "opset"),
    [
        ("Gelu", "x", {}, {}, 20),
        ("Gelu", "x", {}, {"approximate": "tanh"}, 20),
        ("Mish", "x", {}, {}, 18),
        ("Split", "x", {}, {"axis": 1, "num_outputs": 3}, 18),
        ("Pad", "x p v a", {"p": whole(1, 2), "v": np.float32(1), "a": whole(-1)}, {}, 18),
        ("ReduceMean", "x a", {"a": whole(1, 2)}, {"keepdims": 0}, 18),
        ("ReduceMax", "x", {}, {"noop_with_empty_axes": 1}, 18),
        ("Resize", "x  s", {"s": np.float32([2, 1.5])}, {"axes": [2, 3], "mode": "linear"}, 18),
        ("GroupNormalization", "x a b", {"a": numbers(4), "b": numbers(4)}, {"num_groups": 2}, 21),
        ("Softmax", "x", {}, {"axis": 2}, 11),
        ("LogSoftmax", "x", {}, {}, 11),
        ("Slice", "x", {}, {"starts": [1], "ends": [-1], "axes": [3]}, 9),
        ("Clip", "x", {}, {"min": 0.0, "max": 0.5}, 6),
        ("Unsqueeze", "x", {}, {"axes": [1]}, 11),
        ("Resize", "x s", {"s": np.float32([1, 1, 2, 0.5])}, {"mode": "nearest"}, 10),
    ],
)
def test_what_changed_from_version_to_version(
    kind: str, given: str, arrays: dict[str, Array], settings: dict[str, Any], opset: int
) -> None:
    from onnx import helper

    outputs = ["y", "z", "w"] if kind == "Split" else ["y"]
    operator = helper.make_node(kind, given.split(" "), outputs, **settings)
    # A last operator that is none of those which are taken off.
    content = built([operator, node("Abs", "y", "out")], arrays, PICTURE, opset)
    assert_as_the_runtime(content, PICTURE, ends=False)


THRESHOLDS = {"k": np.float32(0.4), "j": np.float32(-0.3)}
COMPARED = [node("Less", "x k", "p"), node("Greater", "x j", "q")]
AS_NUMBERS = node("Cast", "b", "out", to=1)
SELDOM: dict[str, tuple[list[Any], dict[str, Array]]] = {
    "GreaterOrEqual": ([node("GreaterOrEqual", "x k", "b"), AS_NUMBERS], THRESHOLDS),
    "And": ([*COMPARED, node("And", "p q", "b"), AS_NUMBERS], THRESHOLDS),
    "Xor": ([*COMPARED, node("Xor", "p q", "b"), AS_NUMBERS], THRESHOLDS),
    "Not": ([COMPARED[0], node("Not", "p", "b"), AS_NUMBERS], THRESHOLDS),
    "CastLike": ([node("CastLike", "x n", "b"), AS_NUMBERS], {"n": whole(1)}),
    "Log": ([node("Abs", "x", "p"), node("Log", "p", "l"), node("Abs", "l", "out")], {}),
    "Swish": ([node("Swish", "x", "y", alpha=0.5), node("Abs", "y", "out")], {}),
    "RMSNormalization": (
        [node("RMSNormalization", "x a", "y", axis=-1, epsilon=0.1), node("Abs", "y", "out")], {"a": numbers(9)},
    ),
    "Size": ([node("Size", "x", "n"), node("Cast", "n", "f", to=1), node("Div", "x f", "out")], {}),
    "Range": (
        [node("Range", "zero nine one", "r"), node("Mul", "x r", "out")],
        {"zero": np.float32(0), "nine": np.float32(9), "one": np.float32(1)},
    ),
    "ArgMax": ([node("ArgMax", "x", "b", axis=1, keepdims=0), AS_NUMBERS], {}),
}  # fmt: skip
"""What no exporter's graph of the other tests holds."""

SINCE = {"RMSNormalization": 23, "Swish": 24}
"""The version of the standard that brought an operator, where the oldest `onnx` that is allowed lacks it."""


@pytest.mark.parametrize("name", [name for name in SELDOM if SINCE.get(name, 17) <= onnx_opset_version()])
def test_it_does_what_the_standard_s_own_evaluator_does(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    content, x = built(*SELDOM[name], PICTURE, SINCE.get(name, 17)), numbers(*PICTURE)
    (expected,) = ReferenceEvaluator(read_model(content)).run(None, {"x": x})
    module, _ = module_from(Graph(read_model(content)))
    found = module.steps.walk({"x": torch.tensor(x)})[0]
    assert tuple(found.shape) == expected.shape and expected.std() > 0
    np.testing.assert_allclose(found.double().numpy(), expected, atol=2e-5, rtol=2e-5)


def test_no_operator_is_without_a_test() -> None:
    """Those of shapes, comparisons and casts are tried by what exporters write (test_onnx_module)."""
    alone = {name.split(" ")[0] for name in CASES} | {"Gelu", "Mish", "Split", "GroupNormalization"}
    in_exports = {
        "Equal", "Greater", "Less", "LessOrEqual", "Or", "Cast", "Shape", "ConstantOfShape", "Sqrt",
    }  # fmt: skip
    assert set(OPERATORS) - alone - in_exports == set(SELDOM)
