"""The verdicts put to the test: ink added and taken on images that had no part in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import AGAINST, INSENSITIVE, NEVER_INKED, SUPPORT, UNCLEAR, VERDICTS
from backquery.intervals import Interval, mean_interval
from backquery.model import Array, Model

DOSE = 0.01
"""The share of all pixels that an intervention changes in each image; one pixel at least."""

ROOM = 0.1
"""A pixel is worth inking, or blanking, if that moves at least so much ink there."""

FEWEST = 10
"""Fewer images than this say nothing about a claim."""

ADDED, TAKEN = ACTIONS = ("ink added", "ink taken")

CLAIMS: dict[tuple[int, str], int | None] = {
    (SUPPORT, ADDED): 1,
    (SUPPORT, TAKEN): -1,
    (AGAINST, ADDED): -1,
    (AGAINST, TAKEN): 1,
    (INSENSITIVE, ADDED): 0,
    (INSENSITIVE, TAKEN): 0,
    (NEVER_INKED, ADDED): None,
}
"""Which way each intervention should move the log-odds; None where nothing is claimed."""


@dataclass(frozen=True)
class Intervention:
    """What changing ink in one region of held-out images did to the log-odds.

    region: a name in `VERDICTS`; action: ``"ink added"`` or ``"ink taken"``; claim: 1 up, -1 down, 0 hardly,
    None where nothing is claimed. images: how many had such pixels; ink: how many full pixels of ink were moved in
    each, on average. change, low, high: the mean change of the log-odds and its 95 % interval by Student's t;
    size, size_high: the mean absolute change and the upper end of its interval. limit: what counts as hardly.
    The means are None where fewer than ten images could be changed.
    """

    region: str
    action: str
    claim: int | None
    images: int
    ink: float
    change: float | None = None
    low: float | None = None
    high: float | None = None
    size: float | None = None
    size_high: float | None = None
    limit: float | None = None

    @property
    def held(self) -> bool | None:
        """Whether the whole interval is where the claim says; None where nothing was claimed, or could be tested.

        Up and down: of the mean change, on the right side of zero. Hardly: of the mean absolute change, below the
        smallest effect that matters, times the ink moved.
        """
        tested = self.tested
        if tested is None:
            return None
        if self.claim == 0:
            assert self.limit is not None
            return bool(tested.high < self.limit)
        return bool(tested.low > 0 if self.claim == 1 else tested.high < 0)

    @property
    def tested(self) -> Interval | None:
        """What the claim is about, in its interval: the mean change, or its size where it claims hardly any.

        None where nothing was claimed, or could be tested.
        """
        if self.claim is None or self.change is None or self.size is None or self.size_high is None:
            return None
        if self.claim == 0:
            return Interval(self.size, max(2 * self.size - self.size_high, 0.0), self.size_high)
        return Interval(self.change, self.low, self.high)


def intervene(
    model: Model,
    question: Question,
    verdict: NDArray[np.int8],
    held_out: Array,
    *,
    smallest: float,
    rng: np.random.Generator,
) -> tuple[Intervention, ...]:
    """Every claim of `CLAIMS` on images (n, inputs) in input scale.

    verdict: (pixels,). In each image, a hundredth of all pixels, drawn from those of the region where it can be
    done, is inked fully, or blanked, in all of its channels.
    """
    paper = Paper.of(model)
    ink_of_channels = np.clip(paper.ink(held_out), 0.0, 1.0)
    ink, plain = paper.pixels(ink_of_channels), paper.inputs(ink_of_channels)
    plain = plain.astype(np.result_type(held_out, np.float32))
    before = question.log_odds(model, held_out)
    found = []
    for (region, action), claim in CLAIMS.items():
        drawn = _drawn(ink, verdict == region, action, rng)
        after = 1.0 if action == ADDED else 0.0
        moved = np.bincount(drawn[0], np.abs(after - ink[drawn]), len(ink))
        rows = np.flatnonzero(moved)
        name, amount = VERDICTS[region], float(moved[rows].mean()) if len(rows) else 0.0
        if len(rows) < FEWEST:
            found.append(Intervention(name, action, claim, len(rows), amount))
            continue
        changed = plain.copy()
        cells = paper.cells[drawn[1]]
        changed[drawn[0][:, None], cells] = paper.inputs(np.full(len(paper.blank), after))[cells]
        change = question.log_odds(model, changed[rows]) - before[rows]
        mean, low, high = map(float, mean_interval(change))
        size, _, size_high = map(float, mean_interval(np.abs(change)))
        limit = smallest * amount
        found.append(Intervention(name, action, claim, len(rows), amount, mean, low, high, size, size_high, limit))
    return tuple(found)


def has_room(ink: Array, action: str) -> NDArray[np.bool_]:
    """Where there is ink to take, or paper to add it to."""
    return ink <= 1 - ROOM if action == ADDED else ink >= ROOM


def agreement(sensitivities: Array, ink: Array, verdict: NDArray[np.int8]) -> float:
    """How far images agree on what a pixel means, before anything is changed: 1 wholly, 0 not at all.

    For each claim of support or against: the sum of the sensitivities (n, pixels) of its pixels in those images
    (n, pixels) where it can be tried, the claimed way, over the sum of their sizes; the mean over the claims. A
    pixel that supports a label on average may well speak against it wherever there is room for more ink. Where no
    pixel is either, images agree if they leave nothing unclear.
    """
    shares = []
    for (region, action), claim in CLAIMS.items():
        slopes = sensitivities[has_room(ink, action) & (verdict == region)] if claim else np.zeros(0)
        if np.any(slopes):
            shares.append((1 if region == SUPPORT else -1) * slopes.sum() / np.abs(slopes).sum())
    return float(np.mean(shares)) if shares else float(not np.any(verdict == UNCLEAR))


def _drawn(
    ink: Array, region: NDArray[np.bool_], action: str, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of pixels to change in images (n, pixels): a dose of the region's, where there is room."""
    places, dose = np.flatnonzero(region), max(1, round(DOSE * ink.shape[1]))
    there, lots = (np.take(values, places, axis=1) for values in (ink, rng.random(ink.shape)))
    room = has_room(there, action)
    rest = len(places) - dose
    if rest > 0:
        lots[~room] = -1.0
        # The lot of the last one drawn; an image with less room than a dose keeps all that it has.
        room &= lots >= np.partition(lots, rest, axis=1)[:, rest, None]
    rows, drawn = np.nonzero(room)
    return rows, places[drawn]
