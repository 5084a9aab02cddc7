"""Certificates: what is certain of how images are read, in spite of rounding and for all images near them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError, ModelError, ProofError
from backquery.model import SOFTMAX, UNREAD, Array, Labels, Model, brief, ends_of, labels_read, name_read, reals
from backquery.model.declared import declared
from backquery.proofs.bounded import lowest_of, prover_of
from backquery.proofs.reading import Reading

GREY_LEVELS = 255
"""From paper to ink, or from black to white: radii are told in these."""

SMALLEST, HALVINGS = 2.0**-6, 11
"""Radii from so many grey levels on are told apart, to within half a percent, by so many halvings of a ratio."""

TOLERANCE = 1e-3
"""How far logits may be from those asked for, as the faithful search has it."""


@runtime_checkable
class Answered(Protocol):
    """A back query's result: its images (n, inputs), and the logits (n, outputs) that they were to have."""

    @property
    def images(self) -> Array:
        """(n, inputs)."""

    @property
    def logits(self) -> Array | None:
        """(n, outputs), or None where not all were asked for."""


@dataclass(frozen=True, eq=False)
class Certificates:
    """What is proved of each of n images.

    read: (n,), the label that the model reads in it; certain: (n,), whether that is proved in spite of rounding.
    grey_levels: (n,), every image none of whose inputs differs by more than so many 255ths of the model's range is
    proved to be read alike; NaN where not even the image itself is. inputs: (n,), the same in input scale: where
    inputs are scaled differently, as much as all of them may differ.
    as_asked: (n,), whether the logits asked for are proved to be within `tolerance` in exact arithmetic; None
    where the images are no answers to such a question.
    unknown: of what nothing is known, in words, where that is why nothing is proved; else empty.
    """

    __repr__ = brief

    read: Labels
    certain: NDArray[np.bool_]
    grey_levels: Array
    inputs: Array
    as_asked: NDArray[np.bool_] | None = None
    tolerance: float = TOLERANCE
    unknown: str = ""

    def __len__(self) -> int:
        return len(self.read)

    def told(self, position: int, classes: Sequence[str]) -> str:
        """One image's certificate, as a sentence without its stop."""
        name = name_read(classes, int(self.read[position]))
        if not self.certain[position]:
            return f"not proved: {self.unknown}" if self.unknown else "not proved"
        return f"every image within {self.brief(position)} grey levels of it is read as {name} (proved)"

    def brief(self, position: int) -> str:
        """The radius in grey levels, rounded down: ``1.3``; a dash where nothing is proved."""
        return f"{floor(10 * self.grey_levels[position]) / 10:.1f}" if self.certain[position] else "-"

    def told_of_all(self, classes: Sequence[str]) -> str:
        """All certificates as one sentence without its stop; the radii are told by `brief`."""
        if len(self) == 1:
            return self.told(0, classes)
        if not self.certain.any():
            return f"not proved: {self.unknown}" if self.unknown else "not proved"
        count = int(self.certain.sum())
        each = "each" if count == len(self) else f"{count} of {len(self)}"
        held = self.as_asked is not None and bool(self.as_asked.all())
        more = f", and its logits are within {self.tolerance:g} of those asked for" if held else ""
        return f"proved for {each}: every image within so many grey levels of it is read alike{more}"

    def plain(self, position: int) -> dict[str, Any]:
        """One image's certificate as plain values; None for what is not proved."""
        certain = bool(self.certain[position])
        return {
            "read": certain,
            "as_asked": None if self.as_asked is None else bool(self.as_asked[position]),
            "grey_levels": float(self.grey_levels[position]) if certain else None,
            "inputs": float(self.inputs[position]) if certain else None,
            "unknown": self.unknown or None,
        }


@declared(ModelError)
def certify(model: Model, images: ArrayLike | Answered, *, tolerance: float = TOLERANCE) -> Certificates:
    """Prove how surely images are read: whatever rounding does, and for all images within a radius.

    images: (n, inputs) in input scale, or the result of a back query, of which it is also proved whether its
    logits are within `tolerance` of those asked for. An image is one of the model's range, `ends_of`, or of as
    much more as the given one has; the radius is in the maximum norm, found by bisection.

    Proved by interval arithmetic and linear bounds (see `dense`), for the network in exact arithmetic and for the
    program in the dtype that it reads in, whatever the order of its sums. What is not known of a model is not
    proved: then `unknown` names it. Images of another size raise `DataError`, what is no model `ModelError`.

    Linear bounds as in CROWN (Zhang et al. 2018).
    """
    logits = images.logits if isinstance(images, Answered) else None
    given = images.images if isinstance(images, Answered) else images
    x = _rows(model, given)
    read = labels_read(model, x)
    nothing = np.full(len(x), np.nan)
    try:
        radius = _radii(model, x, read)
        as_asked = None if logits is None else _as_asked(model, x, logits, tolerance)
    except ProofError as error:
        return Certificates(read, np.zeros(len(x), bool), nothing, nothing, None, tolerance, str(error))
    return Certificates(read, ~np.isnan(radius), radius, radius * _steps(model).min(), as_asked, tolerance)


def _rows(model: Model, images: ArrayLike) -> Array:
    x = reals(images, "images", DataError)
    if x.size % model.inputs or not np.all(np.isfinite(x)):
        raise DataError(f"images must be rows of {model.inputs} finite inputs; received shape {x.shape}")
    return x.reshape(-1, model.inputs)


def _steps(model: Model) -> Array:
    """One grey level of each input, (inputs,)."""
    paper, ink = ends_of(model)
    return np.abs(ink - paper) / GREY_LEVELS


def _radii(model: Model, x: Array, read: Labels) -> Array:
    """The largest radius (n,) in grey levels within which all is read alike; NaN where none, not even 0, is."""
    ends = ends_of(model)
    # A little more than the grey levels said, so that rounding here takes nothing away.
    steps, floor_, ceiling = _steps(model) * (1 + 1e-12), np.minimum(*ends), np.maximum(*ends)
    lowest, highest = np.minimum(x, floor_), np.maximum(x, ceiling)

    reading = Reading(model)

    def holds(rows: NDArray[np.intp], radius: Array) -> NDArray[np.bool_]:
        reach = radius[:, None] * steps
        low, high = np.maximum(x[rows] - reach, lowest[rows]), np.minimum(x[rows] + reach, highest[rows])
        return reading.surely(low, high, read[rows])

    known = np.flatnonzero(read != UNREAD)
    rows = known[holds(known, np.zeros(len(known)))]
    radius = np.full(len(x), np.nan)
    radius[rows] = 0.0
    inside, outside = np.full(len(rows), SMALLEST), np.full(len(rows), float(GREY_LEVELS))
    for _ in range(HALVINGS if len(rows) else 0):
        middle = np.sqrt(inside * outside)
        good = holds(rows, middle)
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
        radius[rows[good]] = middle[good]
    return radius


def _as_asked(model: Model, x: Array, logits: Array, tolerance: float) -> NDArray[np.bool_]:
    """Whether all logits are within the tolerance of those asked for, (n,), in exact arithmetic."""
    forms = np.eye(model.outputs)
    if model.output_activation is SOFTMAX:
        forms = forms - 1 / model.outputs
    both = np.concatenate([forms, -forms])[None]
    least = lowest_of(model, prover_of(model, np.float64), x, x, both)
    wanted = np.concatenate([logits, -logits], axis=1)
    return np.asarray(np.all(least >= wanted - tolerance, axis=1))
