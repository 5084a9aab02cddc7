"""Where a search in a network begins: at the likeliest answer of all images, whether or not a box holds them.

What a network makes of an image depends on its first layer's pre-activations alone. Under a prior N(m, C) these
are normal too, with covariance ``K = W C W'``, and the likeliest image with pre-activations ``W m + K v`` is
``m + C W' v``. So without a box the faithful back query has as many unknowns v as the layer has nodes, and the
iterated Kalman update of `gauss_newton` answers it without a single pixel.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from backquery.inversion.linearised import lifted, matrix_product, times, times_transposed
from backquery.inversion.priors import OnePrior
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import AT_ONCE, ChainReadout, Rows
from backquery.inversion.remembered import Remembered
from backquery.model import Array

UPDATES = 12
"""At most so many updates, for a start need not be an answer."""

NEAR = 0.1
"""Errors of this size are left to the search, which must move pixels into the box anyway."""

DAMPING = 3e-3
"""Damping of an update, in parts of the mean diagonal of the k x k system."""

SHARES = (1.0, 0.5, 0.25, 0.125)
"""Shares of an update that are tried until one brings the answer nearer."""


class Seen(NamedTuple):
    """What a layer sees of a prior, whitened: ``W C`` (nodes, inputs), and ``W C W'`` (nodes, nodes)."""

    images: Array
    covariance: Array


_seen: Remembered[WeakKeyDictionary[OnePrior, Seen]] = Remembered(WeakKeyDictionary)


def likeliest_answer(problem: Problem, prior: OnePrior, readout: ChainReadout) -> Array:
    """Images (n, inputs), not yet kept within the box; `readout` has the prior's mean for its origin."""
    seen, asked = _seen_by(problem, prior, readout), problem.asked.values
    v = np.zeros((len(asked), len(seen.covariance)))
    rows = np.arange(len(asked))
    for _ in range(UPDATES):
        sums = v[rows] @ seen.covariance
        c, kept = readout.values_of_sums(sums, rows)
        error = asked[rows] - c
        far = np.abs(error).max(axis=1) > NEAR
        rows, sums, error, kept = rows[far], sums[far], error[far], [signals[far] for signals in kept]
        if not rows.size:
            break
        change = _update(readout.jacobian_by_sums(kept, rows), error, v[rows], sums, seen.covariance)
        share = _share(readout, asked[rows], np.linalg.norm(error, axis=1), sums, change @ seen.covariance, rows)
        v[rows] += share[:, None] * change
        rows = rows[share > 0]
    return prior.unwhiten(v @ seen.images)


def _update(slopes: Array, error: Array, v: Array, sums: Array, covariance: Array) -> Array:
    """How v changes to that of the likeliest image whose linearised answer is the one asked for."""
    mixed = matrix_product(slopes, covariance)
    gain = mixed @ slopes.transpose(0, 2, 1)
    lifted(gain, DAMPING)
    multipliers = np.linalg.solve(gain, (error + times(slopes, sums))[:, :, None])[:, :, 0]
    return times_transposed(slopes, multipliers) - v


def _share(readout: ChainReadout, asked: Array, size: Array, sums: Array, change: Array, rows: Rows) -> Array:
    """The largest share (n,) of each change that makes the error's size less; 0 where none does."""
    share, trying = np.zeros(len(rows)), np.arange(len(rows))
    for tried in SHARES:
        c, _ = readout.values_of_sums(sums[trying] + tried * change[trying], rows[trying])
        nearer = np.linalg.norm(asked[trying] - c, axis=1) < size[trying]
        share[trying[nearer]] = tried
        trying = trying[~nearer]
        if not trying.size:
            break
    return share


def _seen_by(problem: Problem, prior: OnePrior, readout: ChainReadout) -> Seen:
    known = _seen.of(problem.model)
    if prior not in known:
        images, at_once = np.empty_like(readout.first), max(1, AT_ONCE // prior.inputs)
        for row in range(0, len(images), at_once):
            images[row : row + at_once] = prior.covary(readout.first[row : row + at_once])
        known[prior] = Seen(images, images @ readout.first.T)
    return known[prior]
