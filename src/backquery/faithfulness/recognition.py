"""What the agreement of judges is worth, beside their own mistakes on real images and beside chance.

Where a share s of n images shows what was asked for, as well as real images do, and the others show nothing, a
judge agrees with h of them: ``h / n = chance + s (performance - chance)``. For one judge that gives the estimator
of Rogan & Gladen (1978), with chance for the rate of false alarms; for several, s is fitted by least squares, so
that each counts as much as it is better than chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from backquery.faithfulness.judges import Judge, luck
from backquery.model import Labels

LUCK = 0.05
"""What is found by chance alone in more than so many cases may be luck."""


def recognised_share(agreement: Iterable[float], worth: Iterable[float], chance: float) -> float | None:
    """The share s of images, 0 to 1, in which judges recognise what was asked for; None where no judge counts.

    agreement: the share of the images that each judge reads as expected; worth: how far its performance on real
    images is above chance, 0 for one that does not count. s minimises ``sum (agreement - chance - s worth)^2``.
    """
    above, most = np.array([*agreement], float) - chance, np.array([*worth], float)
    return float(np.clip(above @ most / (most @ most), 0.0, 1.0)) if most.any() else None


@dataclass(frozen=True, eq=False)
class Recognition:
    """What judges, by their names, read (n,) in images that should be read as `expected` (n,).

    chance: the share that is read so by chance, such as 0.1.
    """

    judges: Mapping[str, Judge]
    read: Mapping[str, Labels]
    expected: Labels
    chance: float

    @cached_property
    def agreement(self) -> dict[str, int]:
        """How many images each judge reads as expected."""
        return {name: int(np.sum(read == self.expected)) for name, read in self.read.items()}

    @cached_property
    def share(self) -> float | None:
        """`recognised_share` of all judges together."""
        agreement = [count / len(self.expected) for count in self.agreement.values()]
        worth = [self.judges[name].worth(self.chance) for name in self.agreement]
        return recognised_share(agreement, worth, self.chance)

    @cached_property
    def by_chance(self) -> dict[str, float]:
        """For each judge how probable so many agreements, or more, are by chance alone."""
        return {name: luck(count, len(self.expected), self.chance) for name, count in self.agreement.items()}

    @property
    def may_be_luck(self) -> bool:
        """Whether chance alone makes the judge that is best on real images agree as often, in one case of twenty.

        All judges read the same images, so that their chances may not be multiplied.
        """
        best = max(self.judges, key=lambda name: self.judges[name].worth(self.chance))
        return self.by_chance[best] > LUCK

    @property
    def brief(self) -> str:
        """``98%``, with a question mark where it may be luck, or a dash where no judge is of worth."""
        return "-" if self.share is None else f"{self.share:.0%}{'?' if self.share and self.may_be_luck else ''}"

    def as_json(self) -> dict[str, Any]:
        """All that it holds as plain values, for JSON."""
        return {
            "agreement": self.agreement,
            "recognised": None if self.share is None else round(self.share, 4),
            "by_chance": self.by_chance,
        }
