"""What each layer of Keras does, in PyTorch: one small function for each, by the layer's class.

A function is given the settings that its row of `LAYERS` names, then signals and the layer's numbers. Windows move
as ONNX's do, whose functions are used. Imported only where PyTorch is. The source of what is meant: Keras 3's own
documentation, https://keras.io/api/layers/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from backquery.errors import ModelError
from backquery.io.foreign import check_size
from backquery.io.keras_config import Entry
from backquery.io.onnx_operators import OPERATORS, Settings
from backquery.io.onnx_resize import resized

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Kind:
    """One class of layers: what it does, the settings that it reads, and those that say how its numbers begin."""

    function: Function
    reads: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x, "relu": torch.relu, "relu6": functional.relu6, "sigmoid": torch.sigmoid,
    "tanh": torch.tanh, "softmax": lambda x: torch.softmax(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "elu": functional.elu, "selu": functional.selu, "celu": functional.celu, "softplus": functional.softplus,
    "softsign": functional.softsign, "silu": functional.silu, "swish": functional.silu,
    "gelu": lambda x: functional.gelu(x, approximate="none"), "mish": functional.mish, "exponential": torch.exp,
    "hard_sigmoid": functional.hardsigmoid, "hard_silu": functional.hardswish, "hard_swish": functional.hardswish,
    "hard_tanh": functional.hardtanh, "log_sigmoid": functional.logsigmoid, "tanh_shrink": functional.tanhshrink,
    "soft_shrink": functional.softshrink, "hard_shrink": functional.hardshrink,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
}  # fmt: skip
"""What Keras calls activations that need no settings."""


def _channels(at: Entry, x: Tensor) -> Tensor:
    """Signals with their channels behind the batch."""
    return x if at.get("data_format") == "channels_first" else torch.movedim(x, -1, 1)


def _as_before(at: Entry, x: Tensor) -> Tensor:
    return x if at.get("data_format") == "channels_first" else torch.movedim(x, 1, -1)


def _listed(value: Any, axes: int) -> list[int]:
    """One number for each axis, where one may stand for all."""
    return [int(n) for n in value] if isinstance(value, list | tuple) else [int(value)] * axes


def _moving(at: Entry, axes: int, **told: Any) -> Settings:
    """A moving window in ONNX's words."""
    automatic = {"valid": "VALID", "same": "SAME_UPPER", "causal": "NOTSET"}.get(str(at.get("padding", "valid")))
    if automatic is None:
        raise ModelError(f"its padding is {at.get('padding')!r}")
    strides = at.get("strides", 1)
    return Settings(
        {
            "strides": _listed(1 if strides is None else strides, axes),
            "dilations": _listed(at.get("dilation_rate", 1), axes),
            "auto_pad": automatic,
            **told,
        }
    )


def _filters(kernel: Tensor) -> Tensor:
    """Weights (..., inputs, outputs) as (outputs, inputs, ...)."""
    return torch.movedim(kernel, (-1, -2), (0, 1))


def _convolved(at: Entry, x: Tensor, filters: Tensor, biases: Tensor | None, groups: int) -> Tensor:
    moving = _moving(at, x.ndim - 2, group=groups)
    if at.get("padding") == "causal":
        behind = (filters.shape[-1] - 1) * moving("dilations")[0]
        x = functional.pad(x, (behind, 0))
    found: Tensor = OPERATORS["Conv"](moving, x, filters, biases)
    return found


def _convolution(at: Entry, x: Tensor, kernel: Tensor, biases: Tensor | None = None) -> Tensor:
    return _as_before(at, _convolved(at, _channels(at, x), _filters(kernel), biases, at.get("groups", 1)))


def _by_depth(kernel: Tensor) -> Tensor:
    """Weights (..., channels, multiplier) as (channels times multiplier, 1, ...)."""
    first = torch.movedim(kernel, (-2, -1), (0, 1))
    return first.reshape(-1, 1, *first.shape[2:])


