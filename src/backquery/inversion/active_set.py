"""The likeliest image within limits: by the search for exact answers, asked only for the limits that matter.

Of the likeliest image x within ``c_i(x) >= b_i`` each limit either is open or holds x back: it is met exactly, and
its multiplier, by which half the squared distance grows for a unit more of b_i, is not below zero (Karush 1939,
Kuhn & Tucker 1951). So first nothing is asked; of the limits that an image then breaks the worst is asked for
exactly, beside those that are; and one whose multiplier is below zero is let go, as the image is likelier beyond
it; until there is nothing to change (an active set: Nocedal & Wright 2006, section 16.5).

The surest image of a given distance is found along these: its label's limit is raised, by Newton's method on the
distance, whose slope the multiplier says, between what is known to be near enough and what is not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from backquery.errors import TargetError
from backquery.inversion.gauss_newton import GaussNewton
from backquery.inversion.limits import Limits
from backquery.inversion.mixtures import AnyPrior, MixturePrior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.problem import Problem
from backquery.inversion.result import CONVERGED, IMPOSSIBLE, NOT_FOUND, STALLED, BackQuery, round_trip
from backquery.inversion.targets import Targets
from backquery.model import Array, Model, ends_of

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]

CHANGES = 40
"""How often the set of limits that are asked for changes at most."""

LET_GO = 2
"""How often one limit is let go at most, so that none comes and goes for ever."""

WRONG = 1e-3
"""A multiplier is below zero where it is by this share of the largest."""

BROKEN = 1e-3
"""What log-odds may lack of a limit, as `GaussNewton.tolerance` of an answer."""

RAISES, NEAR, CLOSE = 30, 0.99, 0.02
"""How often a label is asked for more at most, until the image has this share of its distance or, where what is
too sure is known, no more than these log-odds are between."""

RAISE, RAISING = 0.5, 100
"""By which share of its log-odds it is raised at most, and the steps of a search for that at most."""


@dataclass
class _Reached:
    """What n questions have come to: images (n, inputs), and of each what the search said of it.

    lacking, prices, active: (n, 3 outputs), of each limit, see `Limits.lacking`; prices are multipliers.
    """

    images: Array
    lacking: Array
    prices: Array
    active: Mask
    steps: NDArray[np.int64]
    outcome: NDArray[np.object_]
    component: NDArray[np.intp]
    behind: Array

    @property
    def kept(self) -> Mask:
        """Whether all limits are, (n,)."""
        return np.asarray((self.lacking.max(axis=1) < BROKEN) & (self.outcome == CONVERGED))

    def of(self, rows: Rows) -> _Reached:
        """Copies of what the questions `rows` have come to."""
        return _Reached(*(getattr(self, part.name)[rows] for part in fields(self)))

    def put(self, rows: Rows, other: _Reached) -> None:
        """Go on from `other` at `rows`."""
        for part in fields(self):
            getattr(self, part.name)[rows] = getattr(other, part.name)


@dataclass(frozen=True)
class WithinLimits:
    """How questions of `Limits` are answered by searches for exact answers; `problem.asked` says nothing."""

    method: GaussNewton
    problem: Problem
    prior: AnyPrior

    def answer(self, limits: Limits) -> BackQuery:
        """The likeliest image within the limits, or the surest of a distance, for each question."""
        begin = self._begin(limits)
        if limits.farthest is None:
            found = self._likeliest(limits, begin)
        else:
            limits, found = self._surest(limits, begin)
        model = self.problem.model
        mixture = isinstance(self.prior, MixturePrior)
        return round_trip(
            model,
            placeholder(model, limits),
            found.images,
            method=self.method.name,
            outcome=[str(what) for what in found.outcome],
            advice=[self._advice(limits, found, row) for row in range(len(limits))],
            steps=found.steps,
            prior=self.prior.name,
            near=self.problem.near,
            found=np.maximum(found.lacking.max(axis=1, keepdims=True), 0.0),
            met=found.kept,
            component=found.component if mixture else None,
            second_best=found.behind if mixture else None,
            active=tuple(self._words(limits, found, row) for row in range(len(limits))),
        )

    def _begin(self, limits: Limits) -> _Reached:
        """The images that are likeliest where nothing is asked; or else those to begin at."""
        n, asked = len(limits), self.problem
        likeliest = _likeliest_of_all(self.prior) if asked.near is None else asked.near
        images = np.clip(np.broadcast_to(likeliest, (n, asked.model.inputs)), asked.low, asked.high)
        lacking = limits.lacking(self._logits(images))
        false = np.zeros(lacking.shape, bool)
        outcome, steps = np.full(n, CONVERGED, object), np.zeros(n, np.int64)
        return _Reached(
            images, lacking, np.zeros_like(lacking), false, steps, outcome, np.full(n, -1), np.full(n, np.nan)
        )

    def _likeliest(self, limits: Limits, reached: _Reached, warm: bool = False) -> _Reached:
        """Change what is asked for until nothing is broken, and nothing asked that the image is likelier without.

        warm: whether searches begin at the images that were found before, and not anew too.
        """
        let_go = np.zeros(reached.lacking.shape, int)
        rows, alone = np.arange(len(limits)), np.zeros(len(limits), bool)
        for _ in range(CHANGES):
            asked = reached.active[rows]
            active = _next_active(reached.of(rows), let_go[rows])
            let_go[rows] += asked & ~active
            unmet = np.any(active & (reached.lacking[rows] > BROKEN), axis=1)
            changed = (np.any(active != asked, axis=1) | unmet) & (reached.outcome[rows] == CONVERGED)
            rows = rows[changed]
            if not rows.size:
                return reached
            reached.active[rows] = active[changed]
            before = reached.of(rows)
            self._ask(limits, reached, rows, warm)
            failed = (reached.outcome[rows] != CONVERGED) & (before.active.sum(axis=1) > 1)
            lost = np.flatnonzero(failed & ~alone[rows])
            if lost.size:
                # What cannot be met exactly together with others may be met where these have room.
                reached.put(rows[lost], before.of(lost))
                reached.active[rows[lost]] = _worst(before.lacking[lost])
                self._ask(limits, reached, rows[lost], warm)
                alone[rows[lost]] = True
        reached.outcome[rows] = STALLED
        return reached

    def _ask(self, limits: Limits, reached: _Reached, rows: Rows, warm: bool) -> None:
        """Ask for the limits that are active, of questions of as many at once, from where these are and anew."""
        counts = reached.active[rows].sum(axis=1)
        for count in np.unique(counts):
            some = rows[counts == count]
            before = reached.of(some)
            found = self._exactly(limits[some], before, some, before.images if warm else None)
            reached.put(some, found)
            led = np.flatnonzero(before.steps > 0)
            if led.size and not warm:
                rest, here = some[led], before.of(led)
                there = self._exactly(limits[rest], here, rest, here.images)
                nearer = self._distance(there.images, rest) < self._distance(reached.images[rest], rest)
                better = (there.outcome == CONVERGED) & (nearer | (reached.outcome[rest] != CONVERGED))
                reached.put(rest[better], there.of(np.flatnonzero(better)))
                reached.steps[rest] = found.steps[led] + there.steps - here.steps

    def _exactly(self, limits: Limits, reached: _Reached, rows: Rows, start: Array | None) -> _Reached:
        if not reached.active.any():
            return replace(self._begin(limits), steps=reached.steps)
        near = None if self.problem.near is None else self.problem.near[rows]
        asked = limits.as_equalities(reached.active)
        found = self.method.invert(replace(self.problem, asked=asked, near=near, start=start))
        prices = np.zeros_like(reached.prices)
        prices[reached.active] = cast(Array, found.multipliers).ravel()
        outcome = np.array(found.outcome, object)
        if asked.values.shape[1] > 1:
            # Where all of several cannot be met exactly, they may be met with some to spare.
            outcome[outcome == IMPOSSIBLE] = NOT_FOUND
        mixed = found.component is not None and found.second_best is not None
        return _Reached(
            found.images, limits.lacking(self._logits(found.images)), prices, reached.active,
            reached.steps + found.steps, outcome,
            cast(Rows, found.component) if mixed else reached.component,
            cast(Array, found.second_best) if mixed else reached.behind,
        )  # fmt: skip

    def _surest(self, limits: Limits, reached: _Reached) -> tuple[Limits, _Reached]:
        """Raise the labels' limits as long as the image stays near enough; what they came to."""
        n, farthest = len(limits), cast(float, limits.farthest) ** 0.5
        inside, outside = np.full(n, -np.inf), np.full(n, np.inf)
        asked = np.zeros(n)
        best, rows, warm = reached.of(np.arange(n)), np.arange(n), False
        best.outcome[:] = STALLED
        for _ in range(RAISES):
            raised, here = limits[rows].at_least(asked[rows]), reached.of(rows)
            here.lacking = raised.lacking(self._logits(here.images))
            trial = self._raising(rows)._likeliest(raised, here, warm)
            warm = True
            distance = self._distance(trial.images, rows)
            near = trial.kept & (distance <= farthest)
            best.put(rows[near], trial.of(np.flatnonzero(near)))
            reached.put(rows[near], trial.of(np.flatnonzero(near)))
            inside[rows[near]] = np.maximum(inside, asked)[rows[near]]
            outside[rows[~near]] = np.minimum(outside, asked)[rows[~near]]
            price = trial.prices[np.arange(len(rows)), limits.labels[rows]]
            wish = asked[rows] + (farthest - distance) * distance / np.maximum(price, 1e-9)
            asked[rows] = _between(wish, asked[rows], inside[rows], outside[rows], trial.kept & (price > 0))
            done = near & (distance > NEAR * farthest) | (outside[rows] - inside[rows] < CLOSE)
            rows = rows[~done]
            if not rows.size:
                break
        return limits.at_least(inside), best

    def _raising(self, rows: Rows) -> WithinLimits:
        """The same for the questions `rows`, with less patience: what is asked may be too much."""
        method = replace(self.method, steps=min(self.method.steps, RAISING))
        return replace(self, method=method, problem=self.problem.of(rows))

    def _distance(self, images: Array, rows: Rows) -> Array:
        law, near = self.prior.likeliest(images), self.problem.near
        origin = law.mean if near is None else near[rows]
        return np.asarray(np.sqrt(law.explained(law.whiten(images, origin))[1]))

    def _logits(self, images: Array) -> Array:
        return np.asarray(self.problem.model.logits(images), np.float64)

    def _words(self, limits: Limits, found: _Reached, row: int) -> tuple[str, ...]:
        return tuple(limits.words(self.problem.model, row, int(k)) for k in np.flatnonzero(found.active[row]))

    def _advice(self, limits: Limits, found: _Reached, row: int) -> str:
        if found.kept[row]:
            return ""
        worst = int(found.lacking[row].argmax())
        words, lacks = limits.words(self.problem.model, row, worst), found.lacking[row, worst]
        return f"it lacks {lacks:.3g} in log-odds of {words}; ask for less, or for fewer limits"


