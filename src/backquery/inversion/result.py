"""What a back query gives, whatever the method: images, and what the model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.inversion.targets import ALIKE, TYPICAL, Targets
from backquery.model import UNREAD, Array, Labels, Model, Tabular, brief, strengths_of, strongest_labels

CONVERGED = "converged"
STALLED = "stalled"
NOT_FOUND = "not found"
IMPOSSIBLE = "proved impossible"
EXACT_FORMULA = "exact formula"
CLIMBED = "climbed"

FAILED = (STALLED, NOT_FOUND, IMPOSSIBLE)
"""A search ran out of steps; it came to where no step leads nearer; no image of the box can give the answer.

Answers that do not name the label asked for, as others are asked for as much, count as not found: typical ones of
a label that the model never reads, and a confidence that is too low.
"""


@dataclass(frozen=True, eq=False)
class BackQuery(Tabular):
    """The images that answer n questions, and the round trip: every answer here comes from running forwards.

    method, question, prior: names of what was used; prior is None for methods without one.
    images: (n, inputs) in input scale.
    targets, logits: (n, outputs), the answers asked for and their logits, or None where the question
    did not ask for all answers.
    answers: (n, outputs), what the model answers to the images; read: (n,), the labels it reads, `UNREAD` (-1)
    where it reads none, see `backquery.model.reading`.
    labels: (n,), the labels asked for, -1 where a question names no single one.
    read_as_asked: (n,), whether the label read is the one asked for; where none was, whether it is one of those
    asked for most, or, where no labels were, whether the question was met.
    error: (n,), the largest difference between answers and targets; logit_error: (n,), the same in
    logits, see `backquery.model.log_odds`. Where not all answers were asked for, both are the largest error of
    what was.
    outcome: for each image ``"converged"``, ``"stalled"``, ``"not found"``, ``"proved impossible"``
    (gauss-newton), ``"exact formula"`` (transpose) or ``"climbed"`` (ascent), see `FAILED`; advice: for each, a
    sentence, or an empty one.
    steps: (n,); change: (n, inputs), images minus start images, where `near` was given, or minus those that were
    drawn.
    component: (n,), which component of the prior `mixture` each image was found under, -1 where that was one
    Gaussian for all; second_best: (n,), by how many nats the best answer found under another component is less
    dense, NaN where there is none. Both are None for other priors.
    draw: (n,), which draw of its question each image is, where `many` images of each were asked for, question by
    question; likeliest: the likeliest image of each question, found the usual way. Both are None elsewhere.
    multipliers: (n, k), by gauss-newton: how much half the squared distance from the prior's mean grows for a unit
    more of each of the k constraints, logits or whatever was asked. active: for each image of `Limits` those
    that hold it back, in words; None for other questions.
    classes: the names of the model's labels.
    """

    __repr__ = brief

    method: str
    question: str
    images: Array
    targets: Array | None
    logits: Array | None
    answers: Array
    labels: Labels
    read: Labels
    read_as_asked: NDArray[np.bool_]
    error: Array
    logit_error: Array
    outcome: tuple[str, ...]
    advice: tuple[str, ...]
    steps: NDArray[np.int64]
    prior: str | None = None
    change: Array | None = None
    component: NDArray[np.intp] | None = None
    second_best: Array | None = None
    draw: NDArray[np.intp] | None = None
    likeliest: BackQuery | None = None
    multipliers: Array | None = None
    active: tuple[tuple[str, ...], ...] | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each image is read as asked and its method reached its goal, (n,)."""
        failed = [outcome in FAILED for outcome in self.outcome]
        reached: NDArray[np.bool_] = self.read_as_asked & ~np.array(failed, bool)
        return reached

    @property
    def many(self) -> int | None:
        """How many images of each question there are, where more than one was asked for."""
        return None if self.draw is None else int(self.draw.max()) + 1

    @property
    def apart(self) -> Array:
        """How far apart the draws of each question are, (questions,): the mean Euclidean distance of two of them.

        It is in input scale, and NaN where there are no two.
        """
        each = self.images.reshape(-1, self.many or 1, self.images.shape[1])
        return np.array([_mean_distance(images) for images in each])

    @property
    def surely(self) -> Array:
        """How surely the model reads each image as what it reads: its answer (n,), NaN where it reads none."""
        strongest = np.take_along_axis(self.answers, self.read[:, None], axis=1)[:, 0]
        return np.where(self.read == UNREAD, np.nan, strongest)

    def records(self) -> list[dict[str, Any]]:
        """A row of plain values for each image, labels by their names, as `as_json` has them."""
        return [self._scan(position, self.classes) for position in range(len(self))]

    @property
    def _told(self) -> str:
        return f"{int(self.read_as_asked.sum())} of {len(self)} read as asked, by {self.method}"

    def as_json(self, classes: Sequence[str] | None = None) -> dict[str, Any]:
        """What was asked, and each scan, as plain values; labels by their names, by default the model's."""
        names = self.classes if classes is None else classes
        scans = [self._scan(position, names) for position in range(len(self))]
        return {"method": self.method, "question": self.question, "prior": self.prior, "scans": scans}

    def _scan(self, position: int, classes: Sequence[str]) -> dict[str, Any]:
        label, read = int(self.labels[position]), int(self.read[position])
        mixture = () if self.component is None else ("component", "second_best")
        active = {} if self.active is None else {"active": list(self.active[position])}
        return {
            "label": classes[label] if label >= 0 else None,
            **({} if self.draw is None else {"draw": int(self.draw[position])}),
            "read": None if read == UNREAD else classes[read],
            "answer": None if read == UNREAD else float(self.surely[position]),
            **self.plain(position, "error", "logit_error", "converged", "outcome", "advice", "steps", *mixture),
            **active,
        }

    def plain(self, position: int, *names: str) -> dict[str, Any]:
        """What these fields say of one image, as plain values; None for numbers that are not finite."""
        values = {name: np.asarray(getattr(self, name))[position].item() for name in names}
        return {
            name: None if value in (np.inf, -np.inf) or value != value else value for name, value in values.items()
        }


