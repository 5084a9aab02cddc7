"""A prior of several means and covariances, for things that stand anywhere: which of them, is found by the search.

Every component is a `Prior` of its own, and all grant the pixels the same noise, so that one whitening serves all.
A batch of questions may ask each for another component: `Chosen` are the components of such a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.inversion.linearised import Bound, BoundPixels, Linearisation, Linearised, Rows, newton_step
from backquery.inversion.priors import OnePrior, Prior, data_prior
from backquery.model import Array, Statistics


@dataclass(frozen=True, eq=False)
class MixturePrior:
    """The sum of ``weights[j]`` times the density of ``components[j]``; all have the same diagonal and rank."""

    weights: Array
    components: tuple[Prior, ...]
    whole: Prior
    """One Gaussian for all images, where no component has the answer."""

    name: ClassVar[str] = "mixture"

    @classmethod
    def of(cls, statistics: Statistics) -> MixturePrior:
        """The mixture that these statistics keep, which must have one."""
        kept = statistics.mixture
        assert kept is not None
        basis, weights = kept.basis.astype(np.float64), kept.weights.astype(np.float64)
        components = tuple(
            Prior(cls.name, statistics.mean + basis @ centre, basis @ directions, statistics.diagonal)
            for centre, directions in zip(kept.centres, kept.directions, strict=True)
        )
        return cls(weights / weights.sum(), components, data_prior(statistics))

    @property
    def inputs(self) -> int:
        """The number of pixels."""
        return self.components[0].inputs

    @property
    def deviation(self) -> Array:
        """What every pixel deviates by alone, (inputs,): the unit of whitened coordinates."""
        return self.components[0].deviation

    @cached_property
    def means(self) -> Array:
        """(components, inputs)."""
        return np.stack([component.mean for component in self.components])

    def log_density(self, images: ArrayLike) -> Array:
        """The natural logarithm of the density at each row of (n, inputs), in input scale."""
        return np.asarray(np.logaddexp.reduce(self.log_densities(images), axis=1))

    def log_densities(self, images: ArrayLike) -> Array:
        """The logarithm of each weighted component's share of the density, (n, components)."""
        each = [component.log_density(images) for component in self.components]
        return np.asarray(np.stack(each, axis=1) + np.log(self.weights))

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Images (count, inputs) as the mixture draws them, in input scale; no box holds them."""
        return self.picked(count, rng).draw(rng)

    def picked(self, count: int, rng: np.random.Generator) -> Chosen:
        """So many components, each as often as its weight says."""
        return self.chosen(rng.choice(len(self.components), count, p=self.weights))

    def likeliest(self, images: ArrayLike) -> Chosen:
        """For each image (n, inputs) the component that it most probably comes from."""
        return self.chosen(self.log_densities(images).argmax(axis=1))

    def chosen(self, components: ArrayLike) -> Chosen:
        """These components (n,), one for each question of a batch."""
        return Chosen(self, np.asarray(components, np.intp))


@dataclass(frozen=True, eq=False)
class Chosen:
    """The components that the questions of a batch are asked under, as `linearised.Whitened`.

    components: (n,) positions in `mixture`.
    """

    mixture: MixturePrior
    components: NDArray[np.intp]

    name: ClassVar[str] = MixturePrior.name

    def of(self, rows: Rows) -> Chosen:
        """Those of the questions `rows`."""
        return Chosen(self.mixture, self.components[rows])

    @property
    def rank(self) -> int:
        """How many directions each component has."""
        return self.mixture.components[0].rank

    @property
    def mean(self) -> Array:
        """(n, inputs)."""
        return self.mixture.means[self.components]

    @property
    def deviation(self) -> Array:
        """See `MixturePrior`."""
        return self.mixture.deviation

    def whiten(self, images: ArrayLike, origin: Array) -> Array:
        """See `Prior.whiten`."""
        return self.mixture.components[0].whiten(images, origin)

    def unwhiten(self, y: Array, origin: Array) -> Array:
        """See `Prior.unwhiten`."""
        return self.mixture.components[0].unwhiten(y, origin)

    def spread(self, scores: Array) -> Array:
        """See `Whitened`."""
        return _each_by_its_own(scores, [prior.factors(scores.dtype).spreading for prior in self._priors])

    def gather(self, y: Array) -> Array:
        """See `Whitened`."""
        return _each_by_its_own(y, [prior.factors(y.dtype).whitened for prior in self._priors])

    def explained(self, y: Array) -> tuple[Array, Array]:
        """See `Whitened`, and `Prior.explained`."""
        along = self.gather(y)
        u = _each_by_its_own(along, [prior.factors(y.dtype).inner for prior in self._priors])
        return u, np.asarray(np.einsum("ij,ij->i", y, y) - np.einsum("ij,ij->i", along, u))

    def draw(self, rng: np.random.Generator) -> Array:
        """An image (n, inputs) of each of these components, in input scale; no box holds them."""
        count = len(self.components)
        y = rng.standard_normal((count, self.mixture.inputs), np.float32)
        y += self.spread(rng.standard_normal((count, self.rank), np.float32))
        return self.unwhiten(y, self.mean)

    def precise(self, y: Array, kept: Array) -> Array:
        """See `Whitened`."""
        return y - self.spread(kept)

    def newton_step(self, here: Linearisation) -> Linearised:
        """See `linearised.newton_step`."""
        return newton_step(self, here)

    def bound_pixels(self, images: int) -> Bound:
        """See `Whitened`."""
        assert images == len(self.components)
        return BoundPixels([prior.whitened for prior in self._priors])

    @property
    def _priors(self) -> Sequence[Prior]:
        return [self.mixture.components[j] for j in self.components]


def _each_by_its_own(values: Array, matrices: Sequence[Array]) -> Array:
    """(n, ..., a) times n matrices (a, b), one by one, for a stack of them would be copied."""
    products = np.empty((*values.shape[:-1], matrices[0].shape[1]), matrices[0].dtype)
    for each, matrix, product in zip(values, matrices, products, strict=True):
        np.dot(each, matrix, out=product)
    return products


AnyPrior = OnePrior | MixturePrior
"""What a back query can be asked under."""
