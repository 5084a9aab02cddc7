"""What a foreign model's outputs are, which is seen from enough of them, or said and then checked.

Scores before softmax have no bounds, and log-probabilities lie below zero. What stays within 0 and 1 whatever
is asked, far outside the range of any image too, has been through a softmax or sigmoids.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from backquery.errors import ModelError, assume
from backquery.model import Array, Model, ends_of

Outputs = Literal["logits", "probabilities", "sigmoids"]

NAMES: tuple[Outputs, ...] = get_args(Outputs)

WORDS: dict[Outputs, str] = {
    "logits": "scores before softmax",
    "probabilities": "probabilities of labels of which one is right",
    "sigmoids": "independent answers to each label",
}

ROUNDING = 1e-3
"""By how much the outputs of a softmax in half precision may miss 1 when added up."""

SPREADS = np.repeat([10.0, 100.0, 1000.0], 4)[:, None]
"""How far noise reaches that no image has, in steps from paper to ink."""


def far_probes(model: Model) -> Array:
    """Inputs (n, inputs) far outside the range of images: scores do not stay within 0 and 1 there."""
    paper, ink = ends_of(model)
    noise = np.random.default_rng(1).normal(size=(len(SPREADS), model.inputs))
    asked: Array = paper + noise * SPREADS * (ink - paper)
    return asked


def kind_of(seen: Array) -> Outputs:
    """What outputs (n, k) are that were given to n probes; one output within 0 and 1 is a probability."""
    if seen.min() < -ROUNDING or seen.max() > 1 + ROUNDING:
        return "logits"
    one_right = seen.shape[1] == 1 or np.abs(seen.sum(axis=1) - 1).max() <= ROUNDING
    return "probabilities" if one_right else "sigmoids"


def settled(said: Outputs | None, seen: Array) -> Outputs:
    """What outputs `seen` (n, k) are, which is told where it was not `said` and they are no scores.

    `ModelError` where what was said cannot be. One sigmoid is a probability: that of the second of two labels.
    """
    found = kind_of(seen)
    if said is None:
        if found != "logits":
            assume(f"{_facts(seen)}: taken for {_words(found, seen)}; outputs={found!r} confirms it")
    elif ("probabilities" if said == "sigmoids" and seen.shape[1] == 1 else said) != found:
        raise ModelError(
            f"outputs={said!r} cannot be: {_facts(seen)}, as {_words(found, seen)} do; say outputs={found!r}, or "
            "omit it"
        )
    return found


def _words(found: Outputs, seen: Array) -> str:
    single = seen.shape[1] == 1 and found == "probabilities"
    return "probabilities of the second of two labels" if single else WORDS[found]


def _facts(seen: Array) -> str:
    sums = seen.sum(axis=1)
    total = "1" if np.abs(sums - 1).max() <= ROUNDING else f"{sums.min():.4g} to {sums.max():.4g}"
    several = f" and add up to {total}" if seen.shape[1] > 1 else ""
    return f"the module's outputs run from {seen.min():.4g} to {seen.max():.4g}{several}"
