"""The graph of an ONNX model: its one path from inputs to scores, and the constants beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.model import Shape

FEW = 64
"""Numbers in a shape that is computed within the graph; no image has so many axes."""

LABELLING = ("ZipMap", "Identity")
"""What may stand between the scores and an output, and changes none of them."""

COMPLEMENT = "Concat(1 - p, p)"


@dataclass(frozen=True)
class Step:
    """One operator on the path: the node, and the name of the signals that it works on."""

    node: Any
    signal: str
    operator: str

    def setting(self, name: str, usual: Any = None) -> Any:
        """One attribute of the node, decoded."""
        return _setting(self.node, name, usual)

    def complain(self, reason: str) -> ModelError:
        """What to raise where this operator cannot be part of a dense chain."""
        name = f" ({self.node.name})" if self.node.name else ""
        return ModelError(f"it stopped at the operator {self.operator}{name}: {reason}")


class Graph:
    """A parsed model that is asked for its path and its constants; `output` names the scores."""

    def __init__(self, model: Any, output: str | None = None) -> None:
        graph = model.graph
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.producer = str(model.producer_name)
        self.opset = max(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1
        )
        self._nodes = list(graph.node)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._constants: dict[str, NDArray[Any]] = {}
        # Before IR version 4 the initialisers had to be listed among the inputs as well.
        self._input = self._only_input([value for value in graph.input if value.name not in self._tensors])
        self._output = self._scores(graph.output, output)

    @cached_property
    def input_shape(self) -> Shape | None:
        """The shape of one example, or None where the model leaves it open."""
        lengths = [int(axis.dim_value) for axis in self._input.type.tensor_type.shape.dim]
        return tuple(lengths[1:]) if len(lengths) > 1 and all(length > 0 for length in lengths[1:]) else None

    def path(self) -> list[Step]:
        """The operators from the inputs to the scores, in the order in which signals pass them."""
        steps: list[Step] = []
        name = self._output
        while name != self._input.name:
            if len(steps) > len(self._nodes):
                raise ModelError("its operators form a circle")
            if name not in self._makers:
                raise ModelError(f"nothing in it makes {name!r}, which the answers need")
            steps.append(self._step(self._makers[name]))
            name = steps[-1].signal
        return steps[::-1]

    def is_constant(self, name: str) -> bool:
        """Whether `name` is a number or a shape that does not depend on the inputs' values."""
        return name not in self._from_inputs

    def constant(self, name: str) -> NDArray[Any]:
        """The constant called `name`."""
        if name not in self._constants:
            self._constants[name] = self._evaluate(name)
        return self._constants[name]

    def class_names(self) -> tuple[str, ...]:
        """The labels' names, where an operator after the scores knows them."""
        for node in self._nodes:
            for attribute in ("classlabels_strings", "classlabels_int64s", "classlabels_ints"):
                names = _setting(node, attribute)
                if names:
                    return tuple(map(_text, names))
        for node in self._nodes:
            if node.op_type == "ArrayFeatureExtractor" and node.input[0] in self._tensors:
                return tuple(map(_text, _numbers(self._tensors[node.input[0]], labels=True).ravel()))
        return ()

    def _only_input(self, inputs: list[Any]) -> Any:
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise ModelError(f"a classifier of images has one input; this model has {names}")
        return inputs[0]

    def _scores(self, outputs: Any, wanted: str | None) -> str:
        from onnx import TensorProto

        numbers = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
        scores = [
            value.name
            for value in outputs
            if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type in numbers
        ]
        if wanted is not None:
            scores = [value.name for value in outputs if value.name == wanted]
        if len(scores) != 1:
            names = ", ".join(value.name for value in outputs)
            raise ModelError(f"its outputs are {names}; say which one holds the scores with output=...")
        return self._behind_labels(scores[0])

    def _behind_labels(self, name: str) -> str:
        for _ in self._nodes:
            node = self._makers.get(name)
            if node is None or node.op_type not in LABELLING:
                break
            name = node.input[0]
        return name

    def _step(self, node: Any) -> Step:
        signals = [name for name in dict.fromkeys(node.input) if name and not self.is_constant(name)]
        step = Step(node, signals[0] if signals else "", node.op_type)
        if len(signals) == 1:
            return step
        if self._is_complement(node):
            return Step(node, node.input[1], COMPLEMENT)
        if not signals:
            raise step.complain("nothing of the inputs reaches it")
        raise step.complain("it joins several signals; a chain has one at a time")

    def _is_complement(self, node: Any) -> bool:
        """Whether scikit-learn's exporter made two answers of a probability p here: 1 - p and p."""
        minus = self._makers.get(node.input[0]) if node.op_type == "Concat" and len(node.input) == 2 else None
        return (
            minus is not None
            and minus.op_type == "Sub"
            and minus.input[1] == node.input[1]
            and self.is_constant(minus.input[0])
            and self.constant(minus.input[0]).tolist() in (1.0, [1.0])
            and _setting(node, "axis") in (1, -1)
        )

    @cached_property
    def _from_inputs(self) -> set[str]:
        """Every name that depends on the inputs' values; operators are listed after those they build on."""
        names = {self._input.name}
        for node in self._nodes:
            if node.op_type != "Shape" and any(name in names for name in node.input):
                names.update(node.output)
        return names

    def _evaluate(self, name: str) -> NDArray[Any]:
        if name in self._tensors:
            return _numbers(self._tensors[name])
        if name not in self._makers:
            raise ModelError(f"nothing in it makes {name!r}")
        return self._compute(self._makers[name])

    def _compute(self, node: Any) -> NDArray[Any]:
        """A constant that the graph computes: weights turned round, or the parts of a shape."""
        kind = node.op_type
        if kind == "Constant":
            return _constant(node)
        if kind == "Shape":
            return self._shape_of(node)
        given = [self.constant(name) for name in node.input if name]
        if kind in ("Identity", "Cast"):
            return given[0]
        if kind == "Transpose":
            return np.transpose(given[0], _setting(node, "perm"))
        if kind in ("Gather", "Concat", "Unsqueeze", "Squeeze") and sum(part.size for part in given) <= FEW:
            return _part_of_shape(kind, given)
        raise ModelError(f"it stopped at the operator {kind}, which computes a constant in an unknown way")

    def _shape_of(self, node: Any) -> NDArray[Any]:
        """The shape of the inputs, with 0 for the batch: what Reshape takes for "as it is"."""
        if node.input[0] != self._input.name or self.input_shape is None:
            raise ModelError("it stopped at the operator Shape, which asks for a shape that is not known")
        return np.array([0, *self.input_shape])


