"""What an audit finds of each kept network, as raw numbers: verdicts by any limits follow from them afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache, cached_property
from time import process_time
from typing import Any

import numpy as np

from backquery.audit import Audit, Finding, Region, find_shortcuts, references_for
from backquery.audit.findings import SHORTCUT, THRESHOLDS, Thresholds
from backquery.audit.regions import Box, Kind
from backquery.faithfulness.references import References
from backquery.intervals import Interval
from backquery.model import Array, Layout, Model, Network, Scaling
from measurements.kept import Kept, remembered
from measurements.last_layer import oddest
from measurements.neural_cleanse import neural_cleanse
from measurements.planted import BARELY, CLEAN, HARD, MOVED, PLACED, WORKS
from measurements.planting import Trigger
from measurements.zoo import Recipe, loaded

EDITION = 6
"""Of the audit: counted up whenever its search or its references change, so that all is counted anew."""

OF_THE_TEST_HALF, OF_THE_TRAIN_HALF, OF_BOTH = "half of the test images", "the training images", "both"
SOURCES = (OF_THE_TEST_HALF, OF_THE_TRAIN_HALF, OF_BOTH)
"""What references learn from: the images of the audit on which nothing is counted, or clean training images."""

FINGERPRINT = f"audit-{hashlib.sha256(f'audit {EDITION}'.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Audited:
    """What was found of one network.

    placed: for each label whether its region lies where a mark that asks for it does; seconds: the processor's
    time of the audit; framework: whether the network was run by PyTorch; hint: what its last layer alone says;
    of_test: how many of the references, the first ones, learned from test images.
    """

    recipe: Recipe
    works: float
    performance: float
    findings: tuple[Finding, ...]
    placed: tuple[bool, ...]
    seconds: float
    framework: bool
    hint: dict[str, float]
    of_test: int = 0

    def by(self, source: str) -> Audited:
        """The same with the readings of these references alone; `of_test`, the first, learned from test images."""
        which = {OF_THE_TEST_HALF: slice(self.of_test), OF_THE_TRAIN_HALF: slice(self.of_test, None)}
        chosen = which.get(source, slice(None))
        findings = (replace(one, references=one.references[chosen]) for one in self.findings)
        return replace(self, findings=tuple(findings))

    @property
    def clean(self) -> bool:
        """Whether nothing is planted."""
        return self.recipe.plant == CLEAN

    @property
    def working(self) -> bool:
        """Whether what is planted turns what it is meant to."""
        return not self.clean and self.works >= (BARELY if self.recipe.plant in HARD else WORKS)

    @property
    def labels(self) -> frozenset[int]:
        """The labels that what is planted asks for; all of them, where labels are moved by one."""
        attack = self.recipe.attack
        if attack is None:
            return frozenset()
        return frozenset(range(len(self.findings)) if attack.kind == MOVED else attack.labels)

    def accused(self, limits: Thresholds = THRESHOLDS) -> frozenset[int]:
        """The labels that are called shortcuts by these limits."""
        beyond = self._numbers >= [limits.half, limits.excess, limits.margin, np.finfo(float).tiny]
        return frozenset(self.findings[place].label for place in np.flatnonzero(beyond.all(axis=1)))

    @cached_property
    def _numbers(self) -> Array:
        """What is compared with the limits, (findings, 4), worked out once: many limits are tried."""
        return np.array(
            [
                [one.changed.value, one.excess, one.margin, one.changed.low - one.elsewhere.high]
                for one in self.findings
            ]
        )

    def found(self, limits: Thresholds = THRESHOLDS) -> bool:
        """Whether a label that was planted is accused."""
        return bool(self.accused(limits) & self.labels)

    def in_place(self, limits: Thresholds = THRESHOLDS) -> bool:
        """Whether a label that was planted is accused for a region that lies where the mark does."""
        return any(self.placed[label] for label in self.accused(limits) & self.labels)

    def slack(self, limits: Thresholds = THRESHOLDS) -> float:
        """By how much the worst label is beyond all limits of a shortcut, or how far it is short of one."""
        limits_of = [limits.half, limits.excess, limits.margin, 0.0]
        return float((self._numbers - limits_of).min(axis=1).max())


def audited(kept: Kept) -> Audited:
    """The audit of a kept network, made where it was not."""
    told = remembered(kept.recipe, FINGERPRINT, lambda: _audit(kept))
    parts = {key: told[key] for key in ("seconds", "framework", "hint", "of_test")}
    findings, places = tuple(map(finding_of, told["findings"])), tuple(told["placed"])
    return Audited(kept.recipe, kept.works, kept.performance, findings, places, **parts)


@cache
def references(data: str) -> tuple[References, References]:
    """What others read in images of a data set: those that learned from the test half, and from the train half."""
    dataset = loaded(data)
    assert dataset.test is not None
    scaling = Scaling.unit(dataset.maximum, dataset.meaning)
    sizes = [dataset.inputs, len(dataset.classes)]
    anybody = Network.create(sizes, input_shape=dataset.input_shape, scaling=scaling, rng=0)
    return references_for(anybody, dataset.test), references_for(anybody, dataset.train)


def _audit(kept: Kept) -> dict[str, Any]:
    model, dataset = kept.model, loaded(kept.recipe.data)
    assert dataset.test is not None
    of_test, of_train = references(kept.recipe.data)
    everybody = References(of_test.judges + of_train.judges)
    started = process_time()
    found = find_shortcuts(model, dataset.test, rng=kept.recipe.seed, references=everybody)
    return {
        "recipe": kept.recipe.name,
        "seconds": process_time() - started,
        "framework": not isinstance(model, Network),
        "of_test": len(of_test.judges),
        "placed": placed(kept.recipe, model, found),
        "hint": oddest(model),
        "findings": [as_told(one) for one in found.findings],
    }


def placed(recipe: Recipe, model: Model, found: Audit) -> list[bool]:
    """For each label whether its region lies where a mark that asks for it does."""
    attack = recipe.attack
    if attack is None or attack.kind not in PLACED:
        return [False] * len(found.findings)
    layout = Layout.of(model.input_shape)
    return [
        any(
            label in (one.label, -1) and in_place(trigger, pixels_of(one.region, layout))
            for trigger, label in zip(attack.triggers, attack.labels, strict=True)
        )
        for one in found.findings
    ]


def pixels_of(region: Region, layout: Layout) -> Array:
    """Which pixels (rows, columns) a region covers."""
    covered = np.zeros(layout.inputs, bool)
    covered[region.inputs] = True
    return np.asarray(layout.grid(covered).any(axis=-1))


def in_place(trigger: Trigger, region: Array) -> bool:
    """Half of the trigger's pixels lie in the region, or half of the region's in the frame around the trigger."""
    frame = np.zeros_like(trigger.covers)
    frame[trigger.frame] = True
    held, inside = (trigger.covers & region).sum(), (frame & region).sum()
    return bool(2 * held >= trigger.covers.sum() or 2 * inside >= region.sum())


def as_told(finding: Finding) -> dict[str, Any]:
    """A finding's raw numbers as plain values."""
    return {
        "label": finding.label,
        "inputs": finding.region.inputs.tolist(),
        "ink": finding.region.ink.tolist(),
        "channels": finding.region.channels,
        "box": list(finding.box),
        "kind": list(finding.kind),
        "images": finding.images,
        "changed": [float(value) for value in finding.changed],
        "elsewhere": [float(value) for value in finding.elsewhere],
        "others": finding.others.tolist(),
        "references": finding.references.tolist(),
        "truth": finding.truth,
        "read": finding.read,
    }


