"""The search behind the faithful back query: linearise, step inside the box, return to the constraint.

Every iteration linearises the constraints at the present image (Gauss-Newton) and takes one step of the
linearised problem. A trial image is brought back onto the true constraint by corrections that reuse the same
factors and cost only a forward pass each. An image goes through up to three stages:

approach  the constraint does not hold yet: steps towards the likeliest image, each bringing it nearer;
restore   such a step failed: the likeliest change of the image itself that brings it nearer, or a share of it;
improve   the constraint holds: each step must make the image likelier by more than it loses in constraint.

No accepted step makes it worse in its stage's measure; shorter steps are tried until one is good. Steps that
restore take the running mean of the Jacobians on their way: in a bent valley steps go to and fro across it, and in
the mean what points across cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.inversion.linearised import (
    Linearisation,
    Mask,
    Rows,
    Step,
    Whitened,
    boxed,
    lifted,
    of_rows,
    times,
)
from backquery.inversion.readouts import Readout
from backquery.model import Array, Progress

SLACK = 0.1
"""A step must bring at least this share of what it promised; corrections aim this far below the tolerance."""

PRICE = 3.0
"""What a unit of constraint costs while an image improves, in lengths of its multipliers: an exact penalty."""

NEARER = 0.7
"""A correction must leave no more than this share of what the constraints lack."""

STRETCH, STALE = 8, 0.9
"""Steps after which no more than this share of the error may be left, until the constraint holds."""

PATIENCE = 3
"""Refused steps in a row after which a search ends."""

COLD, WARM = 0.1, 1e-3
"""How strongly steps are damped at first: from a guess, and from a start that is trusted."""

SMALL = 2.0
"""An error, in logits, that one step from an image as likely as can be leaves as likely as can be, nearly."""

DETOUR = 5.0
"""What leaving an answer for a better one must gain, against what a step on the constraint must."""

TINY = 1e-30
"""Promises smaller than this are none."""

DOUBT = 1e-6
"""Damping of estimated multipliers, in parts of their system's mean diagonal."""

LATEST = 0.25, 0.5
"""What the Jacobian of a step that restores weighs in the running mean: the less, the shorter steps become."""

TURNING = 0.2
"""A share of an approaching step below which restoring promises more."""

LONGER, BORNE_OUT = 2.0, 0.5
"""The next step is tried so many times as long as the last, where that brought this share of what it promised."""


@dataclass(frozen=True)
class Effort:
    """When a search is content and when it gives up; see `GaussNewton`.

    A search that trusts its start takes it for nearly an answer: it begins with multipliers that fit it. Unless
    it is `confirming`, one whose start was wrong by less than `SMALL` is content with the first whole step that
    answers. A `gradual` one starts where derivatives say little of what is far: it restores from the first step
    on, and by some `SMALL` at first. It is `solving` where a step solves the linearised problem, and does not only
    come nearer to its solution.
    """

    tolerance: float = 1e-3
    optimality: float = 1e-2
    steps: int = 100
    trusting: bool = False
    confirming: bool = True
    improving: bool = True
    gradual: bool = False
    solving: bool = False
    corrections: int = 3
    halvings: int = 6


class Task(NamedTuple):
    """A batch of questions and how they are to be searched for, all in whitened coordinates.

    asked: (n, k) values of the constraints; low, high: (inputs,) or (n, inputs); start: (n, inputs); they and the
    readout are of one precision, in which is searched;
    used: the steps that are already gone; progress: told of each step.
    """

    readout: Readout
    prior: Whitened
    asked: Array
    low: Array
    high: Array
    start: Array
    effort: Effort
    used: NDArray[np.int64] | int = 0
    progress: Progress | None = None


class Trial(NamedTuple):
    """Images (n, inputs) that were tried, and what is to be known of them.

    u and cost: what the prior explained of them; share: (n,), how far they went towards an answer; multipliers:
    (n, k), of the whole step; brought: (n,), how much nearer they came, in parts of what was promised.
    """

    images: Images
    u: Array
    cost: Array
    share: Array
    multipliers: Array
    brought: Array

    def of(self, rows: Rows) -> Trial:
        """What was tried for `rows`, in order."""
        images, *numbers = self
        return Trial(images.of(rows), *(part[rows] for part in numbers))


