"""Another framework's dense chain, gathered step by step into a `Network`.

Frameworks cut the same chain into different pieces: a matrix product and a sum, a dense layer with its
activation, a rescaling before it. Every reader hands its pieces to a `Chain`, which puts them together and
says what cannot be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import ModelError
from backquery.model import IDENTITY, SIGMOID, SOFTMAX, Activation, Array, Layer, Network, Shape

OUTPUTS = ("logits", "scores")
"""What the last weights of a chain give, where no activation follows them."""

Order = NDArray[np.intp]


class NotAChainError(ModelError):
    """What was read is no chain of dense layers; it may be another network."""


class Chain:
    """The steps so far, and the `shape` of one example's signals after them (None where nobody said).

    Rescalings are folded into the weights next to them, in float64; a chain without any keeps its numbers
    bit for bit.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        self.shape = shape
        self._layers: list[Layer] = []
        self._open: tuple[Array, Array | None] | None = None
        self._gain: Array | None = None
        self._offset: Array | None = None
        self._order: Order | None = None
        self._came_in = 0

    def flatten(self) -> None:
        """Signals of any shape in one row."""
        self.shape = self.shape and (prod(self.shape),)

    def reshape(self, shape: Shape) -> None:
        """Signals in another shape; one length may be -1, which means what is left."""
        if not shape or not all(isinstance(length, int) and (length > 0 or length == -1) for length in shape):
            raise ModelError(f"{shape} is not a shape for one example")
        if self.shape is None:
            self.shape = None if -1 in shape else shape
            return
        known = prod(length for length in shape if length != -1)
        rest = prod(self.shape) // max(known, 1)
        wanted = tuple(rest if length == -1 else length for length in shape)
        if prod(wanted) != prod(self.shape):
            raise ModelError(f"signals of shape {self.shape} cannot take the shape {shape}")
        self.shape = wanted

    def transpose(self, axes: Sequence[int]) -> None:
        """Signals with their axes in another order, counted from 0 without the batch: the weights move along."""
        if self.shape is None or sorted(axes) != list(range(len(self.shape))):
            raise ModelError(f"signals of shape {self.shape} have no axes {tuple(axes)} to put in order")
        places = np.arange(prod(self.shape)).reshape(self.shape).transpose(axes)
        self.pick(places.ravel(), places.shape)

    def dense(self, weights: Array, biases: Array | None) -> None:
        """``W x + b`` with W of shape (outputs, inputs) and b of shape (outputs,)."""
        self._close(IDENTITY)
        if weights.ndim != 2:
            raise ModelError(f"weights must be a matrix; these have the shape {weights.shape}")
        outputs, inputs = weights.shape
        if self.shape is not None and (self.shape[-1], prod(self.shape)) != (inputs, inputs):
            raise ModelError(f"its weights take {inputs} signals, but signals of shape {self.shape} come in")
        self._open = self._folded_before(weights, biases)
        self.shape = (*(self.shape or ())[:-1], outputs)

    def pick(self, order: Order, shape: Shape) -> None:
        """The signals at the places `order` (as many as `shape` holds) of the row before, now in this shape.

        A transposition is such a choice, and so is one signal out of several.
        """
        if self._open is not None:
            self._open = _rows(*self._open, order)
        elif self._layers:
            last = self._layers[-1]
            if last.activation is SOFTMAX and sorted(order) != list(range(last.outputs)):
                raise ModelError("it leaves out some of the answers that softmax gives together")
            self._layers[-1] = Layer(*_rows(last.weights, last.biases, order), last.activation)
        else:
            self._order = (np.arange(prod(self.shape or ())) if self._order is None else self._order)[order]
            self._came_in = self._came_in or prod(self.shape or ())
        if self._gain is not None and self._offset is not None:
            self._gain, self._offset = (
                part if part.ndim == 0 else part[order] for part in (self._gain, self._offset)
            )
        self.shape = shape

    def rescale(self, gain: ArrayLike, offset: ArrayLike) -> None:
        """``gain * x + offset``, with numbers or arrays of the signals' shape."""
        gains, offsets = self._spread(gain), self._spread(offset)
        if self._open is not None:
            self._open = _folded_after(*self._open, gains, offsets)
        elif self._gain is None or self._offset is None:
            self._gain, self._offset = gains, offsets
        else:
            self._gain, self._offset = gains * self._gain, gains * self._offset + offsets

    def activate(self, activation: Activation) -> None:
        """An activation function on every signal (softmax: on all of them together)."""
        if activation is IDENTITY:
            return
        if self._open is None:
            raise ModelError(f"{activation.name} follows no weights; a layer is weights, then one activation")
        self._close(activation)

    def add_complement(self) -> None:
        """One logistic answer p becomes the two answers 1 - p and p, as those of two softmax nodes.

        The sigmoid of z is the softmax of (-z/2, z/2).
        """
        self._close(IDENTITY)
        if self.answers_with is not SIGMOID or self._layers[-1].outputs != 1:
            raise ModelError("only one sigmoid answer has a complement")
        weights, biases = self._layers[-1].weights, self._layers[-1].biases
        halves = np.array([[-0.5], [0.5]], weights.dtype)
        both = None if biases is None else halves[:, 0] * biases
        self._layers[-1] = Layer(halves * weights, both, SOFTMAX)
        self.shape = (2,)

    @property
    def rescaled(self) -> tuple[Array, Array] | None:
        """What the first steps, before any weights, do to the inputs: ``gain * x + offset``; None for nothing."""
        at_the_start = not self._layers and self._open is None and self._gain is not None
        return (self._gain, self._offset) if at_the_start else None  # type: ignore[return-value]

    def as_it_is(self) -> Network:
        """The network so far, without an activation after weights that have none yet."""
        if not self._layers and self._open is None:
            raise ModelError("there are no weights in it")
        last = [] if self._open is None else [Layer(*self._open, IDENTITY)]
        return Network(_of_one_dtype([*self._layers, *last]))

    @property
    def answers_with(self) -> Activation:
        """The activation after the last weights so far."""
        return self._layers[-1].activation if self._layers and self._open is None else IDENTITY

    def finish(self, outputs: str = "as written", **description: Any) -> Network:
        """The network; `description` goes to it: input_shape, classes, scaling, statistics, about.

        Where the last weights have no activation, `outputs` says what they give: ``"logits"``, which softmax
        turns into answers (sigmoid, where there is only one), or ``"scores"``, the answers themselves. One
        sigmoid answer becomes two labels, unless the chain is to stay ``"as written"``.
        """
        if outputs not in (*OUTPUTS, "as written"):
            raise ModelError(f"outputs are {' or '.join(map(repr, OUTPUTS))}; received {outputs!r}")
        if outputs == "logits" and self.answers_with is IDENTITY and self._open is not None:
            self._close(SIGMOID if len(self._open[0]) == 1 else SOFTMAX)
        self._close(IDENTITY)
        if not self._layers:
            raise ModelError("there are no weights in it")
        if self._gain is not None:
            raise NotAChainError("its answers are rescaled after the last activation, which no dense layer can do")
        if outputs != "as written" and self.answers_with is SIGMOID and self._layers[-1].outputs == 1:
            self.add_complement()
        if not all(_finite(layer.weights) and _finite(layer.biases) for layer in self._layers):
            raise ModelError("it holds numbers that are not finite")
        return Network(_of_one_dtype(self._layers), **description)

    def _close(self, activation: Activation) -> None:
        if self._open is not None:
            self._layers.append(Layer(*self._open, activation))
            self._open = None

    def _spread(self, values: ArrayLike) -> Array:
        try:
            array = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise ModelError(f"it rescales by {str(values)[:40]!r}, which are no numbers") from None
        if self.shape is None:
            return array.reshape(()) if array.size == 1 else array.ravel()
        try:
            return np.broadcast_to(array, (1, *self.shape)).ravel()
        except ValueError:
            raise ModelError(f"numbers of shape {array.shape} do not fit signals of shape {self.shape}") from None

    def _folded_before(self, weights: Array, biases: Array | None) -> tuple[Array, Array | None]:
        """W (g x + o) + b = (W g) x + (W o + b), where x may be a choice of the signals."""
        if self._gain is None or self._offset is None:
            return self._as_they_came(weights), biases
        wide = weights.astype(np.float64)
        shift = wide @ np.broadcast_to(self._offset, wide.shape[1:])
        gains, self._gain, self._offset = self._gain, None, None
        shift = shift if biases is None else shift + biases
        return self._as_they_came((wide * gains).astype(weights.dtype)), shift.astype(weights.dtype)

    def _as_they_came(self, weights: Array) -> Array:
        """Weights for rearranged signals as weights for the signals in the order in which they came."""
        if self._order is None:
            return weights
        places, self._order = self._order, None
        turned = np.zeros((len(weights), self._came_in), weights.dtype)
        np.add.at(turned.T, places, weights.T)
        return turned


def _of_one_dtype(layers: list[Layer]) -> tuple[Layer, ...]:
    dtype = np.result_type(*(layer.weights.dtype for layer in layers))
    return tuple(replace(layer, weights=layer.weights.astype(dtype)) for layer in layers)


def _finite(values: Array | None) -> bool:
    return values is None or bool(np.all(np.isfinite(values)))


def _picked(values: Array, order: Order) -> Array:
    chosen: Array = values[order] if values.size > 1 else values
    return chosen


def _rows(weights: Array, biases: Array | None, order: Order) -> tuple[Array, Array | None]:
    return weights[order], None if biases is None else biases[order]


def _folded_after(weights: Array, biases: Array | None, gains: Array, offsets: Array) -> tuple[Array, Array]:
    """G (W x + b) + o = (g W) x + (g b + o)."""
    wide = weights.astype(np.float64) * gains.reshape(-1, 1)
    shift = offsets if biases is None else gains * biases + offsets
    return wide.astype(weights.dtype), shift.astype(weights.dtype)
