"""Where a search begins: the image that statistical linearisation expects to give the answer.

Near the prior's mean a network is often flat, and its derivatives there mislead. So images drawn from the prior
are shown to it once, and regressing the draws on its answers says roughly which image goes with which answer
(statistical linearisation; Gelb 1974). The draws know no more classes than the prior does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from backquery.inversion.memory import Memory
from backquery.inversion.priors import Prior
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import nodes_of, readout_for
from backquery.model import Array, Model

DRAWS = 1024
"""Images drawn, half of them mirrored about the prior's mean."""

SPREAD = 0.25
"""How far the pixels of draws deviate from the mean, in parts of the box, as those of handwritten digits do."""

INERT = 1e-200
"""Where a question's values vary less than this (squared) over all draws, nothing in the image matters to it."""

RETRIES = 12
"""Draws that a search which was in vain is tried from again."""


class Workspace:
    """What a prior and a model need once: the whitened prior, and what the model says to draws from it.

    factor: (inputs, rank), F whitened; inner: (rank, rank), ``(I + F' F)^-1``.
    """

    def __init__(self, prior: Prior) -> None:
        self.deviation = np.sqrt(prior.diagonal)
        # Rows of their own, because compiled code is made for each layout of its arguments.
        self.factor = np.ascontiguousarray(prior.factor / self.deviation[:, None])
        self.inner = np.linalg.inv(np.eye(prior.rank) + self.factor.T @ self.factor)
        self.shown: dict[int | None, Shown] = {}


@dataclass(frozen=True)
class Shown:
    """Draws from the prior (n, rank), a layer's signals (n, nodes) for them, and the signals' mean (nodes,)."""

    draws: Array
    signals: Array
    mean: Array
    covariance: Array
    mixed: Array


_workspaces: Memory[WeakKeyDictionary[Prior, Workspace]] = Memory(WeakKeyDictionary)


def workspace_of(model: Model, prior: Prior) -> Workspace:
    """The workspace of a model and a prior, remembered for as long as both live."""
    known = _workspaces.of(model)
    if prior not in known:
        known[prior] = Workspace(prior)
    return known[prior]


def first_guess(problem: Problem, prior: Prior) -> Array:
    """Images (n, inputs) to start at; the prior's mean where it has no directions to go."""
    asked = problem.asked
    if not prior.rank:
        return np.broadcast_to(prior.mean, (len(asked), prior.inputs))
    shown = _shown(problem, prior)
    maps = asked.maps if asked.maps.ndim == 3 else asked.maps[None]
    spread = maps @ shown.covariance @ maps.transpose(0, 2, 1)
    k = spread.shape[-1]
    unit = np.trace(spread, axis1=1, axis2=2) / k
    unit = np.where(unit > INERT, unit, 1.0)
    # Answers may repeat one another, which makes this singular; a share of the mean variance fits any scale.
    regular = spread + 1e-9 * unit[:, None, None] * np.eye(k)
    weights = np.linalg.solve(regular, (asked.values - maps @ shown.mean)[:, :, None])
    scores = (shown.mixed @ maps.transpose(0, 2, 1) @ weights)[:, :, 0]
    return prior.mean + scores @ prior.factor.T


def other_starts(problem: Problem, prior: Prior) -> Iterator[Array]:
    """Where to try again, (n, inputs) each: the prior's mean, then the draws whose answers come nearest."""
    yield np.broadcast_to(prior.mean, (len(problem.asked), prior.inputs))
    if not prior.rank:
        return
    shown, asked = _shown(problem, prior), problem.asked
    maps = asked.maps if asked.maps.ndim == 3 else asked.maps[None]
    distance = np.linalg.norm(shown.signals @ maps.transpose(0, 2, 1) - asked.values[:, None, :], axis=2)
    for nearest in np.argsort(distance, axis=1, kind="stable")[:, :RETRIES].T:
        yield prior.mean + shown.draws[nearest] @ prior.factor.T


def _shown(problem: Problem, prior: Prior) -> Shown:
    """The draws, shown to the model once."""
    model, layer, workspace = problem.model, problem.asked.layer, workspace_of(problem.model, prior)
    if layer not in workspace.shown:
        readout = readout_for(model, layer, np.eye(nodes_of(model, layer)), prior.mean, workspace.deviation)
        # A fixed seed, because the draws are remembered: no answer may depend on what was asked before.
        half = np.random.default_rng(0).normal(size=(DRAWS // 2, prior.rank))
        draws = np.concatenate([half, -half]) * _scale(problem, prior)
        images = np.clip(prior.mean + draws @ prior.factor.T, problem.low, problem.high)
        signals, _ = readout.values((images - prior.mean) / workspace.deviation, np.arange(DRAWS))
        centred = signals - signals.mean(axis=0)
        # The draws need no centring: each has its mirror image, so they add up to zero.
        covariance, mixed = centred.T @ centred / DRAWS, draws.T @ centred / DRAWS
        workspace.shown[layer] = Shown(draws, signals, signals.mean(axis=0), covariance, mixed)
    return workspace.shown[layer]


def _scale(problem: Problem, prior: Prior) -> float:
    """What makes the pixels of draws deviate by `SPREAD`, whatever the scale of the prior."""
    deviation = np.sqrt(np.mean(np.sum(prior.factor**2, axis=1)))
    return float(
        SPREAD * np.sqrt(np.mean((problem.high - problem.low) ** 2)) / max(deviation, np.finfo(float).tiny)
    )
