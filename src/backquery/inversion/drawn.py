"""Images that were drawn from a prior, and the prior about them: what the nearest answers are measured by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.inversion.linearised import Linearisation, Mask, Rows, Step
from backquery.inversion.mixtures import Chosen
from backquery.inversion.priors import OnePrior, flat_prior
from backquery.model import Array


@dataclass(frozen=True, eq=False)
class Drawn:
    """A prior's covariance about images `mean` (n, inputs), one for each of a batch, as `linearised.Whitened`.

    question: (n,), which question each image is drawn for; random: whether the prior drew the images, and nobody
    gave them.
    """

    prior: OnePrior | Chosen
    mean: Array
    question: NDArray[np.intp]
    random: bool = True

    def of(self, rows: Rows) -> Drawn:
        """Those of the questions `rows`."""
        return replace(self, prior=self.prior.of(rows), mean=self.mean[rows], question=self.question[rows])

    @property
    def inputs(self) -> int:
        """The number of pixels."""
        return int(self.mean.shape[1])

    @property
    def deviation(self) -> Array:
        """(inputs,): the unit of whitened coordinates."""
        return self.prior.deviation

    def whiten(self, images: Array, origin: Array) -> Array:
        """See `Gaussian.whiten`."""
        return self.prior.whiten(images, origin)

    def unwhiten(self, y: Array, origin: Array) -> Array:
        """See `Gaussian.unwhiten`."""
        return self.prior.unwhiten(y, origin)

    def explained(self, y: Array) -> tuple[Array, Array]:
        """See `Whitened`."""
        return self.prior.explained(y)

    def precise(self, y: Array, kept: Array) -> Array:
        """See `Whitened`."""
        return self.prior.precise(y, kept)

    def bound_pixels(self, images: int) -> Any:
        """See `Whitened`."""
        return self.prior.bound_pixels(images)

    def newton_step(self, here: Linearisation) -> Step:
        """See `Whitened`."""
        return self.prior.newton_step(here)

    def plainly(self, low: Array, high: Array, mean: Array) -> Drawn:
        """The same about images `mean` (n, inputs) with every pixel for itself, by what the box leaves it."""
        return replace(self, prior=flat_prior(self.inputs, low, high), mean=mean)

    def nearest_at_hand(self, images: Array, answers: Mask, likeliest: Array) -> Array:
        """For each image drawn the nearest, pixel by pixel, of its question's `images` that are `answers`.

        images: (n, inputs); likeliest: (n, inputs), what is taken where its question has none.
        """
        nearest = likeliest.copy()
        for row, question in enumerate(self.question):
            mine = np.flatnonzero(answers & (self.question == question))
            if mine.size:
                nearest[row] = images[mine[((images[mine] - self.mean[row]) ** 2).sum(axis=1).argmin()]]
        return nearest
