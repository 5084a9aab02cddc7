"""PyTorch state dicts: numbers by the names of a module's parts, read from safetensors and put into a module.

Programs write the same numbers under longer names: DataParallel puts ``module.`` in front of each, torch.compile
``_orig_mod.``, Lightning ``model.``. What stands in front is taken off where the names then are the module's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.errors import MissingExtraError, ModelError, assume
from backquery.io.torch_module import first_line, import_torch, unwrapped

if TYPE_CHECKING:
    import torch

State = dict[str, Any]
"""Tensors by their names."""

NAMED = 3
"""Names of each kind, at most, in a message."""

OPTIONAL = ".num_batches_tracked"
"""What batch norm counts in training; a file may lack it."""


def read_state_dict(path: str) -> State:
    """The tensors of a PyTorch state dict in a safetensors file, which cannot run anything."""
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise MissingExtraError("a state dict", "PyTorch", "torch") from None
    if Path(path).suffix != ".safetensors":
        raise ModelError(
            f"{path} is no .safetensors file, and nothing is ever unpickled; write it with "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')"
        )
    try:
        state: State = load_file(path)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except Exception as error:  # the library has a type of its own for every kind of damage
        raise ModelError(f"{path} is damaged or no safetensors file: {error}") from error
    return state


def load_into(module: torch.nn.Module, state: Mapping[str, Any]) -> None:
    """Put a state dict into a module, whatever stands in front of all its names.

    `ModelError` names a few of the names and shapes that do not fit.
    """
    torch = import_torch("A state dict")
    inner = unwrapped(torch, module)
    own = inner.state_dict()
    chosen = _chosen(dict(state), own)
    misfit = _misfit(chosen, own)
    if not misfit:
        _check_shapes(torch, chosen, own)
    try:
        inner.load_state_dict(chosen)  # which knows some names that parts had in former times
    except RuntimeError as error:
        raise ModelError(misfit or f"the state dict cannot be loaded: {first_line(error)}") from error


def _chosen(state: State, own: Mapping[str, Any]) -> State:
    """The part of a state dict that has the module's own names; all of it where none has."""
    fitting = dict(_fitting(state, _needed(own), ""))
    if len(fitting) > 1:
        raise ModelError(
            f"the state dict holds weights for this module more than once, under {_few(fitting)}; save one of them"
        )
    for front, part in fitting.items():
        if rest := len(state) - len(part):
            assume(f"of the state dict, only what is named {front}... is loaded: {rest} other tensors do not fit")
        return part
    return state


def _fitting(state: State, needed: set[str], front: str) -> Iterator[tuple[str, State]]:
    """The parts of a state dict with just the names needed, once what stands in front of them is taken off."""
    if _needed(state) == needed:
        yield front, state
        return
    groups: dict[str, State] = {}
    for name, tensor in state.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = tensor
    for first, part in groups.items():
        yield from _fitting(part, needed, f"{front}{first}.")


def _needed(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.endswith(OPTIONAL)}


def _check_shapes(torch: Any, state: State, own: Mapping[str, Any]) -> None:
    both = [(name, own[name], state[name]) for name in own if name in state]
    wrong = [
        f"{name} {tuple(theirs.shape)} instead of {tuple(ours.shape)}"
        for name, ours, theirs in both
        if not torch.nn.parameter.is_lazy(ours) and ours.shape != theirs.shape
    ]
    if wrong:
        raise ModelError(f"the state dict belongs to a module of other sizes: it has {_few(wrong)}")


def _misfit(state: State, own: Mapping[str, Any]) -> str:
    """Which names are missing and which are unexpected; empty where all are there."""
    missing = [name for name in own if name not in state and not name.endswith(OPTIONAL)]
    unexpected = [name for name in state if name not in own]
    told = [f"it lacks {_few(missing)}"] * bool(missing) + [f"it has {_few(unexpected)}"] * bool(unexpected)
    return f"the state dict belongs to another module: {', and '.join(told)}" if told else ""


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
