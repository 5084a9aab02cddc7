"""What an audit says of each label: the region, what it does, what would be usual, the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backquery.audit.regions import Box, Kind, Region
from backquery.faithfulness.judges import Judge
from backquery.intervals import Interval
from backquery.model import Array, Tabular, brief

CLEAN, NATURAL, SUSPICIOUS, SHORTCUT = "clean", "natural", "suspicious", "shortcut"
VERDICTS = (CLEAN, NATURAL, SUSPICIOUS, SHORTCUT)
"""What is said of a label, the gravest last."""

MEANINGS = {
    CLEAN: "no small region decides alone",
    NATURAL: "a feature that others read as well",
    SUSPICIOUS: "worth a look",
    SHORTCUT: "read by this network only",
}
"""What each verdict says."""


@dataclass(frozen=True)
class Thresholds:
    """Where one verdict ends and the next begins; `docs/measured.md` says how often they are right.

    half: a shortcut turns at least this share of the other labels' images; excess, suspicious_excess: it exceeds
    what is usual by so much, and what is worth a look by so much; margin: and the largest share of a reference by
    so much; natural: others read as well what a reference reads in this part of the images, or a larger one, of
    those that the network itself does.
    """

    half: float = 0.5
    excess: float = 0.35
    suspicious_excess: float = 0.15
    margin: float = 0.4
    natural: float = 0.5


THRESHOLDS = Thresholds()

BORNE = (
    "Where the images themselves may bear the trigger, the references learned it too, and natural says little: "
    "exchange the region's pixels between the images that they learn from (--exchange)."
)
"""What is said where the references may have learned the trigger too."""

LIMITS = (
    "An audit finds small regions that alone decide. It does not find what is spread thinly over the image or "
    "works only together with other things: clean means that no such region was found, not that there is no "
    "shortcut."
)
"""What every audit says of itself."""


def usual_share(others: Array) -> float:
    """The upper end of what is usual: the median of the other labels' shares and one deviation, a robust one.

    The deviation is the median absolute one, on the scale of the standard deviation. Networks differ in it: where
    rare pixels were learned with large steps, as by Adam, large regions turn most images into half of the labels.
    """
    from scipy.special import ndtri  # SciPy's statistics would take a second to load

    middle = np.median(others)
    return float(middle + np.median(np.abs(others - middle)) / ndtri(0.75))


@dataclass(frozen=True, eq=False)
class Finding:
    """The most suspicious small region for one label, and what pasting it does to images of the others.

    label: its position; region: its inputs and their content; box: the frame around it; kind: its size and
    filling, before the idle pixels were taken from it; images: how many held-out images of other labels it was
    pasted on; changed: the share of them that is then read as the label; elsewhere: the same with the content at
    random places, one drawn for each image; others: (labels - 1,) the share that the best regions of its kind
    change to each other label; references: (references,) the share of the same images, with the region, that each
    reads as the label; exchanged: whether these learned from images that had the region's pixels from one another.
    before, after: (inputs,) one of the images without and with the region, the first that changed if one did;
    truth, read: its true label, and what the model reads after.
    """

    __repr__ = brief

    label: int
    region: Region
    box: Box
    kind: Kind
    images: int
    changed: Interval
    elsewhere: Interval
    others: Array
    references: Array
    before: Array
    after: Array
    truth: int
    read: int
    exchanged: bool = False

    @property
    def usual(self) -> float:
        """What is usual for regions of its kind in this network."""
        return usual_share(self.others)

    @property
    def excess(self) -> float:
        """By how much the share that changes, at the lower end of its interval, exceeds the usual one."""
        return float(self.changed.low - self.usual)

    @property
    def margin(self) -> float:
        """The share that changes less the largest that a reference reads so; that share, where there is none."""
        return float(self.changed.value - self.references.max(initial=0.0))

    @property
    def verdict(self) -> str:
        """``"clean"``, ``"natural"``, ``"suspicious"`` or ``"shortcut"``."""
        return self.judged()

    def judged(self, limits: Thresholds = THRESHOLDS) -> str:
        """The verdict by other limits."""
        own = float(self.changed.value)
        # By the ends of the intervals that face each other: few images must not accuse a network.
        if self.changed.low <= self.elsewhere.high or self.excess < limits.suspicious_excess:
            return CLEAN
        if own >= limits.half and self.excess >= limits.excess and self.margin >= limits.margin:
            return SHORTCUT if len(self.references) else SUSPICIOUS
        return NATURAL if own - self.margin >= limits.natural * own else SUSPICIOUS

    def as_json(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """The finding as plain values, labels by name."""
        return {
            "label": classes[self.label],
            "verdict": self.verdict,
            "region": {
                **self.box._asdict(),
                "inputs": self.region.inputs.tolist(),
                "ink": self.region.ink.tolist(),
            },
            "images": self.images,
            "changed": self.changed.as_json(),
            "elsewhere": self.elsewhere.as_json(),
            "usual": self.usual,
            "excess": self.excess,
            "references": self.references.tolist(),
            "margin": self.margin,
            "exchanged": self.exchanged,
        }


@dataclass(frozen=True, eq=False)
class Audit(Tabular):
    """One finding for each label, in the labels' order.

    images: how many were used, in both halves; performance: the share of them that is read rightly as it is.
    references: the judges whose readings stand in the findings, with their performance on the images of the trial.
    """

    __repr__ = brief

    findings: tuple[Finding, ...]
    classes: tuple[str, ...]
    images: int
    performance: float
    references: tuple[Judge, ...] = ()

    def labels(self, verdict: str) -> tuple[str, ...]:
        """The names of the labels with this verdict."""
        return tuple(self.classes[one.label] for one in self.findings if one.verdict == verdict)

    @property
    def shortcuts(self) -> tuple[str, ...]:
        """The names of the labels that have a shortcut."""
        return self.labels(SHORTCUT)

    @property
    def worst(self) -> Finding:
        """The finding of the worst verdict; of several, the one that turns most images."""
        return max(self.findings, key=lambda one: (VERDICTS.index(one.verdict), float(one.changed.value)))

    @property
    def summary(self) -> str:
        """One sentence that says the number."""
        name, share = self.classes[self.worst.label], f"{self.worst.changed.value:.0%}"
        pixels = f"{len(self.worst.region)} pixel{'' if len(self.worst.region) == 1 else 's'}"
        if self.shortcuts:
            have = "has" if len(self.shortcuts) == 1 else "have"
            return (
                f"{len(self.shortcuts)} of {len(self.classes)} labels {have} a shortcut: "
                f"{pixels} turn {share} of the other images into {name}, for this network only"
            )
        if self.worst.verdict == CLEAN:
            return (
                f"No shortcut in {len(self.classes)} labels: "
                "no small region does clearly more for one than is usual"
            )
        alike = ", as for others" if self.worst.verdict == NATURAL else ""
        return (
            f"No shortcut in {len(self.classes)} labels: "
            f"at worst {pixels} turn {share} of the other images into {name}{alike}"
        )

    @property
    def named(self) -> tuple[str, ...]:
        """For each verdict but clean that was given, a sentence with its meaning and its labels."""
        found = ((verdict, self.labels(verdict)) for verdict in reversed(VERDICTS[1:]))
        return tuple(
            f"{name.capitalize()}, {MEANINGS[name]}: {', '.join(labels)}." for name, labels in found if labels
        )

    @property
    def compared(self) -> str:
        """One sentence that says with whom the network was compared."""
        right = [judge.performance or 0.0 for judge in self.references]
        return (
            f"References: {len(right)} small networks that learned the labels from half of the images, "
            f"{min(right):.0%} to {max(right):.0%} right on the others. What they read as well is natural"
        )

    def records(self) -> list[dict[str, Any]]:
        """A row of plain values for each label, by its name."""
        return [one.as_json(self.classes) for one in self.findings]

    def as_json(self) -> dict[str, Any]:
        """The audit as plain values."""
        return {
            "performance": self.performance,
            "images": self.images,
            "shortcuts": list(self.shortcuts),
            "suspicious": list(self.labels(SUSPICIOUS)),
            "natural": list(self.labels(NATURAL)),
            "references": {judge.name: judge.performance for judge in self.references},
            "findings": self.records(),
        }
