"""The audit's measures written slowly, from their definitions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np


def margin(network, image, label: int, read: int) -> float:
    """The label's log-odds less those of the label that is read."""
    logits = network.logits(image[None])[0]
    return float(logits[label] - logits[read])


def gains(network, inputs, labels, label: int, end) -> np.ndarray:
    """What moving each input to `end` gains to first order, image by image and pixel by pixel.

    By central differences. The step is the cube root of float64's precision, where the errors of truncation and of
    rounding are alike.
    """
    step = np.finfo(float).eps ** (1 / 3)
    rows = []
    for image, truth in zip(inputs, labels, strict=True):
        read = int(network.query(image).argmax())
        if label in (read, truth):
            continue
        row = []
        for pixel in range(len(image)):
            up, down = image.copy(), image.copy()
            up[pixel] += step
            down[pixel] -= step
            slope = (margin(network, up, label, read) - margin(network, down, label, read)) / (2 * step)
            row.append(slope * (end[pixel] - image[pixel]))
        rows.append(row)
    return np.mean(rows, axis=0)


def changed(network, inputs, labels, label: int, pixels, values) -> list[bool]:
    """For each image of another label, not read as this one: whether it is, with the values at the pixels."""
    found = []
    for image, truth in zip(inputs, labels, strict=True):
        if label in (int(truth), int(network.query(image).argmax())):
            continue
        pasted = image.copy()
        for pixel, value in zip(pixels, values, strict=True):
            pasted[pixel] = value
        found.append(int(network.query(pasted).argmax()) == label)
    return found


def best_rectangle(gain: np.ndarray, fewest: int, most: int) -> float:
    """The largest sum of `gain` (height, width) over any rectangle of so many pixels."""
    height, width = gain.shape
    return max(
        float(gain[top : top + a, left : left + b].sum())
        for a in range(1, height + 1)
        for b in range(1, width + 1)
        if fewest <= a * b <= most
        for top in range(height - a + 1)
        for left in range(width - b + 1)
    )


def luck(right: int, images: int, chance: float) -> float:
    """How probable `right` or more of `images` are where each is right with this chance: the sum."""
    p, q = Fraction(chance).limit_denominator(10_000).as_integer_ratio()
    ways = sum(comb(images, k) * p**k * (q - p) ** (images - k) for k in range(right, images + 1))
    return float(Fraction(ways, q**images))


def reference_margin(network, judges, inputs, labels, label: int, region, shape) -> float:
    """The share of images of other labels that the network reads as this one with the region, less a judge's most.

    Of a network of ink itself (paper 0, ink 1), image by image.
    """
    hits, counts, total = 0, [0] * len(judges), 0
    for image, truth in zip(inputs, labels, strict=True):
        if label in (int(truth), int(network.query(image).argmax())):
            continue
        pasted = image.copy()
        pasted[region.inputs] = region.ink
        total += 1
        hits += int(network.query(pasted).argmax()) == label
        for place, judge in enumerate(judges):
            counts[place] += int(judge.ask(pasted.reshape(1, *shape))[0]) == label
    return hits / total - max(counts) / total
