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


def all_heard(module: torch.nn.Module, run: Callable[[], object], images: int) -> dict[str, torch.Tensor]:
    """What each layer without parts gives before the last one, when `run` runs so many images; in their order.

    A layer that is called again has its number behind its name. Left out are those that say nothing of each image,
    or nothing new: reshaping and dropout.
    """
    torch = import_torch()
    found: dict[str, Any] = {}

    def hear(name: str, output: Any) -> None:
        given = next(iter(tensors_in(torch, output).values()), None)
        if given is None or not given.is_floating_point() or given.ndim < 2 or len(given) != images:
            return
        calls = sum(other == name or other.startswith(f"{name}, call ") for other in found)
        # A clone, because what follows may work in place.
        found[f"{name}, call {calls + 1}" if calls else name] = given.clone()

    nn = torch.nn
    idle = (nn.Flatten, nn.Unflatten, nn.Identity, nn.modules.dropout._DropoutNd)
    leaves = [
        (name, part)
        for name, part in module.named_modules()
        if name and not part._modules and not isinstance(part, idle)
    ]
    hooks = [
        part.register_forward_hook(lambda _layer, _given, output, name=name: hear(name, output))
        for name, part in leaves
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return dict(list(found.items())[:-1])


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
