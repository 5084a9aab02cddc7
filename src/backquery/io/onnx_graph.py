"""The graph of an ONNX model: its one path from inputs to scores, and the constants beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError, assume
from backquery.io.chain import NotAChainError
from backquery.io.onnx_constants import computed, constant, numbers
from backquery.model import Shape

LABELLING = ("ZipMap", "Identity")
"""What may stand between the scores and an output, and changes none of them."""

CHOOSING = ("ArgMax", "Cast", "Squeeze", "Reshape", "Identity")
"""What may stand between the scores and the number of the label, where a model gives nothing else."""

ANSWERING = ("Softmax", "LogSoftmax", "Sigmoid", "Exp", "Cast", *LABELLING)
"""What makes answers of scores: a model that gives both gives the same twice."""

COMPLEMENT = "Concat(1 - p, p)"


@dataclass(frozen=True)
class Step:
    """One operator on the path: the node, and the name of the signals that it works on."""

    node: Any
    signal: str
    operator: str

    def setting(self, name: str, usual: Any = None) -> Any:
        """One attribute of the node, decoded."""
        return setting_of(self.node, name, usual)

    def complain(self, reason: str) -> NotAChainError:
        """What to raise where this operator cannot be part of a dense chain."""
        name = f" ({self.node.name})" if self.node.name else ""
        return NotAChainError(f"it stopped at the operator {self.operator}{name}: {reason}")


class Graph:
    """A parsed model that is asked for its path and its constants; `output` names the scores."""

    def __init__(self, model: Any, output: str | None = None) -> None:
        graph = model.graph
        self.model = model
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.producer = str(model.producer_name)
        self.opset = max(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1
        )
        self._nodes = list(graph.node)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._constants: dict[str, NDArray[Any]] = {}
        self._shapes: dict[str, Shape] = {}
        # Before IR version 4 the initialisers had to be listed among the inputs as well.
        self.input = self._only_input([value for value in graph.input if value.name not in self._tensors])
        self.output = self._scores(graph.output, output)
        if self.input_shape is not None:
            self._shapes[self.input.name] = self.input_shape

    @cached_property
    def input_shape(self) -> Shape | None:
        """The shape of one example, or None where the model leaves it open."""
        lengths = [int(axis.dim_value) for axis in self.input.type.tensor_type.shape.dim]
        return tuple(lengths[1:]) if len(lengths) > 1 and all(length > 0 for length in lengths[1:]) else None

    @cached_property
    def batch(self) -> int | None:
        """How many examples it takes at once, where only that many."""
        axes = self.input.type.tensor_type.shape.dim
        return max(int(axes[0].dim_value), 0) or None if axes else None

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The type of the inputs."""
        from onnx import helper

        kind = self.input.type.tensor_type.elem_type
        try:
            dtype: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        except (KeyError, TypeError, ValueError):
            raise ModelError(f"its inputs are of the unknown type {kind}") from None
        if dtype.kind not in "fiub":
            raise ModelError(f"its inputs are of the type {dtype}, not numbers")
        return dtype

    @property
    def ends_in_logarithms(self) -> bool:
        """Whether the scores are the logarithms of the answers."""
        name = self.output
        while self.maker(name) in ("Identity", "Cast", "Squeeze", "Reshape"):
            name = self._makers[name].input[0]
        return self.maker(name) == "LogSoftmax"

    def path(self) -> list[Step]:
        """The operators from the inputs to the scores, in the order in which signals pass them."""
        steps: list[Step] = []
        name = self.output
        while name != self.input.name:
            if len(steps) > len(self._nodes):
                raise ModelError("its operators form a circle")
            if name not in self._makers:
                raise ModelError(f"nothing in it makes {name!r}, which the answers need")
            steps.append(self._step(self._makers[name]))
            name = steps[-1].signal
        return steps[::-1]

    def first_steps(self, kinds: tuple[str, ...]) -> Iterator[Step]:
        """The operators of these kinds that the inputs pass one by one before any other does."""
        name = self.input.name
        while True:
            users = [node for node in self._nodes if name in inputs_of(node)]
            if len(users) != 1 or users[0].op_type not in kinds:
                return
            yield Step(users[0], name, users[0].op_type)
            name = users[0].output[0]

    def needed(self, output: str | None = None) -> tuple[list[Any], list[Any]]:
        """The operators and the tensors that the scores, or another output, need, each in the model's order."""
        names = self._ancestry(output or self.output)
        operators = [node for node in self._nodes if names.intersection(node.output)]
        return operators, [tensor for name, tensor in self._tensors.items() if name in names]

    def is_constant(self, name: str) -> bool:
        """Whether `name` is a number or a shape that does not depend on the inputs' values."""
        return name not in self._from_inputs

    def constant(self, name: str) -> NDArray[Any]:
        """The constant called `name`."""
        if name not in self._constants:
            self._constants[name] = self._evaluate(name)
        return self._constants[name]

    def learn_shape(self, name: str, shape: Shape | None) -> None:
        """Signals of this name have been found to be of this shape; what asks for it later may be told."""
        if shape is not None:
            self._shapes[name] = shape

    def maker(self, name: str) -> str:
        """The operator that makes the signals of this name; nothing for the inputs."""
        return str(self._makers[name].op_type) if name in self._makers else ""

    def input_of(self, name: str) -> str:
        """The first of what the signals of this name are made of."""
        return str(self._makers[name].input[0])

    def class_names(self) -> tuple[str, ...]:
        """The labels' names, where an operator after the scores knows them."""
        for node in self._nodes:
            for attribute in ("classlabels_strings", "classlabels_int64s", "classlabels_ints"):
                names = setting_of(node, attribute)
                if names:
                    return tuple(map(_text, names))
        for node in self._nodes:
            if node.op_type == "ArrayFeatureExtractor" and node.input[0] in self._tensors:
                return tuple(map(_text, numbers(self._tensors[node.input[0]], labels=True).ravel()))
        return ()

    def _only_input(self, inputs: list[Any]) -> Any:
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise ModelError(f"a classifier of images has one input; this model has {names}")
        return inputs[0]

    def _scores(self, outputs: Any, wanted: str | None) -> str:
        if wanted is not None:
            scores = [value.name for value in outputs if value.name == wanted]
        else:
            scores = self._once([value.name for value in outputs if _may_be_scores(value)])
            if not scores and len(outputs) == 1:
                return self._behind(outputs[0].name, CHOOSING)[0]
        listed = ", ".join(map(_described, outputs))
        last = [name for name in scores if set(scores) <= self._ancestry(name)]
        if len(scores) > 1 and len(last) == 1:
            assume(f"its outputs are {listed}; {last[0]} was taken, which is made of the others; output=... says "
                   "otherwise")  # fmt: skip
            scores = last
        if len(scores) != 1:
            raise ModelError(f"its outputs are {listed}; say which one holds the scores with output=...")
        return self._behind(scores[0], LABELLING)[0]

    def _once(self, names: list[str]) -> list[str]:
        """Of scores and the answers made of them, the answers alone."""
        furthest: dict[str, tuple[int, str]] = {}
        for name in names:
            root, steps = self._behind(name, ANSWERING)
            if root not in furthest or steps > furthest[root][0]:
                furthest[root] = (steps, name)
        return [name for _, name in furthest.values()]

    def _ancestry(self, name: str) -> set[str]:
        """Every name that this one is made of, itself among them."""
        names: set[str] = set()
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.add(name)
                waiting += inputs_of(self._makers[name]) if name in self._makers else ()
        return names

    def _behind(self, name: str, operators: tuple[str, ...]) -> tuple[str, int]:
        """Where the signals come from that only these operators made `name` of, and how many there are."""
        for steps in range(len(self._nodes)):
            node = self._makers.get(name)
            if node is None or node.op_type not in operators:
                return name, steps
            name = node.input[0]
        return name, len(self._nodes)

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
            and setting_of(node, "axis") in (1, -1)
        )

    @cached_property
    def _from_inputs(self) -> set[str]:
        """Every name that depends on the inputs' values; operators are listed after those they build on."""
        names = {self.input.name}
        for node in self._nodes:
            if node.op_type != "Shape" and any(name in names for name in inputs_of(node)):
                names.update(node.output)
        return names

    def _evaluate(self, name: str) -> NDArray[Any]:
        if name in self._tensors:
            return numbers(self._tensors[name])
        if name not in self._makers:
            raise ModelError(f"nothing in it makes {name!r}")
        node = self._makers[name]
        if node.op_type == "Constant":
            return constant(partial(setting_of, node))
        if node.op_type == "Shape":
            return self._shape_of(node)
        given = [self.constant(name) for name in node.input if name]
        return computed(node.op_type, given, partial(setting_of, node))

    def _shape_of(self, node: Any) -> NDArray[Any]:
        """The shape of signals, with 0 for the batch: what Reshape takes for "as it is"."""
        if node.input[0] not in self._shapes:
            raise ModelError("it stopped at the operator Shape, which asks for a shape that is not known")
        whole = np.array([0, *self._shapes[node.input[0]]])
        return whole[setting_of(node, "start", 0) : setting_of(node, "end")]


