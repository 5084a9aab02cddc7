"""How usual an image is: its density beside that of real images. Too plain is as unusual as too strange."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from backquery.inversion import kept_prior
from backquery.model import Array, Statistics

TEST_IMAGES = 2000
"""Held-out real images that others are measured against."""

UNUSUAL = 0.05
"""An image with a smaller typicality is called plain or strange; so are five real images of a hundred."""


class Density(Protocol):
    """What knows how dense real images lie."""

    def log_density(self, images: ArrayLike, /) -> Array:
        """The natural logarithm of the density at each row of (n, inputs), in input scale."""
        ...


def usual_density(statistics: Statistics) -> Density:
    """The density by which a model's images are called usual or not."""
    return kept_prior(statistics)


@dataclass(frozen=True, eq=False)
class Usualness:
    """percentile: for each image (n,) the share of real images that are less dense; of equal ones half count."""

    percentile: Array

    @cached_property
    def typicality(self) -> Array:
        """(n,): the share of real images that lie farther out on either side, ``2 min(p, 1 - p)``.

        1 is the most usual image; one that is plainer or stranger than all real images has 0.
        """
        return np.asarray(2 * np.minimum(self.percentile, 1 - self.percentile))

    @property
    def side(self) -> tuple[str, ...]:
        """``"plain"`` or ``"strange"`` for each image whose typicality is below 0.05, else ``"usual"``."""
        unusual = np.where(self.percentile > 0.5, "plain", "strange")
        return tuple(np.where(self.typicality < UNUSUAL, unusual, "usual").tolist())

    @property
    def brief(self) -> str:
        """``plain`` or ``strange`` where most of the images are, else their median typicality: ``0.52``."""
        side, count = Counter(self.side).most_common(1)[0]
        unusual = side != "usual" and 2 * count > len(self.side)
        return side if unusual else f"{np.median(self.typicality):.2f}"

    def as_json(self) -> dict[str, Any]:
        """All that it holds as plain values, for JSON."""
        return {"typicality": [round(float(v), 4) for v in self.typicality], "side": list(self.side)}


class RealDensities:
    """How dense real images (m, inputs) are, which the density should not have been fitted to."""

    def __init__(self, density: Density, real: ArrayLike) -> None:
        self._density = density
        self._usual = np.sort(density.log_density(real))

    def usualness(self, images: ArrayLike) -> Usualness:
        """How usual images (n, inputs) are among them."""
        return Usualness(percentiles(self._density.log_density(images), self._usual))


def typicality(density: Density, images: ArrayLike, real: ArrayLike) -> Array:
    """For each image (n, inputs) the share of `real` images (m, inputs) that lie farther out on either side.

    With p the share of real images of a lower density it is ``2 min(p, 1 - p)``: a real image has 0.5 on average,
    and noise has 0, and so has a blank sheet where hardly any real image is as plain.
    """
    return RealDensities(density, real).usualness(images).typicality


def percentiles(values: ArrayLike, usual: Array) -> Array:
    """The share of `usual` values (m,), which rise, that are below each value (n,); equal ones count half."""
    below, upto = np.searchsorted(usual, values, side="left"), np.searchsorted(usual, values, side="right")
    return np.asarray((below + upto) / (2 * len(usual)))
