"""Logits and log-odds, told apart in one place.

The *log-odds* of an answer p are ``ln(p / (1 - p))``. The *logits* of a model are what its outputs turn into
answers, and what `Model.logits` gives. Of sigmoids both are the same. Those of a softmax are fixed up to a
constant, and given with mean zero: no single one of them is an answer's log-odds, and only the difference of two
says something, ``ln(p / q)`` of both answers.
"""

from __future__ import annotations

import numpy as np

from backquery.model.activations import SOFTMAX, TANH
from backquery.model.aliases import Array
from backquery.model.protocol import Model


def answers_log_odds(model: Model, logits: Array) -> Array:
    """The log-odds (n, outputs) of each answer, from the logits that `Model.logits` gives.

    Of tanh, which stands for confidences from 0 to 1, they are twice the logits; of other outputs without bounds,
    which have none, the raw scores.
    """
    if model.output_activation is SOFTMAX:
        return own_log_odds(logits)
    return 2 * logits if model.output_activation is TANH else logits


def own_log_odds(logits: Array) -> Array:
    """Of the logits z of a softmax, (n, outputs): ``ln(p / (1 - p))`` for each answer p."""
    from scipy.special import log_softmax, logsumexp

    shares = log_softmax(logits, axis=1)
    own: Array = shares - np.log1p(-np.minimum(np.exp(shares), 0.5))
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    others = logits.copy()
    others[rows, best] = -np.inf
    # Of an answer near 1, what is left is the sum of the others, not a difference.
    own[rows, best] = logits[rows, best] - logsumexp(others, axis=1)
    return own
