"""The evidence for a label: verdicts on every pixel from some images, tested on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError
from backquery.evidence.choosing import IN_WORDS, MEASURES, PATH, SLOPE, Choice, Measuring
from backquery.evidence.interventions import FEWEST, Intervention, agreement, intervene
from backquery.evidence.sensitivity import Paper, Question
from backquery.evidence.verdicts import VERDICTS, Effects, Findings
from backquery.inversion.targets import LabelNames, label_positions
from backquery.model import Array, Data, Examples, Model, Network, Progress, Seed, brief, generator_of, quick_of
from backquery.model.declared import declared
from backquery.model.memory import need

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

OF_A_PIXEL = 48
"""Bytes for each pixel of a label's images: inputs of both halves, derivatives, ink, and what is tried on them."""

CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Evidence:
    """What every pixel means for one label, or for one label rather than another, and whether that held.

    question: in words; labels: the positions of the one or two labels. findings: the effects and verdicts,
    (pixels,), a pixel being all of its channels.
    mean_ink: (inputs,), the mean of the images used; contrast: (pixels,), where the label's images have more ink
    than those of all labels (or of the other label). agreement: how far the images used agree on what a pixel
    means, 1 wholly, 0 not at all. images: how many were used; rate and smallest: as asked for. interventions: the
    claims, tested on held-out images. measure: one of `MEASURES`; trial: for each measure that was tried, how many
    claims held on the trial half, and how many were tested, of all questions together; empty where none was.
    """

    __repr__ = brief

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
    measure: str = SLOPE
    trial: dict[str, tuple[int, int]] = field(default_factory=dict)

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
    def why(self) -> str:
        """By which measure, and why by that one, in one sentence; empty where there was nothing to choose."""
        if not self.trial:
            return ""
        shares = [f"{IN_WORDS[name]} {held} of {claims}" for name, (held, claims) in self.trial.items()]
        return f"measured by {IN_WORDS[self.measure]}: claims that held on a trial half, by {', by '.join(shares)}"

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
            "measure": self.measure,
            "trial": {name: {"held": held, "claims": claims} for name, (held, claims) in self.trial.items()},
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
    fail = "" if evidence[0].measure == PATH else f"; below {AGREEING:g} about half of the claims fail"
    return (
        "what a pixel means changes from image to image here, as where things stand anywhere (agreement "
        f"{agreement:.2f}{fail}): ask for the evidence of one image"
    )


@dataclass(frozen=True, eq=False)
class Half:
    """The examples of one half, and what all their images have in common.

    inked: (pixels,), where some image has ink; mean_ink: (pixels,).
    """

    examples: Examples
    inked: NDArray[np.bool_]
    mean_ink: Array

    @classmethod
    def of(cls, model: Model, data: Data) -> Half:
        """All images of `data`, as the model takes them."""
        examples, paper = Examples.of(model, data), Paper.of(model)
        inked, total = np.zeros(len(paper.cells), bool), np.zeros(model.inputs)
        for part in examples.parts(CHUNK):
            inputs = part.inputs()
            ends = paper.ink(np.stack([inputs.min(axis=0), inputs.max(axis=0)]))
            # Blank paper comes back from float32 inputs as a trace of ink.
            inked |= paper.pixels(np.any(np.abs(ends) > 1e-4, axis=0).astype(float)) > 0
            total += inputs.sum(axis=0, dtype=np.float64)
        return cls(examples, inked, paper.pixels(paper.ink(total / len(examples))))

    def images(self, rows: Sequence[NDArray[np.intp]]) -> Array:
        """Those at these positions, label by label, in input scale."""
        return self.examples.at(np.concatenate(rows)).inputs()


