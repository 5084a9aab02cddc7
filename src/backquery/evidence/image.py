"""The evidence of one image: what its own ink, and ink on its paper, mean to a label, tried by changing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import DataError
from backquery.evidence.interventions import ADDED, CLAIMS, DOSE, ROOM, TAKEN, has_room
from backquery.evidence.measure import RATE, SMALLEST
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import NEVER_INKED, VERDICTS, Findings, judge
from backquery.inversion.targets import label_positions
from backquery.model import (
    UNREAD,
    Array,
    Model,
    Seed,
    brief,
    checked_inputs,
    finite_answer,
    generator_of,
    labels_read,
    name_read,
)
from backquery.model.declared import declared

ROUNDS = 24
"""How often every pixel is moved."""

PATCHES = 10
"""So many patches lie across the shorter side of an image: what is moved together."""

GROUPS = {TAKEN: 2, ADDED: 6}
"""Into how many parts an image's patches fall, one of which is moved: half of the ink, or a sixth of the paper.

All paper inked is no image any more, and half of it hardly one.
"""

HALF = 0.5
"""In colour there is no paper: pixels that have so much light lose it, and the darker ones gain it."""

DRAWS = 100
"""How often as much other ink is moved, to compare with."""

BEYOND = 0.95
"""The share of those that a claim must go beyond."""


@dataclass(frozen=True)
class Trial:
    """What moving all ink of one kind at once did to the log-odds, and what as much other ink does.

    region, action, claim: as in `Intervention`, here for the pixels of one image. pixels: how many were changed;
    ink: full pixels of ink moved. change: of the log-odds; read: the label that the model then reads. others, low,
    high: the mean change by as much ink elsewhere, drawn a hundred times, and where the middle 95 % of them lie;
    beyond: the share of them that went less far the claimed way. limit: what counts as hardly any change. change,
    read and others are None where there is nothing to move.
    """

    region: str
    action: str
    claim: int
    pixels: int
    ink: float
    limit: float
    change: float | None = None
    read: int | None = None
    others: float | None = None
    low: float | None = None
    high: float | None = None
    beyond: float | None = None

    @property
    def held(self) -> bool | None:
        """Whether the log-odds moved as claimed, and further than by 95 % of the other ink; None if not tried.

        Insensitive pixels must move them by less than the smallest effect that matters, times the ink.
        """
        if self.change is None or self.beyond is None:
            return None
        if self.claim == 0:
            return abs(self.change) < self.limit
        return self.claim * self.change > 0 and self.beyond >= BEYOND


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """What each pixel of one image means for a label, and whether that held when they were changed together.

    question, labels, rate, smallest: as in `Evidence`. ink: (inputs,), the image; inked: (pixels,), which pixels
    have ink to take, the others being paper; read: the label that the model reads in it; log_odds: the number
    asked about. findings: the effects of a full pixel of ink, of the ink that is there and of ink on the paper.
    trials: the claims, tried on the image.
    """

    __repr__ = brief

    question: str
    labels: tuple[int, ...]
    ink: Array
    inked: NDArray[np.bool_]
    read: int
    log_odds: float
    findings: Findings
    rate: float
    smallest: float
    trials: tuple[Trial, ...]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many pixels each verdict has, of the ink and of the paper."""
        halves = {"ink": self.inked, "paper": ~self.inked}
        return {half: _counted(self.findings.verdict[where]) for half, where in halves.items()}

    @property
    def claims(self) -> tuple[Trial, ...]:
        """The trials that there was something to try in."""
        return tuple(one for one in self.trials if one.held is not None)

    @property
    def held(self) -> int:
        """How many of the claims held."""
        return sum(bool(one.held) for one in self.claims)

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Everything but the maps as plain values; labels by their names."""
        tried = [
            {**asdict(one), "read": None if one.read is None else name_read(classes, one.read), "held": one.held}
            for one in self.trials
        ]
        return {
            "question": self.question,
            "labels": [classes[label] for label in self.labels],
            "read": name_read(classes, self.read),
            "log_odds": self.log_odds,
            "pixels": self.counts,
            "held": self.held,
            "claims": len(self.claims),
            "trials": tried,
        }


@declared(DataError)
def image_evidence(
    model: Model,
    image: ArrayLike,
    label: int | str | None = None,
    *,
    between: tuple[int | str, int | str] | None = None,
    rate: float = RATE,
    smallest: float = SMALLEST,
    rng: Seed = 0,
) -> ImageEvidence:
    """What the ink of one `image` (inputs,), in input scale, means for a label: by default the one read in it.

    Patches of ink are taken away at random, half of them at a time, and patches of paper inked, a sixth at a
    time, each as far as chance has it. What a pixel's ink does is the mean slope of the label's log-odds on that
    way, with its standard error: between none and full ink the slopes of one pixel add up to the change itself, so
    that this is the effect of erasing or inking it, averaged over what surrounds it (as RISE averages, Petsiuk et
    al. 2018, along the paths of integrated gradients, Sundararajan et al. 2017). Verdicts follow as for many
    images, by `rate` and `smallest`, see `measure_evidence`; `between` asks about the first label rather than the
    second. `DataError` for more than one image, a label that there is not, or both questions at once.

    A pixel of several channels is moved in all of them together. In colour there is no paper, and each pixel goes
    the longer way: light ones towards black, dark ones towards white.

    Then they are tried together: the strongest ink that supports the label, at most half of all ink, is taken at
    once, and must lower the log-odds, more than as much other ink does in 95 of 100 draws; and so on for what
    speaks against it, and for paper that is inked.
    """
    if not (0 < rate < 0.5 and 0 <= smallest < np.inf):
        raise DataError(
            f"the rate lies between 0 and 0.5 and the smallest effect is a number from 0 on; received {rate:g} "
            f"and {smallest:g}"
        )
    inputs = checked_inputs(image, model.input_shape, np.float64)
    if len(inputs) != 1:
        raise DataError(f"one image is asked about; received {len(inputs)}")
    sheet = _Sheet.of(model, inputs[0])
    question = _question(model, label, between, sheet.read)
    generator = generator_of(rng)
    inked = sheet.inked
    effects = {action: _effects(sheet, question, action, generator) for action in GROUPS}
    sensitivities = np.where(inked, effects[TAKEN], effects[ADDED])
    findings = judge(sensitivities, np.ones_like(inked), rate=rate, smallest=smallest)
    return ImageEvidence(
        question=question.name(model.classes),
        labels=question.labels,
        ink=sheet.ink,
        inked=inked,
        read=sheet.read,
        log_odds=float(question.log_odds(model, sheet.inputs(sheet.ink[None]))[0]),
        findings=findings,
        rate=rate,
        smallest=smallest,
        trials=tuple(_trials(sheet, question, findings, smallest, generator)),
    )


@dataclass(frozen=True, eq=False)
class _Sheet:
    """One image on its paper: the ink of its inputs and of whole pixels, what is read in it, how patches lie."""

    model: Model
    paper: Paper
    ink: Array
    pixels: Array
    read: int

    @classmethod
    def of(cls, model: Model, x: Array) -> _Sheet:
        paper = Paper.of(model)
        finite_answer(np.asarray(model.query(x[None]))[0])
        read = labels_read(model, x[None])[0]
        ink = np.clip(paper.ink(x), 0.0, 1.0)
        return cls(model, paper, ink, paper.pixels(ink), int(read))

    @property
    def inked(self) -> NDArray[np.bool_]:
        """Which pixels have ink to take, (pixels,); the others are paper. In colour each goes the longer way."""
        return np.asarray(self.pixels >= (HALF if self.paper.layout.coloured else ROOM))

    def inputs(self, ink: Array) -> Array:
        """Ink (n, inputs) as the model takes it."""
        return self.paper.inputs(ink).astype(np.float32)

    def patches(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """The number of the patch that each pixel lies in, (pixels,), on a grid that begins anywhere."""
        layout = self.paper.layout
        side = max(1, round(min(layout.rows, layout.columns) / PATCHES))
        down, across = rng.integers(0, side, 2)
        rows, columns = (np.arange(layout.rows) + down) // side, (np.arange(layout.columns) + across) // side
        return np.asarray(rows[:, None] * (columns[-1] + 1) + columns).ravel()


def _question(
    model: Model, label: int | str | None, between: tuple[int | str, int | str] | None, read: int
) -> Question:
    if label is not None and between is not None:
        raise DataError("ask for a label, or for what lies between two labels, not for both")
    if between is None:
        if label is None and read == UNREAD:
            raise DataError("there is no reading of this image to explain, two labels tie: name a label")
        return Question((read if label is None else int(label_positions(model, label)[0]),))
    return Question.between(model, between)


def _effects(sheet: _Sheet, question: Question, action: str, rng: np.random.Generator) -> Array:
    """The effect of a full pixel of ink at each pixel, in log-odds, once for each round: (rounds, pixels)."""
    changed, moved = _changed(sheet, action, rng)
    slopes = question.gradients(sheet.model, sheet.inputs(changed)) * sheet.paper.span
    effects = sheet.paper.effects(slopes, _end(action) - sheet.ink)
    return np.asarray((effects * moved).reshape(ROUNDS, GROUPS[action], -1).sum(axis=1))


def _changed(sheet: _Sheet, action: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """The image's ink when one group of patches after the other is moved, and which pixels are.

    Both have a row for each group of each round, of all inputs and of all pixels.

    In a round the patches fall into groups by chance, and each is moved by a share of its own of the way to paper
    or to full ink.
    """
    groups = GROUPS[action]
    moved, share = [], []
    for _ in range(ROUNDS):
        patch = sheet.patches(rng)
        group = rng.integers(0, groups, patch.max() + 1)[patch]
        moved += [group == number for number in range(groups)]
        share += groups * [rng.random(patch.max() + 1)[patch]]
    far = sheet.paper.channels(np.where(moved, share, 0.0))
    return sheet.ink + far * (_end(action) - sheet.ink), np.array(moved)


def _end(action: str) -> float:
    """The ink of a pixel that is inked, or taken."""
    return 1.0 if action == ADDED else 0.0


def _trials(
    sheet: _Sheet, question: Question, findings: Findings, smallest: float, rng: np.random.Generator
) -> Iterator[Trial]:
    """Every claim about the image's ink, and about its paper: what there is of it, moved at once."""
    before = question.log_odds(sheet.model, sheet.inputs(sheet.ink[None]))[0]
    inked = sheet.inked
    for (region, action), claim in CLAIMS.items():
        if claim is None:
            continue
        there, end = has_room(sheet.pixels, action) & (inked == (action == TAKEN)), _end(action)
        chosen = _chosen(sheet.pixels, findings, there, region, end)
        ink = float(np.abs(end - sheet.pixels[chosen]).sum())
        kind = (VERDICTS[region], action, claim, int(chosen.sum()), ink, smallest * ink)
        if not chosen.any():
            yield Trial(*kind)
            continue
        others = _others(sheet, there & ~chosen, ink, end, rng)
        moved = sheet.paper.channels(np.concatenate([chosen[None], others]))
        changed = np.where(moved, end, sheet.ink)
        change, *elsewhere = question.log_odds(sheet.model, sheet.inputs(changed)) - before
        read = int(labels_read(sheet.model, sheet.inputs(changed[:1]))[0])
        low, high = np.quantile(elsewhere, ((1 - BEYOND) / 2, (1 + BEYOND) / 2))
        beyond = np.mean(claim * change > claim * np.array(elsewhere))
        yield Trial(*kind, float(change), read, float(np.mean(elsewhere)), float(low), float(high), float(beyond))


