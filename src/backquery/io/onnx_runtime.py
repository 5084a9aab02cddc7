"""An ONNX model asked by onnxruntime, the independent judge of what was read of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backquery.errors import ModelError, assume
from backquery.io.comparison import compare, not_compared
from backquery.io.onnx_graph import Graph
from backquery.model import Activation, Array, Model, Network, Shape, image_shape, leaky_relu

PROVIDERS = ["CPUExecutionProvider"]

FATAL = 4
"""The lowest of onnxruntime's voices: what fails is raised as an exception, and told once."""


def compare_with_runtime(
    network: Model, graph: Graph, what: str, *, raw: bool, shape: Shape | None = None
) -> None:
    """Raise `ModelError` unless onnxruntime answers as the network does; one line says where it cannot be asked.

    raw: whether the model ends in scores, or log-probabilities, where the network ends in softmax or sigmoid.
    shape: that of one example, where the model leaves it open and it is known.
    """
    try:
        original = _original(graph, shape or graph.input_shape or _likely_shape(network, graph))
    except ModuleNotFoundError:
        return not_compared(what, "onnxruntime", "onnx")
    whole = graph.dtype.kind in "iub"
    precision = "float32" if whole else graph.dtype.name
    try:
        compare(_as_stored(network), original, what, raw=raw, precision=precision, whole=whole)
    except _RuntimeRefusalError as error:
        assume(f"{what} was not compared with its original, as onnxruntime cannot run it: {error}")


def _as_stored(network: Model) -> Model:
    """The network with the slopes that the file holds, in float32, in place of those that were meant by them."""
    if not isinstance(network, Network):
        return network

    def stored(activation: Activation) -> Activation:
        return activation if activation.leak is None else leaky_relu(float(np.float32(activation.leak)))

    layers = tuple(replace(layer, activation=stored(layer.activation)) for layer in network.layers)
    return replace(network, layers=layers)


class _RuntimeRefusalError(Exception):
    """onnxruntime knows an operator in another version, or not at all."""


def _original(graph: Graph, shape: Shape) -> Callable[[Array], Array]:
    """Inputs (n, inputs) to what onnxruntime gives for the path to the scores alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def original(questions: Array) -> Array:
        asked = _as_inputs(questions, graph).reshape(-1, *shape)
        try:
            content = _path_alone(graph).SerializeToString()
            session = onnxruntime.InferenceSession(content, options, providers=PROVIDERS, enable_fallback=0)
            return _asked(session, graph, asked)
        except Exception as error:  # its exceptions have no base of their own
            raise _RuntimeRefusalError(str(error).splitlines()[0][:200]) from None

    return original


def _asked(session: Any, graph: Graph, asked: Array) -> Array:
    """The answers, as many at a time as the model takes."""
    size = graph.batch or len(asked)
    filled = np.concatenate([asked, np.repeat(asked[-1:], -len(asked) % size, axis=0)])
    given = [
        np.asarray(session.run([graph.output], {graph.input.name: filled[start : start + size]})[0])
        for start in range(0, len(filled), size)
    ]
    return np.concatenate([part.reshape(size, -1) for part in given])[: len(asked)]


def _as_inputs(questions: Array, graph: Graph) -> Array:
    if graph.dtype.kind in "iu":
        bounds = np.iinfo(graph.dtype)
        if questions.min() < bounds.min or questions.max() > bounds.max:
            raise ModelError(
                f"its inputs are whole numbers from {bounds.min} to {bounds.max}, and its scaling makes "
                f"{questions.min():g} to {questions.max():g}; Scaling(1, 0, 255) is for pixels as they are"
            )
    return questions.astype(graph.dtype)


def _path_alone(graph: Graph) -> Any:
    """The model without what the scores do not need."""
    from onnx import ModelProto, ValueInfoProto

    operators, tensors = graph.needed()
    model = ModelProto(ir_version=graph.model.ir_version, opset_import=graph.model.opset_import)
    model.graph.name = "path"
    model.graph.node.extend(operators)
    model.graph.initializer.extend(tensors)
    model.graph.input.append(graph.input)
    model.graph.output.append(ValueInfoProto(name=graph.output))
    return model


def _likely_shape(network: Model, graph: Graph) -> Shape:
    """The shape of an example where the model leaves it open: a row, or a square picture in as many axes."""
    axes = list(graph.input.type.tensor_type.shape.dim)[1:]
    if len(axes) < 2:
        return (network.inputs,)
    told = [int(axis.dim_value) for axis in axes]
    known = int(np.prod([length for length in told if length]))
    square = image_shape((network.inputs // known,)) if told.count(0) == 2 else (network.inputs // known,)
    lengths = iter(square)
    return tuple(length or next(lengths) for length in told)
