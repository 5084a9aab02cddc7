"""An ONNX graph of any shape as a PyTorch module, for `from_torch`. Imported only where PyTorch is.

What does not depend on the images is computed once. No operator is run but those of `OPERATORS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from backquery.errors import ModelError
from backquery.io.foreign import check_size
from backquery.io.graph_module import Choice, GraphModule, Operation, Walk
from backquery.io.onnx_constants import constant, numbers
from backquery.io.onnx_graph import Graph, inputs_of, setting_of, signals_within
from backquery.io.onnx_operators import OPERATORS, Settings

Constants = dict[str, Tensor]

ENDINGS = ("Softmax", "Sigmoid")
"""Last operators that make answers of scores."""

BRANCHES = ("then_branch", "else_branch")


def module_from(graph: Graph) -> tuple[GraphModule, str | None]:
    """The graph as a module, and the name of an ending that was left out of it.

    `ModelError` names operators that are not understood.
    """
    output, ending = graph.output, graph.maker(graph.output)
    if ending in ENDINGS:
        output = graph.input_of(output)
    operators, tensors = graph.needed(output)
    _check_known(operators)
    constants = {tensor.name: _tensor(numbers(tensor)) for tensor in tensors}
    walk = _Builder(graph.opset).walk(operators, constants, {graph.input.name}, [output])
    return GraphModule(walk, graph.input.name, graph.batch), ending if ending in ENDINGS else None


def _check_known(operators: Sequence[Any]) -> None:
    unknown = sorted({kind for node in operators for kind in _kinds(node)} - {*OPERATORS, "Constant", "If"})
    if unknown:
        raise ModelError(f"these operators in it are not understood: {', '.join(unknown)}")


def _kinds(node: Any) -> Iterable[str]:
    yield node.op_type
    for branch in _branches(node):
        for inner in branch.node:
            yield from _kinds(inner)


def _branches(node: Any) -> list[Any]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


class _Builder:
    """Operators to operations; `opset` is the version that they are written in."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._room = 0

    def walk(self, nodes: Sequence[Any], constants: Constants, signals: set[str], outputs: Sequence[str]) -> Walk:
        """The operators that depend on `signals`; the others become constants."""
        operations: dict[str, Operation | Choice] = {}
        waiting = deque(nodes)
        while waiting:
            node, number = waiting.popleft(), len(operations)
            if node.op_type == "Constant":
                constants[node.output[0]] = _tensor(constant(partial(setting_of, node)))
                continue
            if node.op_type == "If" and node.input[0] in constants:
                waiting.extendleft(reversed(_chosen(node, bool(constants[node.input[0]]))))
                continue
            operation = self._operation(node, constants, signals)
            if operation.signals:
                operations[
                    node.name if node.name and node.name not in operations else f"{node.op_type} {number}"
                ] = operation
                signals.update(name for name in node.output if name)
            else:
                self._fold(node, operation, constants)
        operations |= {f"constant {name}": _held(name, constants[name]) for name in outputs if name not in signals}
        return Walk(operations, outputs)

    def _operation(self, node: Any, constants: Constants, signals: set[str]) -> Operation | Choice:
        missing = [name for name in inputs_of(node) if name and name not in signals and name not in constants]
        inner = signals_within(node)
        if set(missing) - inner:
            raise ModelError(f"nothing in it makes {missing[0]!r}, which the answers need")
        if node.op_type == "If":
            return self._choice(node, constants, signals)
        settings = Settings(_settings(node), self._opset, len(node.output))
        given = [name if name in signals else constants[name] if name else None for name in node.input]
        what = f"the operator {node.op_type}" + (f" ({node.name})" if node.name else "")
        return Operation(partial(OPERATORS[node.op_type], settings), given, node.output, what)

    def _choice(self, node: Any, constants: Constants, signals: set[str]) -> Operation | Choice:
        """Both branches; each sees all that was made before."""
        condition, branches = node.input[0], [setting_of(node, name) for name in BRANCHES]
        given = {value.name for branch in branches for value in branch.output}
        seen = sorted(signals.intersection({*inputs_of(node), *given}))
        walks = []
        for branch in branches:
            own = constants | {tensor.name: _tensor(numbers(tensor)) for tensor in branch.initializer}
            walks.append(self.walk(branch.node, own, set(signals), [value.name for value in branch.output]))
        return Choice(condition, (walks[0], walks[1]), node.output, seen)

    def _fold(self, node: Any, operation: Operation | Choice, constants: Constants) -> None:
        with torch.no_grad():
            found = operation()
        for name, value in zip(node.output, found if isinstance(found, tuple) else (found,), strict=False):
            self._room += value.numel() * value.element_size()
            check_size(self._room, "what it computes of its own numbers")
            constants[name] = value


def _chosen(node: Any, condition: bool) -> list[Any]:
    """The operators of one branch, and the branch's outputs under the names of the whole."""
    from onnx import helper

    branch = setting_of(node, BRANCHES[0 if condition else 1])
    held = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in branch.initializer]
    renamed = zip(branch.output, node.output, strict=True)
    same = [helper.make_node("Identity", [value.name], [name]) for value, name in renamed]
    return [*held, *branch.node, *same]


def _held(name: str, value: Tensor) -> Operation:
    """An output that is a constant."""
    return Operation(lambda held: held, [value], [name], f"the constant {name}")


def _settings(node: Any) -> dict[str, Any]:
    told = {attribute.name: setting_of(node, attribute.name) for attribute in node.attribute}
    return {name: _tensor(numbers(value)) if hasattr(value, "dims") else value for name, value in told.items()}


def _tensor(values: Any) -> Tensor:
    """Numbers as a tensor of its own; half precision is computed in float32."""
    tensor = torch.tensor(values)
    return tensor.float() if tensor.dtype == torch.float16 else tensor
