"""Copies of a PyTorch module that have learned nothing, as controls. Imported only where PyTorch is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from backquery.errors import ModelError
from backquery.io.torch_module import copied, first_line

if TYPE_CHECKING:
    import torch

BEGINNINGS = ("reset_parameters", "_reset_parameters")
"""How PyTorch's layers call what draws their first numbers; the second is that of attention."""


def begun_anew(torch: Any, module: torch.nn.Module, dtype: str, seed: int) -> torch.nn.Module:
    """A copy with its layers' first numbers, drawn by the layers themselves; `ModelError` where one cannot."""
    twin = copied(torch, module, dtype)
    learned = [part for part in twin.modules() if next(part.parameters(recurse=False), None) is not None]
    unable = dict.fromkeys(type(part).__name__ for part in learned if _beginning(part) is None)
    if unable or not learned:
        without = (
            ", ".join(unable) + " has no reset_parameters()" if unable else "a file does not say how they began"
        )
        raise ModelError(f"its layers cannot begin anew: {without}")
    graphics = {tensor.device.index or 0 for tensor in twin.parameters() if tensor.device.type == "cuda"}
    with torch.random.fork_rng(graphics), torch.no_grad():
        torch.manual_seed(seed)
        # A whole after its parts, because it may begin them in a way of its own.
        for begin in filter(None, map(_beginning, reversed(list(twin.modules())))):
            try:
                begin()
            except Exception as error:
                raise ModelError(f"its layers cannot begin anew: {first_line(error)}") from error
    return twin


def _beginning(part: torch.nn.Module) -> Callable[[], object] | None:
    return next((getattr(part, name) for name in BEGINNINGS if callable(getattr(part, name, None))), None)


def shuffled(torch: Any, module: torch.nn.Module, dtype: str, rng: np.random.Generator) -> torch.nn.Module:
    """A copy with the weights of each layer, of two axes or more, each where another was."""
    twin = copied(torch, module, dtype)
    held = [*twin.parameters(), *twin.buffers()]
    weights = [tensor for tensor in held if tensor.is_floating_point() and tensor.ndim > 1]
    if not weights:
        raise ModelError("the module has no weights to shuffle")
    with torch.no_grad():
        for tensor in weights:
            order = torch.tensor(rng.permutation(tensor.numel()), device=tensor.device)
            tensor.copy_(tensor.reshape(-1)[order].reshape(tensor.shape))
    return twin
