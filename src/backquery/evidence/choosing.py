"""Slope or finite ink: which measure's claims hold on a trial half, which is none that claims are counted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backquery.evidence.finite import finite_effects
from backquery.evidence.interventions import intervene
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import Effects, Findings, judge_effects
from backquery.model import Array, Model

SLOPE, PATH = MEASURES = ("slope", "path")
"""By what the effect of ink is measured: the slope at the image, or finite ink, on the way to paper and to ink."""

IN_WORDS = {SLOPE: "slopes", PATH: "finite ink"}

TRUSTED = 0.98
"""The share of the slopes' claims that must hold on the trial half; else finite ink is tried."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The measure, and why: for each one tried, how many claims held and how many were tested, of all questions.

    findings: by each one, for each question.
    """

    measure: str = SLOPE
    trial: dict[str, tuple[int, int]] = field(default_factory=dict)
    findings: dict[str, tuple[Findings, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Measuring:
    """How verdicts are found and tried: on one model, with the same rate, limit and chance."""

    model: Model
    inked: NDArray[np.bool_]
    rate: float
    smallest: float
    rng: np.random.Generator

    def slopes(self, question: Question, x: Array) -> Array:
        """The sensitivities (n, pixels) at images (n, inputs)."""
        paper = Paper.of(self.model)
        return paper.effects(question.gradients(self.model, x) * paper.span, np.zeros(x.shape[1]))

    def findings(self, question: Question, x: Array, measure: str) -> Findings:
        """The verdicts by one measure."""
        if measure == PATH:
            return self.judged(finite_effects(self.model, question, x, self.rng))
        return self.judged([Effects.of(self.slopes(question, x))])

    def judged(self, effects: Sequence[Effects]) -> Findings:
        """The verdicts by the effects that were measured."""
        return judge_effects(effects, self.inked, rate=self.rate, smallest=self.smallest)

    def choice(
        self,
        questions: Sequence[Question],
        images: Callable[[int], Sequence[Array]],
        progress: Callable[[int], None],
    ) -> Choice:
        """The measure whose claims hold most often: slopes, unless more than one in fifty of theirs fail.

        images: for a question's place, images to measure on and others to try the claims on. `progress` is told
        how many questions were done, those of every measure.
        """
        trial: dict[str, tuple[int, int]] = {}
        findings: dict[str, tuple[Findings, ...]] = {}
        for number, measure in enumerate(MEASURES):
            found, outcomes = [], []
            for place, question in enumerate(questions):
                measured_on, tried_on = images(place)
                found.append(self.findings(question, measured_on, measure))
                outcomes += self._outcomes(question, found[-1], tried_on)
                progress(number * len(questions) + place + 1)
            trial[measure], findings[measure] = (sum(outcomes), len(outcomes)), tuple(found)
            if sum(outcomes) >= TRUSTED * len(outcomes):
                break
        return Choice(max(trial, key=lambda name: _share(trial[name])), trial, findings)

    def _outcomes(self, question: Question, findings: Findings, x: Array) -> list[bool]:
        tried = intervene(self.model, question, findings.verdict, x, smallest=self.smallest, rng=self.rng)
        return [one.held for one in tried if one.held is not None]


def _share(counted: tuple[int, int]) -> float:
    """The share of claims that held; none where there was nothing to try."""
    return counted[0] / counted[1] if counted[1] else 0.0
