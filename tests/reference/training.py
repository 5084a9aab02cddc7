"""Training written from the formulas, node by node, to check the fast ways against. Plain Python floats."""

from __future__ import annotations

import math

import numpy as np


def leak(name):
    """The slope below zero that a leaky ReLU's name says, 0.01 where it says none."""
    return float(name.partition(":")[2] or 0.01)


def activate(name, z):
    if name == "sigmoid":
        return [1 / (1 + math.exp(-v)) for v in z]
    if name == "tanh":
        return [math.tanh(v) for v in z]
    if name == "relu":
        return [v if v > 0 else 0.0 for v in z]
    if name.startswith("leaky-relu"):
        return [v if v > 0 else leak(name) * v for v in z]
    if name == "softmax":
        powers = [math.exp(v - max(z)) for v in z]
        return [power / sum(powers) for power in powers]
    return list(z)


def slope(name, z):
    """f'(z); for softmax the diagonal of its Jacobian."""
    h = activate(name, z)
    if name in ("sigmoid", "softmax"):
        return [v * (1 - v) for v in h]
    if name == "tanh":
        return [1 - v * v for v in h]
    if name == "relu":
        return [1.0 if v > 0 else 0.0 for v in z]
    if name.startswith("leaky-relu"):
        return [1.0 if v > 0 else leak(name) for v in z]
    return [1.0 for _ in z]


def forward(weights, biases, names, x):
    """All pre-activations and all signals, the inputs first."""
    zs, signals = [], [list(x)]
    for w, b, name in zip(weights, biases, names, strict=True):
        z = [
            sum(w[o][i] * signals[-1][i] for i in range(len(signals[-1]))) + (0 if b is None else b[o])
            for o in range(len(w))
        ]
        zs.append(z)
        signals.append(activate(name, z))
    return zs, signals


def loss(name, loss_name, answers, target):
    if loss_name != "cross-entropy":
        return sum((t - o) ** 2 for t, o in zip(target, answers, strict=True)) / 2
    total = -sum(t * math.log(o) for t, o in zip(target, answers, strict=True))
    if name == "sigmoid":
        total -= sum((1 - t) * math.log(1 - o) for t, o in zip(target, answers, strict=True))
    return total


def step(weights, biases, names, x, target, rate, loss_name):
    """One step for one image, in place, by the design's rules A ("book") and E (true gradients)."""
    zs, signals = forward(weights, biases, names, x)
    answers = signals[-1]
    error = [t - o for t, o in zip(target, answers, strict=True)]
    if loss_name == "cross-entropy" and names[-1] == "softmax":
        delta = [t - o * sum(target) for t, o in zip(target, answers, strict=True)]
    elif loss_name == "cross-entropy":
        delta = error
    elif loss_name == "squared" and names[-1] == "softmax":
        delta = [
            sum(e * answers[j] * ((i == j) - answers[i]) for j, e in enumerate(error)) for i in range(len(error))
        ]
    else:
        delta = [e * s for e, s in zip(error, slope(names[-1], zs[-1]), strict=True)]
    for n in reversed(range(len(weights))):
        w = weights[n]
        sent = error if loss_name == "book" else delta
        below = [sum(w[o][i] * sent[o] for o in range(len(w))) for i in range(len(w[0]))]
        for o in range(len(w)):
            for i in range(len(w[0])):
                w[o][i] += rate * delta[o] * signals[n][i]
            if biases[n] is not None:
                biases[n][o] += rate * delta[o]
        if n:
            error = below
            delta = [e * s for e, s in zip(below, slope(names[n - 1], zs[n - 1]), strict=True)]


def train(network, inputs, labels, rates, loss_name, low, high):
    """One epoch over `inputs` in their order; returns weights and biases as arrays."""
    weights = [layer.weights.astype(float).tolist() for layer in network.layers]
    biases = [None if layer.biases is None else layer.biases.astype(float).tolist() for layer in network.layers]
    names = [layer.activation.name for layer in network.layers]
    for x, label, rate in zip(inputs, labels, rates, strict=True):
        target = [high if k == label else low for k in range(network.outputs)]
        step(weights, biases, names, [float(v) for v in x], target, rate, loss_name)
    return [np.array(w) for w in weights], [None if b is None else np.array(b) for b in biases]
