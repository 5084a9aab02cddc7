"""How far floating point may be from the numbers it stands for: bounds that hold for any order of summation.

A dot product of n terms is off by at most ``n u / (1 - n u)`` times the sum of the terms' sizes, u being the unit
roundoff, whatever the order and with or without fused multiplication (Higham 2002, section 3.1). Of exponentials
and what is made of them, NumPy and PyTorch promise a few units in the last place; `FEW` is more than they need.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from backquery.model import Array

FEW = 16
"""Units of roundoff that an activation may be off by, of its size and of its argument's."""

SPARE = 16
"""Roundings, beside those of the dot product itself, that a bound's own arithmetic may need."""


def unit(dtype: DTypeLike) -> float:
    """The unit roundoff u of a dtype: half the gap between 1 and the next number."""
    return float(np.finfo(dtype).eps) / 2


def gamma(terms: int, roundoff: float) -> float:
    """Higham's ``n u / (1 - n u)``; infinite where that says nothing."""
    share = terms * roundoff
    return share / (1 - share) if share < 0.5 else np.inf


def error_of_sums(sizes: Array, terms: int, dtype: DTypeLike, own: int) -> Array:
    """How far a program of this dtype, and a bound for it, may be from sums of so many terms of `sizes` in all.

    sizes: the sums of the terms' absolute values, of any shape; own: of how many terms the bound's own sums are.
    What may overflow is infinitely far off.
    """
    numbers = np.finfo(dtype)
    both = gamma(terms, unit(dtype)) + 4 * gamma(own + SPARE, unit(np.float64))
    error = both * sizes + terms * float(numbers.tiny)
    return np.where(sizes < float(numbers.max) / 4, error, np.inf)


def error_of_activation(sizes: Array, roundings: int, dtype: DTypeLike) -> Array:
    """The same for an activation of arguments no larger than `sizes`, that a program rounds so many times."""
    known = roundings * unit(dtype) + 4 * FEW * unit(np.float64)
    return known * (1 + sizes) + float(np.finfo(dtype).tiny)
