"""What floating point may be off by, beside exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from backquery.proofs.rounding import FEW, error_of_activation, error_of_sums, gamma, unit


def test_the_unit_roundoff_is_the_largest_error_of_rounding_once() -> None:
    assert unit(np.float32) == 2.0**-24
    assert np.float32(1 + unit(np.float32)) == 1
    assert np.float32(1 + 1.01 * unit(np.float32)) > 1


def test_gamma_is_higham_s() -> None:
    assert gamma(10, 1e-3) == pytest.approx(0.01 / 0.99)
    assert gamma(10**8, unit(np.float32)) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("terms", [1, 3, 50, 784])
def test_no_sum_is_off_by_more(dtype: type, terms: int) -> None:
    rng = np.random.default_rng(terms)
    for _ in range(20):
        w, h = (rng.normal(size=terms).astype(dtype) for _ in range(2))
        exact = sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(w, h, strict=True)), Fraction(0))
        bound = error_of_sums(np.abs(w.astype(float)) @ np.abs(h.astype(float)), terms, dtype, terms)
        for order in (np.arange(terms), np.argsort(w), np.argsort(-w * h)):
            assert abs(float(Fraction(float(w[order] @ h[order])) - exact)) <= bound
    assert bound < 1e-3 * terms


def test_what_may_overflow_is_infinitely_far_off() -> None:
    assert error_of_sums(np.array([1e38, 1.0]), 2, np.float32, 2).tolist()[0] == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_as_near_as_is_taken_for_granted(dtype: type) -> None:
    z = np.random.default_rng(0).uniform(-100, 100, 200_000).astype(dtype)
    small = (z / 100).astype(dtype)
    for x in (z, small):
        exact = x.astype(np.longdouble)
        with np.errstate(over="ignore"):
            sigmoid = np.reciprocal(np.exp(-x) + dtype(1))
        errors = [np.abs(np.tanh(x) - np.tanh(exact)), np.abs(sigmoid - 1 / (1 + np.exp(-exact)))]
        assert max(map(np.max, errors)) < FEW / 2 * unit(dtype)
        for error in errors:
            assert np.all(error <= error_of_activation(np.abs(x), FEW, dtype))
