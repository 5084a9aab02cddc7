"""ONNX: dense chains to `Network` and back.

A file is read as plain data. The path is followed from the answers back to the inputs, and the first operator that
a dense chain cannot hold is named. What was read is compared with what onnxruntime makes of the same path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import MissingExtraError, ModelError
from backquery.files import replacing
from backquery.io.chain import Chain, NotAChainError
from backquery.io.comparison import probes
from backquery.io.foreign import NOTES, check_size, read_notes, reading, settled, theirs, write_notes
from backquery.io.onnx_file import read_model
from backquery.io.onnx_graph import Graph
from backquery.io.onnx_runtime import compare_with_runtime
from backquery.io.onnx_steps import NAMES, TELLING, add_step
from backquery.io.pixels import raw_scaling
from backquery.io.torch_module import import_torch
from backquery.model import IDENTITY, Array, Layer, Network, Scaling, Shape, image_shape

if TYPE_CHECKING:
    import onnx

    from backquery.io.torch import TorchModel

OPSET, IR_VERSION = 17, 8
"""Old enough for every runtime of the last years, young enough for softmax along one axis."""

SURE = 1e-3
"""How far from 1 answers may add up that are probabilities."""

SETTINGS: dict[str, dict[str, Any]] = {"Softmax": {"axis": -1}}


def network_from_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    outputs: str | None = None,
    output: str | None = None,
    input_shape: Shape = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network:
    """The dense chain in an ONNX file, or in the bytes of one, as a `Network` with the same answers.

    Understood are Gemm, MatMul, Add, Sub, Mul, Div (by constants), BatchNormalization, Sigmoid, Tanh, Relu,
    LeakyRelu, Softmax, LogSoftmax, Flatten, Reshape, Squeeze, Transpose and choices of signals, Identity, Cast,
    Dropout, and scikit-learn's Scaler, LinearClassifier, Normalizer. What only chooses or names the label after
    the scores (ArgMax, ZipMap) is passed over. Anything else raises `ModelError` naming the operator. Numbers that
    lie in another file are read from the model's own folder only. Before you get the network, it has answered as
    onnxruntime does; where that is not installed, a warning says so.

    Files of `save_onnx` bring class names and scaling along, those of scikit-learn class names. A model that
    begins by dividing by 255 or the like takes raw pixels, and its `scaling` says so; a warning where that is
    likely, not certain. What is told here has the last word. Inputs are those of the model, each image in a row.

    Where the last weights have no activation, `outputs` says what they give: ``"logits"`` (their softmax are the
    answers) or ``"scores"`` (they are the answers); logits by default, unless they prove to be probabilities. One
    answer alone becomes two labels. `output` names the graph's output that holds the scores, where it has several.
    """
    told = {"input_shape": input_shape, "classes": classes, "scaling": scaling}
    what = _called(source)
    with _reading(what):
        return _network(Graph(read_model(source), output), told, outputs, what)


def from_onnx(
    source: str | os.PathLike[str] | bytes,
    *,
    outputs: str | None = None,
    output: str | None = None,
    input_shape: Shape = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network | TorchModel:
    """The model in an ONNX file of any layers: a dense chain as a `Network`, any other as a `TorchModel`.

    A dense chain is read as `network_from_onnx` does it. What is no such chain becomes a PyTorch module, operator
    by operator, each a small function of this package (`onnx_operators.OPERATORS`); nothing of the file is run,
    and the error names the operators that are not understood. It is given to `from_torch`, and has answered as
    onnxruntime does before you get it; where that is not installed, a warning says so. A Softmax or Sigmoid at the
    end is taken off, so that logits stay exact. A file that takes one image at a time only is run so for all.

    input_shape: the shape of one image, which is needed where the file leaves it open. outputs: for a dense chain
    as in `network_from_onnx`, for others as in `from_torch`. Everything else is as in `network_from_onnx`, and
    what cannot be read raises `ModelError`.
    """
    told = {"input_shape": tuple(input_shape), "classes": classes, "scaling": scaling}
    what = _called(source)
    with _reading(what):
        graph = Graph(read_model(source), output)
        try:
            return _network(graph, told, outputs, what)
        except NotAChainError as error:
            return _deep(graph, told, outputs, what, str(error))


def network_to_onnx(network: Network) -> onnx.ModelProto:
    """The network as an ONNX model: ``inputs`` (n, inputs) in input scale to ``answers`` (n, outputs).

    Image shape, class names, scaling and history are its metadata; statistics have no place in it. Without the
    package ``onnx`` there is `MissingExtraError`.
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


def _called(source: str | os.PathLike[str] | bytes) -> str:
    return "the ONNX model" if isinstance(source, bytes) else os.fspath(source)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    with reading(what, "onnx", "onnx"):
        try:
            yield
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"its parts do not fit together: {type(error).__name__}: {error}") from None


