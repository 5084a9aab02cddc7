"""Many images that give one answer: draws from the prior, given the answer, by randomise-then-optimise.

An image d is drawn from the prior N(m, C); then of all images within the box that give the answer the nearest is
sought, which minimises ``(x - d)' C^-1 (x - d)`` (Bardsley, Solonen, Haario & Laine 2014, for constraints that are
met exactly). Where answers are linear and no box is in the way, this is Matheron's rule, and the images are
exact draws from the prior given the answer, whichever d were chosen by their *answers*: what the rule leaves of d
is independent of these. So many images are drawn, and those whose answers come nearest to what is asked are taken
(as in the rejection with regression of Beaumont, Zhang & Balding 2002): they have less far to go.

Elsewhere the images are answers near random images, and no exact draws: where no search under the prior gets to
an answer, nearness is counted pixel by pixel, from an answer at hand. Weights that would make up for the bend of
the constraints, ratios of determinants, are left out: the box, which most pixels of a drawing end at, has none,
and several answers may lie nearest by, of which the search finds one. An image that was drawn is not brought into
the box before the search, for then it would not be a draw: the box is a constraint like the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import InversionError
from backquery.inversion.drawn import Drawn
from backquery.inversion.gauss_newton import GaussNewton
from backquery.inversion.mixtures import AnyPrior, Chosen, MixturePrior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.priors import OnePrior, Prior
from backquery.inversion.problem import Method, Problem
from backquery.inversion.readouts import readout_for
from backquery.inversion.result import BackQuery
from backquery.inversion.starts import signals_read
from backquery.model import Array, generator_of, quick_of, reals, whole

POOL, PIXELS = 4096, 2**22
"""Images that are drawn to choose from, and pixels of them about, where images are large."""


def draws(problem: Problem, method: Method, many: int, around: ArrayLike | None = None) -> BackQuery:
    """So many images for each question, question by question, drawn from the prior given the answer.

    With `around`, images (m, inputs) in input scale, they are the answers near so many of these, chosen blindly.
    """
    if not isinstance(method, GaussNewton):
        raise InversionError(f"only the method {GaussNewton.name!r} can draw many images for one answer")
    whole(many, "many, at least one image for each answer,", InversionError)
    if problem.near is not None or problem.start is not None:
        raise InversionError("draws begin at images of their own: leave out near and start")
    likeliest = method.invert(problem)
    rng, prior = (
        generator_of(problem.rng),
        prior_for(problem.model, problem.prior, problem.low, problem.high),
    )
    question = np.repeat(np.arange(len(problem.asked)), many)
    if around is None:
        chosen, under = _drawn(problem, prior, many, rng)
    else:
        chosen = _blindly(problem, around, question, rng)
        under = prior.likeliest(chosen)
    batch = replace(
        problem,
        asked=problem.asked[question],
        start=likeliest.images[question],
        drawn=Drawn(under, chosen, question, random=around is None),
    )
    result = method.invert(batch)
    component = under.components if isinstance(under, Chosen) else None
    draw = np.tile(np.arange(many), len(problem.asked))
    change = result.images - chosen
    return replace(result, draw=draw, likeliest=likeliest, change=change, component=component, second_best=None)


def _drawn(
    problem: Problem, prior: AnyPrior, many: int, rng: np.random.Generator
) -> tuple[Array, OnePrior | Chosen]:
    """Of images drawn from the prior those whose answers come nearest to what each question asks, its `many`.

    And what they were drawn from: of a mixture a component for each.
    """
    count = max(many, min(POOL, PIXELS // prior.inputs))
    under = prior.picked(count, rng) if isinstance(prior, MixturePrior) else prior
    pool = under.draw(rng) if isinstance(under, Chosen) else sample(under, count, rng)
    model, asked = quick_of(problem.model), problem.asked
    every, maps = signals_read(problem)
    origin, single = np.zeros(prior.inputs), np.float32
    readout = readout_for(model, asked.layer, every, origin, prior.deviation, asked.own, single)
    shown = (np.clip(pool, problem.low, problem.high) / prior.deviation).astype(single)
    signals, _ = readout.values(shown, np.arange(len(pool)))
    lacking = signals @ maps.transpose(0, 2, 1) - asked.values[:, None, :]
    order = np.argsort((lacking**2).sum(axis=2), axis=1, kind="stable")
    nearest = order[:, :many].ravel()
    return pool[nearest], under.of(nearest)


def sample(prior: AnyPrior, count: int, rng: np.random.Generator) -> Array:
    """So many images (count, inputs) as the prior draws them, each by itself; no box holds them."""
    if isinstance(prior, MixturePrior):
        return prior.draw(count, rng)
    if isinstance(prior, Prior):
        y = rng.standard_normal((count, prior.inputs), np.float32)
        y += prior.spread(rng.standard_normal((count, prior.rank), np.float32))
        return prior.unwhiten(y)
    return prior.unwhiten(prior.spread(prior.draw(2 * count, rng)[:count]))


def _blindly(problem: Problem, around: ArrayLike, question: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """One of the images for each draw, without a look at what they show."""
    images = reals(around, "the images around which is drawn", InversionError)
    if images.ndim != 2 or images.shape[1] != problem.model.inputs or not len(images):
        raise InversionError(
            f"draws are made around images (m, {problem.model.inputs}) in input scale; received {images.shape}"
        )
    return images[rng.integers(len(images), size=len(question))]
