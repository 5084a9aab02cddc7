"""Dark supports, light speaks against, grey does not matter: how a scan is read by eye, put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset, open_data
from backquery.evidence import (
    AGAINST,
    INSENSITIVE,
    NEVER_INKED,
    SUPPORT,
    UNCLEAR,
    Evidence,
    Intervention,
    control_evidence,
    held_of,
    mean_likeness,
    measure_evidence,
)
from backquery.evidence.interventions import intervene
from backquery.evidence.sensitivity import Question
from backquery.inversion import back_query
from backquery.io import load_model
from backquery.model.network import Network
from backquery.model.protocol import ink_of
from backquery.plots import evidence_maps, save_figure
from measurements.page import table

Array = NDArray[np.floating[Any]]

SEED = 0
METHODS = ("transpose", "gauss-newton")
TESTED = ("dark, added", "dark, taken", "light, added", "light, taken", "grey, added", "grey, taken")


def measure(pictures: Path) -> str:
    network, mnist = load_model("mnist"), open_data("mnist")
    assert isinstance(network, Network)
    found = measure_evidence(network, mnist.train, held_out=mnist.test, rng=SEED)
    between = measure_evidence(network, mnist.train, between=("4", "9"), held_out=mnist.test, rng=SEED)
    save_figure(evidence_maps(found, network.input_shape), pictures / "evidence.png")
    save_figure(evidence_maps(between, network.input_shape), pictures / "evidence-4-9.png")
    controls = control_evidence(network, mnist, found, rng=SEED)
    held, claims = held_of(one for each in found for one in each.interventions)
    rows = [["this network", *_row(found), "", f"{mean_likeness(found):.2f}"]]
    rows += [
        [control.name, *_row(control.evidence), _share(control.borrowed_held), f"{control.likeness:.2f}"]
        for control in controls
    ]
    scans = [_of_scans(network, mnist, found, method) for method in METHODS]
    return f"""\
## Dark supports, light speaks against, grey does not matter

Command: `backquery evidence mnist mnist -o evidence.png`, seed {SEED}, on the bundled network; the tables of scans
and controls by `python -m measurements evidence`.

The claim is made of a scan, by eye: where it is dark, ink supports the label, where it is light, ink speaks
against it, where it is grey, ink does not matter. It was tested on the {len(mnist.test.labels):,} test images: in
each, a hundredth of all pixels, drawn from one region, was inked or blanked, and the label's log-odds
ln(p / (1 - p)) were compared. First the claim as it is printed: the darkest, the lightest and the middle
quarter of each label's scan.

{table(["scan by", "claims held", *TESTED, "correlation with the sensitivity"], scans)}

In the columns: the mean change of the log-odds, and for how many of the ten labels the claim held: up where ink is
added to the dark and taken from the light, down the other way round, hardly any change in the grey.
**{_of_the_eye(scans)}** The image that an answer is likeliest to come from is dark where the label's images have
ink, which is not where more ink would help.

Then the same of regions that are measured, not seen. The sensitivity of the label's log-odds to ink at each pixel
was averaged over {found[0].images:,} training images of the label. A pixel is support or against where the mean
is beyond {found[0].smallest:g} (full ink changes the odds by a tenth) at a false-discovery rate of
{found[0].rate:.0%}, and insensitive where the mean *absolute* sensitivity is below that, at the same rate; else it
is unclear.
**{_verdict(held, claims)}**

![For each label the mean image, the verdict on each pixel, and what came of testing it](measured/evidence.png)

{_changes(found)}

Mean change of the log-odds, with its 95 % interval by Student's t over the test images; a cross marks a claim that
did not hold. For the insensitive pixels it is the mean absolute change that must stay below a tenth for each full
pixel of ink that was moved.

{table(["pixels", *[one.question for one in found]], _pixels(found))}

Of the pixels that some image inks, {_unclear(found):.0%} are unclear: their effect is too near the limit, or it
changes its direction from image to image.

What separates a 4 from a 9, with both labels' images: {_share(held_of(between[0].interventions))} claims held.

![The same for a 4 rather than a 9](measured/evidence-4-9.png)

