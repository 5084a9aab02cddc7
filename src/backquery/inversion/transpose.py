"""The book's back query: backwards through the inverse activations and the transposed weights.

T. Rashid, *Make Your Own Neural Network*, 2016, part 3. For each layer, from the last to the first,

    z = f^-1(h) - b,    h = rescale(W' z),

where `rescale` stretches one image's signals to the range of the activation that they are to be the output
of: [0.01, 0.99] for sigmoid, [-0.99, 0.99] for tanh; unbounded ones are left as they are. The image is
stretched to [0.01, 0.99], or to the range of the inputs where that is not within [0, 1].

The formula is exact, the image is not: as many numbers as there are labels cannot fix all pixels, so the
network need not read it as asked. With `rescale`, even the confidence asked for cancels out: where there are
no biases, every p above 0.5, with 1 - p for the other labels, gives the same image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from backquery.errors import InversionError, TargetError
from backquery.inversion.problem import Problem
from backquery.inversion.result import EXACT_FORMULA, BackQuery, round_trip
from backquery.inversion.targets import Targets
from backquery.model import Activation, Array, Network

MARGIN = 0.01
"""How far inside its range a bounded signal is kept, so that the inverse activation stays finite."""

CONSTANT = 1e-12
"""Signals that differ by no more than this share of their size are all equal but for rounding."""


@dataclass(frozen=True)
class Transpose:
    """The book's formula; it has no settings. It needs a `Network` whose activations all have an inverse."""

    name: ClassVar[str] = "transpose"
    summary: ClassVar[str] = "backwards through the transposed weights, as in the book"
    usual_question: ClassVar[str] = "confidence"
    chooses: ClassVar[bool] = True

    def invert(self, problem: Problem) -> BackQuery:
        """Take the answers asked for back to images (n, inputs), layer by layer.

        `TargetError` for what has no inverse, `InversionError` for a model or an option that the formula does not
        know.
        """
        network, asked = problem.model, problem.asked
        if not isinstance(network, Network):
            raise InversionError(
                f"transpose goes back through a network's own weights, which {type(network).__name__} does not "
                "show; use gauss-newton"
            )
        if problem.near is not None:
            raise InversionError("transpose cannot start from an image; use gauss-newton with near=")
        signals = _answers_of(asked)
        for position in range(len(network.layers) - 1, -1, -1):
            layer = network.layers[position]
            z = _inverse(layer.activation)(signals) - layer.shifts.astype(np.float64)
            signals = z @ layer.weights.astype(np.float64)
            if position:
                signals = _into_range_of(network.layers[position - 1].activation, signals, position)
        images = _as_image(signals, problem.low, problem.high)
        n = len(images)
        return round_trip(
            network, asked, images, method=self.name, outcome=[EXACT_FORMULA] * n, steps=np.ones(n, np.int64)
        )


def _answers_of(asked: Targets) -> Array:
    if asked.answers is None:
        raise TargetError(
            f"transpose needs an answer for every output, but the question ({asked.question}) asks for a part; "
            "use gauss-newton"
        )
    return asked.answers


def _inverse(activation: Activation) -> Any:
    if activation.inverse is None:
        raise InversionError(
            f"transpose needs activations with an inverse, and {activation.name} has none (it gives 0 to all that "
            "is negative); use gauss-newton, or train with leaky-relu"
        )
    return activation.inverse


def _into_range_of(activation: Activation, signals: Array, layer: int) -> Array:
    """Signals that are to be the outputs of a layer, brought to where its inverse is finite."""
    _inverse(activation)
    if not activation.bounded:
        return signals
    share = _stretched(signals, f"the signals that come back into layer {layer}")
    low, high = activation.low + MARGIN, activation.high - MARGIN
    return share * (high - low) + low


def _as_image(signals: Array, low: Array, high: Array) -> Array:
    share = _stretched(signals, "the pixels")
    if low.min() >= 0 and high.max() <= 1:
        return share * (1 - 2 * MARGIN) + MARGIN
    return np.clip(share * (high - low) + low, low, high)


def _stretched(signals: Array, what: str) -> Array:
    """Each row from 0 at its smallest to 1 at its largest element."""
    lowest, highest = signals.min(axis=1, keepdims=True), signals.max(axis=1, keepdims=True)
    span = highest - lowest
    flat = span <= CONSTANT * np.maximum(np.abs(highest), np.abs(lowest))
    if np.any(flat):
        row = int(np.flatnonzero(flat[:, 0])[0])
        raise InversionError(
            f"in question {row + 1}, {what} are all equal ({signals[row, 0]:.4g}), and equal signals cannot be "
            "stretched; ask for answers that differ from one another, or use gauss-newton"
        )
    share: Array = (signals - lowest) / span
    return share
