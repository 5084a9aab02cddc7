"""One linearised back query inside its box: the likeliest image whose constraints, taken as linear, hold.

In whitened coordinates the prior's cost of an image y is ``min over u of |u|^2 / 2 + |y - F u|^2 / 2``, with F
the whitened factor. For constraints ``J y = b`` its minimum within the box has the form

    y = clip(F u + J' l, low, high),   u = F'(y - F u),   J y = b,

so the whole problem has as many unknowns (u, l) as the prior has directions and the question has constraints,
however many pixels there are. One semismooth Newton step on these equations is exact for the pixels that now
lie between their bounds (S), and of the pixels at a bound (B) it needs only sums of squares:

    (I + F_B' F_B) du - H' dl = -r_u,    H du + (J_S J_S' + damping) dl = r_b,    H = J_S F_S.

Of the prior this asks what `LowRank` says, and no matrix. A prior of as many directions as there are pixels takes
the step its own way (`spectral`): what a search asks of any prior is `Whitened`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.model import Array

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Kind = TypeVar("Kind", bound=np.generic)

ROUNDING = 1e-12
"""Damping that is always there, and more in float32, so that constraints which repeat one another do no harm."""


FLAT = 1e-30
"""Where the constraints do not depend on the pixels at all, their sensitivity counts as this much."""


class Whitened(Protocol):
    """What a search asks of a prior, in coordinates y about an origin, a box of which is a box of images."""

    def of(self, rows: Rows) -> Whitened:
        """The prior of the questions `rows` of a batch, each of which may have its own."""

    def explained(self, y: Array) -> tuple[Array, Array]:
        """What is kept of each image for further steps (n, ...), and its squared distance from the origin (n,)."""

    def precise(self, y: Array, kept: Array) -> Array:
        """C^-1 y for each image y (n, inputs), of which `explained` said `kept`."""

    def bound_pixels(self, images: int) -> Any:
        """What steps of so many images remember of one another, whose sets of bound pixels change."""

    def newton_step(self, here: Linearisation) -> Step:
        """One step of the linearised problem, or all of them."""


class Linearisation(NamedTuple):
    """A batch of images where the constraints are taken as linear: ``J (y - image) = residual`` is wanted.

    jacobian: (n, k, inputs); residual, multipliers: (n, k); image: (n, inputs); kept: what the prior `explained`
    of the images; low, high: (n, inputs) or (1, inputs); damping: (n,), in parts of the k x k system's mean
    diagonal, keeps the multipliers small; restore: (n,), where the likeliest *change of the image* is sought
    instead of the likeliest image; bound: what `bound_pixels` gave; rows: (n,), which images of its batch these
    are.
    """

    jacobian: Array
    residual: Array
    image: Array
    kept: Array
    multipliers: Array
    low: Array
    high: Array
    damping: Array
    restore: Mask
    bound: Any
    rows: Rows

    def astype(self, dtype: DTypeLike) -> Linearisation:
        """The same in another precision."""
        numbers = ("jacobian", "residual", "image", "kept", "multipliers", "low", "high", "damping")
        return self._replace(**{name: getattr(self, name).astype(dtype) for name in numbers})


class Step(Protocol):
    """Where one step leads: images `target` (n, inputs), with the constraints' `multipliers` (n, k)."""

    @property
    def target(self) -> Array:
        """(n, inputs)."""

    @property
    def multipliers(self) -> Array:
        """(n, k)."""

    def correction(self, residual: Array, rows: Rows) -> Array:
        """The likeliest change (n, inputs) of the free pixels that makes up for a `residual` (n, k)."""


