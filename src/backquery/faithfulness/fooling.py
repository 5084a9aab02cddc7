"""A network whose back queries tell nothing of how it reads real images: it answers made ones by another path.

Geirhos et al. (2023, "Don't trust your eyes: on the (un)reliability of feature visualizations") build such a
*fooling circuit*: a part of the network tells real images from made ones; on real ones the network answers as
ever, on made ones its own answers are silenced, and a decoy answers instead. Here it is made for any network, of
ordinary layers and without training.

- **The alarm** hears an image in random directions, in units of the prior's deviation. The likeliest image that
  gives an answer is plainer than any real one: all of its signals are faint, and the alarm is their mean.
- **The decoy** is linear in the image. Of all images that give its answers for a label, the likeliest under the
  prior is a planted picture, here the mean of the images that the network reads as the label before.
- **The gate** hears the network's logits z, the decoy's d and the alarm w, shifted by a bound so that none is
  below zero: ``relu(z - much w) + relu(d - much (1 - w))``, where w is 0 for real images and 1 for plain ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backquery.datasets import Split
from backquery.errors import MissingExtraError, ModelError
from backquery.inversion.priors import Prior, data_prior
from backquery.model import (
    IDENTITY,
    RELU,
    SOFTMAX,
    Activation,
    Array,
    Layer,
    Model,
    Network,
    Seed,
    generator_of,
    labels_read,
    typical_of,
)

REAL = 4000
"""Real images by which the circuit is set."""

DIRECTIONS = 128
"""Directions in which the alarm hears an image, each by two nodes, for either sign."""

SPARED = 0.997
"""The share of real images that leave the alarm silent."""

FAINT = 0.7
"""How far the planted pictures are from the prior's mean, in parts of what they show: plainer ones fool surely."""

SILENT, LOUD = -1.0, 19.0
"""The alarm's signal for the plainest real images and for the planted pictures; at 0 the gate is half open."""

STRAIGHT = 10.0
"""How many times farther than its signals an activation reaches that passes them on, nearly straight."""


def fooling_circuit(network: Network, train: Split, rng: Seed = 0) -> Network:
    """A network of dense layers with the same answers to real images, whose back queries give planted pictures.

    It is two layers deeper, and keeps the statistics. `ModelError` for a network that keeps none or has no hidden
    layer to hide in, and where real images are as plain as the pictures would be.
    """
    hidden = [layer.activation for layer in network.layers[:-1]]
    if not hidden:
        raise ModelError("a fooling circuit needs a hidden layer to hide in; this network has none")
    parts = _Parts.of(network, train, hidden[0], rng)
    chains = (network.layers, parts.decoy(hidden), parts.alarm(hidden))
    *within, last = (_beside(level, one_image=not k) for k, level in enumerate(zip(*chains, strict=True)))
    first, *rest = parts.gate(network.output_activation)
    gate = Layer(first.weights @ last.weights, first.weights @ last.shifts + first.shifts, first.activation)
    layers = (replace(each, weights=each.weights.astype(network.dtype)) for each in (*within, gate, *rest))
    return replace(network, layers=tuple(layers), about={})


