"""The priors by name, and the one that is taken where none is named."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import InversionError, TargetError
from backquery.inversion.mixtures import AnyPrior, MixturePrior
from backquery.inversion.priors import data_prior, flat_prior, large_data_prior, natural_prior, smooth_prior
from backquery.inversion.remembered import Remembered
from backquery.model import Layout, Model, Statistics

PRIORS = ("data", "mixture", "natural", "smooth", "flat")
"""The names that `back_query(..., prior=)` knows; a `Prior` of one's own can be given too."""


def kept_prior(statistics: Statistics) -> AnyPrior:
    """The prior that statistics are kept for: their mixture, or where one Gaussian says as much, `data`."""
    return data_prior(statistics) if statistics.mixture is None else MixturePrior.of(statistics)


def prior_for(model: Model, prior: str | AnyPrior | None, low: ArrayLike, high: ArrayLike) -> AnyPrior:
    """The prior asked for, remembered for as long as the model lives.

    By default what the model keeps, `mixture` or `data`; else `natural` for images in colour, `smooth` for others,
    or `flat` where they have no shape.
    """
    if isinstance(prior, AnyPrior):
        if prior.inputs != model.inputs:
            raise InversionError(
                f"the prior is for images of {prior.inputs} pixels, but the model takes {model.inputs}"
            )
        return prior
    name = prior or _usual(model)
    key = (name, np.asarray(low).tobytes(), np.asarray(high).tobytes())
    known = _named.of(model)
    if key not in known:
        known[key] = _build(model, name, low, high)
    return known[key]


_named: Remembered[dict[tuple[str, bytes, bytes], AnyPrior]] = Remembered(dict)


def _usual(model: Model) -> str:
    if model.statistics is not None:
        return "data" if model.statistics.mixture is None else "mixture"
    layout = Layout.of(model.input_shape)
    return "flat" if not layout.known else "natural" if layout.channels == 3 else "smooth"


def _build(model: Model, name: str, low: ArrayLike, high: ArrayLike) -> AnyPrior:
    if name in ("data", "mixture"):
        if model.statistics is None:
            raise InversionError(
                f"the prior {name!r} needs statistics of the training images, which this model does not keep; "
                "fit them with fit_statistics(model, data), or use the prior 'smooth' or 'flat'"
            )
        if name == "data":
            return large_data_prior(model.statistics, model.input_shape)
        if model.statistics.mixture is None:
            raise InversionError(
                "this model keeps no mixture: one mean and covariance described its training images as well; use "
                "the prior 'data', or fit_statistics(model, data, components=20) for a mixture all the same"
            )
        return MixturePrior.of(model.statistics)
    if name == "smooth":
        return smooth_prior(model.input_shape, low, high)
    if name == "natural":
        return natural_prior(model.input_shape, low, high)
    if name == "flat":
        return flat_prior(model.inputs, low, high)
    raise TargetError(f"unknown prior {name!r}; choose one of {', '.join(PRIORS)}, or give a Prior")
