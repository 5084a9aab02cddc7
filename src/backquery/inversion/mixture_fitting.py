"""A mixture of low-rank Gaussians, fitted to images without their labels.

Mixtures of probabilistic principal component analysers (Tipping & Bishop 1999), from clusters, and from these by
as many rounds of expectation and maximisation as are asked for, with one difference: images are taken as seen
through the noise that every pixel is granted alone, so that the fitted covariances are ``F F' + noise I`` with the
cluster's own leading variances in F. One component then is the one mean and covariance that statistics always
were.

The fitting works on the images' scores along their common leading directions, of which a few hundred hold nearly
all that images vary by, and which are all the same to it otherwise.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from backquery.model import Array, Seed, generator_of

COUNTS = (120, 40, 20, 10)
"""Numbers of components: the first is kept that there are images enough for, as more describe images better."""

DIRECTIONS = 24
"""Directions of each component at most: so many of 120 components take 4 MB where there are 784 inputs.

More describe held-out images better, yet what is sought under them is no clearer.
"""

PROVEN_BY, PROVEN_WITH, PROVEN_ON = 40, 30, 10_000
"""How many components, with how many directions, fitted to how many images, must describe others better than one
mean does with all of its own directions.
"""

PAYS = 0.04
"""What components must add to the log density of held-out images, in nats for each pixel.

Digits that stand in the middle gain 0.02, silhouettes of animals 0.06, digits anywhere 0.12, shapes 0.56.
"""

IMAGES_EACH = 150
"""Images that there must be for each component, which would else be a picture rather than what pictures have in
common.
"""

KMEANS_WIDTH = 40
"""Leading directions in which the first clusters are sought."""

ROUNDS = 0
"""Rounds of expectation and maximisation. From clusters, the first gains a hundredth of what components do and
takes as long as all before it; what is sought under them is as clear without.
"""

NEGLIGIBLE = 1e-8
"""A responsibility below this moves nothing."""

HELD_OUT = 6
"""One in so many images is held out."""


class Components(NamedTuple):
    """Gaussians over scores: weights (m,), centres (m, width), variances (m, rank), axes (m, width, rank).

    The covariance of component j is ``axes[j] diag(variances[j]) axes[j]' + noise I``; what a component lacks in
    rank has a variance of 0.
    """

    weights: Array
    centres: Array
    variances: Array
    axes: Array

    def __len__(self) -> int:
        return len(self.weights)


def worthwhile(scores: Array, noise: float, one: Components, pixels: int, most: int) -> int | None:
    """How many components pay, by held-out scores, or None where `one`, what there would be without, does as well.

    scores: (n, width), centred, in random order; pixels: how many there are, for `PAYS`; most: the largest number
    that is allowed.
    """
    count = next((count for count in COUNTS if count <= most), None)
    if count is None or proven(scores, noise, one, min(count, PROVEN_BY)) < PAYS * pixels:
        return None
    return count


def proven(scores: Array, noise: float, one: Components, count: int = PROVEN_BY) -> float:
    """What so many components add to the mean log density of held-out scores, in nats."""
    apart = len(scores) // HELD_OUT
    held_out, used = scores[:apart], scores[apart:]
    found = fit_components(used, noise, count, rank=PROVEN_WITH, rounds=0)
    return log_likelihood(held_out, found, noise) - log_likelihood(held_out, one, noise)


def fit_components(
    scores: Array, noise: float, count: int, *, rank: int = DIRECTIONS, rounds: int = ROUNDS, rng: Seed = 0
) -> Components:
    """At most `count` components of scores (n, width): clusters by k-means, then so many `rounds` from there."""
    responsibilities = _clusters(scores, count, generator_of(rng))
    components = maximise(scores, responsibilities, rank)
    for _ in range(rounds if count > 1 else 0):
        responsibilities = expect(scores, components, noise)[0]
        components = maximise(scores, responsibilities, rank)
    return components


def _clusters(scores: Array, count: int, rng: np.random.Generator) -> Array:
    from scipy.cluster.vq import kmeans2

    if count == 1:
        return np.ones((len(scores), 1), bool)
    with warnings.catch_warnings():
        # A cluster that loses all its images is dropped when the likelihood is maximised.
        warnings.simplefilter("ignore", UserWarning)
        _, of_image = kmeans2(scores[:, :KMEANS_WIDTH], count, iter=10, minit="points", rng=rng)
    return np.asarray(of_image[:, None] == np.arange(count))


def maximise(scores: Array, responsibilities: Array, rank: int) -> Components:
    """The likeliest components for responsibilities (n, m); one that answers for less than two images is dropped.

    Each has its cluster's own mean and leading variances (Tipping & Bishop 1999, appendix C; the noise that
    images are seen through is in the covariance already, and so is not taken off).
    """
    kept = [weight for weight in responsibilities.T if weight.sum() >= 2]
    found = [_one_component(scores, weight, rank) for weight in kept]
    centres, variances, axes = (np.stack(part) for part in zip(*found, strict=True))
    weights = np.array([weight.sum() for weight in kept])
    return Components(weights / weights.sum(), centres, variances, axes)


def _one_component(scores: Array, weight: Array, rank: int) -> tuple[Array, Array, Array]:
    rows = np.flatnonzero(weight > NEGLIGIBLE)
    share = (weight[rows] / weight[rows].sum()).astype(scores.dtype)
    centre = share @ scores[rows]
    centred = (scores[rows] - centre) * np.sqrt(share)[:, None]
    variances, axes = _leading(centred, min(rank, scores.shape[1]))
    return centre, variances, axes


def _leading(centred: Array, rank: int) -> tuple[Array, Array]:
    """The leading variances (rank,) and axes (width, rank) of ``centred' centred``."""
    from scipy.linalg import eigh

    few = len(centred) < centred.shape[1]
    products = centred @ centred.T if few else centred.T @ centred
    last = len(products) - 1
    squares, vectors = eigh(products, subset_by_index=(max(0, last + 1 - rank), last), check_finite=False)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    alive = squares > 1e-7 * max(squares[0], np.finfo(float).tiny)
    squares, vectors = squares[alive], vectors[:, alive]
    if few:
        vectors = centred.T @ vectors / np.sqrt(squares)
    lacking = rank - len(squares)
    return np.pad(squares, (0, lacking)), np.pad(vectors, ((0, 0), (0, lacking)))


