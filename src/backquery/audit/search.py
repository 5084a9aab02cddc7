"""The audit: search small regions on one half of the images, and try the best of each label on the other half.

On the first half references are trained too; what they read in the second, with the regions, is the control.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backquery.audit.findings import NATURAL, Audit, Finding, usual_share
from backquery.audit.regions import Kind, Region, promising
from backquery.audit.trials import Trials
from backquery.errors import DataError, ModelError
from backquery.faithfulness.judges import GUESSED, luck
from backquery.faithfulness.references import MOST_IMAGES, References, train_references
from backquery.intervals import share_interval
from backquery.model import (
    Array,
    Data,
    Examples,
    Layout,
    Model,
    Progress,
    Seed,
    generator_of,
    ink_of,
    labels_read,
    need_model,
    quick_of,
)

IMAGES = 400
"""Images of each half, by default: a share is then known to five points or better."""

FEWEST_IMAGES = 20
"""Images of other labels, in either half, without which nothing can be said of a label."""

SCREENED, TRIED = 40, 160
"""Images on which the best of a few regions is chosen, and on which the best are compared."""

HALVED = 20
"""Decides which images belong to which half."""

KEPT = 0.95
"""How much of its effect a region must keep when the pixels that matter least are taken from it."""


def find_shortcuts(
    model: Model,
    data: Data,
    *,
    images: int = IMAGES,
    rng: Seed = 0,
    references: References | None = None,
    exchange: bool = False,
    progress: Progress | None = None,
) -> Audit:
    """Look for a small region that turns images of all other labels into one label, of this network alone.

    For each label, rectangles of up to 5 % of the image (or four pixels) are filled with whatever the gradient of
    the label's log-odds asks for, ink or paper, or with one of them alone, and the most promising are pasted on
    images of the other labels. The one that exceeds most what the best regions of its size and filling do for
    the other labels is kept, cut to the pixels that matter, and tried anew on other images, there and at random
    places. References, which learned the same labels from the images of the search, read the images of the trial
    with it too: what they read as well is a feature of the data, and no shortcut.

    data: raw labelled images, or (inputs, labels) in input scale, best such that the model was not trained on.
    One half of them serves for the search, in which at most `images` take part, and for the references; as many
    of the other half for the trial. `references`: those of `references_for` the same data, where many models are
    audited; by default they are trained, or found in the user's cache. `progress` is told (labels done, labels in
    all).

    Where the images may bear the trigger themselves, the references have learned it, and call it natural. With
    `exchange` each natural finding is put to references anew that learned from images which have that region's
    pixels from one another: they know neither the trigger nor what is natural just there, so that more is accused.

    Raises `DataError` for data that do not fit or are too few, and `ModelError` for a model that knows only one
    label or does not say how its inputs lie on the image.
    """
    search, trial = halves(model, data, images, rng)
    others = references or references_for(model, data)
    found = audit_along(search.gains(), search, trial, others, rng=rng, progress=progress)
    if not exchange:
        return found
    taught = _taught(model, data)
    findings = (_exchanged(one, trial, taught) if one.verdict == NATURAL else one for one in found.findings)
    return replace(found, findings=tuple(findings))


def references_for(model: Model, data: Data, *, progress: Progress | None = None) -> References:
    """The references of an audit of such data: of any model, as long as images and labels are the same.

    They learn from the half of the images on which no finding is counted. `progress` is told (references ready,
    references in all).
    """
    taught = _taught(model, data)
    return train_references(_as_ink(model, taught.inputs()), taught.labels, model.outputs, progress=progress)


def audit_along(
    gains: Array,
    search: Trials,
    trial: Trials,
    references: References,
    *,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> Audit:
    """The same where something else says which inputs promise most.

    gains: (labels, 2, inputs), what making each input ink, and paper, is thought to gain for each label. search,
    trial: the images to search on and those to try the findings on, from `halves`.
    """
    tried: list[dict[Kind, _Tried]] = []
    for label, (to_ink, to_paper) in enumerate(gains):
        candidates = promising(search.sheet, to_ink, to_paper)
        tried.append({kind: _best(search, regions, label) for kind, regions in candidates.items() if regions})
        if progress is not None:
            progress(label + 1, len(gains))
    generator = generator_of(rng)
    asked = references.tried(_as_ink(trial.model, trial.inputs), trial.labels)
    found = [_finding(search, trial, label, tried, gains[label], asked, generator) for label in range(len(gains))]
    right = np.concatenate([half.read == half.labels for half in (search, trial)])
    return Audit(tuple(found), tuple(search.model.classes), len(right), float(right.mean()), asked.judges)


def halves(model: Model, data: Data, images: int = IMAGES, rng: Seed = 0) -> tuple[Trials, Trials]:
    """At most `images` of each half of the images, drawn at random; `find_shortcuts` says what is refused.

    Which image belongs to which half is the same for every model and every `rng`, so that one training of the
    references serves them all.
    """
    need_model(model)
    if model.outputs < 2:
        raise ModelError("an audit needs a model with two labels or more; this one has one output")
    if images < FEWEST_IMAGES:
        raise DataError(f"an audit needs at least {FEWEST_IMAGES} images in each half; received {images}")
    examples = Examples.of(model, data, "to_test_on")
    if len(examples) < 2 * FEWEST_IMAGES:
        raise DataError(
            f"an audit needs at least {2 * FEWEST_IMAGES} images; received {len(examples)}; give more, "
            "or others to test on (--test FOLDER)"
        )
    generator = generator_of(rng)
    parts = [part.at(generator.permutation(len(part))[:images]) for part in _parts(examples)]
    # What a twin of lower precision finds, the model itself is tried with.
    asked = quick_of(model), model
    search, trial = (Trials.of(one, part.inputs(), part.labels) for one, part in zip(asked, parts, strict=True))
    _refuse_guesses(search, trial)
    for label, name in enumerate(model.classes):
        fewest = min(len(search.others(label)), len(trial.others(label)))
        if fewest < FEWEST_IMAGES:
            raise DataError(
                f"to audit label {name}, at least {2 * FEWEST_IMAGES} images are needed that are of other labels "
                f"and are not read as {name}; among {len(search.labels) + len(trial.labels)} images there are "
                f"about {2 * fewest}; give more images, or use more of them"
            )
    return search, trial


def _refuse_guesses(search: Trials, trial: Trials) -> None:
    """`ModelError` where a model reads no more rightly than the most common label's name for every image would."""
    labels = np.concatenate([search.labels, trial.labels])
    right = int(sum((half.read == half.labels).sum() for half in (search, trial)))
    chance = np.bincount(labels).max() / len(labels)
    # Where all images are of one label, nobody can tell; what that lacks is said otherwise.
    if chance < 1 and luck(right, len(labels), chance) > GUESSED:
        raise ModelError(
            f"there is nothing to audit: the model reads {right / len(labels):.1%} of {len(labels):,} images "
            f"rightly, and naming the most common label for every image gives {chance:.1%}; give a model that "
            "has learned these labels, or say how it takes its images (the command's --scale and --ink)"
        )