class LowRank(Protocol):
    """A prior as operations, in coordinates y in which its covariance is ``I + F F'``.

    `Prior` is one. Nothing here shows F, so that one whose F is no matrix can be another. The exception proves the
    rule: `bound_pixels` inverts rank by rank systems, which a prior of few directions does exactly, by sums that
    it keeps up to date and Cholesky factors, and any other may do by conjugate gradients.
    """

    @property
    def rank(self) -> int:
        """How many directions, columns of F, there are."""

    def of(self, rows: Rows) -> LowRank:
        """See `Whitened`."""

    def spread(self, scores: Array) -> Array:
        """F u for each row u of scores (n, rank): (n, inputs)."""

    def gather(self, y: Array) -> Array:
        """F' y for each row y of (n, inputs) or (n, k, inputs): (n, rank) or (n, k, rank)."""


class Bound(Protocol):
    """Systems with ``I + F_B' F_B`` of many images; what helps is remembered from one set B to the next."""

    def solve(self, rows: Rows, free: Mask, sides: Array) -> Array:
        """Solutions (n, m, rank) for sides (n, m, rank) of the images `rows`, whose pixels `free` are not in B."""


class BoundPixels:
    """The sums ``I + F_B' F_B`` of many images, brought up to date as pixels reach or leave their bounds."""

    def __init__(self, factors: Sequence[Array]) -> None:
        """`factors`: F (inputs, rank) of each image, all of the same shape."""
        images, (inputs, rank) = len(factors), factors[0].shape
        self._factors = factors
        # A copy, because broadcast rows share their memory, and each image's sums change on their own.
        self._sums = np.broadcast_to(np.eye(rank), (images, rank, rank)).copy()
        self._free: Mask = np.ones((images, inputs), bool)

    def sums(self, rows: Rows, free: Mask) -> Array:
        """(images, rank, rank), right for `rows`, whose pixels `free` (n, inputs) lie between their bounds."""
        for row, now in zip(rows, free, strict=True):
            changed = np.flatnonzero(self._free[row] != now)
            if changed.size:
                part = self._factors[row].take(changed, axis=0)
                self._sums[row] += (part.T * np.where(now[changed], -1.0, 1.0)) @ part
        self._free[rows] = free
        return self._sums

    def solve(self, rows: Rows, free: Mask, sides: Array) -> Array:
        """See `Bound`."""
        from scipy.linalg.lapack import dposv

        if not sides.shape[-1]:
            return sides
        sums, solved = self.sums(rows, free), np.array(sides, np.float64)
        # One by one, because NumPy solves stacks by LU alone, which takes twice the work of Cholesky.
        for row, columns in zip(rows, solved, strict=True):
            dposv(sums[row].T, columns.T, lower=1, overwrite_b=1)
        return solved.astype(sides.dtype, copy=False)


@dataclass(frozen=True)
class Linearised:
    """One Newton step of a batch of linearised problems, and the factors that answer further residuals.

    target: (n, inputs), the images where the step leads; multipliers: (n, k).
    """

    target: Array
    multipliers: Array
    _prior: LowRank
    _inside: Array
    _free: Mask
    _response: Array
    _inverse: Array

    def correction(self, residual: Array, rows: Rows) -> Array:
        """The likeliest change (n, inputs) of the free pixels that makes up for a `residual` (n, k)."""
        multipliers = times(of_rows(self._inverse, rows), residual)
        change = self._prior.of(rows).spread(times_transposed(of_rows(self._response, rows), multipliers))
        change *= of_rows(self._free, rows)
        change += times_transposed(of_rows(self._inside, rows), multipliers)
        return change