def _part_of_shape(kind: str, given: list[NDArray[Any]]) -> NDArray[Any]:
    if kind == "Concat":
        return np.concatenate([np.atleast_1d(part) for part in given])
    if kind == "Gather":
        return np.asarray(np.take(given[0], given[1]))
    return np.atleast_1d(given[0]) if kind == "Unsqueeze" else np.squeeze(given[0])


def _constant(node: Any) -> NDArray[Any]:
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        value = _setting(node, name)
        if value is not None:
            return np.asarray(value)
    tensor = _setting(node, "value")
    if tensor is None:
        raise ModelError("it stopped at the operator Constant, which holds no plain numbers")
    return _numbers(tensor)


def _numbers(tensor: Any, labels: bool = False) -> NDArray[Any]:
    """The numbers that a tensor holds itself; those in another file are refused."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(
            f"the numbers of {tensor.name} lie in another file, which is not opened; write everything into one "
            "file (in PyTorch: torch.onnx.export(..., external_data=False))"
        )
    kinds = ("FLOAT", "DOUBLE", "FLOAT16", "INT64", "INT32") + (("STRING",) if labels else ())
    if tensor.data_type not in [getattr(TensorProto, kind) for kind in kinds]:
        raise ModelError(f"{tensor.name} holds no plain numbers")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError):
        raise ModelError(f"{tensor.name} does not hold as many numbers as its shape says") from None


def _setting(node: Any, name: str, usual: Any = None) -> Any:
    from onnx import helper

    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return usual


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
