"""Each answer's own log-odds: against probabilities, and their derivatives against finite differences."""

from __future__ import annotations

import numpy as np
from scipy.special import logit, softmax

from backquery.inversion.log_odds import own_log_odds_pulled
from backquery.model import own_log_odds
from tests.reference.inversion import finite_differences


def test_they_are_the_logit_of_each_probability() -> None:
    z = np.random.default_rng(0).normal(0, 3, (5, 7))
    np.testing.assert_allclose(own_log_odds(z), logit(softmax(z, axis=1)), rtol=1e-9)


def test_they_stay_exact_where_an_answer_cannot_be_told_from_one() -> None:
    z = np.array([[100.0, 0.0, 1.0]])
    np.testing.assert_allclose(own_log_odds(z)[0], [100 - np.log(1 + np.e), -100, -99], rtol=1e-12)


def test_derivatives_by_finite_differences() -> None:
    rng = np.random.default_rng(1)
    z, maps = rng.normal(0, 2, (2, 6)), rng.normal(size=(2, 3, 6))
    pulled = own_log_odds_pulled(z, maps)
    for row in range(2):
        slopes = finite_differences(lambda one, row=row: maps[row] @ own_log_odds(one[None])[0], z[row])
        np.testing.assert_allclose(pulled[row], slopes, atol=1e-7)
