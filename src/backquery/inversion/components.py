"""Under which component of a mixture the answer is likeliest: estimated for all at once, before any is searched.

Of the images under one component whose answers, taken as linear about its mean, are those asked for, the likeliest
has the log density ``log w + log N(mean) - r' (J C J')^-1 r / 2``: r is what the answers lack at the mean, J their
Jacobian there.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from backquery.inversion.linearised import ROUNDING, lifted
from backquery.inversion.mixtures import MixturePrior
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import readout_for
from backquery.inversion.remembered import Remembered
from backquery.model import Array

AT_ONCE = 8
"""Components whose Jacobians are held at once."""


class Means(NamedTuple):
    """What the constraints are at the components' means: c (m, k), and how they vary there, J C J' (m, k, k)."""

    c: Array
    gain: Array


_MeansFor = dict[tuple[int | str | None, bool, bytes], Means]
_known: Remembered[WeakKeyDictionary[MixturePrior, _MeansFor]] = Remembered(WeakKeyDictionary)


def promises(problem: Problem, mixture: MixturePrior) -> Array:
    """For each question and component (n, m) the estimated log density of the likeliest answer."""
    asked = problem.asked
    if asked.maps.ndim == 2:
        seen = [_remembered(problem, mixture, asked.maps)] * len(asked)
    else:
        seen = [_at_means(problem, mixture, maps) for maps in asked.maps]
    peaks = np.log(mixture.weights) + np.array([component.log_peak for component in mixture.components])
    each = zip(seen, asked.values, strict=True)
    return np.stack([peaks - 0.5 * _squares(means, values) for means, values in each])


def _squares(means: Means, asked: Array) -> Array:
    """The squared distance (m,) of the answers asked for from those at the means."""
    lacking = asked - means.c
    gain = means.gain.copy()
    lifted(gain, ROUNDING)
    return np.asarray(np.einsum("mk,mk->m", lacking, np.linalg.solve(gain, lacking[:, :, None])[:, :, 0]))


def _remembered(problem: Problem, mixture: MixturePrior, maps: Array) -> Means:
    known = _known.of(problem.model).setdefault(mixture, {})
    key = (problem.asked.layer, problem.asked.own, maps.tobytes())
    if key not in known:
        known[key] = _at_means(problem, mixture, maps)
    return known[key]


def _at_means(problem: Problem, mixture: MixturePrior, maps: Array) -> Means:
    parts = []
    for begin in range(0, len(mixture.components), AT_ONCE):
        chosen = mixture.chosen(np.arange(begin, min(begin + AT_ONCE, len(mixture.components))))
        rows = np.arange(len(chosen.components))
        asked = problem.asked
        readout = readout_for(problem.model, asked.layer, maps, chosen.mean, mixture.deviation, asked.own)
        c, kept = readout.values(np.zeros_like(chosen.mean), rows)
        jacobian = readout.jacobian(kept, rows)
        along = chosen.gather(jacobian)
        parts.append(Means(c, jacobian @ jacobian.transpose(0, 2, 1) + along @ along.transpose(0, 2, 1)))
    return Means(*(np.concatenate(part) for part in zip(*parts, strict=True)))
