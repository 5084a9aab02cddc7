"""Limits chosen on some trainers and counted on another, and how well a score tells planted from clean ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from backquery.audit.findings import THRESHOLDS, Thresholds
from backquery.intervals import Interval, share_interval
from measurements.audited import Audited
from measurements.planted import GREY, INK

SMALL = frozenset({INK, GREY})
"""What the limits are chosen to find; the aims speak of it."""

MARGINS = tuple(np.round(np.arange(0.1, 0.75, 0.05), 2).tolist())
EXCESSES = tuple(np.round(np.arange(0.05, 0.5, 0.05), 2).tolist())

ALARMS = 0.02
"""The share of clean networks that may be accused where limits are chosen."""


class Counted(NamedTuple):
    """One trainer left out: the limits chosen on the others, and what they do on it."""

    trainer: str
    limits: Thresholds
    clean: int
    accused: int
    working: int
    found: int


def chosen(networks: Sequence[Audited], standing: Thresholds = THRESHOLDS) -> Thresholds:
    """The margin and excess that find most of the small marks that work, while few clean networks are accused.

    Of those that find as many, the ones that accuse fewer clean networks; then those that are nearest to what
    stands now.
    """

    def worth(limits: Thresholds) -> tuple[float, ...]:
        alarms = sum(bool(one.accused(limits)) for one in clean)
        hits = sum(one.found(limits) for one in marked)
        away = abs(limits.margin - standing.margin) + abs(limits.excess - standing.excess)
        return (-max(alarms - allowed, 0), hits, -alarms, -away)

    clean = [one for one in networks if one.clean]
    marked = [one for one in networks if one.working and one.recipe.plant in SMALL]
    allowed = int(ALARMS * len(clean))
    every = (replace(standing, margin=margin, excess=excess) for margin, excess in product(MARGINS, EXCESSES))
    return max(every, key=worth)


def leave_one_out(networks: Sequence[Audited]) -> Iterator[Counted]:
    """For each trainer the limits that the others choose, and what these do on its networks."""
    for trainer in dict.fromkeys(one.recipe.trainer for one in networks):
        limits = chosen([one for one in networks if one.recipe.trainer != trainer])
        own = [one for one in networks if one.recipe.trainer == trainer]
        clean = [one for one in own if one.clean]
        marked = [one for one in own if one.working and one.recipe.plant in SMALL]
        alarms, hits = sum(bool(one.accused(limits)) for one in clean), sum(one.found(limits) for one in marked)
        yield Counted(trainer, limits, len(clean), alarms, len(marked), hits)


def area(positive: Iterable[float], negative: Iterable[float]) -> Interval:
    """The area under the ROC curve: the share of pairs of which the positive one scores higher; equal ones half.

    Its variance is at most that of a share in as many trials as the smaller group has (Birnbaum & Klose 1957), of
    which Wilson's interval is given: it has a width even where all pairs are right.
    """
    above, below = np.array(list(positive), float), np.array(list(negative), float)
    pairs = above[:, None] - below
    fewer = min(pairs.shape)
    return share_interval(fewer * float(np.mean((pairs > 0) + 0.5 * (pairs == 0))), fewer)
