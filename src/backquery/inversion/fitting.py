"""What a model may remember of its training images: one pass over the data, in chunks.

Up to `EXACT` pixels the covariance itself is summed and its leading directions are exact. Above, only its
product with a few random directions is, and a covariance of low rank is recovered from that (Tropp, Yurtsever,
Udell & Cevher 2017, fixed-rank approximation of a positive matrix from streaming data), so that memory and time
grow with pixels times rank.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from backquery.errors import DataError
from backquery.inversion.priors import NOISE
from backquery.model import Array, Data, Examples, Model, Network, Statistics, ends_of

RANK = 64
"""Directions kept by default. On MNIST they hold 86 % of the variance, and more change no scan to the eye."""

EXACT = 2048
"""The largest number of pixels for which the whole covariance is formed."""

CHUNK = 4096

FEWEST = 0.01
"""The share of all images that says what is typical of a label which is hardly ever read."""


def fit_statistics(model: Model, data: Data, *, rank: int = RANK, noise: float = NOISE) -> Statistics:
    """The mean and covariance of all images of `data`, and the model's typical log-odds for each label.

    `data` are raw labelled images, or (inputs, labels) in input scale. The covariance keeps its `rank` leading
    directions, and `noise` on the diagonal, the variance that every pixel is granted alone, for ink between
    0 and 1. Row k of `typical` is the median of the log-odds that the model gives to the real images that it
    reads as label k, or to the hundredth of all images nearest to that where those are more. The data's own
    labels have no part in it: else the question itself would say what they look like, and even an untrained
    model would seem to know.

    This says something about the data: the mean and the leading directions are themselves blurred images.
    """
    if rank < 1 or not noise > 0:
        raise DataError(f"rank and noise must be above zero; received {rank} and {noise}")
    examples = Examples.of(model, data)
    moments = _Exact(model.inputs) if model.inputs <= EXACT else _Sketch(model.inputs, rank)
    log_odds = []
    for part in examples.parts(CHUNK):
        inputs = part.inputs()
        log_odds.append(np.asarray(model.log_odds(inputs), np.float64))
        moments.add(np.asarray(inputs, np.float64))
    variances, directions = moments.directions(rank)
    given = np.concatenate(log_odds)
    return Statistics(
        mean=moments.mean,
        factor=(directions * np.sqrt(variances)).astype(np.float32),
        diagonal=noise * _span(model, moments) ** 2,
        typical=typical_log_odds(given[np.isfinite(given).all(axis=1)]),
    )


class _Moments:
    """The mean of rows that come in chunks; sums are kept about the first chunk's mean, for their accuracy."""

    def __init__(self, inputs: int) -> None:
        self.count, self.low, self.high = 0, np.inf, -np.inf
        self._origin: Array | None = None
        self._sum = np.zeros(inputs)

    @property
    def mean(self) -> Array:
        """The mean of all rows so far, (inputs,)."""
        assert self._origin is not None
        return self._origin + self._sum / self.count

    def _shifted(self, rows: Array) -> Array:
        if self._origin is None:
            self._origin = rows.mean(axis=0)
        shifted = rows - self._origin
        self.count += len(rows)
        self._sum += shifted.sum(axis=0)
        self.low, self.high = min(self.low, rows.min()), max(self.high, rows.max())
        return shifted


class _Exact(_Moments):
    """The whole covariance."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self._squares = np.zeros((inputs, inputs))

    def add(self, rows: Array) -> None:
        """Take in rows (n, inputs)."""
        shifted = self._shifted(rows)
        self._squares += shifted.T @ shifted

    def directions(self, rank: int) -> tuple[Array, Array]:
        """The leading variances (rank,) and their directions (inputs, rank)."""
        shift = self._sum / self.count
        variances, vectors = np.linalg.eigh(self._squares / self.count - np.outer(shift, shift))
        return _leading(variances[::-1], vectors[:, ::-1], rank)


class _Sketch(_Moments):
    """The covariance times random directions."""

    def __init__(self, inputs: int, rank: int) -> None:
        super().__init__(inputs)
        # More probes than directions, because the last ones are recovered badly; fixed, so that the same data
        # give the same prior.
        gaussian = np.random.default_rng(0).normal(size=(inputs, min(2 * rank + 16, inputs)))
        self._probes = np.linalg.qr(gaussian)[0]
        self._products = np.zeros_like(self._probes)

    def add(self, rows: Array) -> None:
        """Take in rows (n, inputs)."""
        shifted = self._shifted(rows)
        self._products += shifted.T @ (shifted @ self._probes)

    def directions(self, rank: int) -> tuple[Array, Array]:
        """The leading variances (rank,) and their directions (inputs, rank), by the shifted Nystroem method."""
        shift = self._sum / self.count
        products = self._products / self.count - np.outer(shift, shift @ self._probes)
        # A trace of the identity keeps Cholesky from failing on a core that rounding has made singular; it is
        # taken off the variances again.
        tiny = np.finfo(float).eps * max(np.linalg.norm(products), np.finfo(float).tiny) * 10
        shifted = products + tiny * self._probes
        core = self._probes.T @ shifted
        # Cholesky reads one triangle only, and rounding makes the two differ.
        triangle = np.linalg.cholesky((core + core.T) / 2)
        vectors, values, _ = np.linalg.svd(np.linalg.solve(triangle, shifted.T).T, full_matrices=False)
        return _leading(values**2 - tiny, vectors, rank)


def _leading(variances: Array, vectors: Array, rank: int) -> tuple[Array, Array]:
    # What is left below is rounding, and may be negative, where a factor needs square roots.
    kept = np.flatnonzero(variances[:rank] > 1e-12 * max(variances[0], 0.0))
    return variances[kept], vectors[:, kept]


def _span(model: Model, moments: _Moments) -> Array:
    """The distance from paper to full ink for each input; without a scaling, from the smallest to the largest."""
    if model.scaling is None:
        span = np.full(model.inputs, moments.high - moments.low)
    else:
        paper, ink = ends_of(model)
        span = np.abs(ink - paper)
    return np.where(span > 0, span, 1.0)


def with_typical(network: Network, inputs: Array) -> Network:
    """The network, remembering what is typical of it now, by its answers to these inputs (n, inputs)."""
    assert network.statistics is not None
    usual = typical_log_odds(network.log_odds(inputs).astype(np.float64))
    return replace(network, statistics=replace(network.statistics, typical=usual))


def typical_log_odds(log_odds: Array) -> Array:
    """Row k: the median of those log-odds (n, outputs) of which output k leads most clearly.

    They are as many as output k leads in, but at least a hundredth.
    """
    leads = _leads(log_odds)
    least = ceil(len(log_odds) * FEWEST)
    rows = []
    for lead in leads.T:
        count = max(int(np.sum(lead > 0)), least)
        rows.append(np.median(log_odds[np.argsort(-lead, kind="stable")[:count]], axis=0))
    return np.array(rows)


def _leads(log_odds: Array) -> Array:
    """By how much each output exceeds the best of the others, (n, outputs)."""
    if log_odds.shape[1] == 1:
        return log_odds
    second, best = np.sort(log_odds, axis=1)[:, -2:].T
    leading = log_odds == best[:, None]
    return np.asarray(log_odds - np.where(leading, second[:, None], best[:, None]))
