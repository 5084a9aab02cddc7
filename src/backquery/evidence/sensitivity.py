"""How a label's log-odds answer to ink: the one number that is asked about, and its derivative by each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError
from backquery.inversion.targets import label_positions
from backquery.model import SOFTMAX, TANH, Array, Layout, Model, Network, ends_of, logits_and_products
from backquery.model.examples import AT_ONCE

CHUNK = 100
"""Images that are asked at once, some of whose models give nothing less than the whole Jacobian."""


@dataclass(frozen=True)
class Question:
    """One label, whose log-odds are asked about, or two: then it is the first one's log-odds less the second's.

    labels: positions into the model's classes.
    """

    labels: tuple[int, ...]

    @classmethod
    def between(cls, model: Model, pair: tuple[int | str, int | str]) -> Question:
        """What speaks for the first label rather than the second; `DataError` if they are the same."""
        labels = tuple(int(label) for label in label_positions(model, list(pair)))
        if len(set(labels)) < 2:
            raise DataError(f"two different labels are needed; received {pair[0]!r} twice")
        return cls(labels)

    def name(self, classes: tuple[str, ...]) -> str:
        """``"4"``, or ``"4 rather than 9"``."""
        return " rather than ".join(classes[label] for label in self.labels)

    def log_odds(self, model: Model, x: ArrayLike) -> Array:
        """The number asked about, (n,), for inputs (n, inputs)."""
        return self._read(model, np.asarray(model.logits(x), np.float64))[0]

    def gradients(self, model: Model, x: ArrayLike) -> Array:
        """Its derivatives by the inputs, (n, inputs)."""
        inputs = np.asarray(x)
        if isinstance(model, Network):
            return self._pulled_back(model, inputs)
        size = max(1, min(CHUNK, AT_ONCE // model.inputs))
        parts = [self._gradients(model, inputs[k : k + size]) for k in range(0, len(inputs), size)]
        return np.concatenate(parts)

    def _gradients(self, model: Model, x: Array) -> Array:
        slopes = self._read(model, np.asarray(model.logits(x), np.float64))[1]
        return np.asarray(logits_and_products(model, x, slopes[:, None])[1][:, 0], np.float64)

    def _pulled_back(self, network: Network, x: Array) -> Array:
        """The same by going back through the layers once, for this one number and not for every label."""
        signals = network.signals(x)
        slopes = self._read(network, network.layers[-1].combine(signals[-2]).astype(np.float64))[1]
        backwards = list(zip(network.layers, signals, strict=False))[::-1]
        for (layer, h), (before, _) in pairwise(backwards):
            slopes = (slopes @ layer.weights) * before.activation.slope(h)
        return np.asarray(slopes @ network.layers[0].weights, np.float64)

    def _read(self, model: Model, z: Array) -> tuple[Array, Array]:
        """The number asked about (n,) and its derivatives by the model's logits (n, outputs).

        A softmax model gives centred logits, of which no single one is the label's log-odds: ln(p / (1 - p)) is
        the label's logit less the logarithm of the sum of the others' exponentials. A tanh model gives half
        log-odds. Models of other outputs give their raw scores.
        """
        from scipy.special import logsumexp, softmax

        slopes = np.zeros_like(z)
        slopes[:, self.labels[0]] = 1.0
        if len(self.labels) == 2:
            slopes[:, self.labels[1]] = -1.0
        elif model.output_activation is SOFTMAX:
            others = z.copy()
            others[:, self.labels[0]] = -np.inf
            return z[:, self.labels[0]] - logsumexp(others, axis=1), slopes - softmax(others, axis=1)
        if model.output_activation is TANH:
            slopes *= 2.0
        return np.sum(slopes * z, axis=1), slopes


@dataclass(frozen=True, eq=False)
class Paper:
    """What blank paper and full ink are to a model: inputs are ``blank + span * ink``, ink from 0 to 1.

    blank, span: (inputs,); without a scaling, paper is 0 and ink is 1. layout: which inputs are one pixel. A pixel
    of several channels is inked in all of them together: towards white, where they are colours, and taken towards
    black; its ink is their mean.
    """

    blank: Array
    span: Array
    layout: Layout

    @classmethod
    def of(cls, model: Model) -> Paper:
        """The paper of this model."""
        blank, full = ends_of(model)
        return cls(blank, full - blank, Layout.of(model.input_shape))

    def ink(self, x: ArrayLike) -> Array:
        """Inputs (n, inputs) as ink."""
        return (np.asarray(x, np.float64) - self.blank) / self.span

    def inputs(self, ink: Array) -> Array:
        """Ink (n, inputs) as inputs."""
        return self.blank + self.span * ink

    @cached_property
    def cells(self) -> NDArray[np.intp]:
        """The inputs of each pixel, (pixels, channels), row by row."""
        return self.layout.cells.reshape(-1, self.layout.channels)

    def pixels(self, ink: Array) -> Array:
        """Ink (..., inputs) as that of whole pixels, (..., pixels): the mean over the channels."""
        return ink if self.layout.channels == 1 else np.asarray(ink[..., self.cells].mean(axis=-1))

    def channels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """What is said of pixels (..., pixels), said of all of their channels, (..., inputs)."""
        if self.layout.channels == 1:
            return pixels
        spread: NDArray[Any] = np.empty((*pixels.shape[:-1], self.cells.size), pixels.dtype)
        spread[..., self.cells] = pixels[..., None]
        return spread

    def effects(self, slopes: Array, way: Array) -> Array:
        """What a full pixel of ink does, (n, pixels), by slopes (n, inputs) by ink and how far each input goes.

        Where an input does not move, nor do its pixel's others, it is the slope of all channels together.
        """
        if self.layout.channels == 1:
            return slopes
        moved = self.pixels(way)
        along = (slopes * way)[..., self.cells].sum(axis=-1) / np.where(moved == 0, 1.0, moved)
        return np.asarray(np.where(moved == 0, slopes[..., self.cells].sum(axis=-1), along))
