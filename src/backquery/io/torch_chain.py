"""Chains of dense layers: PyTorch's `Sequential` to a `Network`, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.io.comparison import compare
from backquery.io.foreign import theirs
from backquery.io.torch_module import (
    asked,
    at_rest,
    eager,
    import_torch,
    own_dtype,
    peculiarities,
    precision,
    unwrapped,
)
from backquery.model import IDENTITY, RELU, SIGMOID, SOFTMAX, TANH, Activation, Array, Network, leaky_relu

if TYPE_CHECKING:
    import torch


NAMES = {SIGMOID: "Sigmoid", TANH: "Tanh", RELU: "ReLU", SOFTMAX: "Softmax"}
"""What PyTorch calls the activations that need no slope."""

_ADVICE = "use from_torch, which takes any module"


def network_from_torch(
    module: torch.nn.Module,
    *,
    outputs: Literal["logits", "scores"] = "logits",
    input_shape: Sequence[int] = (),
    **description: Any,
) -> Network:
    """A `Sequential` of `Linear` layers and known activations as a `Network`, with the same answers.

    `Flatten`, `Unflatten`, `Identity`, every kind of dropout, and `BatchNorm1d` (which is folded into the weights
    beside it) may stand between, and a `Sequential` may hold others, or be the only part with weights of a module
    of one's own. Weights are those of the next pass in evaluation mode, whatever normalises or prunes them.
    Activations are Sigmoid, Tanh, ReLU, LeakyReLU (of any slope), and for the answers Softmax or LogSoftmax. Where
    the last `Linear` has no activation, `outputs` says what it gives: ``"logits"``, so that the network's answers
    are their softmax, or ``"scores"``, the answers themselves. One output alone becomes two labels.

    `input_shape`, and as `description` classes, scaling, statistics and about, go to the network. Before it is
    returned, its answers to trial images are compared with those of `module` in evaluation mode; the module and
    PyTorch's random numbers are then as before. Anything that is not such a chain, or that answers otherwise (by a
    forward hook, for example), raises `ModelError`, which names where it stopped.
    """
    torch = import_torch("Converting a PyTorch model")
    if outputs not in ("logits", "scores"):
        raise ModelError(f"outputs are 'logits' or 'scores'; received {outputs!r}")
    original = eager(torch, module)
    with at_rest(torch, original):
        parts = list(_parts(torch, original, ""))
        chain = Chain()
        for name, part in parts:
            try:
                _gather(torch, chain, part)
            except ModelError as error:
                raise ModelError(f"{_called(part)} ({name}) cannot be converted: {error}; {_ADVICE}") from None
        network = chain.finish(outputs=outputs, input_shape=tuple(input_shape), **description)
        _compare(torch, network, original, _ends_raw(torch, parts[-1][1], outputs))
    return network


def network_to_torch(network: Network) -> torch.nn.Sequential:
    """The network as a `Sequential` in evaluation mode, with the same answers to inputs (n, ...) in input scale.

    Each layer is a `Linear` with its activation, the last one included; `Flatten` comes first where images have
    a shape. A network's dtype stays what it is.
    """
    torch = import_torch("Converting to PyTorch")
    parts: list[Any] = [torch.nn.Flatten()] if len(network.input_shape) > 1 else []
    dtype = getattr(torch, str(network.dtype))
    for layer in network.layers:
        linear = torch.nn.Linear(layer.inputs, layer.outputs, bias=layer.biases is not None, dtype=dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.weights))
            if layer.biases is not None:
                linear.bias.copy_(torch.tensor(layer.biases))
        parts.append(linear)
        if layer.activation is not IDENTITY:
            parts.append(_as_module(torch, layer.activation))
    return torch.nn.Sequential(*parts).eval()


def _parts(torch: Any, module: torch.nn.Module, name: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules that compute something, in order, each with its place."""
    nn = torch.nn
    module = unwrapped(torch, module)
    if isinstance(module, nn.Sequential):
        for key, part in module.named_children():
            yield from _parts(torch, part, f"{name}.{key}" if name else key)
    elif (only := _only_part(torch, module)) is not None:
        yield from _parts(torch, only[1], f"{name}.{only[0]}" if name else only[0])
    elif not _passes_on(nn, module):
        yield name or "the module", module


def _only_part(torch: Any, module: torch.nn.Module) -> tuple[str, torch.nn.Module] | None:
    """The one part of a module of one's own that has weights, such as a Sequential, with its name."""
    if type(module).__module__.startswith("torch."):
        return None
    weighty = [one for one in module.named_children() if any(True for _ in one[1].parameters())]
    loose = any(True for _ in module.parameters(recurse=False))
    return weighty[0] if len(weighty) == 1 and not loose else None