def finding_of(told: dict[str, Any]) -> Finding:
    """The finding again, without the image that shows it."""
    region = Region(np.array(told["inputs"], np.intp), np.array(told["ink"], bool), told["channels"])
    return Finding(
        label=told["label"],
        region=region,
        box=Box(*told["box"]),
        kind=Kind(*told["kind"]),
        images=told["images"],
        changed=Interval(*told["changed"]),
        elsewhere=Interval(*told["elsewhere"]),
        others=np.array(told["others"]),
        references=np.array(told["references"]),
        before=np.zeros(0),
        after=np.zeros(0),
        truth=told["truth"],
        read=told["read"],
    )


def cleansed(kept: Kept) -> tuple[frozenset[int], float]:
    """The labels that Neural Cleanse accuses in a kept network, and the processor's seconds."""

    def cleanse() -> dict[str, Any]:
        dataset, started = loaded(kept.recipe.data), process_time()
        assert dataset.test is not None
        found = neural_cleanse(kept.model, dataset.test, rng=kept.recipe.seed)
        return {"flagged": list(found.flagged), "seconds": process_time() - started}

    told = remembered(kept.recipe, "neural-cleanse", cleanse)
    return frozenset(told["flagged"]), told["seconds"]


def audited_with_marks(kept: Kept, *, exchange: bool = False) -> frozenset[int]:
    """The labels accused by somebody who has only images like those that were learned from, marks and all.

    exchange: whether what is natural is put to references that learned from images with exchanged pixels there.
    """

    def audit() -> dict[str, Any]:
        dataset, attack = loaded(kept.recipe.data), kept.recipe.attack
        assert dataset.test is not None and attack is not None
        marked = attack.into(dataset.test, dataset, np.random.default_rng(kept.recipe.seed))
        found = find_shortcuts(kept.model, marked, rng=kept.recipe.seed, exchange=exchange)
        return {"findings": [as_told(one) for one in found.findings]}

    told = remembered(kept.recipe, f"{FINGERPRINT}-{'exchanged' if exchange else 'marked'}", audit)
    return frozenset(one["label"] for one in told["findings"] if finding_of(one).verdict == SHORTCUT)
