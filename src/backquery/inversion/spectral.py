"""Priors with as many directions as there are pixels: independent in orthogonal waves over rows, columns, colours.

A covariance ``T' diag(v) T + L L'`` needs no matrix of pixels by pixels, nor a factor of it: T takes an image to
its coefficients along rows, columns and channels in turn, each by a small orthogonal matrix, v are their
variances, and L has few columns or none. So memory grows with the pixels, and a product costs little more than
reading the image.

The linearised back query of `linearised` is solved here for such a covariance C. Its answer has the form

    y = C (J' l + s),   J y = b,   low <= y <= high,

where s, a force that holds a pixel at its bound, is zero wherever the pixel lies between its bounds (B: the pixels
at one). With l eliminated, ``P_BB s_B = rest`` with ``P = C - C J' (J C J')^-1 J C`` is solved by conjugate
gradients; pixels that a force would pull inwards leave B, those that left the box enter it, until nothing changes
(the primal-dual active set method: Hintermüller, Ito & Kunisch 2003).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from backquery.errors import InversionError
from backquery.inversion.gaussian import Gaussian
from backquery.inversion.linearised import ROUNDING, Linearisation, Mask, Rows, boxed, lifted
from backquery.inversion.waves import Waves
from backquery.model import Array

PRECISE = 2**15
"""Pixels up to which steps are worked out in float64: where they lead, the search verifies anyway."""

ROUNDS = (6, 4)
"""How often the set of bound pixels is guessed anew in a step, which the next step goes on with; if large."""

TINY = 1e-30
"""Changes smaller than this are none."""

ASTRAY = 2
"""A set of bound pixels that grows to so many times what it was leads to ever larger ones."""

ITERATIONS, ACCURATE = (40, 20), (1e-3, 1e-2)
"""Conjugate gradients at most for each guess, and the share of the error from which on it is good enough."""


@dataclass(frozen=True, eq=False)
class SpectralPrior(Gaussian):
    """N(mean, D (T' diag(variances) T + L L') D): as many directions as there are pixels, and no matrix of them.

    mean, deviation: (inputs,), D being the diagonal matrix of `deviation`; waves: T; variances: as coefficients
    lie, positive; factor: L, (inputs, rank) where rank may be 0. Others, or numbers that are not finite, raise
    `InversionError`. Waves are an orthonormal discrete cosine transform (DCT-II; Ahmed, Natarajan & Rao 1974).
    """

    name: str
    mean: Array
    deviation: Array
    waves: Waves
    variances: Array
    factor: Array

    def __post_init__(self) -> None:
        inputs = self.waves.layout.inputs
        fits = self.mean.shape == self.deviation.shape == (inputs,) and self.factor.shape[:1] == (inputs,)
        if not fits or self.variances.shape != self.waves.shape:
            raise InversionError(
                f"a spectral prior of {inputs} pixels needs a mean and a deviation for each, variances "
                f"{self.waves.shape} and a factor (inputs, rank); received {self.mean.shape}, "
                f"{self.deviation.shape}, {self.variances.shape} and {self.factor.shape}"
            )
        for part in ("mean", "deviation", "variances", "factor"):
            if not np.all(np.isfinite(getattr(self, part))):
                raise InversionError(f"the {part} of the prior {self.name!r} holds numbers that are not finite")
        if np.any(self.variances <= 0) or np.any(self.deviation <= 0):
            raise InversionError("the variances and deviations of a prior must be positive")

    @property
    def rank(self) -> int:
        """How many directions there are."""
        return self.inputs

    def covary(self, y: Array) -> Array:
        """C y for each y of (..., inputs), in whitened coordinates."""
        product = self.waves.images(self.variances * self.waves.coefficients(y))
        if not self.factor.shape[1]:
            return product
        # In the factor's own precision: nothing may take it to float64 as a whole.
        return product + (y.astype(self.factor.dtype, copy=False) @ self.factor) @ self.factor.T

    def precision_times(self, y: Array) -> Array:
        """C^-1 y for each y of (..., inputs), by Woodbury's identity in the space of L."""
        if self._large and y.dtype != np.float32:
            return self._roughly.precision_times(y.astype(np.float32))
        product = self._wave_precision_times(y)
        if not self.factor.shape[1]:
            return product
        return product - (product @ self.factor) @ self._inner @ self._explaining

    def explained(self, y: Array) -> tuple[Array, Array]:
        """C^-1 y (n, inputs), and the squared Mahalanobis distance (n,) of each image."""
        kept = self.precision_times(y)
        return kept, np.asarray(np.einsum("ij,ij->i", y, kept, dtype=np.float64))

    def precise(self, y: Array, kept: Array) -> Array:
        """C^-1 y, which is what is kept."""
        return kept

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Images (count, inputs) in whitened coordinates as the prior draws them, each with its mirror image."""
        half = count // 2
        coefficients = np.sqrt(self.variances) * rng.normal(size=(half, *self.variances.shape))
        y = self.waves.images(coefficients) + rng.normal(size=(half, self.factor.shape[1])) @ self.factor.T
        return np.concatenate([y, -y])

    def spread(self, scores: Array) -> Array:
        """The images that draws `scores` (n, inputs) from N(0, 1) are, less the mean."""
        return scores

    @cached_property
    def log_peak(self) -> float:
        """The natural logarithm of the density at the mean."""
        gram = np.linalg.inv((self._roughly if self._large else self)._inner)
        spread = np.log(self.variances).sum() + np.linalg.slogdet(gram)[1]
        return float(-0.5 * (self.inputs * np.log(2 * np.pi) + spread) - np.log(self.deviation).sum())

    def bound_pixels(self, images: int) -> None:
        """Nothing: what a step needs of the ones before, `explained` says."""

    def newton_step(self, here: Linearisation) -> SpectralSteps:
        """The linearised problem, solved, not only brought one step nearer: see `linearised.Whitened`."""
        if self._large and here.jacobian.dtype != np.float32:
            return self._roughly.newton_step(here.astype(np.float32))
        each = []
        for row, restore in enumerate(here.restore):
            box = Box(*(bounds[row % len(bounds)] for bounds in (here.low, here.high)))
            asked = Asked(here.jacobian[row], here.residual[row], float(here.damping[row]))
            if restore:
                each.append(self._restored(asked, here.image[row], box))
            else:
                each.append(self._solved(asked, here.image[row], here.kept[row], here.multipliers[row], box))
        return SpectralSteps(each)

    def _solved(self, asked: Asked, image: Array, kept: Array, multipliers: Array, box: Box) -> SpectralStep:
        """The likeliest image in the box whose linearised constraints are those asked for."""
        force = kept - multipliers @ asked.jacobian
        force = np.where((image <= box.low) & (force > 0) | (image >= box.high) & (force < 0), force, 0.0)
        wanted = asked.residual + asked.jacobian @ image
        linear = self._linear(asked, np.ones_like(image))
        # Damping draws towards the multipliers that fit the image as it is, bound pixels being held.
        centre = linear.inverse @ (asked.jacobian @ image - linear.covaried @ force)
        step = self._in_box(linear, wanted + linear.damped * centre, force, box)
        return step or SpectralStep(self, image, multipliers, linear, np.ones_like(image, bool))

    def _restored(self, asked: Asked, image: Array, box: Box) -> SpectralStep:
        """A likely change of the image itself that brings the constraints nearer.

        Pixels take part as far as they can go: each is weighted by the share of its free change that the box
        leaves room for, so that next to a bound a change fades out instead of being cut off (affine scaling:
        Coleman & Li 1996).
        """
        free = self._linear(asked, np.ones_like(image))
        change = (free.inverse @ asked.residual) @ free.covaried
        room = np.where(change > 0, box.high - image, image - box.low)
        weights = np.minimum(room / np.maximum(np.abs(change), TINY), 1.0)
        linear = free if np.all(weights == 1) else self._linear(asked, weights)
        multipliers = linear.inverse @ asked.residual
        target = boxed(image + multipliers @ linear.covaried, box.low, box.high)
        return SpectralStep(self, target, multipliers, linear, np.ones_like(image, bool))

    def _linear(self, asked: Asked, weights: Array) -> Linear:
        """The constraints where each pixel takes part by its weight, (inputs,)."""
        covaried = self.covary(asked.jacobian * weights) * weights
        gain = (asked.jacobian @ covaried.T)[None].astype(np.float64)
        share = asked.damping + ROUNDING
        damped = share * float(lifted(gain, share)[0, 0])
        return Linear(asked.jacobian, covaried, np.linalg.inv(gain[0]).astype(covaried.dtype), damped)

    def _in_box(self, linear: Linear, wanted: Array, force: Array, box: Box) -> SpectralStep | None:
        """Solve for the forces at the bounds, guessing again which pixels are there as long as that changes.

        None where the guesses go astray, which takes a large image long and comes to nothing.
        """
        low, high = force > 0, force < 0
        for _ in range(ROUNDS[self._large]):
            bound = np.flatnonzero(low | high)
            held = np.where(low, box.low, box.high)[bound]
            free_image = (linear.inverse @ wanted) @ linear.covaried
            force = self._forces(linear, bound, held - free_image[bound], force)
            multipliers = linear.inverse @ (wanted - linear.covaried @ force)
            target = multipliers @ linear.covaried + (self.covary(force) if bound.size else 0.0)
            free = force == 0
            next_low = np.where(free, target < box.low, force > 0)
            next_high = np.where(free, target > box.high, force < 0)
            if self._large and np.sum(next_low | next_high) > ASTRAY * bound.size > 0:
                return None
            if np.array_equal(next_low, low) and np.array_equal(next_high, high):
                break
            low, high = next_low, next_high
        inside = (target > box.low) & (target < box.high) & (force == 0)
        return SpectralStep(self, boxed(target, box.low, box.high), multipliers, linear, inside)

    def _forces(self, linear: Linear, bound: Rows, wanted: Array, start: Array) -> Array:
        """The forces (inputs,), zero but at `bound`, that move these pixels by `wanted`, the constraints kept."""
        force = np.zeros_like(start)
        if not bound.size:
            return force

        def full(part: Array) -> Array:
            image = np.zeros_like(start)
            image[bound] = part
            return image

        def moved(part: Array) -> Array:
            held = full(part)
            return (self.covary(held) - (linear.inverse @ (linear.covaried @ held)) @ linear.covaried)[bound]

        force[bound] = conjugate_gradients(
            moved, wanted, start[bound], lambda part: self._wave_precision_times(full(part))[bound],
            ITERATIONS[self._large], ACCURATE[self._large],
        )  # fmt: skip
        return force

    @property
    def _large(self) -> bool:
        return self.inputs > PRECISE

    @cached_property
    def _roughly(self) -> SpectralPrior:
        """The same prior in float32, twice as quick."""
        waves = {name: getattr(self.waves, name).astype(np.float32) for name in ("rows", "columns", "channels")}
        parts = ("mean", "deviation", "variances", "factor")
        return replace(
            self,
            waves=replace(self.waves, **waves),
            **{name: getattr(self, name).astype(np.float32, copy=False) for name in parts},
        )

    def _wave_precision_times(self, y: Array) -> Array:
        return self.waves.images(self.waves.coefficients(y) / self.variances)

    @cached_property
    def _explaining(self) -> Array:
        """L' times the precision of the waves, (rank, inputs)."""
        found = np.empty(self.factor.shape[::-1], self.factor.dtype)
        for direction, column in zip(found, self.factor.T, strict=True):
            direction[:] = self._wave_precision_times(column)
        return found

    @cached_property
    def _inner(self) -> Array:
        """``(I + L' S^-1 L)^-1``, (rank, rank), with S the covariance of the waves."""
        return np.asarray(np.linalg.inv(np.eye(self.factor.shape[1]) + self._explaining @ self.factor))


