"""ONNX's Resize: along each axis, what is read is a weighted choice of the signals.

Imported only where PyTorch is. The standard: https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backquery.errors import ModelError
from backquery.io.foreign import check_size

Places = NDArray[np.float64]

ROUNDED: dict[str, Callable[[Places], Places]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resized(
    x: Tensor,
    axes: Sequence[int],
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    *,
    mode: str,
    placed: str,
    rounded: str,
    steepness: float,
    plain: bool,
) -> Tensor:
    """Signals with other lengths along `axes`, told by `sizes` or else by `scales`.

    placed: where an output lies among the inputs, by the standard's name; rounded: which is nearest.
    """
    if not plain or (mode == "nearest" and rounded not in ROUNDED):
        raise ModelError("it resizes with a filter, or in proportion, which is not understood")
    told = sizes or scales or ()
    for axis, to in zip(axes, told, strict=True):
        length = x.shape[axis]
        new, scale = (to, to / length) if sizes else (int(np.floor(length * to)), to)
        check_size(x.numel() // max(length, 1) * int(new) * 4, "its Resize")
        if new != length or scale != 1:
            x = _along(x, axis, _places(length, int(new), float(scale), placed), mode, rounded, steepness)
    return x


def _places(length: int, new: int, scale: float, placed: str) -> Places:
    """Where each output lies among the inputs."""
    i = np.arange(new, dtype=np.float64)
    shift = length / 2 * (1 - new / (scale * length))
    ways: dict[str, Callable[[], Places]] = {
        "half_pixel": lambda: (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda: (i + 0.5) / scale - 0.5 if new > 1 else i * 0,
        "half_pixel_symmetric": lambda: shift + (i + 0.5) / scale - 0.5,
        "asymmetric": lambda: i / scale,
        "align_corners": lambda: i * (length - 1) / max(new - 1, 1),
        "tf_half_pixel_for_nn": lambda: (i + 0.5) / scale,
    }
    if placed not in ways:
        raise ModelError(f"it resizes by {placed}, which is not understood")
    return ways[placed]()


def _along(x: Tensor, axis: int, places: Places, mode: str, rounded: str, steepness: float) -> Tensor:
    length = x.shape[axis]
    if mode == "nearest":
        # A place halfway between two is one, whatever the last digits are.
        chosen = ROUNDED[rounded](places.round(6)).clip(0, length - 1).astype(np.int64)
        return x.index_select(axis, torch.from_numpy(chosen).to(x.device))
    if mode not in ("linear", "cubic"):
        raise ModelError(f"it resizes in the unknown mode {mode}")
    first = np.floor(places).astype(np.int64)
    beyond = places - first
    weights = np.stack([1 - beyond, beyond]) if mode == "linear" else _cubic(beyond, steepness)
    first = first if mode == "linear" else first - 1
    matrix = np.zeros((len(places), length))
    for offset, share in enumerate(weights):
        np.add.at(matrix, (np.arange(len(places)), (first + offset).clip(0, length - 1)), share)
    mixed = torch.from_numpy(matrix).to(x.device, x.dtype)
    return torch.movedim(torch.movedim(x, axis, -1) @ mixed.T, -1, axis)


def _cubic(t: Places, a: float) -> Places:
    """Keys' weights of the four neighbours, from the one before the last."""

    def near(s: Places) -> Places:
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s: Places) -> Places:
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    return np.stack([far(1 + t), near(t), near(1 - t), far(2 - t)])