### Controls

{table(["network", "support", "against", "own claims held", "its regions, tried here", "likeness"], rows)}

Support and against: pixels, on average over the labels. The claims about a network that has learned nothing hold
as well, since they are about that network. What it cannot do: its regions say nothing about the trained network
(up to half of such claims hold by luck), and they do not look like the label (likeness: the correlation of the
sensitivities with where the label's images have more ink than others). The network taught shuffled labels has
nothing that supports any label.
"""


def _of_scans(network: Network, mnist: Dataset, found: Sequence[Evidence], method: str) -> list[str]:
    """What became of the eye's reading of the ten scans by one method: claims held, mean changes, correlation."""
    rng = np.random.default_rng(SEED)
    scans = ink_of(network, back_query(network, list(range(10)), method=method).images)
    tests, likeness = [], []
    for one, ink in zip(found, scans, strict=True):
        (label,) = one.labels
        inked = one.findings.verdict != NEVER_INKED
        images = network.scale(mnist.test.images[mnist.test.labels == label])
        verdict = _by_eye(ink, inked)
        tests.append(intervene(network, Question((label,)), verdict, images, smallest=one.smallest, rng=rng))
        likeness.append(np.corrcoef(ink[inked], one.findings.mean[inked])[0, 1])
    changes = np.array([[each.change for each in row if each.claim is not None] for row in tests], float)
    held = [sum(bool(row[k].held) for row in tests) for k in range(6)]
    cells = [f"{change:+.2f} ({times})" for change, times in zip(np.nanmean(changes, axis=0), held, strict=True)]
    return [method, _share((sum(held), 60)), *cells, f"{np.mean(likeness):.2f}"]


def _by_eye(ink: Array, inked: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A quarter of the pixels each: the darkest support, the lightest are against, those in the middle neither."""
    verdict = np.full(len(ink), UNCLEAR, np.int8)
    rank = np.full(len(ink), -1.0)
    rank[inked] = np.argsort(np.argsort(ink[inked])) / inked.sum()
    verdict[rank >= 0.75] = SUPPORT
    verdict[(rank >= 0.375) & (rank < 0.625)] = INSENSITIVE
    verdict[(rank >= 0) & (rank < 0.25)] = AGAINST
    verdict[~inked] = NEVER_INKED
    return verdict


def _of_the_eye(scans: Sequence[Sequence[str]]) -> str:
    told = [f"{row[1]} claims of the scans by {row[0]}" for row in scans]
    return f"Read by eye, {' and '.join(told)} held."


def _verdict(held: int, claims: int) -> str:
    if held == claims:
        return f"Measured so, the claim held, {held} times out of {claims}."
    return f"Measured so, the claim held {held} times out of {claims}, and {claims - held} times it did not."


def _share(counts: tuple[int, int]) -> str:
    return f"{counts[0]} of {counts[1]}"


def _row(found: Sequence[Evidence]) -> list[str]:
    pixels = [f"{sum(one.counts[name] for one in found) / len(found):.0f}" for name in ("support", "against")]
    return [*pixels, _share(held_of(one for each in found for one in each.interventions))]


def _changes(found: Sequence[Evidence]) -> str:
    tested = [one for one in found[0].interventions if one.claim is not None]
    columns = ["label", *[f"{one.region}, {one.action.removeprefix('ink ')}" for one in tested]]
    rows = [
        [one.question, *[_change(each) for each in one.interventions if each.claim is not None]] for one in found
    ]
    return table(columns, rows)


def _change(one: Intervention) -> str:
    if one.change is None:
        return ""
    return f"{one.change:+.2f} ({one.low:+.2f} to {one.high:+.2f}){'' if one.held else ' ✗'}"


def _pixels(found: Sequence[Evidence]) -> list[list[object]]:
    return [[name, *[one.counts[name] for one in found]] for name in found[0].counts]


def _unclear(found: Sequence[Evidence]) -> float:
    inked = sum(len(one.findings.verdict) - one.counts["never inked"] for one in found)
    return sum(one.counts["unclear"] for one in found) / inked