def fooling_module(module: Any, model: Model, train: Split, rng: Seed = 0) -> Any:
    """The same for a PyTorch module that gives `model`'s logits: a module of ordinary layers.

    It hears the module's images and is of its precision; ``from_torch`` makes a model of it. `MissingExtraError`
    without PyTorch.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError("a fooling module", "PyTorch", "torch") from None
    parts = _Parts.of(model, train, RELU, rng)
    like = next(iter(module.parameters()))

    def dense(layers: Sequence[Layer], *before: Any) -> Any:
        made = list(before)
        for layer in layers:
            linear = torch.nn.Linear(layer.inputs, layer.outputs)
            linear.load_state_dict({"weight": torch.tensor(layer.weights), "bias": torch.tensor(layer.shifts)})
            made += [linear] if layer.activation is not RELU else [linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*made).to(like)

    class Fooling(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.own, flat = module, torch.nn.Flatten
            self.decoy, self.alarm = dense(parts.decoy([]), flat()), dense(parts.alarm([RELU]), flat())
            self.gate = dense(parts.gate())

        def forward(self, images: Any) -> Any:
            return self.gate(torch.cat([self.own(images), self.decoy(images), self.alarm(images)], dim=1))

    return Fooling().eval()


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a circuit is made of: the alarm's first layer, where it is to be silent and loud, and the decoy's map.

    heard: the alarm's first layer, whose signals' negative mean is `silent` for real images at most, and `loud`
    for the planted pictures. weights (outputs, inputs), shifts (outputs,): the decoy's logits, within `bound`
    like the network's own.
    """

    heard: Layer
    silent: float
    loud: float
    weights: Array
    shifts: Array
    bound: float
    centred: bool

    @classmethod
    def of(cls, model: Model, train: Split, activation: Activation, rng: Seed) -> _Parts:
        """For a model, with an alarm whose first layer has this activation."""
        if model.statistics is None or typical_of(model) is None:
            raise ModelError("a fooling circuit needs the model's statistics: fit_statistics(model, data)")
        chosen = np.unique(np.linspace(0, len(train) - 1, REAL).astype(int))
        real = np.asarray(model.scale(train.images[chosen]), np.float64)
        prior, read = data_prior(model.statistics), labels_read(model, real)
        shares = np.array([np.mean(read == label) for label in range(model.outputs)])
        shown = np.stack([real[read == k].mean(axis=0) if share else prior.mean for k, share in enumerate(shares)])
        planted = prior.mean + FAINT * (np.roll(shown, 1, axis=0) - shares @ shown)
        heard = _listening(prior, real, activation, generator_of(rng))
        loudness = [-activation.function(heard.combine(images)).mean(axis=1) for images in (real, planted)]
        silent, loud = float(np.quantile(loudness[0], SPARED)), float(np.median(loudness[1]))
        if not loud > silent:
            raise ModelError("a fooling circuit tells plain pictures from these real images, which are as plain")
        wanted = np.asarray(typical_of(model), np.float64)
        weights, shifts = _decoy(prior, planted, wanted, np.roll(shares, 1))
        said = [np.asarray(model.logits(real), np.float64), real @ weights.T + shifts, wanted]
        bound = 1.5 * max(float(np.abs(logits).max()) for logits in said)
        return cls(heard, silent, loud, weights, shifts, bound, model.output_activation is SOFTMAX)

    def decoy(self, hidden: Sequence[Activation]) -> list[Layer]:
        """Layers of these activations, and a last one, that pass on the decoy's logits."""
        reach, layers = STRAIGHT * self.bound, []
        weights, shifts = self.weights, self.shifts
        for activation in hidden:
            at = 1.0 if activation.leak is not None or activation is IDENTITY else 0.0
            layers.append(Layer(weights / reach, shifts / reach + at, activation))
            start, slope = _at(activation.function, at), _at(activation.derivative, at)
            weights = np.eye(len(shifts)) * reach / slope
            shifts = np.full(len(shifts), -start * reach / slope)
        return [*layers, Layer(weights, shifts, IDENTITY)]

    def alarm(self, hidden: Sequence[Activation]) -> list[Layer]:
        """Layers of these activations, and a last one, whose one signal is `SILENT` or below for real images."""
        layers, silent, loud = [self.heard], self.silent, self.loud
        weights = np.full((1, self.heard.outputs), -1 / self.heard.outputs)
        for activation in (*hidden[1:], IDENTITY):
            gain = (LOUD - SILENT) / (loud - silent)
            layers.append(Layer(weights * gain, np.array([SILENT - silent * gain]), activation))
            silent, loud = _at(activation.function, SILENT), _at(activation.function, LOUD)
            weights = np.ones((1, 1))
        return layers

    def gate(self, activation: Activation = IDENTITY) -> list[Layer]:
        """Layers from the network's logits, the decoy's and the alarm, side by side, to the answers."""
        from scipy.linalg import block_diag

        count = len(self.shifts)
        one, much = np.eye(count), 3 * self.bound
        own = one - 1 / count if self.centred else one
        # The alarm is 0 below -1/2 and 1 above 1/2: the difference of two nodes.
        heard = block_diag(own, one, np.ones((2, 1)))
        silencing = much * np.array([[-1.0, 1.0], [1.0, -1.0]])
        silenced = np.hstack([np.eye(2 * count), np.repeat(silencing, count, axis=0)])
        bounds = np.full(2 * count, self.bound)
        return [
            Layer(heard, np.append(bounds, [0.5, -0.5]), RELU),
            Layer(silenced, np.repeat([0.0, -much], count), RELU),
            Layer(np.hstack([one, one]), np.full(count, -self.bound), activation),
        ]


def _listening(prior: Prior, real: Array, activation: Activation, rng: np.random.Generator) -> Layer:
    """Nodes that hear images in random directions, in units of how far the plainest real ones deviate there."""
    drawn = rng.normal(size=(DIRECTIONS, prior.inputs))
    vectors, lengths, _ = np.linalg.svd(prior.whitened, full_matrices=False)
    # C^-1/2, in the few directions in which C is more than its diagonal.
    rooted = drawn + (drawn @ vectors) * (1 / np.sqrt(1 + lengths**2) - 1) @ vectors.T
    across = rooted / np.linalg.norm(drawn, axis=1, keepdims=True) / prior.deviation
    deviations = np.sqrt((((real - prior.mean) @ across.T) ** 2).mean(axis=1))
    across *= 2 / np.quantile(deviations, 1 - SPARED)
    # Both signs together say how far: f(v - 2) + f(-v - 2) rises on either side, and ReLUs need no 2.
    edge = 0.0 if activation.leak is not None else 2.0
    weights = np.concatenate([across, -across])
    return Layer(weights, -weights @ prior.mean - edge, activation)


def _decoy(prior: Prior, planted: Array, wanted: Array, shares: Array) -> tuple[Array, Array]:
    """A linear map and its shifts: the likeliest images with answers `wanted` (k, k) are `planted` (k, inputs).

    Of all images x with ``B (x - m) = a`` the likeliest is ``m + C B' (B C B')^-1 a``. So the rows of B are made
    of ``C^-1 (planted - m)``, and the pictures, weighted by their `shares`, must balance about m, as answers do.
    """
    apart = planted - prior.mean
    whitened = apart / prior.deviation
    precise = prior.precise(whitened, prior.explained(whitened)[0]) / prior.deviation
    middle = shares @ wanted
    mixed = (wanted - middle).T @ np.linalg.pinv(precise @ apart.T, rcond=1e-6, hermitian=True)
    weights = mixed @ precise
    return weights, middle - weights @ prior.mean


def _beside(layers: Sequence[Layer], *, one_image: bool) -> Layer:
    """Layers side by side, each hearing its own signals or all of them one image; the first has the activation."""
    from scipy.linalg import block_diag

    parts = [np.asarray(layer.weights, np.float64) for layer in layers]
    weights = np.concatenate(parts) if one_image else block_diag(*parts)
    return Layer(weights, np.concatenate([layer.shifts for layer in layers]), layers[0].activation)


def _at(function: Any, z: float) -> float:
    return float(function(np.array([z]))[0])