def inputs_of(node: Any) -> list[str]:
    """What an operator is made of, the branches within it included."""
    inner = [part for attribute in node.attribute if attribute.HasField("g") for part in attribute.g.node]
    return [*node.input, *(name for part in inner for name in inputs_of(part))]


def signals_within(node: Any) -> set[str]:
    """What is made within the branches of an operator."""
    inner = [part for attribute in node.attribute if attribute.HasField("g") for part in attribute.g.node]
    own = {tensor.name for a in node.attribute if a.HasField("g") for tensor in a.g.initializer}
    return own.union(*(part.output for part in inner), *(signals_within(part) for part in inner))


def _may_be_scores(value: Any) -> bool:
    """Whether an output may be (n, k) or (n,) fractions, or is too loosely described to tell."""
    from onnx import TensorProto

    if not value.type.HasField("tensor_type"):
        return True
    tensor = value.type.tensor_type
    axes = len(tensor.shape.dim) if tensor.HasField("shape") else 2
    return tensor.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16) and axes in (1, 2)


def _described(value: Any) -> str:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return str(value.name)
    axes = [str(axis.dim_value or axis.dim_param or "?") for axis in value.type.tensor_type.shape.dim]
    return f"{value.name} ({', '.join(axes)})"


def setting_of(node: Any, name: str, usual: Any = None) -> Any:
    """One attribute of an operator, decoded."""
    from onnx import helper

    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return usual


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