def answered(problem: Problem, method: GaussNewton, limits: Limits) -> BackQuery:
    """The answers of `method` to questions of `Limits`: see `WithinLimits`."""
    if limits.from_paper:
        if problem.near is not None or problem.prior is not None:
            raise TargetError("the emptiest image is the nearest to paper: leave out near and prior")
        paper = np.clip(ends_of(problem.model)[0], problem.low, problem.high)
        problem = replace(problem, near=paper, prior="flat")
    prior = prior_for(problem.model, problem.prior, problem.low, problem.high)
    return WithinLimits(method, problem, prior).answer(limits)


def placeholder(model: Model, limits: Limits) -> Targets:
    """Nothing asked of as many images."""
    return Targets(limits.question, np.zeros((1, model.outputs)), np.zeros((len(limits), 1)), limits.labels)


def _likeliest_of_all(prior: AnyPrior) -> Array:
    if not isinstance(prior, MixturePrior):
        return np.asarray(prior.mean)
    peaks = np.log(prior.weights) + np.array([component.log_peak for component in prior.components])
    return np.asarray(prior.means[int(peaks.argmax())])


def _next_active(reached: _Reached, let_go: NDArray[np.int_]) -> Mask:
    """The limits to ask for next, (n, limits): without those of a wrong sign, with the worst that is broken."""
    size = np.abs(reached.prices).max(axis=1, keepdims=True)
    wrong = reached.active & (reached.prices < -WRONG * size) & (let_go < LET_GO)
    active = reached.active & ~wrong
    broken = np.where(reached.active, -np.inf, reached.lacking)
    return np.asarray(active | (_worst(broken) & (broken > BROKEN)))


def _worst(lacking: Array) -> Mask:
    """The one limit of each question that lacks most, (n, limits)."""
    return np.asarray(np.arange(lacking.shape[1]) == lacking.argmax(axis=1)[:, None])


def _between(wish: Array, asked: Array, inside: Array, outside: Array, known: Mask) -> Array:
    """What to ask for next (n,): the wish where it lies within what is known, else the middle, or much more."""
    step = np.maximum(1.0, RAISE * np.abs(asked))
    further = np.where(np.isfinite(inside), asked + step, asked - step)
    middle = np.where(np.isfinite(inside) & np.isfinite(outside), (inside + outside) / 2, further)
    margin = np.where(np.isfinite(outside) & np.isfinite(inside), 0.02 * (outside - inside), 0.0)
    good = known & (wish > inside + margin) & (wish < outside - margin) & (wish < asked + step)
    return np.asarray(np.where(good, wish, middle))
