"""What each ONNX operator means to a dense chain."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.io.onnx_graph import COMPLEMENT, Graph, Step
from backquery.model import IDENTITY, RELU, SIGMOID, SOFTMAX, TANH, Activation, Shape, leaky_relu, rounded_slope

Array = NDArray[Any]
Add = Callable[[Chain, Graph, Step], None]

NAMES = {SIGMOID: "Sigmoid", TANH: "Tanh", RELU: "Relu", SOFTMAX: "Softmax"}
"""What ONNX calls the activations that need no slope."""

FRACTIONS = (1, 10, 11)
"""ONNX's numbers for float32, float16 and float64."""

ALL = 2**31
"""More examples than there can be."""

_AT_REST = "export the model as it answers, not as it learns (in PyTorch: model.eval() first)"


def add_step(chain: Chain, graph: Graph, step: Step) -> None:
    """Hand what an operator does to the chain; `ModelError` names one that a dense chain cannot hold."""
    add = STEPS.get(step.operator)
    if add is None:
        raise step.complain(
            f"a dense chain is made of {', '.join(STEPS)}; a network of other layers is read by from_onnx"
        )
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
        number = graph.constant(names[1 if first else 0])
        if number.dtype.kind not in "f":
            raise ModelError("whole numbers meet whole numbers, which wraps round or loses what is less than one")
        chain.rescale(*rescaled(number.astype(np.float64), first))

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
    shape = chain.shape or (1,)
    # Opset 13 moved the usual axis of Softmax from 1 to the last; for a row of answers they are the same.
    axis = step.setting("axis", -1 if graph.opset >= 13 else 1)
    if axis not in (-1, len(shape)) or shape[-1] != prod(shape):
        raise ModelError("it runs along another axis than the answers")
    chain.activate(SOFTMAX)


def _exp(chain: Chain, graph: Graph, step: Step) -> None:
    if graph.maker(step.signal) != "LogSoftmax":
        raise ModelError("it is understood after LogSoftmax only")


def _clip(chain: Chain, graph: Graph, step: Step) -> None:
    """A ceiling and a floor that the activation before never reaches; a floor of zero alone is Relu."""
    low, high = (_bound(graph, step, *told) for told in (("min", 1, -np.inf), ("max", 2, np.inf)))
    before = chain.answers_with
    if low == 0 and high == np.inf and before is IDENTITY:
        chain.activate(RELU)
    elif low > before.low or high < before.high:
        raise ModelError(f"its bounds {low:g} and {high:g} are not those of a known activation")


def _bound(graph: Graph, step: Step, name: str, place: int, usual: float) -> float:
    """One bound of Clip; before opset 11 an attribute, and the largest float where there is none."""
    names = step.node.input
    told = graph.constant(names[place]) if len(names) > place and names[place] else step.setting(name, usual)
    bound = float(np.ravel(told)[0])
    return usual if abs(bound) >= np.finfo(np.float32).max else bound


