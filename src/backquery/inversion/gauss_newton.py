"""The faithful back query: of all images that give the answers asked for, the likeliest under a prior.

Let g(x) be the log-odds, or whatever of the network a question constrains, a what was asked for, and N(m, C)
the prior. The method minimises

    (x - m)' C^-1 (x - m)   subject to   g(x) = a,   low <= x <= high,

by Gauss-Newton steps on the constraint, ``x+ = m + C J'(J C J')^-1 (a - g(x) + J (x - m))``, damped and kept
within the box: the iterated extended Kalman update (Bell & Cathey 1993) of an observation without noise. The
search starts at the likeliest answer that there would be without the box (`starts`); `search` says how it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from backquery.errors import InversionError
from backquery.inversion.priors import Prior, prior_for
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import readout_for
from backquery.inversion.result import CONVERGED, OUT_OF_REACH, STALLED, BackQuery, round_trip
from backquery.inversion.search import Effort, Search, Task
from backquery.inversion.starts import first_guess, other_starts
from backquery.inversion.targets import Targets
from backquery.model import Array, Model


@dataclass(frozen=True)
class GaussNewton:
    """The likeliest image that the model provably reads as asked.

    tolerance: the largest error in log-odds (or in what is asked of a node) of an image that counts as
    converged. optimality: the search ends when it expects to gain no more than this share of the squared
    distance to the prior's mean. steps: after so many iterations an image is called stalled. block: how many
    questions are worked on at a time. confirming: whether an image that was found in one step from a `start` is
    improved until no more is to be gained; without, what follows a slider is a third quicker, and 0.3 % (median)
    farther from the prior's mean.
    """

    tolerance: float = 1e-3
    optimality: float = 1e-2
    steps: int = 200
    block: int = 64
    confirming: bool = True

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
        if len(asked) <= self.block:
            found = self._answer(problem, prior)
        else:
            blocks = np.array_split(np.arange(len(asked)), range(self.block, len(asked), self.block))
            found = _Found.joined([self._answer(problem.of(rows), prior) for rows in blocks])
        outcome = [
            CONVERGED if holds else OUT_OF_REACH if lost else STALLED
            for holds, lost in zip(found.holds, found.trapped | found.impossible, strict=True)
        ]
        return round_trip(
            model,
            asked,
            found.images,
            method=self.name,
            outcome=outcome,
            advice=_advice(model, asked, found.c, outcome, self.steps),
            steps=found.steps,
            prior=prior.name,
            near=problem.near,
            found=None if asked.layer is None else found.c,
            met=found.holds,
        )

    def _answer(self, problem: Problem, prior: Prior, used: NDArray[np.int64] | int = 0) -> _Found:
        """Search from the best start there is, and from others where that was in vain."""
        if problem.start is not None:
            return self._answer_from(problem, prior, problem.start)
        if problem.near is not None:
            return self._answer_near(problem, prior, problem.near, used)
        guess, trusting = first_guess(problem, prior)
        found = self._search(problem, prior, guess, used, trusting)
        for start in other_starts(problem, prior):
            lost = np.flatnonzero(~found.holds & ~found.impossible & (found.steps < self.steps))
            if not lost.size:
                break
            again = self._search(problem.of(lost), prior, start[lost], found.steps[lost])
            found = found.improved(lost, again)
        return found

    def _answer_from(self, problem: Problem, prior: Prior, start: Array) -> _Found:
        """Search from the start that was given, and without it where that was in vain."""
        found = self._search(problem, prior, start, trusting=True)
        lost = np.flatnonzero(~found.holds & (found.steps < self.steps))
        if not lost.size:
            return found
        cold = replace(problem.of(lost), start=None)
        return found.improved(lost, self._answer(cold, prior, found.steps[lost]))

    def _answer_near(
        self, problem: Problem, prior: Prior, near: Array, used: NDArray[np.int64] | int = 0
    ) -> _Found:
        """The smallest change of `near`, searched for from `near` itself and from the likeliest answer of all."""
        found = self._search(problem, prior, near, used)
        rest = np.flatnonzero(~found.holds | (found.cost > 0))
        if not rest.size:
            return found
        others = problem.of(rest)
        anywhere = self._answer(replace(others, near=None), prior)
        return found.improved(rest, self._search(others, prior, anywhere.images, trusting=True))

    def _search(
        self,
        problem: Problem,
        prior: Prior,
        start: Array,
        used: NDArray[np.int64] | int = 0,
        trusting: bool = False,
    ) -> _Found:
        """What a search from `start` (n, inputs) comes to, when `used` of the steps are gone."""
        asked, origin = problem.asked, prior.mean if problem.near is None else problem.near
        low, high, begin = (prior.whiten(images, origin) for images in (problem.low, problem.high, start))
        readout = readout_for(problem.model, asked.layer, asked.maps, origin, prior.deviation)
        effort = Effort(asked.tolerance(self.tolerance), self.optimality, self.steps, trusting, self.confirming)
        ended = Search(Task(readout, prior, asked.values, low, high, begin, effort, used)).run()
        # Rounding on the way back from whitened coordinates may leave the box.
        images = np.clip(prior.unwhiten(ended.y, origin), problem.low, problem.high)
        error = np.abs(asked.values - ended.c).max(axis=1)
        holds = error < effort.tolerance
        beyond = np.zeros(len(asked), bool)
        if not holds.all():
            lowest, highest = readout.limits(low, high)
            beyond = ~holds & np.any((asked.values < lowest) | (asked.values > highest), axis=1)
        return _Found(images, ended.c, ended.cost, error, holds, ended.trapped, beyond, ended.steps)


@dataclass(frozen=True)
class _Found:
    """What a search came to: images (n, inputs), constraint values c (n, k), and how good they are, (n,).

    trapped: no step comes nearer; impossible: no image within the box can give what was asked.
    """

    images: Array
    c: Array
    cost: Array
    error: Array
    holds: NDArray[np.bool_]
    trapped: NDArray[np.bool_]
    impossible: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @classmethod
    def joined(cls, blocks: list[_Found]) -> _Found:
        """All blocks' results in one."""
        return cls(*(np.concatenate([getattr(block, part.name) for block in blocks]) for part in fields(cls)))

    def improved(self, rows: NDArray[np.intp], other: _Found) -> _Found:
        """These results, with those of `other` at `rows` where they are better; steps add up."""
        holds, other_holds = self.holds[rows], other.holds
        likelier = np.where(holds & other_holds, other.cost < self.cost[rows], other.error < self.error[rows])
        better = np.where(holds == other_holds, likelier, other_holds)
        merged = {part.name: getattr(self, part.name).copy() for part in fields(self)}
        for name, values in merged.items():
            values[rows[better]] = getattr(other, name)[better]
        merged["steps"][rows] = other.steps
        return _Found(**merged)


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
        log_odds = asked.maps.T @ found  # because the maps' rows are orthonormal
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