class Asked(NamedTuple):
    """One image's linearised constraints: jacobian (k, inputs), residual (k,), and how strongly it is damped."""

    jacobian: Array
    residual: Array
    damping: float


class Box(NamedTuple):
    """The lowest and highest inputs (inputs,)."""

    low: Array
    high: Array


class Linear(NamedTuple):
    """J (k, inputs), J C (k, inputs), the inverse of the damped J C J' (k, k), and what damping added to it.

    Where pixels are weighted by W, C is W C W.
    """

    jacobian: Array
    covaried: Array
    inverse: Array
    damped: float


@dataclass(frozen=True)
class SpectralStep:
    """Where one image's step leads (inputs,), its multipliers (k,), and which pixels lie `inside` their bounds."""

    prior: SpectralPrior
    target: Array
    multipliers: Array
    linear: Linear
    inside: Mask

    def correction(self, residual: Array) -> Array:
        """The change (inputs,), of pixels inside the box, that makes up for a residual (k,)."""
        return (self._inverse @ residual) @ self._directions

    @cached_property
    def _directions(self) -> Array:
        if self.inside.all():
            return self.linear.covaried
        return self.prior.covary(self.linear.jacobian * self.inside) * self.inside

    @cached_property
    def _inverse(self) -> Array:
        gain = (self.linear.jacobian @ self._directions.T).astype(np.float64)
        # As damped as the step: what hardly depends on the image is not corrected at any price.
        return np.asarray(np.linalg.inv(gain + self.linear.damped * np.eye(len(gain))))


