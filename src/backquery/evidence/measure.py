"""The evidence for a label: verdicts on every pixel from some images, tested on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError
from backquery.evidence.interventions import FEWEST, Intervention, agreement, intervene
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import VERDICTS, Findings, judge
from backquery.inversion.targets import LabelNames, label_positions
from backquery.model import Array, Data, Examples, Model, Progress, Seed

RATE = 0.05
"""The share of false claims that is put up with, among the pixels called support or against."""

SMALLEST = 0.1
"""The smallest effect that matters, in log-odds: full ink at one pixel changes the odds by about a tenth."""

IMAGES = 1000
"""At most so many images of a label are used, in either half."""

AGREEING = 0.62
"""Where images agree less than this on what a pixel means (`Evidence.agreement`), half of the claims fail.

It tells the networks whose claims mostly hold from the others, dense and convolutional, on centred and on
wandering digits and shapes (docs/measured.md): those on centred digits have 0.67 or more, the others at most 0.6.
"""

CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Evidence:
    """What every pixel means for one label, or for one label rather than another, and whether that held.

    question: in words; labels: the positions of the one or two labels. findings: the sensitivities and verdicts.
    mean_ink: (inputs,), the mean of the images used; contrast: (inputs,), where the label's images have more ink
    than those of all labels (or of the other label). agreement: how far the images used agree on what a pixel
    means, 1 wholly, 0 not at all. images: how many were used; rate and smallest: as asked for. interventions: the
    claims, tested on held-out images.
    """

    question: str
    labels: tuple[int, ...]
    findings: Findings
    mean_ink: Array
    contrast: Array
    agreement: float
    images: int
    rate: float
    smallest: float
    interventions: tuple[Intervention, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many pixels each verdict has."""
        return {name: int(np.sum(self.findings.verdict == k)) for k, name in enumerate(VERDICTS)}

    @property
    def claims(self) -> tuple[Intervention, ...]:
        """The interventions that could be tested against a claim."""
        return tuple(one for one in self.interventions if one.held is not None)

    @property
    def held(self) -> int:
        """How many of the claims held."""
        return sum(bool(one.held) for one in self.claims)

    @property
    def likeness(self) -> float:
        """The correlation of the mean sensitivity with the contrast, over pixels that some image inks.

        Near zero where a network knows nothing of the label's images; 1 where it just compares them with the mean.
        """
        used = self.findings.verdict != VERDICTS.index("never inked")
        pair = np.stack([self.findings.mean[used], self.contrast[used]])
        return float(np.corrcoef(pair)[0, 1]) if np.all(pair.std(axis=1) > 0) else 0.0

    @property
    def caution(self) -> str:
        """What to mind before the map is read, in one sentence; empty where nothing is."""
        return caution([self])

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Everything but the maps as plain values; labels by their names."""
        return {
            "question": self.question,
            "labels": [classes[label] for label in self.labels],
            "images": self.images,
            "pixels": self.counts,
            "likeness": self.likeness,
            "agreement": self.agreement,
            "caution": self.caution or None,
            "held": self.held,
            "claims": len(self.claims),
            "interventions": [{**asdict(one), "held": one.held} for one in self.interventions],
        }


def caution(evidence: Sequence[Evidence]) -> str:
    """What to mind before these maps are read, in one sentence; empty where nothing is.

    It is known from the images that gave the verdicts, before any claim is tested: where things stand anywhere,
    the same pixel means now this, now that, and its mean over images says little.
    """
    agreement = float(np.mean([one.agreement for one in evidence]))
    if agreement >= AGREEING:
        return ""
    return (
        f"what a pixel means changes from image to image here, as where things stand anywhere (agreement "
        f"{agreement:.2f}; below {AGREEING:g} about half of the claims fail): ask for the evidence of one image"
    )


@dataclass(frozen=True, eq=False)
class Half:
    """The examples of one half, and what all their images have in common."""

    examples: Examples
    inked: NDArray[np.bool_]
    mean_ink: Array

    @classmethod
    def of(cls, model: Model, data: Data) -> Half:
        """All images of `data`, as the model takes them."""
        examples, paper = Examples.of(model, data), Paper.of(model)
        inked, total = np.zeros(model.inputs, bool), np.zeros(model.inputs)
        for part in examples.parts(CHUNK):
            inputs = part.inputs()
            ends = paper.ink(np.stack([inputs.min(axis=0), inputs.max(axis=0)]))
            # Blank paper comes back from float32 inputs as a trace of ink.
            inked |= np.any(np.abs(ends) > 1e-4, axis=0)
            total += inputs.sum(axis=0, dtype=np.float64)
        return cls(examples, inked, paper.ink(total / len(examples)))


def measure_evidence(
    model: Model,
    data: Data,
    labels: LabelNames | None = None,
    *,
    between: tuple[int | str, int | str] | None = None,
    held_out: Data | None = None,
    rate: float = RATE,
    smallest: float = SMALLEST,
    images: int = IMAGES,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> tuple[Evidence, ...]:
    """What each pixel means for each of `labels` (all by default), or for the first label `between` two.

    The sensitivity of a label's log-odds ln(p / (1 - p)) to the ink at each pixel is averaged over real images of
    the label in `data`, with its standard error. A pixel is support, against or insensitive at the
    false-discovery rate `rate`, where an effect counts from `smallest` (log-odds for a full pixel of ink) on; else
    it is unclear. Each claim is then tested on images `held_out` (raw labelled images, like `data`; without them,
    a random half of each label's). Between two labels it is the difference of their log-odds, over as many images
    of either.

    At most `images` of each label are drawn by `rng`, in either half. Labels that are not asked for by name are
    left out where they have fewer than ten images in a half; asked for by name, they raise `DataError`.
    `progress` is told (questions done, questions in all).
    """
    if not (0 < rate < 0.5 and 0 <= smallest < np.inf and images >= FEWEST):
        raise DataError(
            f"the rate lies between 0 and 0.5, the smallest effect is a number from 0 on, and at least {FEWEST} "
            f"images are used; received {rate:g}, {smallest:g} and {images}"
        )
    if labels is not None and between is not None:
        raise DataError("ask for labels, or for what lies between two labels, not for both")
    halves = [Half.of(model, half) for half in ([data] if held_out is None else [data, held_out])]
    return evidence_from(model, halves, labels, between, rate, smallest, images, rng, progress)


def evidence_from(
    model: Model,
    halves: Sequence[Half],
    labels: LabelNames | None,
    between: tuple[int | str, int | str] | None,
    rate: float,
    smallest: float,
    images: int,
    rng: Seed,
    progress: Progress | None = None,
) -> tuple[Evidence, ...]:
    """The same from halves that may have been made for another model, if it takes images as this one does."""
    generator = np.random.default_rng(rng)
    rows = _rows(halves, model.outputs, images, generator)
    found = []
    questions = _questions(model, labels, between, rows)
    for position, question in enumerate(questions):
        used, tested = (_of_question(question, half) for half in rows)
        found.append(_evidence(model, question, halves, used, tested, rate, smallest, generator))
        if progress is not None:
            progress(position + 1, len(questions))
    return tuple(found)


def _rows(
    halves: Sequence[Half], outputs: int, most: int, rng: np.random.Generator
) -> list[list[NDArray[np.intp]]]:
    """For each half and each label, the positions of the images to use, in random order."""
    drawn = [
        [rng.permutation(np.flatnonzero(half.examples.labels == label)) for label in range(outputs)]
        for half in halves
    ]
    if len(drawn) == 1:
        (only,) = drawn
        drawn = [[rows[: len(rows) // 2] for rows in only], [rows[len(rows) // 2 :] for rows in only]]
    return [[rows[:most] for rows in half] for half in drawn]


def _questions(
    model: Model,
    labels: LabelNames | None,
    between: tuple[int | str, int | str] | None,
    rows: list[list[NDArray[np.intp]]],
) -> list[Question]:
    enough = [min(len(half[label]) for half in rows) >= FEWEST for label in range(model.outputs)]
    if between is not None:
        asked = [Question.between(model, between).labels]
    elif labels is not None:
        asked = [(int(k),) for k in label_positions(model, labels)]
    else:
        asked = [(k,) for k in range(model.outputs) if enough[k]]
    short = sorted({model.classes[k] for question in asked for k in question if not enough[k]})
    if short or not asked:
        raise DataError(
            f"at least {FEWEST} images are needed in each half to say something about a label; there are fewer of "
            f"{', '.join(short) or 'every label'}"
        )
    return [Question(question) for question in asked]


def _of_question(question: Question, rows: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """The images of each of its labels, as many of the one as of the other."""
    count = min(len(rows[label]) for label in question.labels)
    return [rows[label][:count] for label in question.labels]


def _evidence(
    model: Model,
    question: Question,
    halves: Sequence[Half],
    used: list[NDArray[np.intp]],
    tested: list[NDArray[np.intp]],
    rate: float,
    smallest: float,
    rng: np.random.Generator,
) -> Evidence:
    paper, inked = Paper.of(model), np.any([half.inked for half in halves], axis=0)
    pictures = [halves[0].examples.at(rows).inputs() for rows in used]
    means = [paper.ink(x.mean(axis=0, dtype=np.float64)) for x in pictures]
    shown = np.concatenate(pictures)
    sensitivities = question.gradients(model, shown) * paper.span
    findings = judge(sensitivities, inked, rate=rate, smallest=smallest)
    held_out = np.concatenate([halves[-1].examples.at(rows).inputs() for rows in tested])
    return Evidence(
        question=question.name(model.classes),
        labels=question.labels,
        findings=findings,
        mean_ink=np.mean(means, axis=0),
        contrast=means[0] - (means[1] if len(means) == 2 else halves[0].mean_ink),
        agreement=agreement(sensitivities, paper.ink(shown), findings.verdict),
        images=len(shown),
        rate=rate,
        smallest=smallest,
        interventions=intervene(model, question, findings.verdict, held_out, smallest=smallest, rng=rng),
    )
