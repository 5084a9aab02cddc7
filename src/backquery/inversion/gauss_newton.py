"""The faithful back query: of all images that give the answers asked for, the likeliest under a prior.

Let g(x) be the logits, or whatever of the network a question constrains, a what was asked for, and N(m, C)
the prior. The method minimises

    (x - m)' C^-1 (x - m)   subject to   g(x) = a,   low <= x <= high,

by Gauss-Newton steps on the constraint, ``x+ = m + C J'(J C J')^-1 (a - g(x) + J (x - m))``, damped and kept
within the box: the iterated extended Kalman update (Bell & Cathey 1993) of an observation without noise. The
search starts at the likeliest answer that there would be without the box (`starts`); `search` says how it goes on.
Under a mixture of such priors it starts at the means of the components that promise most (`components`), and the
answer is the image of highest density under the whole mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.errors import InversionError
from backquery.inversion.cannot import cannot_be
from backquery.inversion.components import promises
from backquery.inversion.drawn import Drawn
from backquery.inversion.mixtures import AnyPrior, Chosen, MixturePrior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.priors import FACTORED, OnePrior, flat_prior
from backquery.inversion.problem import Problem
from backquery.inversion.readouts import ChainReadout, ModelReadout, readout_for
from backquery.inversion.result import CONVERGED, IMPOSSIBLE, NOT_FOUND, STALLED, BackQuery, round_trip
from backquery.inversion.search import Effort, Search, Task
from backquery.inversion.spectral import SpectralPrior
from backquery.inversion.starts import first_guess, other_starts
from backquery.inversion.targets import Targets
from backquery.model import Array, Model, Network, answers_log_odds, quick_of

TRIED = (3, 6, 12)
"""Components of a mixture that are searched for an answer at a time, until one has it."""

COMPONENT_STEPS = 25
"""Steps of one component's search at most: eight in ten of those that find an answer need fewer."""

BEHIND = 10.0
"""Components that promise so many nats less than the best are not tried beside it."""

GROWTHS, GROWING = 6, 5
"""How often, and by how many outputs at most, what is asked of many outputs grows until it holds for all."""

DERIVATIVES = 2**22
"""Derivatives that are held at once, where images are large: fewer questions are then worked on at a time."""

DRAWN = 2
"""Blocks that images near what was drawn are searched in at once, being in half the precision."""

HURRIED, NEARER = 8, 20
"""Steps of a search for the nearest answer to an image that was drawn, and of what brings an answer at hand nearer
where that was in vain."""

CORRECTED = 10
"""Corrections of a step for an image that was drawn: each costs a run forwards, and may save a step."""

ROUGHLY = 10.0
"""Where a search in float32 comes so many tolerances near, one in float64 goes on."""

NEARLY = 0.02
"""The share of the squared distance to an image that was drawn which may be left to be gained: it is random."""

ONE = -1
"""In place of a component, where a prior has no others."""


