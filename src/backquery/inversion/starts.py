"""Where a search begins: at an image that is expected to give the answer.

In a `Network` it is the likeliest answer of all images, whether or not the box holds them (`signal_space`). Other
models show no layers, and near the prior's mean a model is often flat, so that its derivatives there mislead. So
images drawn from the prior are shown to it once, and regressing the draws on its answers says roughly which image
goes with which answer (statistical linearisation; Gelb 1974). The draws know no more classes than the prior does;
a search that was in vain is tried again from those whose answers come nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from backquery.inversion.linearised import boxed
from backquery.inversion.priors import OnePrior
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import ChainReadout, nodes_of, readout_for
from backquery.inversion.remembered import Remembered
from backquery.inversion.signal_space import likeliest_answer
from backquery.inversion.spectral import SpectralPrior
from backquery.model import Array, quick_of

DRAWS, FEWEST_DRAWS = 1024, 16
"""Images drawn, half of them mirrored about the prior's mean, and the fewest where images are large."""

DRAWN = 2**20
"""Pixels drawn, about, where images are large."""

FAINT = 0.1
"""Draws from a prior with as many directions as pixels are so much fainter, as the likeliest answers are."""

SPREAD = 0.25
"""How far the pixels of draws deviate from the mean, in parts of the box, as those of handwritten digits do."""

INERT = 1e-200
"""Where a question's values vary less than this (squared) over all draws, nothing in the image matters to it."""

RETRIES = 12
"""Draws that a search which was in vain is tried from again."""


@dataclass(frozen=True)
class Shown:
    """Scores of draws (n, rank), a layer's signals for them (n, m), and moments of the signals.

    mean: (m,); covariance: (m, m).
    """

    draws: Array
    signals: Array
    mean: Array
    covariance: Array


ShownFor = tuple[int | str | None, bool, bytes, bytes, bytes]
"""What draws are shown for: a layer, within a box; of a layer with a name, also what is read of it."""

_shown_to: Remembered[WeakKeyDictionary[OnePrior, dict[ShownFor, Shown]]] = Remembered(WeakKeyDictionary)


def first_guess(problem: Problem, prior: OnePrior) -> tuple[Array, bool]:
    """Images (n, inputs) to start at, and whether they are to be trusted as nearly answers."""
    chain = _first_layer(problem, prior)
    if chain is not None:
        return likeliest_answer(problem, prior, chain), True
    return _regressed(problem, prior), False


def _first_layer(problem: Problem, prior: OnePrior) -> ChainReadout | None:
    """What a network's layers make of an image, if the first of them is no wider than the image."""
    asked = problem.asked
    readout = readout_for(problem.model, asked.layer, asked.maps, prior.mean, prior.deviation, asked.own)
    return readout if isinstance(readout, ChainReadout) and len(readout.first) <= prior.inputs else None


def _regressed(problem: Problem, prior: OnePrior) -> Array:
    """The images that go with the answers, by regression; the mean of a prior of which draws say nothing."""
    asked = problem.asked
    if not prior.rank or isinstance(prior, SpectralPrior):
        return np.broadcast_to(prior.mean, (len(asked), prior.inputs))
    shown = _shown(problem, prior)
    _, maps = signals_read(problem)
    spread = maps @ shown.covariance @ maps.transpose(0, 2, 1)
    k = spread.shape[-1]
    unit = np.trace(spread, axis1=1, axis2=2) / k
    unit = np.where(unit > INERT, unit, 1.0)
    # Answers may repeat one another, which makes this singular; a share of the mean variance fits any scale.
    regular = spread + 1e-9 * unit[:, None, None] * np.eye(k)
    weights = np.linalg.solve(regular, (asked.values - maps @ shown.mean)[:, :, None])
    # The draws need no centring: each has its mirror image, so they add up to zero.
    shares = ((shown.signals - shown.mean) @ maps.transpose(0, 2, 1) @ weights)[:, :, 0] / len(shown.draws)
    return prior.unwhiten(prior.spread(shares @ shown.draws))


def other_starts(problem: Problem, prior: OnePrior) -> Iterator[Array]:
    """Where to try again, (n, inputs) each: by regression where that was not the first guess; then the prior's
    mean, and the draws whose answers come nearest.
    """
    if _first_layer(problem, prior) is not None and prior.rank:
        yield _regressed(problem, prior)
    if not isinstance(prior, SpectralPrior):  # of these it was the first guess, or the regression
        yield np.broadcast_to(prior.mean, (len(problem.asked), prior.inputs))
    if not prior.rank:
        return
    shown, asked = _shown(problem, prior), problem.asked
    _, maps = signals_read(problem)
    distance = np.linalg.norm(shown.signals @ maps.transpose(0, 2, 1) - asked.values[:, None, :], axis=2)
    for nearest in np.argsort(distance, axis=1, kind="stable")[:, :RETRIES].T:
        yield prior.unwhiten(prior.spread(shown.draws[nearest]))


def signals_read(problem: Problem) -> tuple[Array, Array]:
    """The signals that are kept of each draw, as maps (m, nodes), and the questions as maps of these (n, k, m).

    A layer with a name may have a million of them, so of that only those asked for are kept.
    """
    asked = problem.asked
    maps = asked.maps if asked.maps.ndim == 3 else asked.maps[None]
    if not isinstance(asked.layer, str):
        return np.eye(nodes_of(problem.model, asked.layer)), maps
    signals = maps.reshape(-1, maps.shape[2])
    return signals, np.eye(len(signals)).reshape(*maps.shape[:2], -1)


def _shown(problem: Problem, prior: OnePrior) -> Shown:
    """The draws, shown to the model once for each box that they are kept within."""
    known = _shown_to.of(problem.model).setdefault(prior, {})
    asked = problem.asked
    signals = asked.maps.tobytes() if isinstance(asked.layer, str) else b""
    key = (asked.layer, asked.own, problem.low.tobytes(), problem.high.tobytes(), signals)
    if key not in known:
        known[key] = _show(problem, prior)
    return known[key]


def _show(problem: Problem, prior: OnePrior) -> Shown:
    model, layer = quick_of(problem.model), problem.asked.layer
    every, _ = signals_read(problem)
    readout = readout_for(model, layer, every, prior.mean, prior.deviation, problem.asked.own)
    # A fixed seed, because the draws are remembered: no answer may depend on what was asked before.
    count = draws_of(prior)
    draws = prior.draw(count, np.random.default_rng(0))
    images = prior.spread(draws)
    scale = _scale(problem, images * prior.deviation) * (FAINT if isinstance(prior, SpectralPrior) else 1.0)
    images = boxed(scale * images, prior.whiten(problem.low), prior.whiten(problem.high))
    signals, _ = readout.values(images, np.arange(count))
    mean = signals.mean(axis=0)
    centred = signals - mean
    return Shown(scale * draws, signals, mean, centred.T @ centred / count)


def draws_of(prior: OnePrior) -> int:
    """How many images are drawn from a prior: an even number."""
    return drawn_at_once(prior.inputs)


def drawn_at_once(inputs: int) -> int:
    """How many images of so many pixels are drawn."""
    return min(DRAWS, max(FEWEST_DRAWS, DRAWN // inputs // 2 * 2))


def _scale(problem: Problem, drawn: Array) -> float:
    """What makes the pixels that were drawn deviate by `SPREAD`, whatever the scale of the prior."""
    deviation = np.sqrt(np.mean(drawn**2))
    return float(
        SPREAD * np.sqrt(np.mean((problem.high - problem.low) ** 2)) / max(deviation, np.finfo(float).tiny)
    )
