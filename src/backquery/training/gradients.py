"""Losses, their gradients by NumPy, and networks with new parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backquery.model import SIGMOID, SOFTMAX, Activation, Array, Layer, Network
from backquery.training.recipes import Loss

_TINY = 1e-30


def output_delta(output: Activation, loss: Loss, answers: Array, targets: Array) -> Array:
    """What the output layer learns from: minus the gradient of the loss by its pre-activations, (m, outputs).

    For ``"book"`` and ``"squared"`` this is the error times the activation's slope. Softmax mixes its outputs:
    ``"squared"`` takes the whole Jacobian diag(o) - o o', the book's rule only its diagonal.
    """
    error = targets - answers
    if loss == "cross-entropy":
        share: Array = targets.sum(axis=-1, keepdims=True)
        return targets - answers * share if output is SOFTMAX else error
    if loss == "squared" and output is SOFTMAX:
        mean: Array = (answers * error).sum(axis=-1, keepdims=True)
        return answers * (error - mean)
    return error * output.slope(answers)


def loss_of(output: Activation, loss: Loss, answers: Array, targets: Array) -> float:
    """The loss, summed over everything given: half the squared error, or the cross-entropy."""
    if loss != "cross-entropy":
        return float(0.5 * np.square(targets - answers, dtype=np.float64).sum())
    total = -(targets * np.log(np.maximum(answers, _TINY))).sum(dtype=np.float64)
    if output is SIGMOID:
        total -= ((1 - targets) * np.log(np.maximum(1 - answers, _TINY))).sum(dtype=np.float64)
    return float(total)


def descent(
    activations: Sequence[Activation],
    weights: Sequence[Array],
    biases: Sequence[Array | None],
    inputs: Array,
    targets: Array,
    loss: Loss,
) -> tuple[float, NDArray[np.intp], list[Array], list[Array]]:
    """The summed loss, the labels read, and the mean directions of descent for weights and for biases.

    inputs: (m, inputs); targets: (m, outputs). The directions are minus the gradients (the design's
    ``d(l) = (W(l)' d(l+1)) f'(z(l))``), or what the book's rule has in their place, for
    ``parameter += rate * direction``.
    """
    signals = [inputs]
    for f, w, b in zip(activations, weights, biases, strict=True):
        z = signals[-1] @ w.T
        signals.append(f.function(z if b is None else z + b))
    answers = signals[-1]
    error, delta = targets - answers, output_delta(activations[-1], loss, answers, targets)
    for_weights: list[Array] = []
    for_biases: list[Array] = []
    for n in range(len(weights) - 1, -1, -1):
        for_weights.append(delta.T @ signals[n] / len(inputs))
        for_biases.append(delta.mean(axis=0))
        if n:
            # The book splits the error itself, without the slope of the nodes it comes from: that is no gradient.
            error = (error if loss == "book" else delta) @ weights[n]
            delta = error * activations[n - 1].slope(signals[n])
    lost = loss_of(activations[-1], loss, answers, targets)
    return lost, answers.argmax(axis=1), for_weights[::-1], for_biases[::-1]


def with_parameters(network: Network, weights: Sequence[Array], biases: Sequence[Array | None]) -> Network:
    """The network with other weights, and other biases where it has any."""
    layers = tuple(
        Layer(w, None if layer.biases is None else b, layer.activation)
        for layer, w, b in zip(network.layers, weights, biases, strict=True)
    )
    return replace(network, layers=layers)
