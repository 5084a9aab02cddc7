"""What signals of a layer are strong: the strongest that any of some images drawn from a prior gives it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import InversionError
from backquery.inversion.mixtures import AnyPrior, MixturePrior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.priors import Prior
from backquery.inversion.problem import box
from backquery.inversion.readouts import readout_for
from backquery.inversion.starts import draws_of
from backquery.inversion.targets import Targets
from backquery.model import Array, Model, quick_of
from backquery.model.declared import declared


@declared(InversionError)
def strongest_signals(
    model: Model,
    asked: Targets,
    *,
    prior: str | AnyPrior | None = None,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
) -> Array:
    """For each of n questions of `hidden_node` or `channel` the strongest signal (n,) that any drawn image gives.

    The images are drawn from the prior, of which labels are no part, and kept within the bounds, so that a signal
    as strong can be had. They are the same each time. `prior` and `bounds` are those of `back_query`. Questions of
    another kind raise `InversionError`.
    """
    low, high = box(model, bounds)
    law = prior_for(model, prior, low, high)
    images = np.clip(_drawn(law), low, high)
    nothing = np.zeros(model.inputs)
    readout = readout_for(quick_of(model), asked.layer, asked.maps[:, 0], nothing, nothing + 1.0)
    signals, _ = readout.values(images, np.arange(len(images)))
    return np.asarray(signals.max(axis=0), np.float64)


def _drawn(prior: AnyPrior) -> Array:
    """Images (n, inputs) in input scale."""
    rng = np.random.default_rng(0)
    if isinstance(prior, MixturePrior):
        return prior.draw(draws_of(prior.whole), rng)
    y = prior.spread(prior.draw(draws_of(prior), rng))
    # A factor leaves out what each pixel does for itself; waves leave out nothing.
    return prior.unwhiten(y + rng.normal(size=y.shape) if isinstance(prior, Prior) else y)
