"""What a network may remember of its training images: their mean, their covariance, its usual answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backquery.errors import ModelError
from backquery.model.aliases import Array


@dataclass(frozen=True)
class Statistics:
    """One mean and one covariance for *all* training images, and the typical log-odds of each label.

    The covariance is ``factor @ factor.T + diag(diagonal)``. It knows no classes: whatever separates the
    labels in a back query comes from the network.

    mean: (inputs,) in input scale; factor: (inputs, rank); diagonal: (inputs,), positive;
    typical: (labels, outputs), row k the median log-odds of the real images that the network reads as label k,
    or None where no network was asked.
    """

    mean: Array
    factor: Array
    diagonal: Array
    typical: Array | None = None

    def __post_init__(self) -> None:
        inputs = self.mean.shape[0]
        if self.mean.shape != (inputs,) or self.diagonal.shape != (inputs,):
            raise ModelError("statistics need a mean and a diagonal with one number for each input")
        if self.factor.ndim != 2 or self.factor.shape[0] != inputs:
            raise ModelError(f"the covariance factor must have {inputs} rows; received {self.factor.shape}")
        for name in ("mean", "factor", "diagonal", "typical"):
            values = getattr(self, name)
            if values is not None and not np.all(np.isfinite(values)):
                raise ModelError(f"the statistics' {name} holds numbers that are not finite")
        if np.any(self.diagonal <= 0):
            raise ModelError("the diagonal of the covariance must be positive")

    @property
    def rank(self) -> int:
        """How many directions the factor has."""
        return int(self.factor.shape[1])
