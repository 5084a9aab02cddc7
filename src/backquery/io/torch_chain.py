"""Chains of dense layers: PyTorch's `Sequential` to a `Network`, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.io.torch import import_torch
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

    `Flatten`, `Dropout`, `Identity` and `BatchNorm1d` (which is folded into the weights beside it) may stand
    between, and a `Sequential` may hold others. Activations are Sigmoid, Tanh, ReLU, LeakyReLU (of any
    slope), and for the answers Softmax or LogSoftmax. Where the last `Linear` has no activation, `outputs` says
    what it gives: ``"logits"``, so that the network's answers are their softmax, or ``"scores"``, the answers
    themselves. One output alone becomes two labels.

    `input_shape`, and as `description` classes, scaling, statistics and about, go to the network. Anything that
    is not such a chain raises `ModelError`, which names where it stopped.
    """
    torch = import_torch("Converting a PyTorch model")
    if outputs not in ("logits", "scores"):
        raise ModelError(f"outputs are 'logits' or 'scores'; received {outputs!r}")
    chain = Chain()
    for name, part in _parts(torch, module, ""):
        try:
            _gather(torch, chain, part)
        except ModelError as error:
            raise ModelError(f"{part} ({name}) cannot be converted: {error}; {_ADVICE}") from None
    return chain.finish(outputs=outputs, input_shape=tuple(input_shape), **description)


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
    if type(module) is nn.Sequential:
        for key, part in module.named_children():
            yield from _parts(torch, part, f"{name}.{key}" if name else key)
    elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return
    elif not isinstance(module, nn.Identity | nn.Dropout | nn.AlphaDropout):
        yield name or "the module", module


def _gather(torch: Any, chain: Chain, part: torch.nn.Module) -> None:
    if isinstance(part, torch.nn.Linear):
        chain.dense(_array(part.weight), None if part.bias is None else _array(part.bias))
    elif isinstance(part, torch.nn.BatchNorm1d) and part.running_var is not None:
        gain = (part.running_var + part.eps) ** -0.5 * (1 if part.weight is None else part.weight)
        shift = 0 if part.bias is None else part.bias
        chain.rescale(_array(gain), _array(shift - part.running_mean * gain))
    else:
        chain.activate(_activation(torch, part))


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
    return getattr(torch.nn, NAMES[activation])()


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