def _depthwise(at: Entry, x: Tensor, kernel: Tensor, biases: Tensor | None = None) -> Tensor:
    return _as_before(at, _convolved(at, _channels(at, x), _by_depth(kernel), biases, kernel.shape[-2]))


def _separable(at: Entry, x: Tensor, depth: Tensor, point: Tensor, biases: Tensor | None = None) -> Tensor:
    apart = _convolved(at, _channels(at, x), _by_depth(depth), None, depth.shape[-2])
    return _as_before(at, _convolved({}, apart, _filters(point), biases, 1))


def _transposed(at: Entry, x: Tensor, kernel: Tensor, biases: Tensor | None = None) -> Tensor:
    axes = x.ndim - 2
    if at.get("output_padding") is not None:
        raise ModelError("it has an output_padding")
    moving = _moving(at, axes)
    wide = [(n - 1) * d + 1 for n, d in zip(kernel.shape, moving("dilations"), strict=False)]
    more = [max(s - w, 0) for s, w in zip(moving("strides"), wide, strict=True)]
    filters = _filters(kernel)  # (inputs, outputs, ...), as the kernel has them the other way round
    found = OPERATORS["ConvTranspose"](_moving(at, axes, output_padding=more), _channels(at, x), filters, biases)
    return _as_before(at, found)


def _pool(operator: str) -> Function:
    def pooled(at: Entry, x: Tensor) -> Tensor:
        axes = x.ndim - 2
        size = _listed(at.get("pool_size", 2), axes)
        moving = _moving({**at, "strides": at.get("strides") or size}, axes, kernel_shape=size)
        return _as_before(at, OPERATORS[operator](moving, _channels(at, x)))

    return pooled


def _global_pool(function: Callable[..., Tensor]) -> Function:
    def pooled(at: Entry, x: Tensor) -> Tensor:
        first = at.get("data_format") == "channels_first"
        return function(
            x, dim=tuple(range(2, x.ndim) if first else range(1, x.ndim - 1)), keepdim=bool(at.get("keepdims"))
        )

    return pooled


def _dense(at: Entry, x: Tensor, kernel: Tensor, biases: Tensor | None = None) -> Tensor:
    return x @ kernel if biases is None else x @ kernel + biases


