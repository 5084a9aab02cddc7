"""What can be bounded: a dense network here, and any model that bounds itself."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike

from backquery.errors import ProofError
from backquery.model import Array, Model, Network
from backquery.proofs.dense import Dense

MOST_NUMBERS = 2**22
"""Coefficients that are carried backwards at once: of more boxes, some are taken after the others."""


class Bounds(Protocol):
    """A model over some boxes of images."""

    def lowest(self, forms: Array) -> Array:
        """What linear forms (n or 1, k, outputs) of the logits are at least, (n, k), for all images of a box.

        The logits of a softmax may be off by what they have in common: its forms add up to zero.
        """


class Prover(Protocol):
    """A model made ready to be bounded, in exact arithmetic and for a program of one dtype alike."""

    def over(self, low: Array, high: Array, /) -> Bounds:
        """Bounds for all images between `low` and `high` (n, inputs); `ProofError` names what is not known."""


@runtime_checkable
class Provable(Protocol):
    """A model that bounds itself."""

    def prover(self, dtype: DTypeLike) -> Prover:
        """The model made ready for a program of this dtype; `ProofError` says why it cannot be."""


def prover_of(model: Model, dtype: DTypeLike) -> Prover:
    """A model made ready to be bounded, `dtype` being that of the program; `ProofError` where it cannot be."""
    if isinstance(model, Network):
        return Dense(model.layers, dtype)
    if isinstance(model, Provable):
        return model.prover(dtype)
    raise ProofError(f"{type(model).__name__} does not show its layers")


def lowest_of(model: Model, prover: Prover, low: Array, high: Array, forms: Array) -> Array:
    """`Bounds.lowest` of the prover of a model, some boxes after the others where they are many."""
    widest = max(layer.outputs for layer in model.layers) if isinstance(model, Network) else 1
    size = max(1, MOST_NUMBERS // (model.inputs * max(forms.shape[1], widest)))
    found: list[Array] = [np.zeros((0, forms.shape[1]))]
    for begin in range(0, len(low), size):
        some = slice(begin, begin + size)
        found.append(prover.over(low[some], high[some]).lowest(forms if len(forms) == 1 else forms[some]))
    return np.concatenate(found)
