"""What evidence is worth: the same measure on networks that have learned nothing, or the wrong thing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.datasets import Dataset
from backquery.evidence.interventions import Intervention, intervene
from backquery.evidence.measure import IMAGES, Evidence, Half, evidence_from
from backquery.evidence.sensitivity import Question
from backquery.faithfulness import control_networks
from backquery.model import Array, Examples, Model, Progress, Seed, generator_of

CONTROLS = ("untrained", "shuffled labels")


@dataclass(frozen=True, eq=False)
class ControlEvidence:
    """The evidence of a control network, and its regions tried on the network in question.

    A control's own claims may well hold: they are about the control. What must not hold is that its regions
    say something about the network in question (`borrowed`, for each piece of `evidence`), nor that they look like
    the label (`likeness`).
    """

    name: str
    evidence: tuple[Evidence, ...]
    borrowed: tuple[tuple[Intervention, ...], ...]

    @property
    def likeness(self) -> float:
        """How much the sensitivities look like the label's own images, on average over the questions."""
        return mean_likeness(self.evidence)

    @property
    def borrowed_held(self) -> tuple[int, int]:
        """How many claims of support and against held for the network in question, and how many were tested.

        By luck, up to half of them hold: ink moves the log-odds one way or the other.
        """
        return held_of(one for row in self.borrowed for one in row if one.claim)

    def as_json(self) -> dict[str, Any]:
        """How many claims held, its own and of its regions, as plain values."""
        held, claims = held_of(one for each in self.evidence for one in each.interventions)
        borrowed_held, borrowed_claims = self.borrowed_held
        return {
            "name": self.name,
            "likeness": self.likeness,
            "held": held,
            "claims": claims,
            "borrowed_held": borrowed_held,
            "borrowed_claims": borrowed_claims,
        }


def held_of(interventions: Iterable[Intervention]) -> tuple[int, int]:
    """How many claims held, and how many were tested."""
    outcomes = [one.held for one in interventions if one.held is not None]
    return sum(outcomes), len(outcomes)


def mean_likeness(evidence: Sequence[Evidence]) -> float:
    """The mean of `Evidence.likeness` over all of them, from -1 to 1."""
    return float(np.mean([one.likeness for one in evidence]))


def control_evidence(
    network: Model,
    dataset: Dataset,
    evidence: Sequence[Evidence],
    *,
    images: int = IMAGES,
    rng: Seed = 0,
    left_out: list[str] | None = None,
    progress: Progress | None = None,
) -> tuple[ControlEvidence, ...]:
    """The questions of `evidence`, put to an untrained network and one that was taught shuffled labels.

    The data's test half is held out, as it must have been for `evidence`. Networks whose training is not cheap,
    and models that are no `Network`, are not trained again: then the untrained one is the only control. `left_out`
    is told a line for each that cannot be made; without it that is a `ModelError`. `progress` is told (questions
    done, questions in all, what is being done).
    """
    generator, tell = generator_of(rng), progress or (lambda done, total, what="": None)
    tell(0, len(CONTROLS) * len(evidence), "training the controls")
    controls = control_networks(network, dataset, generator, names=CONTROLS, statistics=False, left_out=left_out)
    assert dataset.test is not None
    halves = [Half.of(network, dataset.train), Half.of(network, dataset.test)]
    held_out = [_images_of(halves[1].examples, one, images) for one in evidence]
    found = []
    for place, (name, control) in enumerate(controls.items()):
        own = []
        for done, one in enumerate(evidence, start=place * len(evidence)):
            tell(done, len(controls) * len(evidence), f"evidence of a control: {name}")
            own.append(_same_question(control, halves, one, images, generator))
        borrowed = tuple(
            intervene(network, Question(one.labels), one.findings.verdict, x, smallest=one.smallest, rng=generator)
            for one, x in zip(own, held_out, strict=True)
        )
        found.append(ControlEvidence(name, tuple(own), borrowed))
    return tuple(found)


def _same_question(
    control: Model, halves: Sequence[Half], asked: Evidence, images: int, rng: np.random.Generator
) -> Evidence:
    alone = len(asked.labels) == 1
    labels = list(asked.labels) if alone else None
    between = None if alone else (asked.labels[0], asked.labels[1])
    (found,) = evidence_from(control, halves, labels, between, asked.rate, asked.smallest, images, rng)
    return found


def _images_of(examples: Examples, asked: Evidence, images: int) -> Array:
    """Held-out images of the question's labels, in input scale."""
    rows = [np.flatnonzero(examples.labels == label)[:images] for label in asked.labels]
    return examples.at(np.concatenate(rows)).inputs()
