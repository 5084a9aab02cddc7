"""Which numbers stand for the two ends of the scale: told, or found in the type and the range of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.dataset import Labelled
from backquery.datasets.options import Reading
from backquery.datasets.pictures import Loose
from backquery.errors import DataError, assume

USUAL_ENDS = (1, 2, 3, 7, 10, 15, 16, 31, 63, 100, 127, 255, 1023, 4095, 65535)
"""Where people's whole numbers for full ink end: 1, 2, 3, 4 bits, scikit-learn's digits, 5 and 6 bits, per cent, 7
and 8 bits, 10, 12 and 16 bits."""

FAINT = 16
"""Largest numbers up to this are no faint bytes."""

ROUNDING = 1e-3
"""So much above 1 fractions may be by rounding."""

NEAR = 0.75
"""Of the way to an end below zero, and to the one above it, numbers must come to be taken for that range."""

FAR_APART = 8
"""Largest pixels of two halves, one of them small, so many times apart are not on one scale."""

Numbers = NDArray[Any]


def range_of(numbers: Sequence[Labelled], how: Reading, wanted: float | None) -> tuple[float, float, str]:
    """The numbers for the two ends, of all halves together, and how they are known; `wanted` is a model's end."""
    told = {half.maximum for half in numbers if half.maximum is not None}
    if how.pixel_range is not None:
        return *how.pixel_range, "the range was told"
    if len(told) == 1:
        return 0.0, told.pop(), "the file says its maximum"
    if not numbers:
        return 0.0, 255.0, "pictures run from 0 (black) to 255 (white)"
    ends = [_ends(half) for half in numbers]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    source, kinds = numbers[0].source, "".join(half.images.dtype.kind for half in numbers)
    low, high, doubt = likely_range(lowest, highest, kinds, source)
    _check_that_halves_agree(source, [high for _, high in ends])
    if wanted is not None and lowest >= 0 and wanted / 2 < highest <= wanted:
        low, high, doubt = 0.0, wanted, False
    said = f"the numbers run from {lowest:g} to {highest:g}: {low:g} to {high:g} is taken for the whole range"
    if doubt:
        assume(f"{source}: {said}; --range LOW,HIGH (in Python Reading(pixel_range=...)) says otherwise")
    return low, high, said


def likely_range(lowest: float, highest: float, kinds: str, source: str) -> tuple[float, float, bool]:
    """The ends of the scale of such numbers, of kinds as NumPy names them, and whether there is doubt."""
    whole = "f" not in kinds
    if lowest < 0:
        return *_below_zero(lowest, highest, whole, source), True
    if set(kinds) == {"b"}:
        return 0.0, 1.0, False
    if not whole and highest <= 1 + ROUNDING:
        return 0.0, max(1.0, highest), False
    if highest == 0 or 128 <= highest <= 255:
        return 0.0, 255.0, False
    if highest > USUAL_ENDS[-1]:
        raise DataError(
            f"{source}: pixels run up to {highest:g}; up to {USUAL_ENDS[-1]} is allowed, or say what stands for "
            "paper and for full ink with --range LOW,HIGH (in Python Reading(pixel_range=...))"
        )
    if highest <= FAINT or highest > 255:
        end = float(next(end for end in USUAL_ENDS if end >= highest))
        # Whole numbers none of which is 0 count from another one, such as 1 and 2 for no and yes.
        low = lowest if whole and highest <= FAINT and lowest < highest else 0.0
        return low, end if end < 2 * highest else highest, True
    return 0.0, float(highest if highest in USUAL_ENDS else 255), True


def unsigned(found: Sequence[Labelled | Loose], how: Reading) -> list[Labelled | Loose]:
    """The halves with bytes that a program took for signed ones (255 as -1) as what they were, which is said.

    Then 0 or -1, paper, is much more frequent than -128 or 127, the ends of what was moved to below zero.
    """
    numbers = [half for half in found if isinstance(half, Labelled) and half.images.size]
    if how.pixel_range is not None or not numbers or not all(_are_signed_bytes(half.images) for half in numbers):
        return list(found)
    counts = {
        value: sum(np.count_nonzero(half.images == value) for half in numbers) for value in (0, -1, -128, 127)
    }
    wide = any(half.images.min() < -1 for half in numbers)
    if not wide or counts[0] + counts[-1] <= counts[-128] + counts[127]:
        return list(found)
    assume(
        f"{numbers[0].source}: the numbers below zero are taken for bytes above 127 that were stored as signed; "
        "--range -128,127 (in Python Reading(pixel_range=...)) says otherwise"
    )
    return [_as_bytes(half) if isinstance(half, Labelled) else half for half in found]


def _are_signed_bytes(images: Numbers) -> bool:
    return images.dtype.kind == "i" and bool(images.min() >= -128 and images.max() <= 127)


def _count(numbers: Sequence[Labelled], *values: int) -> int:
    return sum(int(np.isin(half.images, values).sum()) for half in numbers)


def _as_bytes(half: Labelled) -> Labelled:
    return replace(half, images=half.images.astype(np.int8).view(np.uint8))


def _ends(half: Labelled) -> tuple[float, float]:
    lowest, highest = float(half.images.min()), float(half.images.max())
    if not lowest <= highest < np.inf or lowest == -np.inf:
        raise DataError(f"{half.source}: pixels must be finite numbers; received {lowest:g} to {highest:g}")
    return lowest, highest


def _below_zero(lowest: float, highest: float, whole: bool, source: str) -> tuple[float, float]:
    """The ends of numbers on both sides of zero: halves, ones, or signed bytes."""
    if whole and (lowest < -1 or highest > 1) and lowest >= -128 and highest <= 127:
        return -128.0, 127.0
    ends = (1.0,) if whole else (0.5, 1.0)
    for end in ends:
        if NEAR * end <= min(-lowest, highest) and max(-lowest, highest) <= end + ROUNDING:
            return min(-end, lowest), max(end, highest)
    raise DataError(
        f"{source}: pixels run from {lowest:g} to {highest:g}, as if they were standardised; give them as "
        "they were drawn, or say what stands for paper and for full ink with --range LOW,HIGH "
        "(in Python Reading(pixel_range=...))"
    )


def _check_that_halves_agree(source: str, highest: Sequence[float]) -> None:
    """Refuse halves that cannot be on one scale; say it where one is much fainter than the other."""
    small, large = min(highest), max(highest)
    if 0 < small <= FAINT and large >= FAR_APART * small:
        raise DataError(
            f"{source}: the largest pixel of one half is {small:g}, of the other {large:g}; bring both halves to "
            "the same scale, or name the other one with --test, which does"
        )
    if 0 < 2 * small <= large:
        assume(
            f"{source}: the largest pixel of one half is {small:g}, of the other {large:g}: they are taken to be "
            "on one scale; if they are not, name the other half with --test, which brings it to the first's"
        )
