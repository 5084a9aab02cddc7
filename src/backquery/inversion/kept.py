"""What a layer kept of an image: the likeliest image that gives the layer the same signals.

Mahendran & Vedaldi (2015, "Understanding deep image representations by inverting them") look for an image whose
representation is near that of a given one, under a prior. Here the prior N(m, C) is that of every back query, and
class-blind. Of all images within the box whose signals g(x) are those, a, of the given image, up to a `tolerance`
of their length, the likeliest is meant. A layer of few signals is asked for each of them, by the search that any
back query takes. Thousands would need a Jacobian of as many rows: there

    (x - m)' C^-1 (x - m) / 2 + weight |g(x) - a|^2 / (2 |a|^2)

is minimised by L-BFGS-B (Byrd et al. 1995), which needs one gradient a step and holds the box exactly, and the
weight rises until the tolerance is kept: the least weight is the most that the prior may say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError, InversionError
from backquery.inversion.gauss_newton import GaussNewton
from backquery.inversion.mixtures import AnyPrior, MixturePrior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.problem import Problem, box
from backquery.inversion.readouts import layer_named
from backquery.inversion.targets import Targets, nodes_of_hidden
from backquery.model import (
    IDENTITY,
    Array,
    Labels,
    Model,
    Network,
    brief,
    checked_inputs,
    labels_read,
    logits_and_products,
    quick_of,
)
from backquery.model.declared import declared

Constraint = Literal["hard", "least squares"]

FEW = 64
"""Signals up to which each is a constraint of its own."""

EXACT = 1e-3
"""How far the signals of a hard constraint may be off, in parts of their length."""

WEIGHTS = tuple(10.0**power for power in range(7))
"""What the squared error weighs, in turn, in parts of the number of pixels."""

EVALUATIONS = 50
"""Images run at most for each weight."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What a layer kept of n images.

    layer: its name or number; shape: that of its signals for one image. originals, images: (n, inputs) in input
    scale, those given, and the likeliest with the same signals; error: (n,), how far these are off, in parts of
    the length of the originals' signals; within: (n,), whether no more than the tolerance. original_answers,
    answers: (n, outputs), what the model answers to either; original_read, read: (n,), the labels it reads,
    `UNREAD` where it reads none. constraint: how each was asked for, ``"hard"`` or ``"least squares"``.
    prior: its name. evaluated: (n,), the steps of the search, or the images that least squares ran.
    """

    __repr__ = brief

    layer: int | str
    shape: tuple[int, ...]
    originals: Array
    images: Array
    error: Array
    within: NDArray[np.bool_]
    original_answers: Array
    answers: Array
    original_read: Labels
    read: Labels
    constraint: tuple[Constraint, ...]
    prior: str
    evaluated: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def as_json(self) -> dict[str, Any]:
        """All but the images, as plain values."""
        lists = {
            name: getattr(self, name).tolist()
            for name in ("error", "within", "original_answers", "answers", "evaluated")
        }
        named = {"layer": self.layer, "shape": list(self.shape), "prior": self.prior}
        return {**named, "constraint": list(self.constraint), **lists}


@declared(InversionError)
def kept_by_layer(
    model: Model,
    layer: int | str,
    images: ArrayLike,
    *,
    prior: str | AnyPrior | None = None,
    tolerance: float = 0.05,
    constraint: Constraint | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
) -> Kept:
    """What of images (n, inputs), in input scale, can still be told from the signals of a model's layer.

    For each the likeliest image under the prior that gives the same signals: where it differs from the original,
    the layer has forgotten. `layer` is a name, as of `TorchModel.at`, or the number from 1 of a `Network`'s hidden
    layer, whose signals are its pre-activations; `prior` and `bounds` are those of `back_query`, but of a mixture
    least squares take the one mean and covariance of the whole. `tolerance` is how far signals may be off, in
    parts of their length. `constraint` is ``"hard"``, each signal for itself (within
    `EXACT`), or ``"least squares"``; by default the first for layers of few signals (`FEW`), and least squares
    where that is in vain.

    `InversionError` says what cannot be asked, `DataError` which images cannot be. Not keeping the tolerance is no
    error: see `Kept.within`.
    """
    if not tolerance > 0:
        raise InversionError(f"the tolerance must be above zero; received {tolerance:g}")
    if constraint not in (None, "hard", "least squares"):
        raise InversionError(f"a constraint is 'hard' or 'least squares'; received {constraint!r}")
    (view, shape), originals = _seen_by(model, layer), checked_inputs(images, model.input_shape, "float64")
    low, high = box(model, bounds)
    if not len(originals) or not np.all(np.isfinite(originals)):
        raise DataError("give at least one image, of finite numbers")
    law = prior_for(model, prior, low, high)
    few = constraint == "hard" or (constraint is None and view.outputs <= FEW)
    each = []
    for signals in np.asarray(view.logits(originals), np.float64):
        asked = _Asked(model, layer, signals, tolerance, low, high)
        one = asked.hard(law) if few else asked.least_squares(law)
        each.append(one if one.within or constraint == "hard" or not few else asked.least_squares(law))
    found = np.stack([one.image for one in each])
    return Kept(
        layer, shape, originals, found,
        np.array([one.error for one in each]), np.array([one.within for one in each]),
        np.asarray(model.query(originals), np.float64), np.asarray(model.query(found), np.float64),
        labels_read(model, originals), labels_read(model, found),
        tuple(one.constraint for one in each), law.name, np.array([one.evaluated for one in each], np.int64),
    )  # fmt: skip


def _seen_by(model: Model, layer: int | str) -> tuple[Model, tuple[int, ...]]:
    """A layer as a model whose logits are its signals, and the shape of these for one image."""
    if isinstance(layer, str):
        view = layer_named(model, layer)
        return view, view.shape
    nodes = nodes_of_hidden(model, layer)
    assert isinstance(model, Network)
    last = replace(model.layers[layer - 1], activation=IDENTITY)
    return Network((*model.layers[: layer - 1], last), model.input_shape, scaling=model.scaling), (nodes,)


@dataclass(frozen=True)
class _One:
    """The image (inputs,) found for one original; see `Kept`."""

    image: Array
    error: float
    within: bool
    constraint: Constraint
    evaluated: int


@dataclass(frozen=True, eq=False)
class _Asked:
    """Signals (nodes,) asked of one layer, within a box."""

    model: Model
    layer: int | str
    signals: Array
    tolerance: float
    low: Array
    high: Array

    @property
    def size(self) -> float:
        """The length of the signals; 1 where all are zero."""
        return float(np.linalg.norm(self.signals)) or 1.0

    def hard(self, prior: AnyPrior) -> _One:
        """Each signal for itself, by the search of every back query."""
        count = len(self.signals)
        asked = Targets(
            f"what layer {self.layer} kept", np.eye(count), self.signals[None], np.array([-1]), layer=self.layer
        )
        # No k errors below a tolerance divided by the root of k are longer than the tolerance together.
        method = GaussNewton(tolerance=min(self.tolerance, EXACT) * self.size / count**0.5)
        found = method.invert(Problem(self.model, asked, self.low, self.high, prior))
        return self._one(found.images[0], "hard", int(found.steps[0]))

    def least_squares(self, prior: AnyPrior) -> _One:
        """All signals together, with the least weight that keeps the tolerance."""
        from scipy.optimize import Bounds, minimize

        one = prior.whole if isinstance(prior, MixturePrior) else prior
        limits = Bounds(one.whiten(self.low), one.whiten(self.high))
        y, evaluated = np.clip(np.zeros(one.inputs), limits.lb, limits.ub), 0
        view, _ = _seen_by(quick_of(self.model), self.layer)
        for weight in WEIGHTS:
            cost = _Cost(view, one, self.signals, weight * one.inputs / self.size**2)
            ended = minimize(
                cost, y, jac=True, method="L-BFGS-B", bounds=limits, options={"maxfun": EVALUATIONS, "maxcor": 20}
            )
            y, evaluated = ended.x, evaluated + ended.nfev
            found = self._one(np.clip(one.unwhiten(y), self.low, self.high), "least squares", evaluated)
            if found.within:
                break
        return found

    def _one(self, image: Array, constraint: Constraint, evaluated: int) -> _One:
        view, _ = _seen_by(self.model, self.layer)
        signals = np.asarray(view.logits(image[None]), np.float64)[0]
        error = float(np.linalg.norm(signals - self.signals)) / self.size
        return _One(image, error, error <= self.tolerance, constraint, evaluated)


@dataclass(frozen=True)
class _Cost:
    """Half the squared distance from the prior's mean, and half the weighted squared error of the signals."""

    view: Model
    prior: Any
    wanted: Array
    weight: float

    def __call__(self, y: Array) -> tuple[float, Array]:
        """The cost of a whitened image (inputs,), and its derivatives."""
        image = self.prior.unwhiten(y)[None]
        off = np.asarray(self.view.logits(image), np.float64) - self.wanted
        _, pulled = logits_and_products(self.view, image, off[:, None, :])
        kept, squares = self.prior.explained(y[None])
        slope = self.prior.precise(y[None], kept)[0]
        slope = slope + self.weight * self.prior.deviation * np.asarray(pulled, np.float64)[0, 0]
        return 0.5 * float(squares[0]) + 0.5 * self.weight * float(off[0] @ off[0]), slope
