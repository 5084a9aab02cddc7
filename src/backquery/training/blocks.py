"""One image at a time by NumPy alone, the first layer in blocks: for machines without the compiled kernel.

The first layer is by far the largest. Over a block its weights change by ``sum_j g_j x_j'`` (g_j the learning rate
times the layer's delta for image j), so the pre-activations of image i need only the weights W as they stood when
the block began:

    a_i = W x_i + sum over j < i of (x_j . x_i) g_j

Hence one product reads W for the whole block, and one writes it: exactly the weights of one step after another,
up to rounding. In between, the number of calls on small arrays is what takes the time, so their results are
written where the next call looks for them. To leave blank pixels out would pay little here: gathering the rows of
W that a block inks takes what it saves in float32. Nor would a second thread: products that take microseconds
would wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.model import RELU, SIGMOID, SOFTMAX, Activation, Array, Examples, Layer, Network
from backquery.model.threads import blas
from backquery.training.gradients import loss_of, output_delta, with_parameters
from backquery.training.recipes import Loss

BLOCK = 64
"""Images a block. More of them use BLAS better, but each image sums over all that came before it in its block."""


class BlockTraining:
    """Weights that change image by image; the biases are the weights of one more input, which is always 1."""

    def __init__(self, network: Network, examples: Examples, loss: Loss, targets: Array) -> None:
        self.network = network
        self.examples = examples
        self.loss = loss
        self.targets = targets
        first, *self.later = [_with_biases(layer) for layer in network.layers]
        # Inputs by nodes, the order in which BLAS multiplies a block fastest.
        self.first = np.ascontiguousarray(first.T)
        self.totals = np.zeros(2)
        self._make_room()

    def _make_room(self) -> None:
        """Arrays that every image is worked out in, and BLAS's own updates, which need no room for a product."""
        from scipy.linalg import get_blas_funcs

        layers, dtype = self.network.layers, self.network.dtype
        self.add_product, self.add_outer = get_blas_funcs(("gemm", "ger"), dtype=dtype)
        self.in_place = [_in_place(layer.activation, dtype) for layer in layers]
        self.block = np.ones((BLOCK, len(self.first)), dtype)
        self.steps = np.empty((BLOCK, layers[0].outputs), dtype)
        self.signals = [np.ones(weights.shape[1], dtype) for weights in self.later]
        self.returned = [np.empty_like(signals) for signals in self.signals]
        self.nodes = [heard[: layer.inputs] for heard, layer in zip(self.signals, layers[1:], strict=True)]
        self.errors = [back[: layer.inputs] for back, layer in zip(self.returned, layers[1:], strict=True)]
        self.errors.append(np.empty(self.network.outputs, dtype))
        self.deltas = [np.empty(layer.outputs, dtype) for layer in layers]

    def prepare(self) -> None:
        """Scale the images; part of the time of training."""
        self.inputs = self.examples.inputs().astype(self.network.dtype, copy=False)

    def snapshot(self) -> Network:
        """The network as it is now."""
        matrices = [self.first.T, *self.later]
        weights = [m[:, : layer.inputs] for m, layer in zip(matrices, self.network.layers, strict=True)]
        return with_parameters(self.network, weights, [matrix[:, -1] for matrix in matrices])

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from run to run, by name; writing into these arrays restores it."""
        later = {f"later.{n}": weights for n, weights in enumerate(self.later)}
        return {"first": self.first, **later, "totals": self.totals}

    def run(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int:
        """A step for each image of `order`; the position of the first image that diverged, or -1.

        The rate runs evenly from `rate` before the first image to `rate_after` after the last.
        """
        rates = (rate + (rate_after - rate) * np.arange(len(order)) / len(order)).astype(self.network.dtype)
        labels = self.examples.labels[order]
        targets = self.targets[labels]
        answers = np.empty_like(targets)
        quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        with quiet, blas().limit(limits=1, user_api="blas"):
            for begin in range(0, len(order), BLOCK):
                block = slice(begin, begin + BLOCK)
                self._learn(order[block], targets[block], rates[block], answers[block])
            return self._judge(answers, targets, labels)

    def _learn(self, images: NDArray[np.int64], targets: Array, rates: Array, answers: Array) -> None:
        """The steps of one block; the answers before each are written into `answers` (images, outputs)."""
        inputs, steps = self.block[: len(images)], self.steps[: len(images)]
        np.take(self.inputs, images, axis=0, out=inputs[:, : self.network.inputs], mode="clip")
        inputs.dot(self.first, steps)
        shares = inputs.dot(inputs.T)
        shares *= rates
        # Row i of `steps` holds W x_i until the deltas of image i take its place: one product adds up a_i.
        np.fill_diagonal(shares, 1)
        for i, pace in enumerate(rates.tolist()):
            self._forward(shares[i, : i + 1], steps[: i + 1], answers[i])
            self._backward(answers[i], targets[i], pace, steps[i])
        steps *= rates[:, None]
        self.add_product(1.0, steps.T, inputs.T, 1.0, self.first.T, trans_b=True, overwrite_c=True)

    def _forward(self, shares: Array, steps: Array, answers: Array) -> None:
        """The signals of all layers for one image; those of the last are written into `answers`."""
        nodes = [*self.nodes, answers]
        shares.dot(steps, nodes[0])
        self.in_place[0].activate(nodes[0])
        for n, weights in enumerate(self.later, start=1):
            weights.dot(self.signals[n - 1], nodes[n])
            self.in_place[n].activate(nodes[n])

    def _backward(self, answers: Array, target: Array, rate: float, step: Array) -> None:
        """The step of all layers but the first, and the deltas of the first, written into `step`."""
        errors, deltas = self.errors, [step, *self.deltas[1:]]
        np.subtract(target, answers, errors[-1])
        self._output_deltas(answers, target, deltas[-1])
        sent = errors if self.loss == "book" else deltas
        for n in range(len(self.later), 0, -1):
            weights, signals = self.later[n - 1], self.signals[n - 1]
            sent[n].dot(weights, self.returned[n - 1])
            self.add_outer(rate, signals, deltas[n], a=weights.T, overwrite_a=True)
            self.in_place[n - 1].times_slope(self.nodes[n - 1], errors[n - 1], deltas[n - 1])

    def _output_deltas(self, answers: Array, target: Array, deltas: Array) -> None:
        """`output_delta` of one image, whose errors are known."""
        if self.loss == "cross-entropy":
            # Also for softmax, because the targets of this loss add up to 1.
            np.copyto(deltas, self.errors[-1])
        elif self.loss == "squared" and self.network.output_activation is SOFTMAX:
            np.copyto(deltas, output_delta(SOFTMAX, self.loss, answers, target))
        else:
            self.in_place[-1].times_slope(answers, self.errors[-1], deltas)

    def _judge(self, answers: Array, targets: Array, labels: NDArray[np.int64]) -> int:
        """Add to the totals; the position of the first image whose loss is not finite, or -1."""
        output = self.network.output_activation
        lost = loss_of(output, self.loss, answers, targets)
        self.totals += lost, (answers.argmax(axis=1) == labels).sum()
        if np.isfinite(lost):
            return -1
        each = [loss_of(output, self.loss, *pair) for pair in zip(answers, targets, strict=True)]
        return next((place for place, lost in enumerate(each) if not np.isfinite(lost)), -1)


class _InPlace(NamedTuple):
    """An activation as calls that make no arrays, or few.

    `activate(z)` turns pre-activations into outputs; `times_slope(h, errors, deltas)` writes ``errors * f'(z)``
    into `deltas`, by the outputs h.
    """

    activate: Callable[[Array], object]
    times_slope: Callable[[Array, Array, Array], object]


def _in_place(activation: Activation, dtype: np.dtype[Any]) -> _InPlace:
    """The most used ones by their own calls, all others by the functions of the `Activation`."""
    if activation is SIGMOID:
        from scipy.special import expit

        return _InPlace(lambda z: expit(z, z), _times_logistic_slope)
    if activation is SOFTMAX:
        return _InPlace(_softmax, _times_logistic_slope)
    if activation is RELU:
        # An array, because to turn a plain 0 into one takes as long again.
        zero = np.zeros((), dtype)
        return _InPlace(lambda z: np.maximum(z, zero, out=z), _times_sign)
    return _InPlace(
        lambda z: np.copyto(z, activation.function(z)),
        lambda h, errors, deltas: np.multiply(errors, activation.slope(h), deltas),
    )


def _softmax(z: Array) -> None:
    # By way of lists, because the largest and the sum of a few numbers are found faster there.
    np.subtract(z, max(z.tolist()), z)
    np.exp(z, z)
    np.divide(z, sum(z.tolist()), z)


def _times_logistic_slope(h: Array, errors: Array, deltas: Array) -> None:
    np.multiply(h, h, deltas)
    np.subtract(h, deltas, deltas)
    np.multiply(deltas, errors, deltas)


def _times_sign(h: Array, errors: Array, deltas: Array) -> None:
    np.sign(h, deltas)
    np.multiply(deltas, errors, deltas)


def _with_biases(layer: Layer) -> Array:
    """The layer's weights, and its biases, where there are any, as a last column."""
    return np.array(layer.weights) if layer.biases is None else np.column_stack([layer.weights, layer.biases])