def _mean_distance(images: Array) -> float:
    squares = np.einsum("ij,ij->i", images, images)
    apart = squares[:, None] + squares - 2 * images @ images.T
    pairs = len(images) * (len(images) - 1)
    # Rounding leaves squares a trifle below zero where images are alike.
    return float(np.sqrt(np.maximum(apart, 0.0)).sum() / pairs) if pairs else float("nan")


def unsaid(asked: Targets) -> NDArray[np.bool_]:
    """Which questions (n,) ask for answers that do not name their own label, as others are asked for as much.

    Those are typical ones of a label that is never read, and confidences that are too low.
    """
    if asked.answers is None:
        return np.zeros(len(asked), bool)
    strengths = asked.answers if asked.logits is None else asked.logits
    rivals = strengths.copy()
    rows, places = np.arange(len(asked)), np.maximum(asked.labels, 0)
    rivals[rows, places] = -np.inf
    return np.asarray((asked.labels >= 0) & (strengths[rows, places] <= rivals.max(axis=1) + ALIKE))


def why_unsaid(model: Model, asked: Targets, row: int) -> str:
    """What to do about a question whose answers do not name its label."""
    label = int(asked.labels[row])
    if asked.question == TYPICAL or asked.answers is None:
        return never_read(model, label)
    rivals = asked.answers[row].copy()
    rivals[label] = -np.inf
    other = int(rivals.argmax())
    return (
        f"an image that answers {asked.answers[row, label]:.4g} for {model.classes[label]!r} and "
        f"{rivals[other]:.4g} for {model.classes[other]!r} is not read as {model.classes[label]!r}: ask for a "
        "higher confidence"
    )


def never_read(model: Model, label: int) -> str:
    """What to do about a label whose typical answers do not name it."""
    return (
        f"the model read none of the images that its statistics were fitted to as {model.classes[label]!r}, so "
        "that nothing is typical of it: ask for a confidence, such as 0.99"
    )


def round_trip(
    model: Model,
    asked: Targets,
    images: Array,
    *,
    method: str,
    outcome: Sequence[str],
    steps: NDArray[np.int64],
    advice: Sequence[str] | None = None,
    prior: str | None = None,
    near: Array | None = None,
    found: Array | None = None,
    met: NDArray[np.bool_] | None = None,
    component: NDArray[np.intp] | None = None,
    second_best: Array | None = None,
    multipliers: Array | None = None,
    active: tuple[tuple[str, ...], ...] | None = None,
) -> BackQuery:
    """Run the images forwards and set what comes out beside what was asked.

    found: (n, k), the constraint values at the images, for questions that logits alone cannot answer;
    met: (n,), whether such questions were met.
    """
    answers, logits = (np.asarray(asked_of(images), np.float64) for asked_of in (model.query, model.logits))
    read = strongest_labels(strengths_of(model.output_activation, logits))
    if asked.answers is not None and asked.logits is not None:
        error = np.abs(answers - asked.answers).max(axis=1)
        logit_error = np.abs(logits - asked.logits).max(axis=1)
        of_the_read = np.take_along_axis(asked.answers, read[:, None], axis=1)[:, 0]
        # Labels asked for alike may differ by rounding; reading either is right.
        met = (read != UNREAD) & (of_the_read >= asked.answers.max(axis=1) - ALIKE)
    else:
        values = asked.of_logits(logits) if found is None else found
        error = logit_error = np.abs(values - asked.values).max(axis=1)
    read_as_asked = np.where(asked.labels >= 0, read == asked.labels, False if met is None else met)
    outcome, advice = [*outcome], [*advice] if advice is not None else [""] * len(images)
    for row in np.flatnonzero(unsaid(asked)):
        outcome[row], advice[row] = NOT_FOUND, why_unsaid(model, asked, int(row))
    return BackQuery(
        method=method,
        question=asked.question,
        images=images,
        targets=asked.answers,
        logits=asked.logits,
        answers=answers,
        labels=asked.labels,
        read=read,
        read_as_asked=read_as_asked,
        error=np.asarray(error, np.float64),
        logit_error=np.asarray(logit_error, np.float64),
        outcome=tuple(outcome),
        advice=tuple(advice),
        steps=steps,
        prior=prior,
        change=None if near is None else images - near,
        component=component,
        second_best=second_best,
        multipliers=multipliers,
        active=active,
        classes=tuple(model.classes),
    )
