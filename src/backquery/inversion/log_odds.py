"""How the log-odds of each answer of a softmax, against all others together, change with its logits."""

from __future__ import annotations

import numpy as np

from backquery.model import Array, own_log_odds

TINY = 1e-300
"""Of an answer that cannot be told from 1, this much is left to the others."""


def own_log_odds_pulled(logits: Array, maps: Array) -> Array:
    """``maps`` (k, outputs) or (n, k, outputs) times the derivatives of the own log-odds by the logits."""
    from scipy.special import softmax

    rest = np.exp(-np.logaddexp(0, own_log_odds(logits)))[:, None, :]
    shares = softmax(logits, axis=1)[:, None, :]
    # d own_i / d z_j is 1 for j = i, and - p_j / (1 - p_i) elsewhere.
    weighted = np.where(maps == 0, 0.0, maps / np.maximum(rest, TINY))
    total = weighted.sum(axis=-1, keepdims=True)
    pulled: Array = maps - shares * (total - weighted)
    return pulled
