"""What each ONNX operator means to a dense chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.io.onnx_graph import COMPLEMENT, Graph, Step
from backquery.model import RELU, SIGMOID, SOFTMAX, TANH, Activation, leaky_relu, rounded_slope

Array = NDArray[Any]
Add = Callable[[Chain, Graph, Step], None]

NAMES = {SIGMOID: "Sigmoid", TANH: "Tanh", RELU: "Relu", SOFTMAX: "Softmax"}
"""What ONNX calls the activations that need no slope."""


def add_step(chain: Chain, graph: Graph, step: Step) -> None:
    """Hand what an operator does to the chain; `ModelError` names one that a dense chain cannot hold."""
    add = STEPS.get(step.operator)
    if add is None:
        raise step.complain(f"a dense chain is made of {', '.join(STEPS)}")
    try:
        add(chain, graph, step)
    except ModelError as error:
        raise step.complain(str(error)) from None


def _gemm(chain: Chain, graph: Graph, step: Step) -> None:
    """Alpha times A' B' + beta C, where A are the signals, one example in each row."""
    names = step.node.input
    if names[0] != step.signal or step.signal in names[1:] or step.setting("transA", 0):
        raise ModelError("the signals must be its first matrix, not transposed")
    weights = _floats(graph.constant(names[1])) * step.setting("alpha", 1.0)
    turned = weights if step.setting("transB", 0) else weights.T
    biases = None
    if len(names) > 2 and names[2]:
        biases = _vector(graph.constant(names[2]), len(turned)) * step.setting("beta", 1.0)
    chain.dense(turned, None if biases is None else biases.astype(turned.dtype))


def _matmul(chain: Chain, graph: Graph, step: Step) -> None:
    if step.node.input[0] != step.signal or step.node.input[1] == step.signal:
        raise ModelError("the signals must be its first matrix")
    chain.dense(_floats(graph.constant(step.node.input[1])).T, None)


def _arithmetic(rescaled: Callable[[Array, bool], tuple[Any, Any]]) -> Add:
    """A sum, difference, product or quotient of the signals and a constant, given as (gain, offset)."""

    def add(chain: Chain, graph: Graph, step: Step) -> None:
        names = list(step.node.input)
        if names.count(step.signal) != 1 or len(names) != 2:
            raise ModelError("the signals meet themselves")
        first = names[0] == step.signal
        chain.rescale(*rescaled(_floats(graph.constant(names[1 if first else 0])).astype(np.float64), first))

    return add


def _difference(number: Array, first: bool) -> tuple[Any, Any]:
    return (1.0, -number) if first else (-1.0, number)


def _quotient(number: Array, first: bool) -> tuple[Any, Any]:
    if not first or not np.all(number):
        raise ModelError("only signals divided by numbers other than zero can be folded into weights")
    return 1.0 / number, 0.0


def _leaky(chain: Chain, graph: Graph, step: Step) -> None:
    chain.activate(leaky_relu(rounded_slope(step.setting("alpha", 0.01))))


def _softmax(chain: Chain, graph: Graph, step: Step) -> None:
    # Opset 13 moved the usual axis of Softmax from 1 to the last; for a row of answers they are the same.
    if step.setting("axis", -1 if graph.opset >= 13 else 1) not in (-1, 1) or len(chain.shape or (1,)) != 1:
        raise ModelError("it runs along another axis than the answers")
    chain.activate(SOFTMAX)


def _flatten(chain: Chain, graph: Graph, step: Step) -> None:
    if step.setting("axis", 1) != 1:
        raise ModelError("it joins examples with one another")
    chain.flatten()


def _reshape(chain: Chain, graph: Graph, step: Step) -> None:
    lengths = [int(n) for n in graph.constant(step.node.input[1]).ravel()]
    if len(lengths) < 2 or lengths[0] < -1:
        raise ModelError(f"the shape {lengths} does not keep examples apart")
    if 0 in lengths[1:] and chain.shape is not None and not step.setting("allowzero", 0):
        known = (0, *chain.shape)
        lengths = [known[axis] if n == 0 and axis < len(known) else n for axis, n in enumerate(lengths)]
    chain.reshape(tuple(lengths[1:]))


def _scaler(chain: Chain, graph: Graph, step: Step) -> None:
    """scikit-learn's (x - offset) * scale."""
    gain = np.asarray(step.setting("scale", [1.0]), np.float64)
    chain.rescale(gain, -np.asarray(step.setting("offset", [0.0]), np.float64) * gain)


def _linear_classifier(chain: Chain, graph: Graph, step: Step) -> None:
    biases = np.asarray(step.setting("intercepts", []), np.float32)
    weights = np.asarray(step.setting("coefficients", []), np.float32)
    if not len(biases) or len(biases) != len(graph.class_names()) or weights.size % len(biases):
        raise ModelError("its coefficients and intercepts do not make one score for each label")
    activations = {b"NONE": None, b"SOFTMAX": SOFTMAX, b"LOGISTIC": SIGMOID}
    transform = step.setting("post_transform", b"NONE")
    if transform not in activations:
        raise ModelError(f"its answers are transformed by {transform.decode('ascii', 'replace')}")
    chain.dense(weights.reshape(len(biases), -1), biases)
    activation = activations[transform]
    if activation is not None:
        chain.activate(activation)


def _normalizer(chain: Chain, graph: Graph, step: Step) -> None:
    if step.setting("norm", b"MAX") != b"L1" or chain.answers_with is not SOFTMAX:
        raise ModelError("answers other than those of softmax do not stay themselves when normalised")


def _nothing(chain: Chain, graph: Graph, step: Step) -> None:
    if step.operator == "Cast" and step.setting("to") not in (1, 10, 11):
        raise ModelError("signals that are no longer fractions cannot be followed")


def _floats(values: Array) -> Array:
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def _vector(values: Array, length: int) -> Array:
    try:
        return np.broadcast_to(_floats(values), (1, length)).ravel()
    except ValueError:
        raise ModelError(f"biases of shape {values.shape} do not fit {length} nodes") from None


def _activating(activation: Activation) -> Add:
    return lambda chain, graph, step: chain.activate(activation)


STEPS: dict[str, Add] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _arithmetic(lambda number, first: (1.0, number)),
    "Sub": _arithmetic(_difference),
    "Mul": _arithmetic(lambda number, first: (number, 0.0)),
    "Div": _arithmetic(_quotient),
    **{name: _activating(activation) for activation, name in NAMES.items()},
    "LeakyRelu": _leaky,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Identity": _nothing,
    "Cast": _nothing,
    "Dropout": _nothing,
    "Scaler": _scaler,
    "LinearClassifier": _linear_classifier,
    "Normalizer": _normalizer,
    COMPLEMENT: lambda chain, graph, step: chain.add_complement(),
}