class Ended(NamedTuple):
    """What the searches of a task came to: images y (n, inputs), their constraints c (n, k) and their cost (n,).

    steps: (n,), those used; trapped: (n,), whether no step comes nearer; multipliers: (n, k).
    """

    y: Array
    c: Array
    cost: Array
    steps: NDArray[np.int64]
    trapped: Mask
    multipliers: Array


@dataclass
class Images:
    """A batch of images with what the model makes of them: constraints c, signals kept for the Jacobian."""

    y: Array
    c: Array
    kept: list[Array]

    def of(self, rows: Rows) -> Images:
        """The images `rows`, in order; all of them as they are."""
        return Images(of_rows(self.y, rows), of_rows(self.c, rows), [of_rows(kept, rows) for kept in self.kept])

    def __setitem__(self, rows: Any, other: Images) -> None:
        self.y[rows], self.c[rows] = other.y, other.c
        for signals, new in zip(self.kept, other.kept, strict=True):
            signals[rows] = new


class Search:
    """The questions of a task on their way from a start image to an answer."""

    def __init__(self, task: Task) -> None:
        n, effort = len(task.asked), task.effort
        # Every number of a search is of the precision in which its questions are asked.
        precision = task.asked.dtype
        self._readout, self._asked, self._effort = task.readout, task.asked, effort
        self._prior, self._progress = task.prior, task.progress
        self._low, self._high = np.atleast_2d(task.low), np.atleast_2d(task.high)
        self._bound = task.prior.bound_pixels(n)
        self.images = self._look(task.start, np.arange(n))
        self._u, self.cost = self._explained(self.images.y, np.arange(n))
        self.steps = np.zeros(n, np.int64) + task.used
        self.trapped = np.zeros(n, bool)
        self._multipliers = np.zeros_like(task.asked)
        self._unknown = np.full(n, effort.trusting)
        self._damping = np.full(n, WARM if effort.trusting else COLD, precision)
        lacking = _length(self._asked - self.images.c)
        self._restoring = np.full(n, effort.gradual)
        self._bent = self._restoring.copy()
        # Of the steps towards the constraints, and of those that improve.
        self._shares = np.ones((2, n), precision)
        self._shares[0, self._bent] = np.minimum(1.0, SMALL / np.maximum(lacking[self._bent], SMALL))
        self._stray = np.zeros(n, bool)
        self._answers: Array | None = None
        self._costs = np.full(n, np.inf, precision)
        self._refused = np.zeros(n, int)
        self._gained = np.full(n, np.inf, precision)
        self._since = np.zeros(n, int)
        self._mark = np.zeros(n, precision)
        self._last: tuple[Rows, Array] | None = None
        close = _largest(self._asked - self.images.c) < SMALL
        self._small = close & (effort.trusting and not effort.confirming)
        # The origin of these coordinates costs nothing: where it answers, no image is likelier.
        self._finished = self.holds & (self.cost <= 0.0)

    @property
    def holds(self) -> Mask:
        """Whether the constraints hold within the tolerance, (n,)."""
        return np.asarray(_largest(self._asked - self.images.c) < self._effort.tolerance)

    def run(self) -> Ended:
        """Search until every image is done or the steps are used up."""
        while (rows := np.flatnonzero(~self._finished & (self.steps < self._effort.steps))).size:
            self._advance(rows)
            self._tell()
        self._return_to_answers()
        self._explain_answers()
        return Ended(self.images.y, self.images.c, self.cost, self.steps, self.trapped, self._multipliers)

    def _keep(self, rows: Rows) -> None:
        """Keep the answers `rows` that improving leaves, in case that nothing better is found."""
        better = rows[self.cost[rows] < self._costs[rows]]
        if better.size:
            if self._answers is None:
                self._answers = np.empty_like(self.images.y)
            self._answers[better], self._costs[better] = self.images.y[better], self.cost[better]

    def _return_to_answers(self) -> None:
        """Where the search ended at something worse than what it has had: back to that."""
        worse = np.flatnonzero((self._costs < np.inf) & ~(self.holds & (self.cost <= self._costs)))
        if worse.size and self._answers is not None:
            self.images[worse] = self._look(self._answers[worse], worse)
            self.cost[worse], self.trapped[worse] = self._costs[worse], False
            self._u[worse], _ = self._explained(self.images.y[worse], worse)
            self._stray[worse] = True

    def _explain_answers(self) -> None:
        """Multipliers of answers that no improving step has led to: those of other steps are not theirs."""
        rows = np.flatnonzero(self._stray & self.holds & (self.cost > 0))
        if rows.size:
            here = self.images.of(rows)
            self._unknown[rows] = True
            self._estimate(rows, self._readout.jacobian(here.kept, rows), here.y)

    def _tell(self) -> None:
        if self._progress is not None:
            error = float(_largest(self._asked - self.images.c).max())
            self._progress(0.0, len(self._asked), f"step {self.steps.max()}: {error:.2g} from what is asked")

    def _advance(self, rows: Rows) -> None:
        here = self.images.of(rows)
        jacobian = self._readout.jacobian(here.kept, rows)
        self._estimate(rows, jacobian, here.y)
        self.steps[rows] += 1
        self._look_back(rows, here)
        turned = self._step(rows, here, self._averaged(rows, jacobian))
        if turned.size:
            # What was linearised holds where the image stayed.
            self._step(of_rows(rows, turned), here.of(turned), of_rows(jacobian, turned))

    def _averaged(self, rows: Rows, jacobian: Array) -> Array:
        """The Jacobians (n, k, inputs); of images being restored their running means."""
        last, self._last = self._last, (rows, jacobian)
        restoring = np.flatnonzero(self._restoring[rows])
        if last is None or not restoring.size:
            return jacobian
        before = last[1][np.searchsorted(last[0], rows[restoring])]
        averaged = jacobian.copy()
        latest = np.clip(2 * self._shares[0, rows[restoring]], *LATEST).astype(jacobian.dtype)
        averaged[restoring] = before + latest[:, None, None] * (jacobian[restoring] - before)
        self._last = rows, averaged
        return averaged

    def _step(self, rows: Rows, here: Images, jacobian: Array) -> Rows:
        """One step of each image, or none; which of `rows` are to be restored instead, being where they were."""
        residual = of_rows(self._asked, rows) - here.c
        held = _largest(residual) < self._effort.tolerance
        # A share of a change that the box cuts off is worse than what the box allows of a share: so less is asked.
        ambition = np.where(self._restoring[rows] & ~held, self._shares[0, rows], 1.0)
        goal = here.c + ambition[:, None] * residual
        # A damped step falls short of the constraint, so an image that meets it takes undamped ones.
        linearised = Linearisation(
            jacobian, goal - here.c, here.y,
            of_rows(self._u, rows), of_rows(self._multipliers, rows),
            of_rows(self._low, rows), of_rows(self._high, rows),
            np.where(held, 0.0, of_rows(self._damping, rows)), of_rows(self._restoring, rows),
            self._bound, rows,
        )  # fmt: skip
        solution = self._prior.of(rows).newton_step(linearised)
        size = _length(residual)
        promised = self._promised(rows, size, residual, jacobian, solution.target - here.y)
        waiting, turned, shares = np.arange(len(rows)), [], self._shares[held.astype(int), rows] / ambition
        for _ in range(self._effort.halvings):
            share, promise = of_rows(shares, waiting), of_rows(shares * promised, waiting)
            images = self._trial(rows, waiting, here.y, goal, solution, share)
            error = self._asked[rows[waiting]] - images.c
            nearer = of_rows(size, waiting) - _length(error)
            onward = (nearer > SLACK * promise) | (_largest(error) < self._effort.tolerance)
            # What the prior makes of an image that comes no nearer is of no interest.
            judged = np.flatnonzero(onward | of_rows(held, waiting))
            if judged.size:
                tried, error, images = waiting[judged], of_rows(error, judged), images.of(judged)
                share, brought = share[judged], (nearer / np.maximum(promise, TINY))[judged]
                trial = Trial(
                    images, *self._explained(images.y, rows[tried]), share * ambition[tried],
                    solution.multipliers[tried], brought,
                )  # fmt: skip
                good = ~held[tried] | self._improves(rows[tried], error, trial, share)
                if good.any():
                    self._accept(rows[tried[good]], trial.of(np.flatnonzero(good)), held[tried[good]])
                waiting = np.delete(waiting, judged[good])
            shares[waiting] /= 2
            turning = self._turning_to_restoring(rows, waiting[shares[waiting] < TURNING], held)
            turned.append(turning)
            waiting = np.setdiff1d(waiting, turning, assume_unique=True)
            if not waiting.size:
                break
        self._refuse(
            rows[waiting], solution.multipliers[waiting], held[waiting], shares[waiting] * ambition[waiting]
        )
        return np.concatenate(turned)

    def _estimate(self, rows: Rows, jacobian: Array, y: Array) -> None:
        """The multipliers that come nearest to explaining trusted starts, which no step has led to."""
        new = np.flatnonzero(self._unknown[rows])
        if not new.size:
            return
        chosen, y, jacobian = rows[new], of_rows(y, new), of_rows(jacobian, new)
        low, high = of_rows(self._low, chosen), of_rows(self._high, chosen)
        # A pixel at its bound is held by the bound, so it says nothing certain of the multipliers.
        inside = jacobian * ((y > low) & (y < high))[:, None, :]
        gain = inside @ inside.transpose(0, 2, 1)
        lifted(gain, DOUBT)
        wish = times(inside, self._prior.of(chosen).precise(y, self._u[chosen]))
        self._multipliers[chosen] = np.linalg.solve(gain, wish[:, :, None])[:, :, 0]
        self._unknown[chosen] = False

    def _promised(self, rows: Rows, size: Array, residual: Array, jacobian: Array, change: Array) -> Array:
        """How much nearer a whole step should come: all the way, but for restoring what the model says."""
        restoring = self._restoring[rows]
        if not restoring.any():
            return size
        nearer = size - _length(residual - times(jacobian, change))
        return np.where(restoring, np.maximum(nearer, 0.0), size)

    def _trial(self, rows: Rows, waiting: Rows, y: Array, goal: Array, solution: Step, share: Array) -> Images:
        """Go its `share` of the way to the solution's target, then correct what the goal (n, k) then lacks."""
        y, target, goal = of_rows(y, waiting), of_rows(solution.target, waiting), of_rows(goal, waiting)
        way = target if np.all(share == 1) else y + share[:, None] * (target - y)
        images = self._look(way, rows[waiting])
        moving, residual = np.arange(len(waiting)), goal - images.c
        for _ in range(self._effort.corrections):
            wanting = _largest(residual) > SLACK * self._effort.tolerance
            moving, residual = moving[wanting], residual[wanting]
            if not moving.size:
                break
            chosen = waiting[moving]
            corrected = self._look(of_rows(images.y, moving) + solution.correction(residual, chosen), rows[chosen])
            rest = of_rows(goal, moving) - corrected.c
            better = np.flatnonzero(_length(rest) < NEARER * _length(residual))
            moving, residual = moving[better], rest[better]
            images[moving] = corrected.of(better)
        return images

    def _improves(self, rows: Rows, error: Array, trial: Trial, share: Array) -> Mask:
        before = self.cost[rows]
        # Near the optimum no step gains the share that the second rule demands: on the constraint any gain counts.
        keeps = (_largest(error) < self._effort.tolerance) & (trial.cost < before)
        size, worth = _length(error), _length(trial.multipliers)
        far = size > SMALL
        if far.any():
            # What the constraints have cost from the origin on is the least that they are worth.
            worth = np.where(far, np.maximum(worth, before / self._lacked_at_the_origin[rows]), worth)
        paid = trial.cost + PRICE * worth * size
        return np.asarray(keeps | (paid < (1 - SLACK * share) * before))

    @cached_property
    def _lacked_at_the_origin(self) -> Array:
        """How far the images that cost nothing are from what is asked, (n,)."""
        origin, _ = self._readout.values(np.zeros_like(self.images.y), np.arange(len(self._asked)))
        return _length(self._asked - origin)

    def _accept(self, rows: Rows, trial: Trial, held: Mask) -> None:
        gained = self.cost[rows] - trial.cost
        holds = _largest(self._asked[rows] - trial.images.c) < self._effort.tolerance
        self._keep(rows[held & ~holds])
        # Having left an answer for this one was hardly worth it, so it is enough.
        back = holds & ~held & np.isfinite(self._costs[rows])
        enough = back & (self._costs[rows] - trial.cost < DETOUR * self._effort.optimality * trial.cost)
        self._finished[rows] |= enough
        self.images[rows], self._u[rows], self.cost[rows] = trial.images, trial.u, trial.cost
        self._stray[rows] = self._restoring[rows]
        self._restoring[rows] = ~holds & self._bent[rows]
        old = self._multipliers[rows]
        # The whole step's multipliers belong to its target: where the image goes a part of the way, so do they.
        moved = old + trial.share[:, None] * (trial.multipliers - old)
        self._multipliers[rows] = np.where(self._restoring[rows, None], 0.0, moved)
        whole = trial.share == 1
        # As in Levenberg-Marquardt: the linearisation is trusted more after a whole step, less after a short one.
        factor = np.where(whole, 0.1, np.where(trial.share < 0.5, 10.0, 1.0))
        self._damping[rows] = np.clip(self._damping[rows] * factor, 1e-10, 1.0)
        longer = np.where(held | (trial.brought > BORNE_OUT), LONGER, 1.0)
        self._shares[held.astype(int), rows] = np.minimum(longer * trial.share, 1.0)
        self._refused[rows] = 0
        # If gains go on shrinking at this rate, they are a geometric series; its sum is all that is left to gain.
        rate = np.clip(gained / self._gained[rows], 0.0, 0.9)
        expected = gained * np.maximum(rate / (1 - rate), 1.0)
        # On the way to the constraint the cost may rise, and its change predicts nothing.
        self._gained[rows] = np.where(held, gained, np.inf)
        self._finished[rows] |= held & holds & (expected < self._effort.optimality * trial.cost)
        self._finished[rows] |= self._small[rows] & holds & whole
        if not self._effort.improving:
            self._finished[rows] |= holds

    def _turning_to_restoring(self, rows: Rows, short: Rows, held: Mask) -> Rows:
        """Of images whose steps came to be `short`, those that are on their way: to be restored from now on."""
        turning: Rows = short[~held[short] & ~self._restoring[rows[short]]]
        self._restoring[rows[turning]] = self._bent[rows[turning]] = True
        self._shares[0, rows[turning]] = 1.0
        return turning

    def _refuse(self, rows: Rows, multipliers: Array, held: Mask, shares: Array) -> None:
        """No share of the step was good: try again with more damping, or with the multipliers just found."""
        self._refused[rows] += 1
        # A step that is the whole answer of the linearised problem would be the same again.
        done = self._refused[rows] >= np.where(held & self._effort.solving, 1, PATIENCE)
        self.trapped[rows] = done & ~self.holds[rows]
        self._finished[rows] = done
        self._damping[rows] = np.minimum(self._damping[rows] * 10, 1.0)
        restoring = self._restoring[rows]
        self._shares[0, rows[restoring]] = shares[restoring]
        self._multipliers[rows] = np.where(restoring[:, None], 0.0, multipliers)

    def _look_back(self, rows: Rows, here: Images) -> None:
        """End searches that have hardly come nearer in a stretch of steps."""
        residual = of_rows(self._asked, rows) - here.c
        size = _length(residual)
        self._since[rows] += 1
        self._since[rows[_largest(residual) < self._effort.tolerance]] = 0
        self._mark[rows] = np.where(self._since[rows] <= 1, size, self._mark[rows])
        due = rows[self._since[rows] > STRETCH]
        slow = _length(self._asked[due] - self.images.c[due]) > STALE * self._mark[due]
        self._finished[due[slow]] = self.trapped[due[slow]] = True
        self._since[due[~slow]] = 0

    def _look(self, y: Array, rows: Rows) -> Images:
        y = boxed(y, of_rows(self._low, rows), of_rows(self._high, rows))
        return Images(y, *self._readout.values(y, rows))

    def _explained(self, y: Array, rows: Rows) -> tuple[Array, Array]:
        """What the prior keeps of each image, and half its squared Mahalanobis distance."""
        u, squares = self._prior.of(rows).explained(y)
        return u, 0.5 * squares


def _largest(vectors: Array) -> Array:
    return np.asarray(np.max(np.abs(vectors), axis=1))


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))