def _batch_normalization(chain: Chain, graph: Graph, step: Step) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, for each channel."""
    names = list(step.node.input)
    if step.setting("training_mode", 0) or names[0] != step.signal or len(names) != 5:
        raise ModelError(f"it normalises by the images of one batch; {_AT_REST}")
    scale, shift, mean, variance = (graph.constant(name).astype(np.float64) for name in names[1:])
    gain = scale / np.sqrt(variance + step.setting("epsilon", 1e-5))
    along = (-1, *(1 for _ in (chain.shape or (1,))[1:]))
    chain.rescale(gain.reshape(along), (shift - mean * gain).reshape(along))


def _dropout(chain: Chain, graph: Graph, step: Step) -> None:
    names = step.node.input
    if len(names) > 2 and names[2] and graph.constant(names[2]).any():
        raise ModelError(f"it drops signals at random; {_AT_REST}")


def _flatten(chain: Chain, graph: Graph, step: Step) -> None:
    if step.setting("axis", 1) != 1:
        raise ModelError("it joins examples with one another")
    chain.flatten()


def _reshape(chain: Chain, graph: Graph, step: Step) -> None:
    lengths = [int(n) for n in graph.constant(step.node.input[1]).ravel()]
    if len(lengths) == 1 and chain.shape is not None and prod(chain.shape) == 1:
        return
    if len(lengths) < 2 or lengths[0] < -1:
        raise ModelError(f"the shape {lengths} does not keep examples apart")
    if 0 in lengths[1:] and chain.shape is not None and not step.setting("allowzero", 0):
        known = (0, *chain.shape)
        lengths = [known[axis] if n == 0 and axis < len(known) else n for axis, n in enumerate(lengths)]
    chain.reshape(tuple(lengths[1:]))


def _squeeze(chain: Chain, graph: Graph, step: Step) -> None:
    """Without axes of length one; the row of a single answer is not told from the answer itself."""
    shape = _known(chain)
    told = _axes(graph, step, len(shape) + 1)
    axes = [axis for axis, length in enumerate(shape, 1) if length == 1] if told is None else told
    if (0 in axes and graph.batch != 1) or any(axis and shape[axis - 1] != 1 for axis in axes):
        raise ModelError(
            f"it leaves out axes {axes} of examples of shape {shape}, which hold more than one number"
        )
    chain.reshape(tuple(length for axis, length in enumerate(shape, 1) if axis not in axes) or (1,))


def _unsqueeze(chain: Chain, graph: Graph, step: Step) -> None:
    shape = _known(chain)
    axes = sorted(_axes(graph, step, len(shape) + 2) or ())
    if not axes or axes[0] == 0:
        raise ModelError("it joins examples with one another")
    lengths = list(shape)
    for axis in axes:
        lengths.insert(axis - 1, 1)
    chain.reshape(tuple(lengths))


def _transpose(chain: Chain, graph: Graph, step: Step) -> None:
    shape = _known(chain)
    axes = list(step.setting("perm", range(len(shape), -1, -1)))
    if sorted(axes) != list(range(len(shape) + 1)) or axes[0] != 0:
        raise ModelError("it joins examples with one another")
    _pick(chain, np.transpose(_places(shape), [axis - 1 for axis in axes[1:]]))


def _gather(chain: Chain, graph: Graph, step: Step) -> None:
    shape = _known(chain)
    axis = step.setting("axis", 0) % (len(shape) + 1)
    if step.node.input[0] != step.signal or axis == 0:
        raise ModelError("it chooses among examples")
    try:
        _pick(chain, np.take(_places(shape), graph.constant(step.node.input[1]), axis=axis - 1))
    except IndexError:
        raise ModelError(f"it chooses signals that are not there among those of shape {shape}") from None


def _slice(chain: Chain, graph: Graph, step: Step) -> None:
    shape = _known(chain)
    names = list(step.node.input)[1:]
    if len(names) < 2:
        raise ModelError("it is written as before opset 10")
    starts, ends, *rest = ([int(n) for n in graph.constant(name).ravel()] if name else None for name in names)
    axes = rest[0] if rest and rest[0] else list(range(len(starts or ())))
    steps = rest[1] if len(rest) > 1 and rest[1] else [1] * len(axes)
    cuts = [slice(None)] * (len(shape) + 1)
    for axis, *cut in zip(axes, starts or (), ends or (), steps, strict=True):
        cuts[axis] = slice(*cut)
    if cuts[0].indices(ALL) != (0, ALL, 1):
        raise ModelError("it chooses among examples")
    _pick(chain, _places(shape)[tuple(cuts[1:])])


def _known(chain: Chain) -> Shape:
    if chain.shape is None:
        raise ModelError("the model leaves the shape of its inputs open; export it with a fixed one")
    return chain.shape


def _axes(graph: Graph, step: Step, rank: int) -> list[int] | None:
    """The axes that Squeeze and Unsqueeze are about, examples being axis 0; before opset 13 an attribute."""
    names = step.node.input
    told = graph.constant(names[1]).ravel() if len(names) > 1 and names[1] else step.setting("axes")
    return None if told is None else [int(axis) % rank for axis in told]


def _places(shape: Shape) -> NDArray[np.intp]:
    return np.arange(prod(shape)).reshape(shape)


def _pick(chain: Chain, places: NDArray[np.intp]) -> None:
    if not places.size:
        raise ModelError("it leaves no signals")
    chain.pick(places.ravel(), places.shape or (1,))


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
    pass


def _cast(chain: Chain, graph: Graph, step: Step) -> None:
    from onnx import helper

    kind = step.setting("to")
    widened = step.signal == graph.input.name and np.can_cast(graph.dtype, helper.tensor_dtype_to_np_dtype(kind))
    if kind not in FRACTIONS and not widened:
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
    "Sum": _arithmetic(lambda number, first: (1.0, number)),
    "Neg": lambda chain, graph, step: chain.rescale(-1.0, 0.0),
    **{name: _activating(activation) for activation, name in NAMES.items()},
    "LeakyRelu": _leaky,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Exp": _exp,
    "Clip": _clip,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Gather": _gather,
    "Slice": _slice,
    "BatchNormalization": _batch_normalization,
    "Identity": _nothing,
    "Cast": _cast,
    "Dropout": _dropout,
    "Scaler": _scaler,
    "LinearClassifier": _linear_classifier,
    "Normalizer": _normalizer,
    COMPLEMENT: lambda chain, graph, step: chain.add_complement(),
}

TELLING = ("Add", "Sub", "Mul", "Div", "Sum", "Neg", "Scaler")
"""Steps before the first weights that tell what the inputs are."""