def _parts(examples: Examples) -> tuple[Examples, Examples]:
    """The two halves: to search and learn from, and to count on."""
    order = np.random.default_rng(HALVED).permutation(len(examples))
    return examples.at(order[0::2]), examples.at(order[1::2])


def _taught(model: Model, data: Data) -> Examples:
    """What references learn from."""
    return _parts(Examples.of(model, data, "to_test_on"))[0].first(MOST_IMAGES)


def _exchanged(finding: Finding, trial: Trials, taught: Examples) -> Finding:
    """The finding beside references that learned from images with each other's pixels in the region."""
    inputs, region = np.array(taught.inputs()), finding.region
    others = np.random.default_rng(HALVED).permutation(len(inputs))
    inputs[:, region.inputs] = inputs[np.ix_(others, region.inputs)]
    references = train_references(_as_ink(trial.model, inputs), taught.labels, trial.model.outputs, keep=False)
    shown = _as_ink(trial.model, trial.pasted(region, finding.label))
    return replace(finding, references=references.shares(shown, finding.label), exchanged=True)


def _as_ink(model: Model, inputs: Array) -> Array:
    """Inputs (n, inputs) in input scale as references read them."""
    return Layout.of(model.input_shape).grid(np.clip(ink_of(model, inputs), 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class _Tried:
    """A region and the share of images that it changes in the search half."""

    region: Region
    share: float


def _best(search: Trials, regions: list[Region], label: int) -> _Tried:
    """The region that changes most of a few images, and what it changes of more of them."""
    few = [search.changed(region, label, SCREENED).mean() for region in regions]
    best = regions[int(np.argmax(few))]
    return _Tried(best, float(search.changed(best, label, TRIED).mean()))


def _finding(
    search: Trials,
    trial: Trials,
    label: int,
    tried: list[dict[Kind, _Tried]],
    gains: Array,
    references: References,
    rng: np.random.Generator,
) -> Finding:
    rest = [found for other, found in enumerate(tried) if other != label]
    others = {kind: np.array([found[kind].share for found in rest]) for kind in tried[label]}
    usual = {kind: usual_share(shares) for kind, shares in others.items()}
    # Sorted by size, so that of equal suspicions the smallest region is accused.
    kind = max(sorted(usual), key=lambda kind: _suspicion(tried[label][kind].share, usual[kind]))
    region = _without_idle_pixels(search, tried[label][kind], label, gains)
    changed, elsewhere = trial.changed(region, label), trial.changed_elsewhere(region, label, rng)
    rows = trial.others(label)
    shown = rows[int(np.argmax(changed))]
    before = trial.inputs[shown]
    after = before.copy()
    after[region.inputs] = trial.sheet.content(region)
    return Finding(
        label=label,
        region=region,
        box=trial.sheet.box_of(region),
        kind=kind,
        images=len(rows),
        changed=share_interval(changed.sum(), len(rows)),
        elsewhere=share_interval(elsewhere.sum(), len(rows)),
        others=others[kind],
        references=references.shares(_as_ink(trial.model, trial.pasted(region, label)), label),
        before=before,
        after=after,
        truth=int(trial.labels[shown]),
        read=int(labels_read(trial.model, after[None])[0]),
    )


def _suspicion(share: float, usual: float) -> tuple[float, float]:
    """What the kinds are ordered by: how far the share exceeds the usual one; where none does, the share."""
    return max(share - usual, 0.0), share


def _without_idle_pixels(search: Trials, found: _Tried, label: int, gains: Array) -> Region:
    """The fewest of the region's pixels, those that gain most first, that keep its effect."""
    region = found.region
    gain = np.where(region.ink, gains[0][region.inputs], gains[1][region.inputs])
    order = np.argsort(-gain.reshape(len(region), -1).sum(axis=1), kind="stable")
    few, enough = 0, len(region)
    # Bisection, as if more pixels never did less: what it ends at was tried, though fewer might do.
    while enough - few > 1:
        middle = (few + enough) // 2
        kept = search.changed(region.select(order[:middle]), label, TRIED).mean() >= KEPT * found.share
        few, enough = (few, middle) if kept else (middle, enough)
    return region.select(np.sort(order[:enough]))
