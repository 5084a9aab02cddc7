"""PyTorch's operations on intervals, each given PyTorch's own function and what it was called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backquery.errors import ProofError
from backquery.io.torch_curves import curve_named
from backquery.io.torch_intervals import Interval, Largest, Tape, Through
from backquery.proofs.curves import Curve
from backquery.proofs.rounding import FEW, SPARE, error_of_sums


def _error(sizes: Tensor, terms: int, tape: Tape, own: int) -> Tensor:
    return torch.tensor(error_of_sums(sizes.numpy(), terms, tape.dtype, own))


def _same(func: Callable[..., Any], x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """The numbers in other places."""
    if any(isinstance(value, Interval) for value in (*args, *kwargs.values())):
        raise ProofError("places that depend on the image")
    if not _apart(func(_boxes(x.low), *args, **kwargs), x.tape.count):
        raise ProofError("an exchange between images")
    found = x.next(*(func(part, *args, **kwargs) for part in (x.low, x.high, x.taken())))
    x.shared = found.shared = True
    return found


def _boxes(numbers: Tensor) -> Tensor:
    """For each number the box that it belongs to."""
    return torch.arange(len(numbers)).reshape(-1, *(1,) * (numbers.ndim - 1)).expand_as(numbers)


def _apart(boxes: Tensor, count: int) -> bool:
    """Whether each box's numbers still stand together, along the first axis."""
    return boxes.ndim > 0 and len(boxes) == count and torch.equal(boxes, _boxes(boxes))


def _copied(_: Any, x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """The same numbers, once more."""
    kinds = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.dtype)]
    if any(kind not in (x.dtype, torch.float64) for kind in kinds):
        raise ProofError("a change of dtype")
    return x.next(x.low, x.high, x.taken())


def _dropped(_: Any, x: Interval, p: float = 0.5, training: bool = True, inplace: bool = False) -> Interval:
    if training:
        raise ProofError("dropout in training")
    return x if inplace else _copied(_, x)


def _joined(func: Callable[..., Any], parts: Any, *args: Any, **kwargs: Any) -> Interval:
    if not all(isinstance(part, Interval) for part in parts):
        raise ProofError("cat with constants")
    first: Interval = parts[0]
    ends = ([part.low for part in parts], [part.high for part in parts], [part.taken() for part in parts])
    low, high, path = (func(each, *args, **kwargs) for each in ends)
    return first.next(low, high, path)