def _chosen(
    ink: Array, findings: Findings, there: NDArray[np.bool_], region: int, end: float
) -> NDArray[np.bool_]:
    """The region's strongest pixels, at most half of what could be moved, and of the image's ink."""
    room = np.where(there, np.abs(end - ink), 0.0)
    dose = min(max(ink.sum() / 2, DOSE * len(ink)), room.sum() / 2)
    strength = np.where(there & (findings.verdict == region), np.abs(findings.mean), -1.0)
    return _first(np.argsort(-strength, kind="stable"), room, dose) & (strength >= 0)


def _others(
    sheet: _Sheet, there: NDArray[np.bool_], ink: float, end: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """As much ink elsewhere, (draws, pixels): drawn pixel by pixel, and every second time patch by patch."""
    room, drawn = np.where(there, np.abs(end - sheet.pixels), 0.0), []
    for number in range(DRAWS):
        lots = rng.random(len(sheet.pixels))
        if number % 2:
            lots = lots[sheet.patches(rng)]
        drawn.append(_first(np.lexsort((lots, ~there)), room, ink) & there)
    return np.array(drawn)


def _first(order: NDArray[np.intp], room: Array, ink: float) -> NDArray[np.bool_]:
    """The first pixels in that order that together move so much ink; one at least."""
    chosen = np.zeros(len(room), np.bool_)
    chosen[order[: max(1, np.searchsorted(np.cumsum(room[order]), ink, side="right"))]] = True
    return chosen


def _counted(verdict: NDArray[np.int8]) -> dict[str, int]:
    return {VERDICTS[k]: int(np.sum(verdict == k)) for k in range(NEVER_INKED)}
