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

NEAR_ONE = 0.95
"""What outputs of tanh reach far outside the range of images; others may be small because nothing was learned."""

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
        if found == "logits" and within_ones(seen) and np.abs(seen).max() > NEAR_ONE:
            assume(
                f"{_facts(seen)} whatever is asked, as those of tanh do: taken for scores before softmax, whose "
                f"answers then never pass {_surest(seen):.0%}; outputs='logits' confirms it"
            )
        elif found != "logits":
            assume(f"{_facts(seen)}: taken for {_words(found, seen)}; outputs={found!r} confirms it")
    elif ("probabilities" if said == "sigmoids" and seen.shape[1] == 1 else said) != found:
        raise ModelError(
            f"outputs={said!r} cannot be: {_facts(seen)}, as {_words(found, seen)} do; say outputs={found!r}, or "
            "omit it"
        )
    return found


def within_ones(seen: Array) -> bool:
    """Whether outputs lie between -1 and 1, as those of tanh and cosines do, and all that is within 0 and 1."""
    return bool(np.abs(seen).max() <= 1 + ROUNDING)


def _surest(seen: Array) -> float:
    """The largest answer that softmax makes of outputs (n, k) between these ends."""
    others = max(seen.shape[1] - 1, 1)
    # A single output counts as the half of it and of its opposite.
    reach = seen.max() - seen.min() if seen.shape[1] > 1 else seen.max()
    return float(1 / (1 + others * np.exp(-reach)))


def _words(found: Outputs, seen: Array) -> str:
    single = seen.shape[1] == 1 and found == "probabilities"
    return "probabilities of the second of two labels" if single else WORDS[found]


def _facts(seen: Array) -> str:
    sums = seen.sum(axis=1)
    total = "1" if np.abs(sums - 1).max() <= ROUNDING else f"{sums.min():.4g} to {sums.max():.4g}"
    several = f" and add up to {total}" if seen.shape[1] > 1 and seen.min() >= 0 else ""
    return f"the module's outputs run from {seen.min():.4g} to {seen.max():.4g}{several}"
