"""One layer of a PyTorch model, found by its name: a model whose answers are the layer's signals."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from backquery.errors import ModelError
from backquery.inversion.memory import Memory
from backquery.io.comparison import probes
from backquery.io.torch import TorchModel
from backquery.io.torch_module import import_torch, tensors_in
from backquery.model import IDENTITY, Activation, Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchLayer(TorchModel):
    """What `TorchModel.at` gives: the same module, run as far as one layer, whose output it answers.

    Log-odds and answers are both the signals, flat (n, outputs), as the layer gives them: a ReLU's after, a
    convolution's before what follows. shape: the layer's output for one image, such as (channels, rows, columns);
    runs: how often the module calls the layer for one image, of which the last counts.
    """

    layer: str
    shape: tuple[int, ...]
    runs: int

    @property
    def output_activation(self) -> Activation:
        """Signals are answers as they are."""
        return IDENTITY

    def signals(self, x: ArrayLike) -> Array:
        """The layer's output (n, *shape) for inputs (n, inputs)."""
        return self.log_odds(x).reshape(-1, *self.shape)

    def _scores(self, inputs: torch.Tensor) -> torch.Tensor:
        return _heard(self, self.layer, inputs, self.runs)[-1].to(inputs.dtype).reshape(len(inputs), -1)


_layers: Memory[dict[str, TorchLayer]] = Memory(dict)


def layer_of(model: TorchModel, name: str) -> TorchLayer:
    """See `TorchModel.at`; remembered, as finding a layer runs the module."""
    known = _layers.of(model)
    if name not in known:
        known[name] = _found(model, name)
    return known[name]


def _found(model: TorchModel, name: str) -> TorchLayer:
    names = [path for path, _ in model.module.named_modules(remove_duplicate=False) if path]
    if name not in names:
        raise ModelError(f"the module has no layer {name!r}; its layers are {', '.join(names)}")
    shape, runs = _in_trial(model, name)
    statistics = model.statistics and replace(model.statistics, typical=None)
    own = {field.name: getattr(model, field.name) for field in fields(TorchModel)}
    own |= {"classes": tuple(map(str, range(prod(shape)))), "statistics": statistics}
    return TorchLayer(**own, layer=name, shape=shape, runs=runs)


def _in_trial(model: TorchModel, name: str) -> tuple[tuple[int, ...], int]:
    """The shape of a layer's output for one image, and how often it is called."""
    torch, images = import_torch(), probes(model)[:2]
    with torch.inference_mode(False), torch.no_grad():
        heard = _heard(model, name, next(model._tensors(images, len(images))))
    if not heard:
        raise ModelError(f"the layer {name!r} takes no part in the module's answers: it was never called")
    last = heard[-1]
    if not last.is_floating_point() or last.ndim < 2 or len(last) != len(images):
        raise ModelError(
            f"the layer {name!r} must give numbers of shape (n, ...) for n images; for {len(images)} it gave "
            f"{tuple(last.shape)} of {last.dtype}"
        )
    return tuple(last.shape[1:]), len(heard)


class _ReachedError(Exception):
    """The layer has been heard, and the rest of the module need not be run."""


def _heard(model: TorchModel, name: str, inputs: torch.Tensor, runs: int | None = None) -> list[torch.Tensor]:
    """What a layer gives each time that it is called; after so many `runs` nothing more is run."""
    torch = import_torch()
    heard: list[Any] = []

    def hear(_module: Any, _given: Any, output: Any) -> None:
        # A clone, because what follows may work in place; of several tensors, the first is the layer's output.
        heard.extend(tensor.clone() for tensor in list(tensors_in(torch, output).values())[:1])
        if len(heard) == runs:
            raise _ReachedError

    hook = model.module.get_submodule(name).register_forward_hook(hear)
    try:
        model._answers_of_module(inputs)
    except _ReachedError:
        pass
    finally:
        hook.remove()
    return heard