def expect(scores: Array, components: Components, noise: float) -> tuple[Array, float]:
    """Responsibilities (n, m), and the mean log likelihood of scores seen through the noise (a lower bound)."""
    # The noise adds what it adds to the squared distance on average: noise times the trace of the precision.
    traces = np.sum(noise / (components.variances + noise) - 1.0, axis=1)
    joint = log_densities(scores, components, noise) - 0.5 * traces
    each = np.logaddexp.reduce(joint, axis=1)
    return np.exp(joint - each[:, None]), float(each.mean())


def log_likelihood(scores: Array, components: Components, noise: float) -> float:
    """The mean log density of scores (n, width), as they are."""
    return float(np.logaddexp.reduce(log_densities(scores, components, noise), axis=1).mean())


def log_densities(scores: Array, components: Components, noise: float) -> Array:
    """The log density of scores (n, width) together with each component (n, m); that of the noise alone, at the
    origin, counts as 0.
    """
    # A sample may be in float32, which is enough for it: nothing may take it to float64 as a whole.
    components = Components(*(part.astype(scores.dtype) for part in components))
    joint = (scores @ components.centres.T - 0.5 * np.sum(components.centres**2, axis=1)) / noise
    joint -= 0.5 * np.einsum("ij,ij->i", scores, scores)[:, None] / noise
    for j, (weight, centre, variances, axes) in enumerate(zip(*components, strict=True)):
        along = scores @ axes - centre @ axes
        explained = along**2 @ (variances / (variances + noise)) / noise
        joint[:, j] += np.log(weight) + 0.5 * (explained - np.log1p(variances / noise).sum())
    return np.asarray(joint)
