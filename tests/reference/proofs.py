"""Bounds written slowly, from the formulas: node by node, images by the thousand, and fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np


def exact_sums(network, image) -> list[Fraction]:
    """The last layer's sums of a network of ReLUs, without any rounding."""
    signals = [Fraction(float(signal)) for signal in image]
    for position, layer in enumerate(network.layers):
        biases = np.zeros(len(layer.weights)) if layer.biases is None else layer.biases
        sums = [
            sum((Fraction(float(w)) * h for w, h in zip(row, signals, strict=True)), Fraction(float(bias)))
            for row, bias in zip(layer.weights, biases, strict=True)
        ]
        signals = [max(z, Fraction(0)) for z in sums] if position + 1 < len(network.layers) else sums
    return signals


def intervals(layers, low, high) -> list[tuple[list[float], list[float]]]:
    """The ends of each layer's sums: a positive weight takes the same end, a negative one the other."""
    ends = []
    for layer in layers:
        lows, highs = [], []
        for row, bias in zip(layer.weights.astype(float), layer.shifts.astype(float), strict=True):
            pairs = [(w * a, w * b) for w, a, b in zip(row, low, high, strict=True)]
            lows.append(bias + sum(min(pair) for pair in pairs))
            highs.append(bias + sum(max(pair) for pair in pairs))
        ends.append((lows, highs))
        function = layer.activation.function
        low, high = (list(function(np.array(end))) for end in (lows, highs))
    return ends


def crown_of_one_hidden_layer(network, form, low, high) -> float:
    """The linear bound of Zhang et al. (2018) of a form of the output sums, for one hidden layer of ReLUs."""
    first, last = network.layers
    ((lows, highs), _) = intervals(network.layers, low, high)
    outward = [sum(form[k] * float(last.weights[k][j]) for k in range(len(form))) for j in range(first.outputs)]
    constant = sum(form[k] * float(last.shifts[k]) for k in range(len(form)))
    inward = [0.0] * first.inputs
    for j, coefficient in enumerate(outward):
        l, u = lows[j], highs[j]  # noqa: E741  (as in the paper)
        if coefficient >= 0:
            slope, shift = (1.0 if l >= 0 or (u > 0 and u > -l) else 0.0), 0.0
        elif l >= 0:
            slope, shift = 1.0, 0.0
        elif u <= 0:
            slope, shift = 0.0, 0.0
        else:
            slope, shift = u / (u - l), -u * l / (u - l)
        constant += coefficient * (slope * float(first.shifts[j]) + shift)
        for i in range(first.inputs):
            inward[i] += coefficient * slope * float(first.weights[j][i])
    return constant + sum(min(c * a, c * b) for c, a, b in zip(inward, low, high, strict=True))


def interval_bound(network, form, low, high) -> float:
    """What interval arithmetic says of a form of the output sums, closed at the last hidden layer."""
    last = network.layers[-1]
    lows, highs = intervals(network.layers[:-1], low, high)[-1] if len(network.layers) > 1 else (low, high)
    if len(network.layers) > 1:
        function = network.layers[-2].activation.function
        lows, highs = function(np.array(lows)), function(np.array(highs))
    row = [sum(form[k] * float(last.weights[k][j]) for k in range(len(form))) for j in range(last.inputs)]
    constant = sum(form[k] * float(last.shifts[k]) for k in range(len(form)))
    return constant + sum(min(c * a, c * b) for c, a, b in zip(row, lows, highs, strict=True))


def grid(low, high, steps: int) -> np.ndarray:
    """All images of a grid over a box, its corners among them."""
    axes = [np.linspace(a, b, steps) for a, b in zip(low, high, strict=True)]
    return np.array(list(itertools.product(*axes)))


def sums_of(network, images) -> np.ndarray:
    """The output layer's sums, as the network's own program works them out."""
    return network.layers[-1].combine(network.signals(images)[-2]).astype(float)


def radius_by_search(network, image, steps: int = 41) -> float:
    """How near, in the maximum norm, the nearest image of a grid over 0 to 1 is that is read otherwise."""
    images = grid([0.0] * len(image), [1.0] * len(image), steps)
    other = network.query(images).argmax(axis=1) != network.query(image[None])[0].argmax()
    return float(np.abs(images[other] - image).max(axis=1).min()) if other.any() else np.inf