def _deep(graph: Graph, told: dict[str, Any], outputs: str | None, what: str, why: str) -> TorchModel:
    """What is no dense chain, as a PyTorch module; `why` it is none is said where PyTorch is missing."""
    import_torch(f"{what} is no chain of dense layers ({why}), and")
    from backquery.io.graph_module import as_model
    from backquery.io.onnx_module import module_from

    shape = _shape_of_images(graph, told["input_shape"])
    module, ending = module_from(graph)
    text = graph.metadata.get(NOTES)
    found = {"classes": graph.class_names(), "input_shape": image_shape(shape)}
    description = settled(told, {} if text is None else read_notes(text), found)
    if "scaling" not in description:
        description |= settled({"scaling": raw_scaling(_first_rescalings(graph, shape), graph.dtype)})
    model = as_model(module, ending, shape, description, outputs)
    compare_with_runtime(model, graph, what, raw=model.given == "logits", shape=shape)
    return model


def _shape_of_images(graph: Graph, told: Shape) -> Shape:
    """The shape of one image, as the file says it or, where that leaves lengths open, as it was told."""
    if graph.input_shape is not None:
        return graph.input_shape
    axes = [int(axis.dim_value) for axis in graph.input.type.tensor_type.shape.dim][1:]
    open_axes = sum(length < 1 for length in axes)
    lengths = iter(told if len(told) == open_axes else [n for n, at in zip(told, axes, strict=False) if at < 1])
    filled = tuple(length if length > 0 else next(lengths, 0) for length in axes) or told
    if not filled or 0 in filled or (told and prod(told) != prod(filled)):
        shown = tuple(length if length > 0 else "?" for length in axes)
        raise ModelError(
            f"it leaves the shape of its images open, as {shown}; say input_shape=, such as (3, 32, 32)"
        )
    return filled


def _first_rescalings(graph: Graph, shape: Shape) -> list[tuple[Array, Array]]:
    """What the first, the first two, ... operators do to the inputs, where they only rescale them."""
    chain, rescaled = Chain(shape), []
    for step in graph.first_steps((*TELLING, "Cast", "Identity")):
        try:
            add_step(chain, graph, step)
        except ModelError:
            break
        if chain.rescaled is not None and step.operator in TELLING:
            rescaled.append(chain.rescaled)
    return rescaled


def _network(graph: Graph, told: dict[str, Any], outputs: str | None, what: str) -> Network:
    text = graph.metadata.get(NOTES)
    notes = {} if text is None else read_notes(text)
    chain = Chain(graph.input_shape)
    rescaled = _follow(chain, graph)
    found: dict[str, Any] = {
        "classes": graph.class_names(),
        "input_shape": image_shape(graph.input_shape) if graph.input_shape else (),
        "about": {"source": f"ONNX, {graph.producer}" if graph.producer else "ONNX"},
    }
    description = settled(told, notes or found)
    if not notes and "scaling" not in description:
        description |= settled({"scaling": raw_scaling(rescaled, graph.dtype)})
    bare = chain.answers_with is IDENTITY
    ends = "as written" if notes else outputs or _outputs_of(chain, description)
    network = chain.finish(ends, **description)
    raw = graph.ends_in_logarithms if not bare else ends == "logits"
    compare_with_runtime(network, graph, what, raw=raw)
    return network


def _follow(chain: Chain, graph: Graph) -> list[tuple[Array, Array]]:
    """Hand every step to the chain; returns what the first, the first two, ... of those before any weights do."""
    rescaled: list[tuple[Array, Array]] = []
    for step in graph.path():
        graph.learn_shape(step.signal, chain.shape)
        add_step(chain, graph, step)
        if chain.rescaled is not None and step.operator in TELLING:
            rescaled.append(chain.rescaled)
    return rescaled


def _outputs_of(chain: Chain, description: dict[str, Any]) -> str:
    """Scores are logits, unless all of them are probabilities already."""
    if chain.answers_with is not IDENTITY:
        return "logits"
    network = chain.as_it_is()
    answers = network.query(probes(replace(network, scaling=description.get("scaling"))))
    sums = answers.sum(axis=1)
    return "scores" if network.outputs > 1 and answers.min() >= 0 and np.abs(sums - 1).max() < SURE else "logits"


def _layer(layer: Layer, signal: str, number: int, last: bool) -> tuple[list[Any], list[Any], str]:
    """The operators of one layer, its numbers, and the name of the signals it gives."""
    from onnx import helper, numpy_helper

    named = {f"weights_{number}": layer.weights}
    if layer.biases is not None:
        named[f"biases_{number}"] = layer.biases
    leak = layer.activation.leak
    operator = "LeakyRelu" if leak else theirs(layer.activation, NAMES | {IDENTITY: None}, "ONNX")
    settings = {"alpha": leak} if leak else SETTINGS.get(operator or "", {})
    given = "answers" if last else f"signals_{number}"
    sums = f"sums_{number}" if operator else given
    nodes = [helper.make_node("Gemm", [signal, *named], [sums], transB=1)]
    if operator:
        nodes.append(helper.make_node(operator, [sums], [given], **settings))
    return nodes, [numpy_helper.from_array(np.asarray(v), name) for name, v in named.items()], given