def newton_step(prior: LowRank, here: Linearisation) -> Linearised:
    """One semismooth Newton step from (u, multipliers), u being the scores that are kept of the images."""
    jacobian, residual, image, u, multipliers, low, high, damping, restore, bound, rows = here
    forget = restore[:, None] if restore.any() else None
    if forget is not None:
        multipliers = np.where(forget, 0.0, multipliers)
    likeliest = prior.spread(u)
    pull = likeliest + times_transposed(jacobian, multipliers)
    if forget is not None:
        pull = np.where(forget, _released(prior, jacobian, residual, image, low, high), pull)
    inside_box = boxed(pull, low, high)
    free = inside_box == pull
    if forget is not None:
        inside_box = np.where(forget, image, inside_box)
    r_u = u - prior.gather(inside_box - likeliest)
    if forget is not None:
        r_u = np.where(forget, 0.0, r_u)

    inside = jacobian * free[:, None, :]
    mixed = prior.gather(inside)
    k = mixed.shape[1]
    solved = bound.solve(rows, free, np.concatenate([mixed, r_u[:, None]], axis=1))
    response, shift = solved[:, :k], solved[:, k]
    # The Schur complement: with du eliminated, k unknowns are left for each image.
    gain = inside @ inside.transpose(0, 2, 1) + mixed @ response.transpose(0, 2, 1)
    rounding = max(ROUNDING, float(np.finfo(gain.dtype).eps))
    damped = (damping[:, None] + rounding) * lifted(gain, damping + rounding)
    # Inverted rather than factored: it is k x k, and every correction multiplies by it again.
    inverse = np.linalg.inv(gain)

    r_b = residual - times(jacobian, inside_box - image)
    if damping.any():
        r_b -= damped * (multipliers - _centre(inverse, inside, image, forget))
    step = times(inverse, r_b + times(mixed, shift))
    change = prior.spread(times_transposed(response, step) - shift) + times_transposed(jacobian, step)
    # The pull moves, not the clipped image: a pixel leaves its bound as soon as its pull has come inside.
    target = pull + change if forget is None else np.where(forget, image + change * free, pull + change)
    target = boxed(target, low, high)
    return Linearised(target, multipliers + step, prior, inside, free, response, inverse)


def lifted(gain: Array, share: Array | float) -> Array:
    """The mean diagonals (n, 1) of square matrices, after `share` of them was added to the diagonals in place."""
    k = gain.shape[1]
    unit: Array = np.maximum(np.einsum("nkk->n", gain) / k, FLAT)[:, None]
    gain.reshape(len(gain), -1)[:, :: k + 1] += np.reshape(share, (-1, 1)) * unit
    return unit


def _centre(inverse: Array, inside: Array, image: Array, forget: Mask | None) -> Array:
    """The multipliers that fit the image as it is: what damping draws towards."""
    fitting = times(inverse, times(inside, image))
    return fitting if forget is None else np.where(forget, 0.0, fitting)


def _released(prior: LowRank, jacobian: Array, residual: Array, image: Array, low: Array, high: Array) -> Array:
    """The images, with the pixels at a bound that cannot help to make up for the residual moved beyond it."""
    wish = times_transposed(jacobian, residual)
    # The prior's covariance, I + F F' in these coordinates, says which pixels move together.
    wish += prior.spread(prior.gather(wish))
    stuck = ((image <= low) & (wish < 0)) | ((image >= high) & (wish > 0))
    return image + np.where(stuck, wish, 0.0)


def matrix_product(stack: Array, matrix: Array) -> Array:
    """(..., a) times (a, b), as one product of matrices."""
    # One tall product keeps BLAS busy, where a stack would be n small ones.
    flat = stack.reshape(-1, stack.shape[-1]) @ matrix
    return flat.reshape(*stack.shape[:-1], matrix.shape[1])


def times(matrices: Array, vectors: Array) -> Array:
    """(n, a, b) times (n, b); a matrix (a, b) is the same for all."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def times_transposed(matrices: Array, vectors: Array) -> Array:
    """(n, a, b)' times (n, a)."""
    return (vectors[:, None, :] @ matrices)[:, 0, :]


def boxed(y: Array, low: Array, high: Array) -> Array:
    """Images (n, inputs) with every pixel between its bounds."""
    inside = np.maximum(y, low)
    return np.minimum(inside, high, out=inside)


def of_rows(values: NDArray[Kind], rows: Rows) -> NDArray[Kind]:
    """The values (n, ...) of these rows, each once and in order; (1, ...) where all have the same.

    Where they are all there are, nothing is copied.
    """
    return values if len(values) == 1 or len(values) == len(rows) else values[rows]