@dataclass(frozen=True)
class SpectralSteps:
    """The steps of a batch of images, as `linearised.Step`."""

    each: list[SpectralStep]

    @cached_property
    def target(self) -> Array:
        """See `linearised.Step`."""
        return np.stack([step.target for step in self.each])

    @cached_property
    def multipliers(self) -> Array:
        """See `linearised.Step`."""
        return np.stack([step.multipliers for step in self.each])

    def correction(self, residual: Array, rows: Rows) -> Array:
        """See `linearised.Step`."""
        return np.stack([self.each[row].correction(part) for row, part in zip(rows, residual, strict=True)])


def conjugate_gradients(
    times: Callable[[Array], Array],
    wanted: Array,
    start: Array,
    nearly_inverse: Callable[[Array], Array],
    iterations: int,
    accurate: float,
) -> Array:
    """A solution x (m,) of ``A x = wanted`` for a positive A given by products (Hestenes & Stiefel 1952).

    It ends after so many iterations, or where the error is no more than the share `accurate` of `wanted`.
    """
    x = start.copy()
    residual = wanted - times(x)
    direction, goal, before = np.zeros_like(x), accurate * np.linalg.norm(wanted), 1.0
    for _ in range(iterations):
        if np.linalg.norm(residual) <= goal:
            break
        guess = nearly_inverse(residual)
        size = float(residual @ guess)
        direction = guess + (size / before) * direction
        along = times(direction)
        curvature = float(direction @ along)
        if curvature <= 0:
            break
        x += (size / curvature) * direction
        residual -= (size / curvature) * along
        before = size
    return x