@dataclass(frozen=True)
class GaussNewton:
    """The likeliest image that the model reads as asked, run forwards in float64 (`certify` proves what it reads).

    tolerance: the largest error in logits (or in what is asked of a node) of an image that counts as
    converged. optimality: the search ends when it expects to gain no more than this share of the squared
    distance to the prior's mean. steps: after so many iterations an image is called stalled. block: how many
    questions are worked on at a time. confirming: whether an image that was found in one step from a `start` is
    improved until no more is to be gained; without, what follows a slider is a third quicker, and 0.3 % (median)
    farther from the prior's mean.
    """

    tolerance: float = 1e-3
    optimality: float = 1e-2
    steps: int = 400
    block: int = 64
    confirming: bool = True

    name: ClassVar[str] = "gauss-newton"
    summary: ClassVar[str] = "the likeliest image that the network reads as asked, run forwards to make sure"
    usual_question: ClassVar[str] = "typical"
    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.tolerance > 0 and self.optimality > 0 and self.steps > 0 and self.block > 0):
            raise InversionError("tolerance, optimality, steps and block must all be above zero")

    def invert(self, problem: Problem) -> BackQuery:
        """Search for all questions, block by block; see `BackQuery` for the outcomes."""
        model, asked = problem.model, problem.asked
        prior = prior_for(model, problem.prior, problem.low, problem.high)
        block = self.block if problem.drawn is None else DRAWN * self.block
        at_once = min(block, max(1, DERIVATIVES // (model.inputs * asked.values.shape[1])))
        blocks = np.array_split(np.arange(len(asked)), range(at_once, len(asked), at_once))
        if len(blocks) == 1:
            found = self._answer_of_all(problem, prior)
        else:
            found = _Found.joined([self._answer_of_all(_one_block(problem, rows), prior) for rows in blocks])
        outcome = self._outcome(problem, found)
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
            component=found.component if isinstance(prior, MixturePrior) else None,
            second_best=found.behind if isinstance(prior, MixturePrior) else None,
            multipliers=found.multipliers,
        )

    def _outcome(self, problem: Problem, found: _Found) -> list[str]:
        """What each search came to; that no image can give an answer is said where it is proved."""
        lost = found.trapped | found.impossible
        outcome = np.where(found.holds, CONVERGED, np.where(lost, NOT_FOUND, STALLED)).astype(object)
        rows = np.flatnonzero(~found.holds & lost)
        tolerance = problem.asked.tolerance(self.tolerance)
        # What follows a slider has no time for more than a look at the whole box.
        outcome[
            rows[cannot_be(problem, rows, found.c, tolerance, thorough=self.confirming and problem.drawn is None)]
        ] = IMPOSSIBLE
        return [str(what) for what in outcome]

    def _answer_of_all(self, problem: Problem, prior: AnyPrior, growths: int = GROWTHS) -> _Found:
        """Search for what is asked and, where not all outputs are, ask for more until none exceeds its answer."""
        found = self._answer(problem, prior)
        if not problem.asked.own or problem.asked.answers is None:
            return found
        above = problem.asked.exceeding(np.asarray(problem.model.logits(found.images)), self.tolerance)
        rows = np.flatnonzero(found.holds & np.isfinite(above).any(axis=1))
        if not rows.size:
            return found
        if not growths:
            return found.without(rows)
        more = np.argsort(-above[rows], axis=1, kind="stable")[:, :GROWING]
        lacking = problem.of(rows)
        grown = replace(lacking, asked=lacking.asked.asking_more(more), start=found.images[rows])
        return found.replaced(rows, self._answer_of_all(grown, prior, growths - 1))

    def _answer(self, problem: Problem, prior: AnyPrior, used: NDArray[np.int64] | int = 0) -> _Found:
        """Search from the best start there is, and from others where that was in vain."""
        if problem.drawn is not None:
            return self._answer_near_draws(problem, problem.drawn)
        if problem.start is not None:
            return self._answer_from(problem, prior, problem.start)
        if problem.near is not None:
            return self._answer_near(problem, prior, problem.near, used)
        if isinstance(prior, MixturePrior):
            return self._answer_under_components(problem, prior, used)
        guess, trusting = first_guess(problem, prior)
        found = self._search(problem, prior, guess, used, trusting)
        if isinstance(prior, SpectralPrior) and prior.inputs <= FACTORED:
            # A pattern of single pixels that answers is far from anything likely under waves: it comes last,
            # where other starts cost little.
            return self._freed(problem, prior, self._from_others(problem, prior, found))
        return self._from_others(problem, prior, self._freed(problem, prior, found))

    def _lost(self, found: _Found) -> NDArray[np.intp]:
        """The questions that may still be answered."""
        return np.flatnonzero(~found.holds & ~found.impossible & (found.steps < self.steps))

    def _from_others(self, problem: Problem, prior: OnePrior, found: _Found) -> _Found:
        starts = other_starts(problem, prior)
        # Asked for one by one, because to find them the model is shown many images.
        while (lost := self._lost(found)).size and (start := next(starts, None)) is not None:
            again = self._search(problem.of(lost), prior, start[lost], found.steps[lost])
            found = found.improved(lost, again)
        return found

    def _freed(self, problem: Problem, prior: OnePrior, found: _Found) -> _Found:
        """Where the prior's shape kept a search from the answer: there without it, and on from there with it."""
        lost = self._lost(found)
        if not lost.size or not prior.rank:
            return found
        flat = flat_prior(prior.inputs, problem.low, problem.high)
        aside = self._search(problem.of(lost), flat, found.images[lost], found.steps[lost], improving=False)
        there = np.flatnonzero(aside.holds)
        if not there.size:
            return found
        lost = lost[there]
        again = self._search(problem.of(lost), prior, aside.images[there], aside.steps[there], trusting=True)
        return found.improved(lost, again)

    def _answer_under_components(
        self, problem: Problem, mixture: MixturePrior, used: NDArray[np.int64] | int
    ) -> _Found:
        """Search under the components that promise most, until one has the answer; at last under one Gaussian."""
        if len(mixture.components) == 1:
            found = self._answer(problem, mixture.components[0], used)
            return replace(found, component=np.zeros(len(problem.asked), np.intp))
        promised, begin = promises(problem, mixture), 0
        order = np.argsort(-promised, axis=1, kind="stable")
        hurried = replace(self, steps=min(self.steps, COMPONENT_STEPS))
        found = _Found.nothing(problem, used)
        for count in TRIED:
            lost = self._lost(found)
            few = order[lost, begin : begin + count]
            if not few.size:
                break
            begin += count
            promise = np.take_along_axis(promised[lost], few, axis=1)
            worthwhile = promise > promise[:, :1] - BEHIND
            # Each question needs one, also where a model that answers NaN lets nothing be promised.
            worthwhile[:, 0] = True
            question, place = np.nonzero(worthwhile)
            under = mixture.chosen(few[question, place])
            each = hurried._search(problem.of(lost[question]), under, under.mean)
            found = found.improved(lost, each.best_of(question, mixture))
        lost = self._lost(found)
        if lost.size:
            whole = self._answer(problem.of(lost), mixture.whole, found.steps[lost])
            found = found.improved(lost, replace(whole, cost=-mixture.log_density(whole.images)))
        return found

    def _answer_from(self, problem: Problem, prior: AnyPrior, start: Array) -> _Found:
        """Search from the start that was given, and without it where that was in vain."""
        found = self._search(problem, prior.likeliest(start), start, trusting=True)
        lost = np.flatnonzero(~found.holds & (found.steps < self.steps))
        if not lost.size:
            return found
        cold = replace(problem.of(lost), start=None)
        return found.improved(lost, self._answer(cold, prior, found.steps[lost]))

    def _answer_near(
        self, problem: Problem, prior: AnyPrior, near: Array, used: NDArray[np.int64] | int = 0
    ) -> _Found:
        """The smallest change of `near`, searched for from `near` itself and from the likeliest answer of all.

        Of a mixture, the component that `near` most probably comes from says what is small.
        """
        local = prior.likeliest(near)
        found = self._search(problem, local, near, used)
        rest = np.flatnonzero(~found.holds | (found.cost > 0))
        if not rest.size:
            return found
        others = problem.of(rest)
        anywhere = self._answer(replace(others, near=None), prior)
        return found.improved(rest, self._search(others, local.of(rest), anywhere.images, trusting=True))

    def _answer_near_draws(self, problem: Problem, drawn: Drawn) -> _Found:
        """Answers as near as can be to images that were drawn, searched for from these.

        The first answer that is found is taken: where answers are linear it is the nearest, and elsewhere what is
        left to be gained is little beside the distance to an image that is random anyway. Where that is in vain,
        an answer is at hand that another draw of the question has led to, or the likeliest one, which is where the
        problem says to start. From that on, nearness to an image which is random anyway is counted pixel by pixel:
        by the prior's measure, answers that are so hard to find hardly come away from where they are.
        """
        hurried = replace(self, steps=min(self.steps, HURRIED))
        begin = np.clip(drawn.mean, problem.low, problem.high)
        found = hurried._search(problem, drawn, begin, improving=False)
        lost = np.flatnonzero(~found.holds)
        if lost.size and problem.start is not None:
            at_hand = drawn.nearest_at_hand(found.images, found.holds, problem.start)[lost]
            measure = drawn.plainly(problem.low, problem.high, drawn.mean) if drawn.random else drawn
            found = self._nearer(problem, measure, found, lost, at_hand)
        return found

    def _nearer(
        self, problem: Problem, drawn: Drawn, found: _Found, rows: NDArray[np.intp], answers: Array
    ) -> _Found:
        """What was found, with `answers` at `rows` brought nearer to the images drawn."""
        if not rows.size:
            return found
        few = replace(self, optimality=max(self.optimality, NEARLY), steps=min(self.steps, NEARER))
        again = few._search(problem.of(rows), drawn.of(rows), answers, trusting=True)
        return found.improved(rows, replace(again, steps=again.steps + found.steps[rows]))

    def _search(
        self,
        problem: Problem,
        prior: OnePrior | Chosen | Drawn,
        start: Array,
        used: NDArray[np.int64] | int = 0,
        trusting: bool = False,
        exactly: bool = False,
        improving: bool = True,
    ) -> _Found:
        """What a search from `start` (n, inputs) comes to, when `used` of the steps are gone.

        Unless `exactly`, a model with a quick twin is searched by that, and what is found is verified by itself.
        """
        asked, origin = problem.asked, prior.mean if problem.near is None else problem.near
        quick, dtype = quick_of(problem.model), _precision(problem, prior)
        if exactly:
            quick, dtype = problem.model, np.float64

        def readout(model: Model, dtype: DTypeLike) -> ChainReadout | ModelReadout:
            return readout_for(model, asked.layer, asked.maps, origin, prior.deviation, asked.own, dtype)

        low, high, begin = (
            prior.whiten(images, origin).astype(dtype, copy=False) for images in (problem.low, problem.high, start)
        )
        waves = isinstance(prior, SpectralPrior)
        effort = Effort(
            asked.tolerance(self.tolerance), self.optimality, self.steps, trusting, self.confirming, improving,
            # Near an even sheet, which waves deem likeliest, derivatives say little of what is far.
            gradual=waves and not trusting, solving=waves,
            corrections=CORRECTED if isinstance(prior, Drawn) else Effort.corrections,
        )  # fmt: skip
        task = Task(
            readout(quick, dtype), prior, asked.values.astype(dtype, copy=False), low, high, begin, effort, used,
            problem.progress,
        )  # fmt: skip
        ended = Search(task).run()
        # Rounding on the way back from whitened coordinates may leave the box.
        images = np.clip(prior.unwhiten(ended.y, origin), problem.low, problem.high)
        c, doubtful = ended.c, effort.tolerance
        if quick is not problem.model or dtype != np.float64:
            c, _ = readout(problem.model, np.float64).values(prior.whiten(images, origin), np.arange(len(asked)))
            doubtful *= 1.0 if dtype == np.float64 else ROUGHLY
        error = np.abs(asked.values - c).max(axis=1)
        holds = error < effort.tolerance
        beyond = np.zeros(len(asked), bool)
        if not holds.all():
            box = (prior.whiten(bounds, origin) for bounds in (problem.low, problem.high))
            lowest, highest = readout(quick, np.float64).limits(*box)
            beyond = ~holds & np.any((asked.values < lowest) | (asked.values > highest), axis=1)
        component = prior.components if isinstance(prior, Chosen) else np.full(len(asked), ONE)
        behind = np.full(len(asked), np.nan)
        found = _Found(
            images, c, ended.cost.astype(np.float64), error, holds, ended.trapped, beyond, ended.steps, component,
            behind, ended.multipliers.astype(np.float64),
        )  # fmt: skip
        rounded = np.flatnonzero(~holds & (np.abs(asked.values - ended.c).max(axis=1) < doubtful))
        if not rounded.size:
            return found
        again = self._search(
            problem.of(rounded), prior.of(rounded), images[rounded], ended.steps[rounded], True, exactly=True
        )
        return found.improved(rounded, again)


@dataclass(frozen=True)
class _Found:
    """What a search came to: images (n, inputs), constraint values c (n, k), and how good they are, (n,).

    trapped: no step comes nearer; impossible: no image within the box can give what was asked. component: which of
    a mixture's was searched under, or `ONE`; behind: by how much the best answer under another is less dense, in
    nats, NaN where there is none. multipliers: (n, k), what a unit more of each constraint adds to the cost.
    """

    images: Array
    c: Array
    cost: Array
    error: Array
    holds: NDArray[np.bool_]
    trapped: NDArray[np.bool_]
    impossible: NDArray[np.bool_]
    steps: NDArray[np.int64]
    component: NDArray[np.intp]
    behind: Array
    multipliers: Array

    @classmethod
    def nothing(cls, problem: Problem, used: NDArray[np.int64] | int) -> _Found:
        """What there is before any search."""
        n, false = len(problem.asked), np.zeros(len(problem.asked), bool)
        never, nan = np.full(n, np.inf), np.full(n, np.nan)
        images, c = np.broadcast_to(problem.low, (n, problem.model.inputs)), np.zeros_like(problem.asked.values)
        steps = np.zeros(n, np.int64) + used
        return cls(images, c, never, never, false, false, false, steps, np.full(n, ONE), nan, c)

    def best_of(self, questions: NDArray[np.intp], mixture: MixturePrior) -> _Found:
        """Of the results for one question the densest that holds, or else the one that comes nearest.

        questions: (n,), which question each result is for, in order. The cost of what is found is that of the
        whole mixture, and the steps are those of all.
        """
        cost = -mixture.log_density(self.images)
        order = np.lexsort((np.where(self.holds, cost, self.error), ~self.holds, questions))
        _, first = np.unique(questions, return_index=True)
        best, behind = order[first], np.full(len(first), np.nan)
        others = np.flatnonzero(np.diff(first, append=len(order)) > 1)
        second = order[first[others] + 1]
        both = self.holds[best[others]] & self.holds[second]
        behind[others[both]] = (cost[second] - cost[best[others]])[both]
        chosen = {part.name: getattr(self, part.name)[best] for part in fields(self)}
        steps = np.add.reduceat(self.steps, first)
        return _Found(**{**chosen, "cost": cost[best], "steps": steps, "behind": behind})

    @classmethod
    def joined(cls, blocks: list[_Found]) -> _Found:
        """All blocks' results in one."""
        return cls(*(np.concatenate([getattr(block, part.name) for block in blocks]) for part in fields(cls)))

    def without(self, rows: NDArray[np.intp]) -> _Found:
        """These results, those of `rows` being none."""
        holds = self.holds.copy()
        holds[rows] = False
        return replace(self, holds=holds)

    def replaced(self, rows: NDArray[np.intp], other: _Found) -> _Found:
        """These results with those of `other` at `rows`, of which more was asked; steps add up."""
        merged = {part.name: getattr(self, part.name).copy() for part in fields(self)}
        for name, values in merged.items():
            new = getattr(other, name)
            if name in ("c", "multipliers"):
                values[rows] = new[:, : values.shape[1]]
            else:
                values[rows] = values[rows] + new if name == "steps" else new
        return _Found(**merged)

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


def _precision(problem: Problem, prior: OnePrior | Chosen | Drawn) -> DTypeLike:
    """What is searched in: where many searches compete, in float32, which takes half the time.

    What is found is verified in float64, and what rounding may have kept from holding is searched on.
    """
    chain = isinstance(problem.model, Network) and not problem.asked.own
    near_draws = isinstance(prior, Drawn) and not isinstance(prior.prior, SpectralPrior)
    return np.float32 if chain and (near_draws or isinstance(prior, Chosen)) else np.float64


def _one_block(problem: Problem, rows: NDArray[np.intp]) -> Problem:
    """Some of the questions, whose progress is that of all."""
    block, tell, total = problem.of(rows), problem.progress, len(problem.asked)
    if tell is None:
        return block
    return replace(block, progress=lambda done, _, step="", /: tell(rows[0] + done, total, step))


def _advice(model: Model, asked: Targets, found: Array, outcome: list[str], steps: int) -> list[str]:
    return [
        "" if what == CONVERGED else _sentence(model, asked, found[row], row, what, steps)
        for row, what in enumerate(outcome)
    ]


def _sentence(model: Model, asked: Targets, found: Array, row: int, outcome: str, steps: int) -> str:
    if asked.logits is None:
        worst = int(np.abs(found - asked.values[row]).argmax())
        got, wanted = found[worst], asked.values[row, worst]
        what = f"output {model.classes[int(asked.maps[row, worst].argmax())]!r}" if asked.own else asked.question
        gap = f"{what}: {got:.4g} is as near as it comes to the {wanted:.4g} asked for"
        instead = f"ask for {got:.4g} instead"
    else:
        logits = np.stack([asked.logits[row], asked.maps.T @ found])  # because the maps' rows are orthonormal
        worst = int(np.abs(logits[1] - logits[0]).argmax())
        answers = model.output_activation.function(logits)[:, worst]
        wanted, got = zip(answers, answers_log_odds(model, logits)[:, worst], strict=True)
        gap = (
            f"output {model.classes[worst]!r} was asked for {wanted[0]:.4g} (log-odds {wanted[1]:.2f}) and comes "
            f"as near as {got[0]:.4g} (log-odds {got[1]:.2f})"
        )
        instead = "ask for the answers reached, for a lower confidence, or for the typical answer"
    if outcome == IMPOSSIBLE:
        return f"{gap}; it is proved that no image within the bounds gives what was asked for: {instead}"
    if outcome == NOT_FOUND:
        return f"{gap}; {instead}"
    return f"{gap} after {steps} steps; allow more steps, or {instead}"
