"""The forward pass written with loops and with matrices: the same answers, in another time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp
from timeit import Timer
from typing import Any

import numpy as np

from backquery.errors import ExperimentError
from backquery.model import Array, Network, Seed, generator_of
from backquery.model.declared import declared

PUBLISHED = {(3, 3, 1): 40.0, (3, 3, 3, 1): 70.0}
"""Microseconds by loops, as a text with these two networks gives them for its author's machine."""

SIZES = ((3, 3, 1), (3, 3, 3, 1), (784, 200, 10))


@dataclass(frozen=True)
class ForwardTiming:
    """One network: microseconds a pass by loops and by matrices; the largest difference of their answers.

    published: microseconds by loops as printed elsewhere, or None.
    """

    sizes: tuple[int, ...]
    loops: float
    matrices: float
    published: float | None
    difference: float


@dataclass(frozen=True)
class ForwardLesson:
    """A timing for each network."""

    timings: tuple[ForwardTiming, ...]

    def told(self) -> list[str]:
        """What was found, in sentences."""
        return [_sentence(one) for one in self.timings]

    def as_json(self) -> dict[str, Any]:
        """Microseconds of each network."""
        return {"networks": [asdict(one) for one in self.timings]}


@declared(ExperimentError)
def forward_lesson(sizes: tuple[tuple[int, ...], ...] = SIZES, *, rng: Seed = 1) -> ForwardLesson:
    """Each network asked about one random input, both ways, on this machine, now.

    Sizes that make no network raise `ExperimentError`.
    """
    generator = generator_of(rng)
    return ForwardLesson(tuple(_timing(each, generator) for each in sizes))


def by_loops(weights: Sequence[Any], biases: Sequence[Any], x: Any) -> list[float]:
    """The answers of sigmoid layers to one input, number by number, as one would write it first."""
    signals = list(x)
    for weight, bias in zip(weights, biases, strict=True):
        sums = []
        for node in range(len(weight)):
            z = bias[node]
            for place in range(len(signals)):
                z += weight[node][place] * signals[place]
            sums.append(1 / (1 + exp(-z)))
        signals = sums
    return signals


def by_matrices(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    """The same with one product of a matrix and a vector for each layer."""
    signals = x
    for weight, bias in zip(weights, biases, strict=True):
        signals = 1 / (1 + np.exp(-(weight @ signals + bias)))
    return signals


def _timing(sizes: tuple[int, ...], rng: np.random.Generator) -> ForwardTiming:
    network = Network.create(sizes, biases=True, rng=rng, dtype=np.float64)
    weights = [layer.weights for layer in network.layers]
    biases = [rng.normal(size=layer.outputs) for layer in network.layers]
    x = rng.uniform(size=sizes[0])
    lists = [w.tolist() for w in weights], [b.tolist() for b in biases], x.tolist()
    difference = np.abs(np.array(by_loops(*lists)) - by_matrices(weights, biases, x)).max()
    return ForwardTiming(
        tuple(sizes),
        _microseconds(Timer(lambda: by_loops(*lists))),
        _microseconds(Timer(lambda: by_matrices(weights, biases, x))),
        PUBLISHED.get(tuple(sizes)),
        float(difference),
    )


def _microseconds(timer: Timer) -> float:
    """The best of five: what disturbs a measurement only makes it longer."""
    number, _ = timer.autorange()
    number = max(1, number // 4)
    return 1e6 * min(timer.repeat(5, number)) / number


def _sentence(one: ForwardTiming) -> str:
    faster = one.loops / one.matrices
    compared = f"{faster:.3g} times as fast" if faster >= 1 else f"{1 / faster:.3g} times as slow"
    published = "" if one.published is None else f" (published: {one.published:g})"
    return (
        f"{'-'.join(map(str, one.sizes))}: {one.loops:.3g} microseconds by loops{published}, "
        f"{one.matrices:.3g} by matrices, {compared}"
    )
