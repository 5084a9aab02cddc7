"""Damage done the slow way: a new network is built for every node that goes, and every image is put to it anew."""

from __future__ import annotations

import numpy as np

from tests.reference.training import forward


def parts(network):
    """Weights, biases and activations' names as plain lists."""
    weights = [layer.weights.astype(float) for layer in network.layers]
    biases = [None if layer.biases is None else layer.biases.astype(float) for layer in network.layers]
    return weights, biases, [layer.activation.name for layer in network.layers]


def read(weights, biases, names, inputs):
    """The label read in each input: that of the largest pre-activation, and none, -1, where two are as large."""
    found = []
    for x in np.asarray(inputs, float):
        signals = x
        for w, b, name in zip(weights, biases, names, strict=True):
            zs, outputs = forward([w], [b], [name], signals)
            signals = outputs[-1]
        found.append(strongest(zs[-1]))
    return found


def strongest(z):
    """The place of the largest number, -1 where it stands twice."""
    places = [k for k, value in enumerate(z) if value == max(z)]
    return places[0] if len(places) == 1 else -1


def reads_without_nodes(network, inputs, layer, order):
    """For 0, 1, ... nodes gone: the rows and columns of the first of `order` are cut out of the weights."""
    weights, biases, names = parts(network)
    rows = []
    for count in range(len(order) + 1):
        left = [node for node in range(len(order)) if node not in order[:count]]
        cut, cut_biases = list(weights), list(biases)
        cut[layer - 1] = weights[layer - 1][left]
        cut_biases[layer - 1] = None if biases[layer - 1] is None else biases[layer - 1][left]
        cut[layer] = weights[layer][:, left]
        rows.append(read(cut, cut_biases, names, inputs) if left else _without_any(network, layer, inputs))
    return rows


def _without_any(network, layer, inputs):
    """The layer sends nothing: what comes after it starts from its biases."""
    weights, biases, names = parts(network)
    start = np.zeros(len(weights[layer])) if biases[layer] is None else biases[layer]
    if layer == len(weights) - 1:
        return [strongest(start)] * len(inputs)
    _, outputs = forward([np.diag(np.ones(len(start)))], [None], [names[layer]], start)
    return read(weights[layer + 1 :], biases[layer + 1 :], names[layer + 1 :], [outputs[-1]] * len(inputs))


def evidence(network, inputs, labels, layer, step=1e-5):
    """The mean of h dm/dh by central differences of the margin m, node by node, image by image."""
    weights, biases, names = parts(network)
    upper = weights[layer:], biases[layer:], names[layer:]

    def logits(h):
        zs, _ = forward(*upper, h)
        return np.array(zs[-1])

    total = np.zeros(len(weights[layer - 1]))
    for x, label in zip(np.asarray(inputs, float), labels, strict=True):
        _, signals = forward(weights[:layer], biases[:layer], names[:layer], x)
        h = np.array(signals[-1])
        z = logits(h)
        rival = max((k for k in range(len(z)) if k != label), key=lambda k: z[k])
        for node in range(len(h)):
            nudge = np.eye(len(h))[node] * step
            up, down = logits(h + nudge), logits(h - nudge)
            slope = ((up[label] - up[rival]) - (down[label] - down[rival])) / (2 * step)
            total[node] += h[node] * slope
    return total / len(labels)
