"""The faithful back query: of all images that give the answers asked for, the likeliest under a prior.

Let g(x) be the log-odds, or whatever of the network a question constrains, a what was asked for, and N(m, C)
the prior. The method minimises

    (x - m)' C^-1 (x - m)   subject to   g(x) = a,   low <= x <= high,

by Gauss-Newton steps on the constraint, ``x+ = m + C J'(J C J')^-1 (a - g(x) + J (x - m))``, damped and kept
within the box: the iterated extended Kalman update (Bell & Cathey 1993) of an observation without noise. The
search starts where statistical linearisation puts the answer: images drawn from the prior are shown to the
network once, and regressing them on its answers says roughly which image goes with which answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from backquery.errors import InversionError
from backquery.inversion.priors import Prior, prior_for
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import Readout, readout_for
from backquery.inversion.result import CONVERGED, OUT_OF_REACH, STALLED, BackQuery, round_trip
from backquery.inversion.search import Effort, Search
from backquery.inversion.targets import Targets
from backquery.model import Model
from backquery.network import Network

Array = NDArray[np.floating[Any]]

DRAWS = 1024
"""Images drawn from the prior for the first guess, half of them mirrored about its mean."""


@dataclass(frozen=True)
class GaussNewton:
    """The likeliest image that the model provably reads as asked.

    tolerance: the largest error in log-odds (or in what is asked of a node) of an image that counts as
    converged. optimality: the search ends when it expects to gain no more than this share of the squared
    distance to the prior's mean. steps: after so many iterations an image is called stalled. block: how many
    questions are worked on at a time.
    """

    tolerance: float = 1e-3
    optimality: float = 5e-3
    steps: int = 100
    block: int = 64

    name: ClassVar[str] = "gauss-newton"
    summary: ClassVar[str] = "the likeliest image that the network provably reads as asked"
    usual_question: ClassVar[str] = "typical"

    def __post_init__(self) -> None:
        if not (self.tolerance > 0 and self.optimality > 0 and self.steps > 0 and self.block > 0):
            raise InversionError("tolerance, optimality, steps and block must all be above zero")

    def invert(self, problem: Problem) -> BackQuery:
        """Search for all questions, block by block; see `BackQuery` for the outcomes."""
        model, asked = problem.model, problem.asked
        prior = prior_for(model, problem.prior, problem.low, problem.high)
        workspace = workspace_of(model, prior)
        searches = [
            self._search(problem, prior, workspace, slice(begin, begin + self.block))
            for begin in range(0, len(asked), self.block)
        ]
        images = np.concatenate([images for images, _ in searches])
        found = np.concatenate([search.images.c for _, search in searches])
        met = np.concatenate([search.holds for _, search in searches])
        trapped = np.concatenate([search.trapped for _, search in searches])
        outcome = [_outcome(*flags) for flags in zip(met, trapped, strict=True)]
        return round_trip(
            model,
            asked,
            images,
            method=self.name,
            outcome=outcome,
            advice=_advice(model, asked, found, outcome, self.steps),
            steps=np.concatenate([search.steps for _, search in searches]),
            prior=prior.name,
            near=problem.near,
            found=None if asked.layer is None else found,
            met=met,
        )

    def _search(self, problem: Problem, prior: Prior, workspace: Workspace, part: slice) -> tuple[Array, Search]:
        asked, deviation = problem.asked, workspace.deviation
        maps = asked.maps if asked.maps.ndim == 2 else asked.maps[part]
        values = asked.values[part]
        origin = prior.mean if problem.near is None else problem.near[part]
        low, high = (problem.low - origin) / deviation, (problem.high - origin) / deviation
        start: Array
        if problem.start is not None:
            start = (problem.start[part] - origin) / deviation
        elif problem.near is not None:
            start = np.zeros((len(values), prior.inputs))
        else:
            start = workspace.first_guess(problem.model, prior, asked.layer, maps, values, low, high)
        readout = readout_for(problem.model, asked.layer, maps, origin, deviation)
        effort = Effort(tolerance=self.tolerance, optimality=self.optimality, steps=self.steps)
        search = Search(readout, values, workspace.factor, low, high, start, effort)
        search.run()
        return np.clip(origin + deviation * search.images.y, problem.low, problem.high), search


class Workspace:
    """What a prior and a model need once: the whitened factor, and what the network says to draws."""

    def __init__(self, prior: Prior) -> None:
        self.deviation = np.sqrt(prior.diagonal)
        self.factor = prior.factor / self.deviation[:, None]
        self._regressions: dict[int | None, tuple[Array, Array, Array]] = {}

    def first_guess(
        self, model: Model, prior: Prior, layer: int | None, maps: Array, values: Array, low: Array, high: Array
    ) -> Array:
        """Whitened images (n, inputs) within the box, the regression of draws on the values asked for."""
        if not prior.rank:
            return np.zeros((len(values), prior.inputs))
        if layer not in self._regressions:
            self._regressions[layer] = self._regress(model, prior, layer, low, high)
        mean, covariance, mixed = self._regressions[layer]
        every = maps if maps.ndim == 3 else maps[None]
        spread: Array = every @ covariance @ every.transpose(0, 2, 1)
        k = spread.shape[-1]
        spread = spread + np.eye(k) * (1e-9 * np.trace(spread, axis1=1, axis2=2)[:, None, None] / k + 1e-300)
        weights = np.linalg.solve(spread, (values - every @ mean)[:, :, None])
        scores = (mixed @ every.transpose(0, 2, 1) @ weights)[:, :, 0]
        guess: Array = np.clip(scores @ self.factor.T, low, high)
        return guess

    def _regress(
        self, model: Model, prior: Prior, layer: int | None, low: Array, high: Array
    ) -> tuple[Array, Array, Array]:
        """Mean and covariance of the nodes' signals over draws, and the covariance of draws with signals."""
        half = np.random.default_rng(0).normal(size=(DRAWS // 2, prior.rank))
        draws = np.concatenate([half, -half])
        nodes = model.outputs if layer is None else cast(Network, model).layers[layer - 1].outputs
        readout: Readout = readout_for(model, layer, np.eye(nodes), prior.mean, self.deviation)
        images = np.clip(draws @ self.factor.T, low, high)
        signals, _ = readout.values(images, np.arange(DRAWS))
        mean = signals.mean(axis=0)
        centred = signals - mean
        return mean, centred.T @ centred / DRAWS, draws.T @ centred / DRAWS


_workspaces: WeakKeyDictionary[Model, WeakKeyDictionary[Prior, Workspace]] = WeakKeyDictionary()


def workspace_of(model: Model, prior: Prior) -> Workspace:
    """The workspace of a model and a prior, remembered for as long as both live."""
    try:
        known = _workspaces.setdefault(model, WeakKeyDictionary())
    except TypeError:
        return Workspace(prior)
    return known.setdefault(prior, Workspace(prior)) if prior not in known else known[prior]


def _outcome(met: bool, trapped: bool) -> str:
    return CONVERGED if met else OUT_OF_REACH if trapped else STALLED


def _advice(model: Model, asked: Targets, found: Array, outcome: list[str], steps: int) -> list[str]:
    return [
        "" if what == CONVERGED else _sentence(model, asked, found[row], row, what, steps)
        for row, what in enumerate(outcome)
    ]


def _sentence(model: Model, asked: Targets, found: Array, row: int, outcome: str, steps: int) -> str:
    if asked.log_odds is None:
        worst = int(np.abs(found - asked.values[row]).argmax())
        got, wanted = found[worst], asked.values[row, worst]
        gap = f"{asked.question}: {got:.4g} is as near as it comes to the {wanted:.4g} asked for"
        instead = f"ask for {got:.4g} instead"
    else:
        log_odds = _log_odds_from(asked.maps, found)
        worst = int(np.abs(log_odds - asked.log_odds[row]).argmax())
        answers = model.output_activation.function(log_odds)
        gap = (
            f"output {model.classes[worst]!r} was asked for {cast(Array, asked.answers)[row, worst]:.4g} "
            f"(log-odds {asked.log_odds[row, worst]:.2f}) and comes as near as {answers[worst]:.4g} "
            f"(log-odds {log_odds[worst]:.2f})"
        )
        instead = "ask for the answers reached, for a lower confidence, or for the typical answer"
    if outcome == OUT_OF_REACH:
        return f"{gap}; {instead}"
    return f"{gap} after {steps} steps; allow more steps, or {instead}"


def _log_odds_from(maps: Array, values: Array) -> Array:
    """Log-odds (outputs,) from their constraint values: the maps' rows are orthonormal."""
    return np.asarray(maps.T @ values)
