"""What each ONNX operator does, in PyTorch: one small function for each, by the operator's name.

Shapes are tensors of whole numbers on the CPU, so that what puts them together is the same table. Every function
takes `Settings`, the node's own, and then its inputs, with None for one that is left out. Imported only where
PyTorch is. The standard that they follow: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backquery.errors import ModelError
from backquery.io.foreign import check_size
from backquery.io.onnx_resize import resized


@dataclass(frozen=True)
class Settings:
    """An operator's attributes, the version of the standard, and how many outputs are named."""

    told: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    outputs: int = 1

    def __call__(self, name: str, usual: Any = None) -> Any:
        """One attribute, or what it is where none is given."""
        value = self.told.get(name, usual)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def numbers_in(values: Tensor | Sequence[int] | int | None) -> list[int] | None:
    """Whole numbers of a tensor or an attribute as a list; None for none."""
    if values is None:
        return None
    return [int(n) for n in (values.reshape(-1).tolist() if isinstance(values, Tensor) else np.ravel(values))]


def roomy(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, unless no network read here needs so much room."""
    check_size(prod(int(length) for length in shape) * 4, "one of its operators")
    return tuple(int(length) for length in shape)


def together(*tensors: Tensor) -> list[Tensor]:
    """Tensors on one device: shapes are on the CPU, wherever the signals are."""
    away = next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), None)
    return list(tensors) if away is None else [tensor.to(away) for tensor in tensors]


def _elementwise(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(at: Settings, *inputs: Tensor) -> Tensor:
        roomy(torch.broadcast_shapes(*(part.shape for part in inputs)))
        return function(*together(*inputs))

    return apply


def _folded(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """An operator of any number of inputs by one of two."""
    return _elementwise(lambda *inputs: reduce(function, inputs))


def _quotient(one: Tensor, other: Tensor) -> Tensor:
    whole = not (one.is_floating_point() or other.is_floating_point())
    if whole and not bool(torch.all(other != 0)):
        raise ModelError("it divides by zero")
    return torch.div(one, other, rounding_mode="trunc" if whole else None)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    # A number, where it is one, has the derivative that ends nowhere in a logarithm.
    return torch.pow(base, exponent.item() if exponent.numel() == 1 else exponent)


def _remainder(at: Settings, one: Tensor, other: Tensor) -> Tensor:
    one, other = together(one, other)
    return torch.fmod(one, other) if at("fmod", 0) else torch.remainder(one, other)


def _of_one(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda at, x: function(x)


def _clip(at: Settings, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    ends = [
        at(name) if told is None else told.reshape(-1)[0].item() for name, told in (("min", low), ("max", high))
    ]
    return x if ends == [None, None] else torch.clamp(x, *ends)


def _cast(at: Settings, x: Tensor, like: Tensor | None = None) -> Tensor:
    """Fractions stay in the type in which they are computed here, which is at least as fine."""
    kind = KINDS.get(at("to")) if like is None else like.dtype
    if kind is None:
        raise ModelError(f"it casts to the unknown type {at('to')}")
    return x if kind.is_floating_point and x.is_floating_point() else x.to(kind)


KINDS = {
    1: torch.float32, 10: torch.float32, 11: torch.float64, 16: torch.float32,
    2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool,
}  # fmt: skip
"""ONNX's numbers for types; half precision is computed in float32."""


def _constant_of_shape(at: Settings, shape: Tensor) -> Tensor:
    value = at("value")
    filling = torch.zeros(1) if value is None else value
    return filling.reshape(1).expand(roomy(numbers_in(shape) or ())).clone()


def _range(at: Settings, start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    first, last, by = (part.item() for part in (start, end, step))
    if by == 0:
        raise ModelError("it counts in steps of nothing")
    roomy([max(int((last - first) / by), 0)])
    return torch.arange(first, last, by, dtype=start.dtype)


def _shape(at: Settings, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[at("start", 0) : at("end")], dtype=torch.int64)


def _reshape(at: Settings, x: Tensor, shape: Tensor | None = None) -> Tensor:
    lengths = numbers_in(at("shape") if shape is None else shape) or []
    keep = not at("allowzero", 0)
    return x.reshape([x.shape[axis] if n == 0 and keep else n for axis, n in enumerate(lengths)])


def _flatten(at: Settings, x: Tensor) -> Tensor:
    axis = at("axis", 1) + (x.ndim if at("axis", 1) < 0 else 0)
    return x.reshape(prod(x.shape[:axis]), -1)


def _transpose(at: Settings, x: Tensor) -> Tensor:
    return x.permute(at("perm", list(range(x.ndim))[::-1]))


def _squeeze(at: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
    told = numbers_in(at("axes") if axes is None else axes)
    chosen = [axis for axis, n in enumerate(x.shape) if n == 1] if told is None else [a % x.ndim for a in told]
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ModelError(f"it leaves out axes {told} of signals of shape {tuple(x.shape)}")
    return x.reshape([length for axis, length in enumerate(x.shape) if axis not in chosen])


def _unsqueeze(at: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
    told = numbers_in(at("axes") if axes is None else axes) or []
    rank = x.ndim + len(told)
    lengths = list(x.shape)
    for axis in sorted(axis % rank for axis in told):
        lengths.insert(axis, 1)
    return x.reshape(lengths)


def _concat(at: Settings, *parts: Tensor) -> Tensor:
    axis = at("axis", 1)
    lengths = list(parts[0].shape)
    lengths[axis] = sum(part.shape[axis] for part in parts)
    roomy(lengths)
    return torch.cat(together(*parts), axis)


def _split(at: Settings, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    told, axis = numbers_in(at("split") if sizes is None else sizes), at("axis", 0)
    if told is None:
        told = [-(-x.shape[axis] // at.outputs)] * at.outputs
        told[-1] += x.shape[axis] - sum(told)
    return tuple(torch.split(x, told, axis))


def _slice(at: Settings, x: Tensor, *inputs: Tensor | None) -> Tensor:
    told: list[Any] = [numbers_in(part) for part in inputs] or [at("starts"), at("ends"), at("axes")]
    starts, ends, axes, steps = (told + [None] * 4)[:4]
    cuts = [slice(None)] * x.ndim
    backwards = []
    for place, (start, end) in enumerate(zip(starts or (), ends or (), strict=True)):
        axis = (axes[place] if axes else place) % x.ndim
        taken = range(*slice(start, end, steps[place] if steps else 1).indices(x.shape[axis]))
        backwards += [axis] if taken.step < 0 else []
        forwards = taken if taken.step > 0 else taken[::-1]
        cuts[axis] = slice(forwards.start, max(forwards.stop, forwards.start), forwards.step)
    return torch.flip(x[tuple(cuts)], backwards) if backwards else x[tuple(cuts)]


def _gather(at: Settings, x: Tensor, places: Tensor) -> Tensor:
    axis = at("axis", 0) % x.ndim
    chosen = torch.where(places < 0, places + x.shape[axis], places).to(x.device, torch.int64)
    if chosen.ndim == 0:
        return x.select(axis, int(chosen))
    roomy((*x.shape[:axis], *chosen.shape, *x.shape[axis + 1 :]))
    return x.index_select(axis, chosen.reshape(-1)).reshape(*x.shape[:axis], *chosen.shape, *x.shape[axis + 1 :])


def _gather_elements(at: Settings, x: Tensor, places: Tensor) -> Tensor:
    axis = at("axis", 0)
    chosen = torch.where(places < 0, places + x.shape[axis], places)
    return torch.gather(x, axis, chosen.to(x.device, torch.int64))


def _expand(at: Settings, x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(roomy(torch.broadcast_shapes(x.shape, numbers_in(shape) or ())))


def _tile(at: Settings, x: Tensor, times: Tensor) -> Tensor:
    repeated = numbers_in(times) or []
    roomy([length * n for length, n in zip(x.shape, repeated, strict=True)])
    return x.repeat(repeated)


def _where(at: Settings, condition: Tensor, one: Tensor, other: Tensor) -> Tensor:
    roomy(torch.broadcast_shapes(condition.shape, one.shape, other.shape))
    return torch.where(*together(condition, one, other))


def _pad(
    at: Settings, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    told = numbers_in(at("pads") if pads is None else pads) or []
    half, mode = len(told) // 2, at("mode", "constant")
    chosen = [axis % x.ndim for axis in numbers_in(axes) or range(half)]
    filling = float(at("value", 0.0)) if value is None else value.item()
    for axis, before, after in zip(chosen, told[:half], told[half:], strict=True):
        if before or after:
            x = _padded(x, axis, before, after, mode, filling)
    return x


def _padded(x: Tensor, axis: int, before: int, after: int, mode: str, filling: float) -> Tensor:
    """One axis with more at its ends, or less; what is repeated are signals at places that numbers tell."""
    length = x.shape[axis]
    roomy([n + (before + after) * (place == axis) for place, n in enumerate(x.shape)])
    if mode == "constant":
        return functional.pad(x, [*[0, 0] * (x.ndim - 1 - axis), before, after], value=filling)
    places = np.arange(-before, length + after)
    wrapped: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
        "reflect": lambda: np.abs((places + length - 1) % max(2 * length - 2, 1) - (length - 1)),
        "edge": lambda: places.clip(0, length - 1),
        "wrap": lambda: places % length,
    }
    if mode not in wrapped:
        raise ModelError(f"it pads in the unknown mode {mode}")
    return x.index_select(axis, torch.from_numpy(wrapped[mode]()).to(x.device))


def _matmul(at: Settings, one: Tensor, other: Tensor) -> Tensor:
    kind = torch.promote_types(one.dtype, other.dtype)
    if one.ndim > 1 and other.ndim > 1:
        roomy([*torch.broadcast_shapes(one.shape[:-2], other.shape[:-2]), one.shape[-2], other.shape[-1]])
    return torch.matmul(*(part.to(kind) for part in together(one, other)))


def _gemm(at: Settings, one: Tensor, other: Tensor, sums: Tensor | None = None) -> Tensor:
    product = _matmul(at, one.T if at("transA", 0) else one, other.T if at("transB", 0) else other)
    product = product if at("alpha", 1.0) == 1.0 else at("alpha", 1.0) * product
    return product if sums is None else product + (sums if at("beta", 1.0) == 1.0 else at("beta", 1.0) * sums)


def _einsum(at: Settings, *parts: Tensor) -> Tensor:
    return torch.einsum(at("equation"), *parts)


def _around(at: Settings, shape: Sequence[int], kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations, and the pads of a window that moves over signals, starts before ends."""
    axes = len(kernel)
    strides, dilations = at("strides", [1] * axes), at("dilations", [1] * axes)
    automatic = at("auto_pad", "NOTSET")
    if automatic in ("NOTSET", ""):
        return strides, dilations, at("pads", [0] * 2 * axes)
    if automatic == "VALID":
        return strides, dilations, [0] * 2 * axes
    wide = [(length - 1) * dilation + 1 for length, dilation in zip(kernel, dilations, strict=True)]
    needed = [max((-(-n // s) - 1) * s + w - n, 0) for n, s, w in zip(shape, strides, wide, strict=True)]
    lower = [(n + (automatic == "SAME_LOWER")) // 2 for n in needed]
    return strides, dilations, [*lower, *(n - low for n, low in zip(needed, lower, strict=True))]


def _surrounded(x: Tensor, pads: Sequence[int], filling: float = 0.0) -> Tensor:
    """Signals (n, channels, ...) with so many more at the start and at the end of each axis."""
    if not any(pads):
        return x
    half = len(pads) // 2
    roomy([*x.shape[:2], *(n + pads[k] + pads[half + k] for k, n in enumerate(x.shape[2:]))])
    ordered = [pads[end + axis] for axis in reversed(range(half)) for end in (0, half)]
    return functional.pad(x, ordered, value=filling)


def _convolution(at: Settings, x: Tensor, weights: Tensor, biases: Tensor | None = None) -> Tensor:
    strides, dilations, pads = _around(at, x.shape[2:], weights.shape[2:])
    half = len(pads) // 2
    even = pads[:half] == pads[half:] and min(pads, default=0) >= 0
    function = _for_axes(half, functional.conv1d, functional.conv2d, functional.conv3d)
    signals, inside = (x, pads[:half]) if even else (_surrounded(x, pads), [0] * half)
    return function(signals, weights, biases, strides, inside, dilations, at("group", 1))


def _for_axes(axes: int, *functions: Any) -> Any:
    if not 1 <= axes <= 3:
        raise ModelError(f"its window has {axes} axes")
    return functions[axes - 1]


def _transposed_convolution(at: Settings, x: Tensor, weights: Tensor, biases: Tensor | None = None) -> Tensor:
    """Without pads, of which the standard takes off at both ends what it says."""
    axes = x.ndim - 2
    strides, dilations = at("strides", [1] * axes), at("dilations", [1] * axes)
    more = at("output_padding", [0] * axes)
    wide = [(n - 1) * d + 1 for n, d in zip(weights.shape[2:], dilations, strict=True)]
    full = [(n - 1) * s + w for n, s, w in zip(x.shape[2:], strides, wide, strict=True)]
    pads = _taken_off(at, x, strides, more, full)
    roomy([len(x), weights.shape[1] * at("group", 1), *full])
    function = _for_axes(
        axes, functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d
    )
    y = function(x, weights, None, strides, 0, 0, at("group", 1), dilations)
    y = _surrounded(y, [*(-n for n in pads[:axes]), *(m - n for m, n in zip(more, pads[axes:], strict=True))])
    return y if biases is None else y + biases.reshape(-1, *[1] * axes)


def _taken_off(at: Settings, x: Tensor, strides: list[int], more: list[int], full: list[int]) -> list[int]:
    wanted, automatic = at("output_shape"), at("auto_pad", "NOTSET")
    if wanted is None and automatic in ("NOTSET", ""):
        return list(at("pads", [0] * 2 * len(full)))
    if wanted is None:
        if automatic == "VALID":
            return [0] * 2 * len(full)
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    total = [max(n + m - w, 0) for n, m, w in zip(full, more, wanted[-len(full) :], strict=True)]
    # The standard puts the odd one at the end, unless it is to be at the end that most is kept.
    first = [n // 2 if automatic == "SAME_UPPER" else n - n // 2 for n in total]
    return [*first, *(n - low for n, low in zip(total, first, strict=True))]


def _pooled(at: Settings, x: Tensor, pads: Sequence[int], y: Tensor, strides: Sequence[int]) -> Tensor:
    """Without windows that begin beyond the signals, which rounding up would add."""
    most = [-(-(n + pads[k]) // strides[k]) for k, n in enumerate(x.shape[2:])]
    return y[(slice(None), slice(None), *(slice(n) for n in most))] if at("ceil_mode", 0) else y


def _max_pool(at: Settings, x: Tensor) -> Tensor:
    kernel = at("kernel_shape")
    strides, dilations, pads = _around(at, x.shape[2:], kernel)
    if at.outputs > 1:
        raise ModelError("it also gives the places of what is largest")
    function = _for_axes(len(kernel), functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
    surrounded = _surrounded(x, pads, -torch.inf)
    return _pooled(
        at, x, pads, function(surrounded, kernel, strides, 0, dilations, bool(at("ceil_mode", 0))), strides
    )


def _average_pool(at: Settings, x: Tensor) -> Tensor:
    kernel = at("kernel_shape")
    strides, dilations, pads = _around(at, x.shape[2:], kernel)
    if any(n != 1 for n in dilations):
        raise ModelError("its window has holes")
    mean = _for_axes(len(kernel), functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)
    around, up = _surrounded(x, pads), bool(at("ceil_mode", 0))
    means = mean(around, kernel, strides, 0, up)
    if not at("count_include_pad", 0) and any(pads):
        inside = _surrounded(torch.ones_like(x[:1, :1]), pads)
        means = means / mean(inside, kernel, strides, 0, up)
    return _pooled(at, x, pads, means, strides)


def _global(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda at, x: function(x, dim=tuple(range(2, x.ndim)), keepdim=True)


def _batch_normalization(
    at: Settings, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    if at("training_mode", 0):
        raise ModelError(
            "it normalises by the images of one batch; export the model as it answers, not as it learns"
        )
    return functional.batch_norm(x, mean, variance, scale, shift, False, 0.0, at("epsilon", 1e-5))


def _instance_normalization(at: Settings, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return _affine(_standardised(x, list(range(2, x.ndim)), at("epsilon", 1e-5)), scale, shift)


def _group_normalization(at: Settings, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    groups = at("num_groups")
    parts = x.reshape(len(x), groups, -1)
    normal = _standardised(parts, [2], at("epsilon", 1e-5)).reshape(x.shape)
    repeated = 1 if len(scale) == x.shape[1] else x.shape[1] // groups
    return _affine(normal, *(part.repeat_interleave(repeated) for part in (scale, shift)))


def _layer_normalization(at: Settings, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    axes = list(range(at("axis", -1) % x.ndim, x.ndim))
    normal = _standardised(x, axes, at("epsilon", 1e-5)) * scale
    return normal if shift is None else normal + shift


def _rms_normalization(at: Settings, x: Tensor, scale: Tensor) -> Tensor:
    axes = list(range(at("axis", -1) % x.ndim, x.ndim))
    return x * torch.rsqrt(x.pow(2).mean(axes, keepdim=True) + at("epsilon", 1e-5)) * scale


def _standardised(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * torch.rsqrt(centred.pow(2).mean(axes, keepdim=True) + epsilon)


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    along = (-1, *[1] * (x.ndim - 2))
    return x * scale.reshape(along) + shift.reshape(along)


def _mean_variance_normalization(at: Settings, x: Tensor) -> Tensor:
    return _standardised(x, at("axes", [0, 2, 3]), 1e-9)


def _local_response(at: Settings, x: Tensor) -> Tensor:
    size = at("size")
    before = (size - 1) // 2
    squares = functional.pad(x.pow(2), [*[0, 0] * (x.ndim - 2), before, size - 1 - before])
    sums = squares.unfold(1, size, 1).sum(-1)
    return x / (at("bias", 1.0) + at("alpha", 1e-4) / size * sums).pow(at("beta", 0.75))


def _lp_normalization(at: Settings, x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, at("p", 2), at("axis", -1), keepdim=True)


def _along_axis(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(at: Settings, x: Tensor) -> Tensor:
        if at.opset >= 13:
            return function(x, at("axis", -1))
        axis = at("axis", 1) % x.ndim
        return function(x.reshape(prod(x.shape[:axis]), -1), 1).reshape(x.shape)

    return apply


def _reduced(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[..., Tensor]:
    def apply(at: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
        told = numbers_in(at("axes") if axes is None else axes)
        if not told and at("noop_with_empty_axes", 0):
            return x
        return function(x, [axis % x.ndim for axis in told or range(x.ndim)], bool(at("keepdims", 1)))

    return apply


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _norm(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.linalg.vector_norm(x, 2, axes, keep)


def _log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return torch.logsumexp(x, axes, keep)


def _largest_place(at: Settings, x: Tensor) -> Tensor:
    return x.argmax(at("axis", 0), bool(at("keepdims", 1)))


def _prelu(at: Settings, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, slope * x)


def _leaky(at: Settings, x: Tensor) -> Tensor:
    return functional.leaky_relu(x, at("alpha", 0.01))


def _elu(at: Settings, x: Tensor) -> Tensor:
    return functional.elu(x, at("alpha", 1.0))


def _celu(at: Settings, x: Tensor) -> Tensor:
    return functional.celu(x, at("alpha", 1.0))


def _selu(at: Settings, x: Tensor) -> Tensor:
    return at("gamma", 1.05070102214813232421875) * functional.elu(x, at("alpha", 1.67326319217681884765625))


def _hard_sigmoid(at: Settings, x: Tensor) -> Tensor:
    return torch.clamp(at("alpha", 0.2) * x + at("beta", 0.5), 0, 1)


def _gelu(at: Settings, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=at("approximate", "none"))


def _thresholded(at: Settings, x: Tensor) -> Tensor:
    return torch.where(x > at("alpha", 1.0), x, torch.zeros_like(x))


def _shrink(at: Settings, x: Tensor) -> Tensor:
    edge, bias = at("lambd", 0.5), at("bias", 0.0)
    return torch.where(x < -edge, x + bias, torch.where(x > edge, x - bias, torch.zeros_like(x)))


def _swish(at: Settings, x: Tensor) -> Tensor:
    return x * torch.sigmoid(at("alpha", 1.0) * x)


def _depth_to_space(at: Settings, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    block = at("blocksize")
    if at("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    parts = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, channels // block**2, height * block, width * block)


def _space_to_depth(at: Settings, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    block = at("blocksize")
    parts = x.reshape(n, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, channels * block**2, height // block, width // block)


def _dropout(at: Settings, x: Tensor, ratio: Tensor | None = None, learning: Tensor | None = None) -> Tensor:
    if learning is not None and bool(learning.any()):
        raise ModelError("it drops signals at random; export the model as it answers, not as it learns")
    return x


def _resize(at: Settings, x: Tensor, *inputs: Tensor | None) -> Tensor:
    # Up to opset 10 the one input was scales; then came a region before them, and sizes.
    scales, sizes = (inputs[0], None) if len(inputs) == 1 else (*inputs[1:], None)[:2]
    axes = at("axes") or list(range(x.ndim))
    told = at("scales") if scales is None else scales.reshape(-1).tolist()
    old = at.opset < 11
    return resized(
        x,
        [axis % x.ndim for axis in axes],
        told,
        numbers_in(sizes),
        mode=at("mode", "nearest"),
        placed="asymmetric" if old else at("coordinate_transformation_mode", "half_pixel"),
        rounded="floor" if old else at("nearest_mode", "round_prefer_floor"),
        steepness=at("cubic_coeff_a", -0.75),
        plain=not (at("antialias", 0) or at("exclude_outside", 0))
        and at("keep_aspect_ratio_policy", "stretch") == "stretch",
    )


def _trilu(at: Settings, x: Tensor, diagonal: Tensor | None = None) -> Tensor:
    return (torch.triu if at("upper", 1) else torch.tril)(x, 0 if diagonal is None else int(diagonal))


def _same(at: Settings, x: Tensor) -> Tensor:
    return x


OPERATORS: dict[str, Callable[..., Any]] = {
    # numbers with numbers
    "Add": _elementwise(torch.add), "Sub": _elementwise(torch.sub), "Mul": _elementwise(torch.mul),
    "Div": _elementwise(_quotient), "Pow": _elementwise(_power), "Mod": _remainder,
    "Max": _folded(torch.maximum), "Min": _folded(torch.minimum), "Sum": _folded(torch.add),
    "Mean": lambda at, *parts: reduce(torch.add, parts) / len(parts),
    "Equal": _elementwise(torch.eq), "Greater": _elementwise(torch.gt), "Less": _elementwise(torch.lt),
    "GreaterOrEqual": _elementwise(torch.ge), "LessOrEqual": _elementwise(torch.le),
    "And": _elementwise(torch.logical_and), "Or": _elementwise(torch.logical_or),
    "Xor": _elementwise(torch.logical_xor), "Not": _of_one(torch.logical_not),
    "Where": _where, "Clip": _clip, "Cast": _cast, "CastLike": _cast,
    # each number by itself
    "Abs": _of_one(torch.abs), "Neg": _of_one(torch.neg), "Sqrt": _of_one(torch.sqrt), "Exp": _of_one(torch.exp),
    "Log": _of_one(torch.log), "Erf": _of_one(torch.erf), "Reciprocal": _of_one(torch.reciprocal),
    "Sign": _of_one(torch.sign), "Floor": _of_one(torch.floor), "Ceil": _of_one(torch.ceil),
    "Round": _of_one(torch.round), "Sin": _of_one(torch.sin), "Cos": _of_one(torch.cos), "Tan": _of_one(torch.tan),
    "Atan": _of_one(torch.atan), "Sinh": _of_one(torch.sinh), "Cosh": _of_one(torch.cosh),
    # activations
    "Relu": _of_one(torch.relu), "LeakyRelu": _leaky, "PRelu": _prelu, "Elu": _elu, "Celu": _celu, "Selu": _selu,
    "Sigmoid": _of_one(torch.sigmoid), "Tanh": _of_one(torch.tanh), "Softplus": _of_one(functional.softplus),
    "Softsign": _of_one(functional.softsign), "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of_one(functional.hardswish), "Mish": _of_one(functional.mish), "Gelu": _gelu, "Swish": _swish,
    "ThresholdedRelu": _thresholded, "Shrink": _shrink,
    "Softmax": _along_axis(torch.softmax), "LogSoftmax": _along_axis(torch.log_softmax),
    # weights
    "MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum, "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    # pools and norms
    "MaxPool": _max_pool, "AveragePool": _average_pool, "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax), "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization, "GroupNormalization": _group_normalization,
    "LayerNormalization": _layer_normalization, "RMSNormalization": _rms_normalization,
    "MeanVarianceNormalization": _mean_variance_normalization, "LRN": _local_response,
    "LpNormalization": _lp_normalization,
    # sums over axes
    "ReduceMean": _reduced(torch.mean), "ReduceSum": _reduced(torch.sum), "ReduceMax": _reduced(torch.amax),
    "ReduceMin": _reduced(torch.amin), "ReduceProd": _reduced(_product), "ReduceL2": _reduced(_norm),
    "ReduceL1": _reduced(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceSumSquare": _reduced(lambda x, axes, keep: x.pow(2).sum(axes, keep)),
    "ReduceLogSumExp": _reduced(_log_sum_exp),
    "ArgMax": _largest_place,
    # shapes and places
    "Shape": _shape, "Size": lambda at, x: torch.tensor(x.numel()), "ConstantOfShape": _constant_of_shape,
    "Range": _range, "Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Concat": _concat, "Split": _split, "Slice": _slice, "Gather": _gather,
    "GatherElements": _gather_elements, "Expand": _expand, "Tile": _tile, "Pad": _pad, "Resize": _resize,
    "Upsample": _resize, "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "Trilu": _trilu,
    # nothing, when it answers
    "Identity": _same, "Dropout": _dropout,
}  # fmt: skip
"""Every operator that is understood."""
