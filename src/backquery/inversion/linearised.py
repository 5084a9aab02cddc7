"""One linearised back query inside its box: the likeliest image whose constraints, taken as linear, hold.

In whitened coordinates the prior's cost of an image y is ``min over u of |u|^2 / 2 + |y - F u|^2 / 2``, with F
the whitened factor. For constraints ``J y = b`` its minimum within the box has the form

    y = clip(F u + J' l, low, high),   u = F'(y - F u),   J y = b,

so the whole problem has as many unknowns (u, l) as the prior has directions and the question has constraints,
however many pixels there are. One semismooth Newton step on these equations is exact for the pixels that now
lie between their bounds (S), and of the pixels at a bound (B) it needs only sums of squares:

    (I + F_B' F_B) du - H' dl = -r_u,    H du + (J_S J_S' + damping) dl = r_b,    H = J_S F_S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.model import Array

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

ROUNDING = 1e-12
"""Damping that is always there, so that constraints which repeat one another do no harm."""


FLAT = 1e-30
"""Where the constraints do not depend on the pixels at all, their sensitivity counts as this much."""


class BoundPixels:
    """The sums ``I + F_B' F_B`` of many images, brought up to date as pixels reach or leave their bounds."""

    def __init__(self, factor: Array, images: int) -> None:
        inputs, rank = factor.shape
        self._factor = factor
        # A copy, because broadcast rows share their memory, and each image's sums change on their own.
        self._sums = np.broadcast_to(np.eye(rank), (images, rank, rank)).copy()
        self._free: Mask = np.ones((images, inputs), bool)

    def sums(self, rows: Rows, free: Mask) -> Array:
        """(n, rank, rank) for the images `rows`, whose pixels `free` (n, inputs) lie between their bounds."""
        for row, now in zip(rows, free, strict=True):
            changed = np.flatnonzero(self._free[row] != now)
            if changed.size:
                part = self._factor[changed]
                self._sums[row] += (part * np.where(now[changed], -1.0, 1.0)[:, None]).T @ part
        self._free[rows] = free
        return self._sums


@dataclass(frozen=True)
class Linearised:
    """One Newton step of a batch of linearised problems, and the factors that answer further residuals.

    target: (n, inputs), the images where the step leads; u: (n, rank); multipliers: (n, k).
    """

    target: Array
    u: Array
    multipliers: Array
    _factor: Array
    _inside: Array
    _free: Mask
    _response: Array
    _inverse: Array

    def correction(self, residual: Array, rows: Rows) -> Array:
        """The likeliest change (n, inputs) of the free pixels that makes up for a `residual` (n, k)."""
        multipliers = times(self._inverse[rows], residual)
        along = times(self._response[rows], multipliers) @ self._factor.T
        return along * self._free[rows] + times_transposed(self._inside[rows], multipliers)


def newton_step(
    factor: Array,
    jacobian: Array,
    residual: Array,
    image: Array,
    u: Array,
    multipliers: Array,
    *,
    low: Array,
    high: Array,
    damping: Array,
    restore: Mask,
    bound: BoundPixels,
    rows: Rows,
) -> Linearised:
    """One semismooth Newton step from (u, multipliers) towards ``J (y - image) = residual``.

    Where `restore` (n,) is set, the likeliest *change of the image* is sought instead of the likeliest image.
    `damping` (n,), in parts of the k x k system's mean diagonal, keeps the multipliers small.
    """
    forget = restore[:, None] if restore.any() else None
    if forget is not None:
        multipliers = np.where(forget, 0.0, multipliers)
    likeliest = u @ factor.T
    pull = likeliest + times_transposed(jacobian, multipliers)
    if forget is not None:
        pull = np.where(forget, _released(factor, jacobian, residual, image, low, high), pull)
    free = (pull >= low) & (pull <= high)
    here = np.minimum(np.maximum(pull, low), high)
    if forget is not None:
        here = np.where(forget, image, here)
    r_u = u - (here - likeliest) @ factor
    if forget is not None:
        r_u = np.where(forget, 0.0, r_u)

    inside = jacobian * free[:, None, :]
    mixed = matrix_product(inside, factor)
    response, shift = _solve_positive(bound.sums(rows, free), rows, mixed, r_u)
    # The Schur complement: with du eliminated, k unknowns are left for each image.
    gain = inside @ inside.transpose(0, 2, 1) + mixed @ response
    k = gain.shape[1]
    unit = np.maximum(np.einsum("nkk->n", gain) / k, FLAT)
    damped = ((damping + ROUNDING) * unit)[:, None]
    gain.reshape(len(gain), -1)[:, :: k + 1] += damped
    # Inverted rather than factored: it is k x k, and every correction multiplies by it again.
    inverse = np.linalg.inv(gain)

    r_b = residual - times(jacobian, here - image)
    if damping.any():
        r_b -= damped * (multipliers - _centre(inverse, inside, image, forget))
    step = times(inverse, r_b + times(mixed, shift))
    u_step = times(response, step) - shift
    change = u_step @ factor.T + times_transposed(jacobian, step)
    # The pull moves, not the clipped image: a pixel leaves its bound as soon as its pull has come inside.
    target = pull + change if forget is None else np.where(forget, image + change * free, pull + change)
    target = np.minimum(np.maximum(target, low), high)
    return Linearised(target, u + u_step, multipliers + step, factor, inside, free, response, inverse)


def _centre(inverse: Array, inside: Array, image: Array, forget: Mask | None) -> Array:
    """The multipliers that fit the image as it is: what damping draws towards."""
    fitting = times(inverse, times(inside, image))
    return fitting if forget is None else np.where(forget, 0.0, fitting)


def _released(factor: Array, jacobian: Array, residual: Array, image: Array, low: Array, high: Array) -> Array:
    """The images, with the pixels at a bound that cannot help to make up for the residual moved beyond it."""
    wish = times_transposed(jacobian, residual)
    # The prior's covariance, I + F F' in these coordinates, says which pixels move together.
    wish += (wish @ factor) @ factor.T
    stuck = ((image <= low) & (wish < 0)) | ((image >= high) & (wish > 0))
    return image + np.where(stuck, wish, 0.0)


def _solve_positive(matrices: Array, rows: Rows, mixed: Array, r_u: Array) -> tuple[Array, Array]:
    """``A^-1 H'`` (n, rank, k) and ``A^-1 r`` (n, rank) for positive definite A, by Cholesky factors."""
    from scipy.linalg.lapack import dposv

    n, k, rank = mixed.shape
    solved = np.empty((n, k + 1, rank))
    solved[:, :k], solved[:, k] = mixed, r_u
    if rank:
        # One by one, because NumPy solves stacks by LU alone, which takes twice the work of Cholesky.
        for row, sides in zip(rows, solved, strict=True):
            sides[...] = dposv(matrices[row], sides.T, lower=1)[1].T
    return solved[:, :k].transpose(0, 2, 1), solved[:, k]


def matrix_product(stack: Array, matrix: Array) -> Array:
    """(n, k, a) times (a, b), as one product of matrices."""
    # One tall product keeps BLAS busy, where a stack would be n small ones.
    flat = stack.reshape(-1, stack.shape[-1]) @ matrix
    return flat.reshape(*stack.shape[:-1], matrix.shape[1])


def times(matrices: Array, vectors: Array) -> Array:
    """(n, a, b) times (n, b); a matrix (a, b) is the same for all."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def times_transposed(matrices: Array, vectors: Array) -> Array:
    """(n, a, b)' times (n, a)."""
    return (vectors[:, None, :] @ matrices)[:, 0, :]
