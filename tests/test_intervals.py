"""Intervals, against SciPy's own for single values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from backquery.intervals import mean_interval, share_interval


def test_the_interval_of_a_mean_is_student_s():
    values = np.random.default_rng(0).normal(3.0, 2.0, (7, 4))
    found = mean_interval(values)
    for column in range(4):
        expected = ttest_1samp(values[:, column], 0).confidence_interval(0.95)
        assert (found.low[column], found.high[column]) == pytest.approx(tuple(expected))
    np.testing.assert_allclose(found.value, values.mean(axis=0))


def test_the_interval_of_a_mean_holds_the_true_one_as_often_as_it_says():
    """2,000 samples of five: within 95 % +- 2 %, four standard deviations of the count."""
    values = np.random.default_rng(1).normal(3.0, 2.0, (5, 2000))
    found = mean_interval(values)
    assert np.mean((found.low <= 3) & (found.high >= 3)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("hits", "total"), [(0, 20), (13, 20), (20, 20), (9728, 10_000)])
def test_the_interval_of_a_share_is_wilson_s(hits, total):
    expected = binomtest(hits, total).proportion_ci(0.95, "wilson")
    found = share_interval(hits, total)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
    assert found.value == hits / total


def test_the_interval_of_a_share_ends_at_0_and_1():
    """Not a rounding error beyond: it would be printed as -0 %."""
    totals = np.arange(1, 2000)
    assert np.all(share_interval(np.zeros_like(totals), totals).low >= 0)
    assert np.all(share_interval(totals, totals).high <= 1)


def test_the_share_of_an_array_is_that_of_its_numbers():
    hits = np.array([[3, 9], [0, 5]])
    found = share_interval(hits, np.array([10, 9]))
    for place in np.ndindex(hits.shape):
        one = share_interval(hits[place], [10, 9][place[1]])
        assert found.low[place] == one.low
        assert found.high[place] == one.high
