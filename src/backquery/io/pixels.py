"""What a model's first steps say about the pixels that it takes: numbers from 0 to 1, 16, 255.

A model that begins by dividing by 255 takes raw pixels; one that subtracts a mean and divides by a deviation takes
pixels as far up as such numbers allow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from backquery.errors import assume
from backquery.model import Array, Scaling

WHITES = (1.0, 15.0, 16.0, 255.0, 65535.0)
"""What full ink is in the files that people have."""

TINY = 1e-9
"""No pixel is divided by more than its inverse."""

LIKELY = (1.0, 16.0, 255.0, 65535.0)
"""Of these, the ones that pixels are likely to go up to where nothing else tells."""

NEAR, ROUGHLY = 1e-4, 6e-3
"""How far a number may be from such a one, as a share: exporters round to float32, and people further."""

Affine = tuple[ArrayLike, ArrayLike]


def raw_scaling(steps: Sequence[Affine], dtype: DTypeLike = np.float32) -> Scaling | None:
    """The scaling of raw pixels, as they go into a model of this input `dtype`; None where nothing tells.

    steps: what is done to the inputs, as ``gain * x + offset``, after the first, the first two, ... steps, with
    numbers, or arrays of one number for each input. A step that brings full ink to 1, or the middle to 0, is
    certain; a mean and a deviation are not, nor are whole numbers alone, and one line says what was taken.
    """
    whole, found = np.dtype(dtype), [_full_ink(*step) for step in steps]
    certain = next((white for white in found if white), None)
    if certain is not None or whole == np.bool_:
        return Scaling(1.0, 0.0, certain or 1.0)
    likely = _standardised(*steps[-1]) if steps else None
    if likely is None and whole.kind in "iu":
        likely = 255.0
    if likely is None:
        return None
    why = "it takes whole numbers" if whole.kind in "iu" else "it begins by standardising"
    assume(
        f"the model's pixels were taken to go from 0 to {likely:g}, as {why}; scaling=Scaling(...), or --scale, "
        "says otherwise"
    )
    return Scaling(1.0, 0.0, likely)


def _full_ink(gain: ArrayLike, offset: ArrayLike) -> float | None:
    """The pixel that is brought to 1, or whose half is brought to 0, where all are treated alike."""
    scale, shift = _only(gain), _only(offset)
    if scale is None or shift is None or not np.isfinite(scale) or abs(scale) <= TINY or scale == 1.0:
        return None
    if scale < 0:
        return _white_turned(scale, shift)
    if shift == 0:
        return _ink_divided_by(1 / scale)
    for ink in ((1 - shift) / scale, -2 * shift / scale):
        near = [white for white in (*WHITES, 256.0) if abs(ink - white) <= NEAR * white]
        if near:
            return _bytes(near[0])
    return None


def _white_turned(scale: float, shift: float) -> float | None:
    """The pixel that is brought to 0, or to -1, where bright and dark change places."""
    for ink in (-shift / scale, -(1 + shift) / scale):
        near = [white for white in (*WHITES[1:], 256.0) if abs(ink - white) <= NEAR * white]
        if near:
            return _bytes(near[0])
    return None


def _ink_divided_by(divisor: float) -> float | None:
    """What a division alone brings to 1; people write 0.0039 for a 255th."""
    near = [white for white in WHITES[1:] if abs(divisor - white) <= ROUGHLY * white]
    white = near[0] if near else float(round(divisor))
    return _bytes(white) if near or (white > 1 and abs(divisor - white) <= NEAR * white) else None


def _bytes(white: float) -> float:
    """Who divides by 256 has bytes as well."""
    return 255.0 if white == 256 else white


def _standardised(gain: ArrayLike, offset: ArrayLike) -> float | None:
    """The least full ink that numbers of these means and deviations, or minima and ranges, can have."""
    gains, offsets = np.broadcast_arrays(np.asarray(gain, np.float64), np.asarray(offset, np.float64))
    if not np.all(gains > 0) or np.all(gains == 1) or (_only(gain) and np.all(offsets == 0)):
        return None
    means, deviations = -offsets / gains, 1 / gains
    if means.min() < 0:
        return None
    highest = _highest(means, deviations)
    return next((white for white in LIKELY if highest <= white * (1 + NEAR)), None)


def _highest(means: Array, deviations: Array) -> float:
    ends = means + deviations
    # Minima and ranges of whole numbers add up to whole numbers; what adds up to 1 at most are shares.
    if ends.max() <= 1 or np.all(np.abs(ends - np.round(ends)) <= NEAR * ends):
        return float(ends.max())
    # Numbers from 0 to M of this mean have at most the variance mean * (M - mean).
    inked = means > 0
    return float(np.max(np.where(inked, means + deviations**2 / np.where(inked, means, 1), deviations)))


def _only(values: ArrayLike) -> float | None:
    """The one number that `values` repeat; None where they differ."""
    numbers = np.asarray(values, np.float64).ravel()
    return float(numbers[0]) if numbers.size and np.all(numbers == numbers[0]) else None