def _weighted(
    func: Callable[..., Any], x: Interval, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Interval:
    """A linear map by known weights, and a shift: `linear` and the convolutions."""
    if isinstance(weight, Interval) or isinstance(bias, Interval):
        raise ProofError("weights that depend on the image")
    w = weight.double()

    def run(signal: Tensor, by: Tensor) -> Tensor:
        mapped: Tensor = func(signal, by, None, *args, **kwargs)
        return mapped

    middle, reach = (x.low + x.high) / 2, (x.high - x.low) / 2
    terms, own = w[0].numel() + 2, w[0].numel() + w.numel() // w.shape[1]
    sizes, centre, spread = run(x.size_of_all, w.abs()), run(middle, w), run(reach, w.abs())
    shift = None
    if bias is not None:
        behind = 0 if func is torch.nn.functional.linear else centre.ndim - 2
        shift = bias.double().reshape(-1, *(1,) * behind).expand(centre.shape)
        sizes, centre = sizes + shift.abs(), centre + shift
    return x.noted(centre - spread, centre + spread, run(x.taken(), w), shift, _error(sizes, terms, x.tape, own))


def _matrix(_: Any, x: Any, y: Any) -> Interval:
    if not isinstance(x, Interval) or isinstance(y, Interval) or y.ndim != 2:
        raise ProofError("a matrix product of signals")
    return _weighted(torch.nn.functional.linear, x, y.T)


def _padded(
    func: Callable[..., Any], x: Interval, pad: Any, mode: str = "constant", value: Any = None
) -> Interval:
    if mode == "constant" and value:
        raise ProofError("padding with another number than 0")
    return _same(func, x, pad, mode)


def _averaged(func: Callable[..., Any], x: Interval, *args: Any, **kwargs: Any) -> Interval:
    """Means and sums, which rise with each number."""
    low, high, path = (func(part, *args, **kwargs) for part in (x.low, x.high, x.taken()))
    sizes, terms = func(x.size_of_all, *args, **kwargs), x.low[0].numel() + SPARE
    return x.noted(low, high, path, None, _error(sizes, terms, x.tape, terms))


def _normalised(
    _: Any, x: Interval, mean: Tensor, var: Tensor, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Interval:  # fmt: skip
    """Batch norm at rest: a gain and a shift for each channel."""
    if training or mean is None or var is None:
        raise ProofError("batch norm in training")
    shape = (1, -1, *(1,) * (x.low.ndim - 2))
    gain = (1 if weight is None else weight.double()) / torch.sqrt(var.double() + eps)
    shift = (0 if bias is None else bias.double()) - mean.double() * gain
    size = (0 if bias is None else bias.double().abs()) + mean.double().abs() * gain.abs()
    return _scaled(x, gain.reshape(shape), shift.reshape(shape), size.reshape(shape))


def _scaled(x: Interval, gain: Tensor, shift: Tensor, size: Tensor) -> Interval:
    """``gain x + shift``, which may be rounded a few times; `size`: of all that the shift is made of."""
    ends = torch.stack([gain * x.low + shift, gain * x.high + shift])
    error = _error(gain.abs() * x.size_of_all + size, FEW, x.tape, FEW)
    added = shift.expand(error.shape)
    return x.noted(ends.amin(0), ends.amax(0), x.taken() * gain, added, error)


def _constant(value: Any) -> Tensor:
    if isinstance(value, Interval):
        raise ProofError("a product of two signals")
    return torch.as_tensor(value, dtype=torch.float64)


def _added(func: Callable[..., Any], x: Any, y: Any, *, alpha: float = 1) -> Interval:
    if alpha != 1:
        raise ProofError("add with a factor")
    return _sum(x, y, 1.0)


def _subtracted(func: Callable[..., Any], x: Any, y: Any, *, alpha: float = 1) -> Interval:
    if alpha != 1:
        raise ProofError("sub with a factor")
    return _sum(y, x, -1.0) if func.__name__ in ("rsub", "__rsub__") else _sum(x, y, -1.0)


def _sum(x: Any, y: Any, second: float) -> Interval:
    """``x + second y``."""
    if not isinstance(y, Interval):
        return _fitted(x, 1.0, second * _constant(y))
    if not isinstance(x, Interval):
        return _fitted(y, second, _constant(x))
    ends = [(x.low, x.high), (second * y.low, second * y.high)]
    low, high = (sum(torch.minimum(*pair) for pair in ends), sum(torch.maximum(*pair) for pair in ends))
    path = x.taken() + second * y.taken()
    error = _error((x.size_of_all + y.size_of_all), 2, x.tape, FEW)
    return x.noted(low, high, path, None, error)


def _fitted(x: Interval, gain: float, shift: Tensor) -> Interval:
    if torch.broadcast_shapes(x.low.shape, shift.shape) != x.low.shape:
        raise ProofError("an image repeated by a larger constant")
    return _scaled(x, torch.tensor(gain, dtype=torch.float64), shift, shift.abs())


def _multiplied(_: Any, x: Any, y: Any) -> Interval:
    signal, factor = (x, _constant(y)) if isinstance(x, Interval) else (y, _constant(x))
    if torch.broadcast_shapes(signal.low.shape, factor.shape) != signal.low.shape:
        raise ProofError("an image repeated by a larger constant")
    nothing = torch.zeros((), dtype=torch.float64)
    return _scaled(signal, factor, nothing, nothing)


def _divided(_: Any, x: Any, y: Any, **kwargs: Any) -> Interval:
    if kwargs or not isinstance(x, Interval):
        raise ProofError("a division by a signal")
    return _multiplied(_, x, 1 / _constant(y))


def _negated(_: Any, x: Interval) -> Interval:
    return x.next(-x.high, -x.low, -x.taken())


def _in_place(operation: Callable[..., Interval]) -> Callable[..., Interval]:
    return lambda func, x, *args, **kwargs: x.become(operation(func, x, *args, **kwargs))


def _curved(name: str) -> Callable[..., Interval]:
    """An activation, by PyTorch's name."""

    def operation(_: Any, x: Interval, *args: Any, inplace: bool = False, **kwargs: Any) -> Interval:
        if args and isinstance(args[-1], bool):
            inplace, args = args[-1], args[:-1]
        found = _through(curve_named(name, *args, **kwargs), x)
        return x.become(found) if inplace else found

    return operation


def _through(curve: Curve, x: Interval) -> Interval:
    low, high = x.low.numpy(), x.high.numpy()
    with np.errstate(all="ignore"):
        lines = curve.lines(low, high)
        ends = curve.ends(low, high)
        size = np.maximum.reduce([np.abs(part) for part in (low, high, *ends)])
        loose = curve.loose(size, x.tape.dtype)
    parts = tuple(torch.tensor(part) for part in (lines.under, lines.least, lines.over, lines.most))
    away = torch.tensor(loose)
    path = Through.apply(x.taken(), parts, away, torch.tensor(size), x.tape)
    return x.next(torch.tensor(ends[0]) - away, torch.tensor(ends[1]) + away, path)


def _pooled(
    _: Any, x: Interval, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Interval:  # fmt: skip
    """The largest of each window of a picture."""
    if return_indices or x.low.ndim != 4:
        raise ProofError("max_pool2d with places")
    pool = torch.nn.functional.max_pool2d
    settings = (kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    low, place = pool(x.low, *settings, return_indices=True)
    high = pool(x.high, *settings)
    chosen = x.high.flatten(2).gather(2, place.flatten(2)).reshape(place.shape)
    sure = (
        _is_largest(x.high, low, chosen, settings) if not ceil_mode else torch.zeros_like(place, dtype=torch.bool)
    )
    size = x.size_of_all.flatten(2).gather(2, place.flatten(2)).reshape(place.shape)
    return x.next(low, high, Largest.apply(x.taken(), place, sure, high, size, x.tape))


def _is_largest(high: Tensor, low: Tensor, chosen: Tensor, settings: Any) -> Tensor:
    """Whether no other number of a window can exceed what the chosen one is at least."""
    (rows, columns), stride, (above, beside), dilation, _ = (_pair(one) for one in settings)
    wide = torch.nn.functional.pad(high, (beside, beside, above, above), value=-torch.inf)
    n, channels = high.shape[:2]
    windows = torch.nn.functional.unfold(wide, (rows, columns), dilation, 0, stride)
    windows = windows.reshape(n, channels, rows * columns, -1)
    more = (windows > low.flatten(2)[:, :, None]).sum(2).reshape(low.shape)
    return more == (chosen > low)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


_SAME = (
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "unflatten", "__getitem__",
    "narrow", "select", "movedim", "swapaxes", "channel_shuffle", "pixel_shuffle",
)  # fmt: skip
_CURVES = (
    "relu", "leaky_relu", "elu", "selu", "celu", "sigmoid", "tanh", "silu", "gelu", "softplus", "hardtanh",
    "relu6", "hardswish", "hardsigmoid", "log_sigmoid", "softsign", "clamp", "clamp_min", "log", "abs",
)  # fmt: skip

OPERATIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(("contiguous", "clone", "to", "double", "detach"), _copied),
    **dict.fromkeys(
        ("dropout", "dropout2d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"), _dropped
    ),
    **dict.fromkeys(("cat", "concat"), _joined),
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), _weighted),
    **dict.fromkeys(
        ("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean", "sum"), _averaged
    ),
    **dict.fromkeys(("add", "__add__", "__radd__"), _added),
    **dict.fromkeys(("sub", "__sub__", "rsub", "__rsub__", "subtract"), _subtracted),
    **dict.fromkeys(("mul", "__mul__", "__rmul__", "multiply"), _multiplied),
    **dict.fromkeys(("div", "__truediv__", "true_divide", "divide"), _divided),
    **dict.fromkeys(("neg", "__neg__", "negative"), _negated),
    **dict.fromkeys(("add_", "__iadd__"), _in_place(_added)),
    **dict.fromkeys(("sub_", "__isub__"), _in_place(_subtracted)),
    **dict.fromkeys(("mul_", "__imul__"), _in_place(_multiplied)),
    **dict.fromkeys(("div_", "__itruediv__"), _in_place(_divided)),
    **{name: _curved(name) for name in _CURVES},
    **{f"{name}_": _in_place(_curved(name)) for name in _CURVES},
    **dict.fromkeys(("matmul", "__matmul__"), _matrix),
    "pad": _padded,
    "batch_norm": _normalised,
    "max_pool2d": _pooled,
}
"""What is known of PyTorch's functions and methods, by their names."""
