"""One layer of a PyTorch module, found by its name: what it gives while the module runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backquery.errors import ModelError
from backquery.io.torch_module import import_torch, tensors_in

if TYPE_CHECKING:
    import torch


class _ReachedError(Exception):
    """The layer has been heard, and the rest of the module need not be run."""


def heard(
    module: torch.nn.Module, name: str, run: Callable[[], object], runs: int | None = None
) -> list[torch.Tensor]:
    """What a layer gives each time that `run` calls it; after so many `runs` the rest is left out."""
    torch = import_torch()
    found: list[Any] = []

    def hear(_layer: Any, _given: Any, output: Any) -> None:
        # A clone, because what follows may work in place; of several tensors, the first is the layer's output.
        found.extend(tensor.clone() for tensor in list(tensors_in(torch, output).values())[:1])
        if len(found) == runs:
            raise _ReachedError

    hook = module.get_submodule(name).register_forward_hook(hear)
    try:
        run()
    except _ReachedError:
        pass
    finally:
        hook.remove()
    return found


def in_trial(
    module: torch.nn.Module, name: str, run: Callable[[], object], images: int
) -> tuple[tuple[int, ...], int]:
    """The shape of a layer's output for one image, and how often it is called, when `run` runs so many images.

    `ModelError` says what the module's layers are, or why this one cannot be asked.
    """
    names = [path for path, _ in module.named_modules(remove_duplicate=False) if path]
    if name not in names:
        raise ModelError(f"the module has no layer {name!r}; its layers are {', '.join(names)}")
    found = heard(module, name, run)
    if not found:
        raise ModelError(f"the layer {name!r} takes no part in the module's answers: it was never called")
    last = found[-1]
    if not last.is_floating_point() or last.ndim < 2 or len(last) != images:
        raise ModelError(
            f"the layer {name!r} must give numbers of shape (n, ...) for n images; for {images} it gave "
            f"{tuple(last.shape)} of {last.dtype}"
        )
    return tuple(last.shape[1:]), len(found)