@declared(DataError)
def measure_evidence(
    model: Model,
    data: Data,
    labels: LabelNames | None = None,
    *,
    between: tuple[int | str, int | str] | None = None,
    held_out: Data | None = None,
    measure: str | None = None,
    rate: float = RATE,
    smallest: float = SMALLEST,
    images: int = IMAGES,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> tuple[Evidence, ...]:
    """What each pixel means for each of `labels` (all by default), or for the first label `between` two.

    The effect of ink at each pixel on a label's log-odds ln(p / (1 - p)) is averaged over real images of the label
    in `data`, with its standard error. A pixel of several channels is inked in all of them together: towards
    white, where they are colours, and taken towards black. A pixel is support, against or insensitive at the
    false-discovery rate `rate` (Benjamini & Hochberg 1995), where an effect counts from `smallest` (log-odds for a
    full pixel of ink) on; else it is unclear. Each claim is then tested on images `held_out` (raw labelled images,
    like `data`; without them, a random half of each label's). Between two labels it is the difference of their
    log-odds, over as many images of either.

    measure: ``"slope"``, the log-odds' derivative at the image, or ``"path"``, finite ink: derivatives on the way
    to full ink and to paper, a tenth of the pixels at a time, of which both must say the same. By default a
    `Network` is measured by slopes. For any other model the images in `data` are halved, and the slopes' claims
    of one half are tried on the other; where more than one in fifty fail there, finite ink is tried as well, and
    taken if a larger share of its claims holds. `Evidence.why` says what was found.

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
    if measure not in (None, *MEASURES):
        raise DataError(f"evidence is measured by {' or '.join(map(repr, MEASURES))}; received {measure!r}")
    halves = [Half.of(model, half) for half in ([data] if held_out is None else [data, held_out])]
    return evidence_from(model, halves, labels, between, rate, smallest, images, rng, measure, progress)


def evidence_from(
    model: Model,
    halves: Sequence[Half],
    labels: LabelNames | None,
    between: tuple[int | str, int | str] | None,
    rate: float,
    smallest: float,
    images: int,
    rng: Seed,
    measure: str | None = None,
    progress: Progress | None = None,
) -> tuple[Evidence, ...]:
    """The same from halves that may have been made for another model, if it takes images as this one does."""
    inked = np.any([half.inked for half in halves], axis=0)
    # Slopes are means over many images: their twin's rounding is as nothing beside the means' own errors. What is
    # said of them at last is tried on the model itself.
    measuring = Measuring(quick_of(model), inked, rate, smallest, generator_of(rng))
    rows = _rows(halves, model.outputs, images, measuring.rng)
    questions = _questions(model, labels, between, rows)
    pairs = [[_of_question(question, half) for half in rows] for question in questions]
    most = max(sum(map(len, part)) for question in pairs for part in question)
    need(
        OF_A_PIXEL * most * model.inputs,
        f"measuring the evidence of {most:,} images of {model.inputs:,} inputs for each label",
        "fewer images (--images) need less",
    )
    tried = measure is None and not isinstance(model, Network)
    steps = (1 + tried * len(MEASURES)) * len(questions)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, steps)

    def of_trial(place: int) -> list[Array]:
        return [halves[0].images([each[start::2] for each in pairs[place][0]]) for start in (0, 1)]

    # By chance of its own, so that a model measured by slopes answers alike whether or not there was a trial.
    trying = replace(measuring, rng=measuring.rng.spawn(1)[0])
    choice = trying.choice(questions, of_trial, tell) if tried else Choice(measure or SLOPE)
    found = []
    for place, question in enumerate(questions):
        found.append(_evidence(model, measuring, question, halves, pairs[place], choice, place))
        tell(steps - len(questions) + place + 1)
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
    measuring: Measuring,
    question: Question,
    halves: Sequence[Half],
    pair: Sequence[list[NDArray[np.intp]]],
    choice: Choice,
    place: int,
) -> Evidence:
    paper = Paper.of(model)
    shown, held_out = halves[0].images(pair[0]), halves[-1].images(pair[1])
    means = [paper.ink(halves[0].images([rows]).mean(axis=0, dtype=np.float64)) for rows in pair[0]]
    slopes = measuring.slopes(question, shown)
    finite = choice.measure == PATH
    if finite and choice.findings:
        shown, slopes, findings = shown[0::2], slopes[0::2], choice.findings[PATH][place]
    else:
        findings = measuring.findings(question, shown, PATH) if finite else measuring.judged([Effects.of(slopes)])
    return Evidence(
        question=question.name(model.classes),
        labels=question.labels,
        findings=findings,
        mean_ink=np.mean(means, axis=0),
        contrast=paper.pixels(means[0]) - (paper.pixels(means[1]) if len(means) == 2 else halves[0].mean_ink),
        agreement=agreement(slopes, paper.pixels(paper.ink(shown)), findings.verdict),
        images=len(shown),
        rate=measuring.rate,
        smallest=measuring.smallest,
        interventions=intervene(
            model, question, findings.verdict, held_out, smallest=measuring.smallest, rng=measuring.rng
        ),
        measure=choice.measure,
        trial=choice.trial,
    )
