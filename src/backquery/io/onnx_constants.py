"""The constants of an ONNX graph: those that it holds, and those that it computes from them.

Exporters leave shapes that are put together from the inputs' own, and weights turned round or scaled. What is
computed never takes more room than `foreign.LIMIT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io.foreign import check_size

Array = NDArray[Any]
Setting = Callable[..., Any]

FEW = 64
"""Numbers in a shape that is computed within the graph; no image has so many axes."""

ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply,
    "Neg": np.negative, "Sqrt": np.sqrt, "Reciprocal": np.reciprocal,
}  # fmt: skip

SHAPES = ("Gather", "Concat", "Unsqueeze", "Squeeze", "Slice", "ReduceProd")
"""What puts shapes together; only a few numbers at a time are followed through these."""


def computed(kind: str, given: list[Array], setting: Setting) -> Array:
    """What an operator makes of constants; `setting(name, usual)` tells its attributes."""
    if kind == "Identity":
        return given[0]
    if kind == "Cast":
        return given[0].astype(_dtype(setting("to")))
    if kind == "Transpose":
        return np.transpose(given[0], setting("perm"))
    if kind == "Reshape":
        return _reshaped(given[0], given[1])
    if kind in ELEMENTWISE or kind == "Div":
        check_size(prod(np.broadcast_shapes(*(part.shape for part in given))) * 8, f"the operator {kind}")
        return ELEMENTWISE.get(kind, _quotient)(*given)
    if kind in SHAPES and sum(part.size for part in given) <= FEW:
        return _part_of_shape(kind, given, setting)
    raise ModelError(f"it stopped at the operator {kind}, which computes a constant in an unknown way")


def numbers(tensor: Any, labels: bool = False) -> Array:
    """The numbers that a tensor holds."""
    from onnx import TensorProto, numpy_helper

    kinds = ("FLOAT", "DOUBLE", "FLOAT16", "INT64", "INT32", "UINT8", "BOOL") + (("STRING",) if labels else ())
    if tensor.data_type not in [getattr(TensorProto, kind) for kind in kinds]:
        raise ModelError(f"{tensor.name} holds no plain numbers")
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, OverflowError):
        raise ModelError(f"{tensor.name} does not hold as many numbers as its shape says") from None


def constant(setting: Setting) -> Array:
    """The numbers of an operator Constant."""
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        value = setting(name)
        if value is not None:
            return np.asarray(value)
    tensor = setting("value")
    if tensor is None:
        raise ModelError("it stopped at the operator Constant, which holds no plain numbers")
    return numbers(tensor)


def _quotient(one: Array, other: Array) -> Array:
    whole = one.dtype.kind in "iu"
    if whole and not np.all(other):
        raise ModelError("it divides by zero")
    return np.trunc(one / other).astype(one.dtype) if whole else one / other


def _dtype(kind: int) -> Any:
    from onnx import helper

    try:
        return helper.tensor_dtype_to_np_dtype(kind)
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"it stopped at the operator Cast, to the unknown type {kind}") from None


def _reshaped(values: Array, shape: Array) -> Array:
    lengths: Sequence[int] = [int(length) for length in shape.ravel()]
    known = [values.shape[axis] if n == 0 and axis < values.ndim else n for axis, n in enumerate(lengths)]
    return values.reshape(known)


def _part_of_shape(kind: str, given: list[Array], setting: Setting) -> Array:
    if kind == "Concat":
        return np.concatenate([np.atleast_1d(part) for part in given])
    if kind == "Gather":
        return np.asarray(np.take(given[0], given[1]))
    if kind == "Slice":
        return _sliced(given, setting)
    if kind == "ReduceProd":
        return np.asarray(np.prod(given[0], dtype=given[0].dtype)).reshape((setting("keepdims", 1) and (1,)) or ())
    return np.atleast_1d(given[0]) if kind == "Unsqueeze" else np.squeeze(given[0])


def _sliced(given: list[Array], setting: Setting) -> Array:
    """A run of a vector's numbers; before opset 10 its ends were attributes."""
    ends = [setting(name) for name in ("starts", "ends")] if len(given) < 3 else given[1:3]
    start, end = (int(np.ravel(value)[0]) for value in ends)
    step = int(np.ravel(given[4])[0]) if len(given) > 4 else 1
    return np.atleast_1d(given[0])[start:end:step]
