"""ONNX: dense chains to `Network` and back.

A file is read as plain data and never run. Weights must lie in the file itself: a reference to another file is
refused. The path is followed from the answers back to the inputs, and the first operator that a dense chain
cannot hold is named.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import MissingExtraError, ModelError
from backquery.files import replacing
from backquery.io.chain import Chain
from backquery.io.foreign import NOTES, check_size, read_bytes, read_notes, reading, settled, write_notes
from backquery.io.onnx_graph import Graph
from backquery.io.onnx_steps import NAMES, add_step
from backquery.model import Layer, Network, Scaling, Shape, image_shape

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime of the last years, young enough for softmax along one axis."""

SETTINGS: dict[str, dict[str, Any]] = {"Softmax": {"axis": -1}}


def network_from_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    outputs: str = "logits",
    output: str | None = None,
    input_shape: Shape = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network:
    """The dense chain in an ONNX file, or in the bytes of one, as a `Network` with the same answers.

    Understood are Gemm, MatMul, Add, Sub, Mul, Div (by constants), Sigmoid, Tanh, Relu, LeakyRelu, Softmax,
    Flatten, Reshape, Transpose of weights, Identity, Cast, Dropout, and scikit-learn's Scaler, LinearClassifier,
    Normalizer. What only chooses or names the label after the scores (ArgMax, ZipMap) is passed over. Anything
    else raises `ModelError` naming the operator. Files of `save_onnx` bring class names and scaling along, those
    of scikit-learn class names; what is told here has the last word.

    Where the last weights have no activation, `outputs` says what they give: ``"logits"`` (their softmax are the
    answers) or ``"scores"`` (they are the answers). One answer alone becomes two labels. `output` names the
    graph's output that holds the scores, where it has several.
    """
    told = {"input_shape": input_shape, "classes": classes, "scaling": scaling}
    with reading("the ONNX model" if isinstance(source, bytes) else source, "onnx", "onnx"):
        content = source if isinstance(source, bytes) else read_bytes(source)
        check_size(len(content), "it")
        graph = Graph(_parse(content), output)
        return _network(graph, told, outputs)


def network_to_onnx(network: Network) -> onnx.ModelProto:
    """The network as an ONNX model: ``inputs`` (n, inputs) in input scale to ``answers`` (n, outputs).

    Image shape, class names, scaling and history are its metadata; statistics have no place in it.
    """
    try:
        from onnx import helper
    except ModuleNotFoundError:
        raise MissingExtraError("making an ONNX model", "onnx", "onnx") from None
    kind = helper.np_dtype_to_tensor_dtype(network.dtype)
    nodes: list[Any] = []
    weights: list[Any] = []
    signal = "inputs"
    for number, layer in enumerate(network.layers, start=1):
        new, numbers, signal = _layer(layer, signal, number, last=number == len(network.layers))
        nodes += new
        weights += numbers
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("inputs", kind, ["n", network.inputs])],
        [helper.make_tensor_value_info("answers", kind, ["n", network.outputs])],
        weights,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="backquery", opset_imports=[opset], ir_version=IR_VERSION)
    helper.set_model_props(model, {NOTES: write_notes(network)})
    return model


def save_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the network as an ONNX file, whole or not at all; see `network_to_onnx`."""
    model = network_to_onnx(network)
    check_size(model.ByteSize(), "the network")
    with replacing(Path(path)) as stream:
        stream.write(model.SerializeToString())


def _parse(content: bytes) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    # Not onnx.load, which would also open the files of external data that it names.
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise ModelError("it is no ONNX model, or was cut short") from None
    if not model.graph.node:
        raise ModelError("it is no ONNX model: there are no operators in it")
    return model


def _network(graph: Graph, told: dict[str, Any], outputs: str) -> Network:
    text = graph.metadata.get(NOTES)
    notes = {} if text is None else read_notes(text)
    chain = Chain(graph.input_shape)
    for step in graph.path():
        add_step(chain, graph, step)
    found: dict[str, Any] = {
        "classes": graph.class_names(),
        "input_shape": image_shape(graph.input_shape) if graph.input_shape else (),
        "about": {"source": f"ONNX, {graph.producer}" if graph.producer else "ONNX"},
    }
    return chain.finish("as written" if notes else outputs, **settled(told, notes or found))


def _layer(layer: Layer, signal: str, number: int, last: bool) -> tuple[list[Any], list[Any], str]:
    """The operators of one layer, its numbers, and the name of the signals it gives."""
    from onnx import helper, numpy_helper

    named = {f"weights_{number}": layer.weights}
    if layer.biases is not None:
        named[f"biases_{number}"] = layer.biases
    leak = layer.activation.leak
    operator = "LeakyRelu" if leak else NAMES.get(layer.activation)
    settings = {"alpha": leak} if leak else SETTINGS.get(operator or "", {})
    given = "answers" if last else f"signals_{number}"
    sums = f"sums_{number}" if operator else given
    nodes = [helper.make_node("Gemm", [signal, *named], [sums], transB=1)]
    if operator:
        nodes.append(helper.make_node(operator, [sums], [given], **settings))
    return nodes, [numpy_helper.from_array(np.asarray(v), name) for name, v in named.items()], given