def _along(values: Tensor, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Numbers of these axes, in the shape of signals."""
    chosen = sorted(axis % x.ndim for axis in axes)
    return values.reshape([n if axis in chosen else 1 for axis, n in enumerate(x.shape)])


def _axes_of(at: Entry, usual: int = -1) -> list[int]:
    told = at.get("axis", usual)
    return _listed(told, 1)


def _batch_normalization(at: Entry, x: Tensor, *numbers: Tensor) -> Tensor:
    *learned, mean, variance = numbers
    axes = _axes_of(at)
    gain = torch.rsqrt(variance + at.get("epsilon", 1e-3)) * (learned[0] if at.get("scale", True) else 1.0)
    shift = (learned[-1] if at.get("center", True) else 0.0) - mean * gain
    return x * _along(gain, x, axes) + _along(shift, x, axes)


def _layer_normalization(at: Entry, x: Tensor, *numbers: Tensor) -> Tensor:
    axes = [axis % x.ndim for axis in _axes_of(at)]
    if at.get("rms_scaling"):
        raise ModelError("it has rms_scaling")
    return _learned(at, _standardised(x, axes, at.get("epsilon", 1e-3)), numbers, axes)


def _group_normalization(at: Entry, x: Tensor, *numbers: Tensor) -> Tensor:
    (axis,) = (axis % x.ndim for axis in _axes_of(at))
    first = torch.movedim(x, axis, 1)
    groups = first.shape[1] if at.get("groups", 32) == -1 else at.get("groups", 32)
    parts = first.reshape(len(x), groups, -1)
    normal = _standardised(parts, [2], at.get("epsilon", 1e-3)).reshape(first.shape)
    return _learned(at, torch.movedim(normal, 1, axis), numbers, [axis])


def _learned(at: Entry, x: Tensor, numbers: Sequence[Tensor], axes: Sequence[int]) -> Tensor:
    x = x * _along(numbers[0], x, axes) if at.get("scale", True) else x
    return x + _along(numbers[-1], x, axes) if at.get("center", True) else x


def _standardised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * torch.rsqrt(centred.pow(2).mean(axes, keepdim=True) + epsilon)


def _rms_normalization(at: Entry, x: Tensor, scale: Tensor) -> Tensor:
    axes = _axes_of(at)
    return x * torch.rsqrt(x.pow(2).mean(axes, keepdim=True) + at.get("epsilon", 1e-6)) * _along(scale, x, axes)


def _unit_normalization(at: Entry, x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).sum(_axes_of(at), keepdim=True).clamp_min(1e-12))


def _normalization(at: Entry, x: Tensor, *numbers: Tensor) -> Tensor:
    told = numbers[:2] or [x.new_tensor(at[name]) for name in ("mean", "variance")]
    axes = [] if at.get("axis", -1) is None else _axes_of(at)
    mean, variance = (_along(part, x, axes) if part.numel() > 1 else part.reshape(()) for part in told)
    deviation = variance.sqrt().clamp_min(1e-7)
    return x * deviation + mean if at.get("invert") else (x - mean) / deviation


def _rescaling(at: Entry, x: Tensor) -> Tensor:
    return x * x.new_tensor(at.get("scale", 1.0)) + x.new_tensor(at.get("offset", 0.0))


def _flatten(at: Entry, x: Tensor) -> Tensor:
    x = torch.movedim(x, 1, -1) if at.get("data_format") == "channels_first" and x.ndim > 1 else x
    return x.reshape(len(x), -1)


def _reshape(at: Entry, x: Tensor) -> Tensor:
    return x.reshape(len(x), *at["target_shape"])


def _permute(at: Entry, x: Tensor) -> Tensor:
    return x.permute(0, *at["dims"])


def _repeat(at: Entry, x: Tensor) -> Tensor:
    check_size(at["n"] * x.numel() * 4, "its RepeatVector")
    return x[:, None].expand(-1, at["n"], -1)


def _ends(told: Any, axes: int) -> list[tuple[int, int]]:
    """What is added or taken off before and after, for each axis."""
    if isinstance(told, int):
        return [(told, told)] * axes
    if axes == 1:
        return [(int(told[0]), int(told[1]))]
    return [(n, n) if isinstance(n, int) else (int(n[0]), int(n[1])) for n in told]


def _surrounded(setting: str, sign: int) -> Function:
    def changed(at: Entry, x: Tensor) -> Tensor:
        axes = x.ndim - 2
        ends = _ends(at.get(setting, 1), axes)
        check_size(
            len(x) * x.shape[-1] * prod(n + sum(e) for n, e in zip(x.shape[1:], ends, strict=False)) * 4, "it"
        )
        pads = [sign * n for ends_of_axis in reversed(ends) for n in ends_of_axis]
        return _as_before(at, functional.pad(_channels(at, x), pads))

    return changed


def _up(at: Entry, x: Tensor) -> Tensor:
    axes = x.ndim - 2
    mode = {"nearest": "nearest", "bilinear": "linear"}.get(at.get("interpolation", "nearest"))
    if mode is None:
        raise ModelError(f"its interpolation is {at.get('interpolation')!r}")
    return _sized(
        at, x, [n * k for n, k in zip(_sides(at, x), _listed(at.get("size", 2), axes), strict=True)], mode
    )


def _sides(at: Entry, x: Tensor) -> list[int]:
    return list(x.shape[2:] if at.get("data_format") == "channels_first" else x.shape[1:-1])


def _sized(at: Entry, x: Tensor, sizes: list[int], mode: str) -> Tensor:
    found = resized(
        _channels(at, x), list(range(2, x.ndim)), None, sizes, mode=mode, placed="half_pixel",
        rounded="floor" if mode == "linear" else "round_prefer_ceil", steepness=-0.5, plain=True,
    )  # fmt: skip
    return _as_before(at, found)


def _resizing(at: Entry, x: Tensor) -> Tensor:
    mode = {"nearest": "nearest", "bilinear": "linear"}.get(at.get("interpolation", "bilinear"))
    odd = [name for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias") if at.get(name)]
    if mode is None or odd:
        raise ModelError(f"it resizes by {', '.join(odd) or at.get('interpolation')}")
    return _sized(at, x, [at["height"], at["width"]], mode)


def _cut_out(at: Entry, x: Tensor) -> Tensor:
    first = _channels(at, x)
    rows, columns = ((n - at[side]) // 2 for n, side in zip(first.shape[2:], ("height", "width"), strict=True))
    if min(rows, columns) < 0:
        raise ModelError("it cuts out more than there is")
    return _as_before(at, first[:, :, rows : rows + at["height"], columns : columns + at["width"]])


def _relu(at: Entry, x: Tensor) -> Tensor:
    """f(x) = ceiling from there on, x above the threshold, slope times (x - threshold) below it."""
    slope, edge, most = at.get("negative_slope") or 0.0, at.get("threshold") or 0.0, at.get("max_value")
    y = torch.where(x >= edge, x, slope * (x - edge)) if edge or slope else torch.relu(x)
    return y if most is None else y.clamp(max=most)


def _leaky_relu(at: Entry, x: Tensor) -> Tensor:
    slope = at["negative_slope"] if "negative_slope" in at else at.get("alpha", 0.3)
    return functional.leaky_relu(x, slope)


def _prelu(at: Entry, x: Tensor, alpha: Tensor) -> Tensor:
    return torch.relu(x) - alpha * torch.relu(-x)


def _softmax(at: Entry, x: Tensor) -> Tensor:
    axes = [axis % x.ndim for axis in _axes_of(at)]
    return torch.exp(x - torch.logsumexp(x, axes, keepdim=True))


def _activation(at: Entry, x: Tensor) -> Tensor:
    return ACTIVATIONS[at["activation"]](x)


def _merged(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """Signals with one another, those with fewer axes spread over the first ones of the others."""
    return lambda at, *parts: reduce(function, parts)


def _average(at: Entry, *parts: Tensor) -> Tensor:
    return reduce(torch.add, parts) / len(parts)


def _concatenate(at: Entry, *parts: Tensor) -> Tensor:
    return torch.cat(parts, at.get("axis", -1))


def _dot(at: Entry, one: Tensor, other: Tensor) -> Tensor:
    first, second = _listed(at["axes"], 2)
    if at.get("normalize"):
        raise ModelError("it normalises")
    one, other = torch.movedim(one, first, -1), torch.movedim(other, second, 1)
    product = one.reshape(len(one), -1, one.shape[-1]) @ other.reshape(len(other), one.shape[-1], -1)
    return product.reshape(len(one), *(*one.shape[1:-1], *other.shape[2:]) or (1,))


def _attention(at: Entry, query: Tensor, value: Tensor, *others: Tensor) -> Tensor:
    """Attention of several heads; signals are (n, places, numbers)."""
    count = 8 if at.get("use_bias", True) else 4
    *key, _ = (*others[: len(others) - count], None)
    numbers = others[len(others) - count :]
    if query.ndim != 3 or at.get("use_gate") or at.get("sliding_window"):
        raise ModelError("its attention is over other than one axis, gated or by a window")
    parts = [numbers[place : place + count // 4] for place in range(0, count, count // 4)]
    q, k, v = (
        _headed(x, *own) for x, own in zip((query, key[0] if key else value, value), parts[:3], strict=True)
    )
    weights = torch.softmax(torch.einsum("nqhd,nkhd->nhqk", q, k) / at["key_dim"] ** 0.5, -1)
    mixed = torch.einsum("nhqk,nkhd->nqhd", weights, v)
    kernel, *biases = parts[3]
    out = torch.einsum("nqhd,hdo->nqo", mixed, kernel)
    return out + biases[0] if biases else out


def _headed(x: Tensor, kernel: Tensor, biases: Tensor | None = None) -> Tensor:
    found: Tensor = torch.einsum("npi,ihd->nphd", x, kernel)
    return found if biases is None else found + biases


_WINDOW = ("strides", "padding", "data_format", "dilation_rate")
_CONVOLUTION = ("filters", "kernel_size", "groups", "use_bias", *_WINDOW)
_DEPTH = ("kernel_size", "depth_multiplier", "use_bias", *_WINDOW)
_TRANSPOSED = ("filters", "kernel_size", "use_bias", "output_padding", *_WINDOW)
_POOL = ("pool_size", "strides", "padding", "data_format")
_KERNEL, _APART = ("kernel_initializer",), ("depthwise_initializer", "pointwise_initializer")
_LEARNED = ("axis", "epsilon", "scale", "center")


def _each(name: str, sizes: str, kind: Kind) -> dict[str, Kind]:
    """The same for one, two and three axes."""
    return {name.format(axes): kind for axes in sizes.split()}


LAYERS: dict[str, Kind] = {
    "Dense": Kind(_dense, ("units", "use_bias"), _KERNEL),
    **_each("Conv{}", "1D 2D 3D", Kind(_convolution, _CONVOLUTION, _KERNEL)),
    **_each("Conv{}Transpose", "1D 2D 3D", Kind(_transposed, _TRANSPOSED, _KERNEL)),
    **_each("DepthwiseConv{}", "1D 2D", Kind(_depthwise, _DEPTH, ("depthwise_initializer",))),
    **_each("SeparableConv{}", "1D 2D", Kind(_separable, ("filters", *_DEPTH), _APART)),
    **_each("MaxPooling{}", "1D 2D 3D", Kind(_pool("MaxPool"), _POOL)),
    **_each("AveragePooling{}", "1D 2D 3D", Kind(_pool("AveragePool"), _POOL)),
    **_each("GlobalMaxPooling{}", "1D 2D 3D", Kind(_global_pool(torch.amax), ("data_format", "keepdims"))),
    **_each("GlobalAveragePooling{}", "1D 2D 3D", Kind(_global_pool(torch.mean), ("data_format", "keepdims"))),
    "BatchNormalization": Kind(_batch_normalization, _LEARNED),
    "LayerNormalization": Kind(_layer_normalization, (*_LEARNED, "rms_scaling")),
    "GroupNormalization": Kind(_group_normalization, (*_LEARNED, "groups")),
    "RMSNormalization": Kind(_rms_normalization, ("axis", "epsilon")),
    "UnitNormalization": Kind(_unit_normalization, ("axis",)),
    "Normalization": Kind(_normalization, ("axis", "mean", "variance", "invert")),
    "Rescaling": Kind(_rescaling, ("scale", "offset")),
    "Flatten": Kind(_flatten, ("data_format",)),
    "Reshape": Kind(_reshape, ("target_shape",)),
    "Permute": Kind(_permute, ("dims",)),
    "RepeatVector": Kind(_repeat, ("n",)),
    **_each("ZeroPadding{}", "1D 2D 3D", Kind(_surrounded("padding", 1), ("padding", "data_format"))),
    **_each("Cropping{}", "1D 2D 3D", Kind(_surrounded("cropping", -1), ("cropping", "data_format"))),
    **_each("UpSampling{}", "1D 2D 3D", Kind(_up, ("size", "data_format", "interpolation"))),
    "Resizing": Kind(
        _resizing, ("height", "width", "interpolation", "data_format", "crop_to_aspect_ratio",
                    "pad_to_aspect_ratio", "antialias"),
    ),
    "CenterCrop": Kind(_cut_out, ("height", "width", "data_format")),
    "Activation": Kind(_activation, ("activation",)),
    "ReLU": Kind(_relu, ("max_value", "negative_slope", "threshold")),
    "LeakyReLU": Kind(_leaky_relu, ("negative_slope", "alpha")),
    "PReLU": Kind(_prelu, ("shared_axes",)),
    "ELU": Kind(lambda at, x: functional.elu(x, at.get("alpha", 1.0)), ("alpha",)),
    "Softmax": Kind(_softmax, ("axis",)),
    "Add": Kind(_merged(torch.add)),
    "Subtract": Kind(_merged(torch.sub)),
    "Multiply": Kind(_merged(torch.mul)),
    "Maximum": Kind(_merged(torch.maximum)),
    "Minimum": Kind(_merged(torch.minimum)),
    "Average": Kind(_average),
    "Concatenate": Kind(_concatenate, ("axis",)),
    "Dot": Kind(_dot, ("axes", "normalize")),
    "MultiHeadAttention": Kind(
        _attention, ("num_heads", "key_dim", "value_dim", "use_bias", "output_shape", "attention_axes", "use_gate",
                     "sliding_window"), _KERNEL,
    ),
}  # fmt: skip
"""Every layer that is understood, beside those that rest outside training."""


def _numbered(function: Callable[[Any, Any], Any]) -> Function:
    """An operation on signals and numbers, in the order in which they are given."""

    def applied(at: Entry, one: Any, other: Any) -> Tensor:
        signals = next(part for part in (one, other) if isinstance(part, Tensor))
        first, second = (part if isinstance(part, Tensor) else signals.new_tensor(part) for part in (one, other))
        return function(first, second)

    return applied


def _reduced(function: Callable[..., Tensor]) -> Function:
    def applied(at: Entry, x: Tensor) -> Tensor:
        axes = tuple(range(x.ndim)) if at.get("axis") is None else tuple(_axes_of(at))
        return function(x, axes, bool(at.get("keepdims")))

    return applied


def _of_one(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda at, x: function(x)


OPERATIONS: dict[str, tuple[str, Kind]] = {
    "Add": ("add", Kind(_numbered(torch.add))),
    "Subtract": ("subtract", Kind(_numbered(torch.sub))),
    "Multiply": ("multiply", Kind(_numbered(torch.mul))),
    **{name: ("divide", Kind(_numbered(torch.div))) for name in ("Divide", "TrueDivide")},
    "Power": ("power", Kind(_numbered(torch.pow))),
    "Maximum": ("maximum", Kind(_numbered(torch.maximum))),
    "Minimum": ("minimum", Kind(_numbered(torch.minimum))),
    "Matmul": ("matmul", Kind(lambda at, one, other: one @ other)),
    "Mean": ("mean", Kind(_reduced(torch.mean), ("axis", "keepdims"))),
    "Sum": ("sum", Kind(_reduced(torch.sum), ("axis", "keepdims"))),
    "Max": ("max", Kind(_reduced(torch.amax), ("axis", "keepdims"))),
    "Min": ("min", Kind(_reduced(torch.amin), ("axis", "keepdims"))),
    **{
        theirs: (ours, Kind(_of_one(function)))
        for theirs, ours, function in (
            ("Absolute", "absolute", torch.abs), ("Negative", "negative", torch.neg),
            ("Square", "square", torch.square), ("Sqrt", "sqrt", torch.sqrt), ("Rsqrt", "rsqrt", torch.rsqrt),
            ("Exp", "exp", torch.exp), ("Log", "log", torch.log), ("Sin", "sin", torch.sin),
            ("Cos", "cos", torch.cos), ("Tanh", "tanh", torch.tanh), ("Relu", "relu", torch.relu),
            ("Relu6", "relu6", functional.relu6), ("Sigmoid", "sigmoid", torch.sigmoid),
            ("Silu", "silu", functional.silu), ("Softplus", "softplus", functional.softplus),
        )
    },
}  # fmt: skip
"""Functions of ``keras.ops`` between layers, by their class: what ``keras.ops`` calls them, and what they do."""