def _passes_on(nn: Any, module: torch.nn.Module) -> bool:
    """Whether signals come out of a module as they went in, but for their shape; `compare` has the last word."""
    flattens = isinstance(module, nn.Flatten) and module.start_dim in (0, 1)
    return flattens or isinstance(module, nn.Identity | nn.Unflatten | nn.modules.dropout._DropoutNd)


def _called(part: torch.nn.Module) -> str:
    """A layer with its settings; of a module that holds others, its type alone."""
    return type(part).__name__ if next(part.children(), None) is not None else str(part)


def _gather(torch: Any, chain: Chain, part: torch.nn.Module) -> None:
    if isinstance(part, torch.nn.Linear):
        chain.dense(*_affine(torch, part))
    elif isinstance(part, torch.nn.BatchNorm1d | torch.nn.SyncBatchNorm) and part.running_var is not None:
        gain = (part.running_var + part.eps) ** -0.5 * (1 if part.weight is None else part.weight)
        shift = 0 if part.bias is None else part.bias
        chain.rescale(_array(gain), _array(shift - part.running_mean * gain))
    else:
        chain.activate(_activation(torch, part))


def _affine(torch: Any, linear: torch.nn.Linear) -> tuple[Array, Array | None]:
    """Weights and biases of the next pass; what hooks of the user's own make of them is found by asking."""
    before, after = linear._forward_pre_hooks.values(), linear._forward_hooks.values()
    if before or after:
        # Hooks that normalise or prune weights make those of the next pass in it.
        biases = _said_by(torch, linear, np.zeros((1, linear.in_features)))[0]
    if not after and all(type(hook).__module__.startswith("torch.nn.utils.") for hook in before):
        return _array(linear.weight), None if linear.bias is None else _array(linear.bias)
    size, inputs = 256, linear.in_features
    ones = (np.eye(min(size, inputs - k), inputs, k) for k in range(0, inputs, size))
    columns = np.concatenate([_said_by(torch, linear, part) - biases for part in ones])
    dtype = _array(linear.weight).dtype
    return columns.T.astype(dtype), biases.astype(dtype)


def _said_by(torch: Any, linear: torch.nn.Linear, inputs: Array) -> Array:
    return asked(torch, linear, inputs, inputs.shape[1:])


def _ends_raw(torch: Any, last: torch.nn.Module, outputs: str) -> bool:
    """Whether a chain with this last part gives scores, of which the network makes answers."""
    nn = torch.nn
    if isinstance(last, nn.Linear | nn.BatchNorm1d | nn.SyncBatchNorm):
        return outputs == "logits"
    return isinstance(last, nn.LogSoftmax)


def _compare(torch: Any, network: Network, original: torch.nn.Module, raw: bool) -> None:
    """Refuse a network that does not answer as the user's module does."""
    dtype = precision(own_dtype(torch, original))
    try:
        compare(
            network,
            lambda x: _said(torch, original, x, network.input_shape),
            "the module",
            raw=raw,
            precision=dtype,
        )
    except ModelError as error:
        raise ModelError(f"{error}{peculiarities(torch, original)}; {_ADVICE}") from None


def _said(torch: Any, module: torch.nn.Module, inputs: Array, image: tuple[int, ...]) -> Array:
    """What a module says to inputs (n, inputs), in rows, or where it refuses those as images."""
    try:
        return asked(torch, module, inputs, inputs.shape[1:])
    except ModelError:
        for shape in ((1, *image), image) if len(image) > 1 else ():
            with suppress(ModelError):
                return asked(torch, module, inputs, shape)
        raise


def _array(tensor: torch.Tensor) -> Array:
    """Numbers as float64 where they are so, and as float32 where they are that or coarser."""
    dtype = np.float64 if tensor.element_size() == 8 else np.float32
    numbers: Array = tensor.detach().cpu().double().numpy().astype(dtype)
    return numbers


def _as_module(torch: Any, activation: Activation) -> torch.nn.Module:
    """PyTorch's own for an activation other than the identity."""
    if activation is SOFTMAX:
        return torch.nn.Softmax(dim=-1)
    if activation.leak:
        return torch.nn.LeakyReLU(activation.leak)
    return getattr(torch.nn, theirs(activation, NAMES, "PyTorch"))()


def _activation(torch: Any, part: torch.nn.Module) -> Activation:
    nn = torch.nn
    if type(part) is nn.LeakyReLU:
        return leaky_relu(part.negative_slope)
    known = {getattr(nn, name): activation for activation, name in NAMES.items()} | {nn.LogSoftmax: SOFTMAX}
    activation = known.get(type(part))
    other_axis = activation is SOFTMAX and part.dim not in (1, -1, None)
    if activation is None or other_axis:
        raise ModelError("a Network has no such layer or activation")
    return activation
