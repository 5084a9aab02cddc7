"""How often the audit is right, on networks with and without planted shortcuts, beside Neural Cleanse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from time import process_time
from typing import Any

import numpy as np

from backquery import back_query, fit_statistics, load_model
from backquery.audit import SHORTCUT, SUSPICIOUS, Audit, Finding, find_shortcuts
from backquery.audit.search import audit_along, halves
from backquery.datasets import Dataset, load
from backquery.intervals import share_interval
from backquery.plots import audit_rows, save_figure
from measurements.neural_cleanse import NeuralCleanse, neural_cleanse
from measurements.page import table
from measurements.planted import CLEAN, KINDS, Planted, networks, one_planted
from measurements.planting import Trigger, plant

FIRST = 5000
"""Seeds from here on; the search and its limits were chosen on the seeds 1000 to 1399 and 2000 to 2071."""

RECIPES = ("sigmoid", "ReLU", "Adam")
COUNTS = {"mnist": (14, 3), "digits": (20, 5)}
"""Clean networks, and planted ones of each kind, for each recipe."""

BESIDE = {"mnist": (7, 3), "digits": (2, 1)}
"""Every seventh clean network of a recipe, and every third whose trigger works, is also put to the other ways."""

COLUMNS = (
    "planted", "networks", "works", "found of these", "in the right place", "found of the rest",
    "other labels accused",
)  # fmt: skip

TITLES = {"mnist": "MNIST", "digits": "8 x 8 digits"}


@dataclass(frozen=True, eq=False)
class Judged:
    """What the ways to look say of one network, and whether the audit's region lies where the trigger does.

    cleanse, scan: None where they were not asked; poisoned: the labels accused from images of which as many bear
    the trigger as in training, None where this was not tried.
    """

    planted: Planted
    audit: Audit
    placed: bool
    seconds: float
    cleanse: NeuralCleanse | None
    cleanse_seconds: float
    scan: Audit | None
    poisoned: tuple[str, ...] | None


def measure(pictures: Path) -> str:
    judged = {name: judge_all(load(name), *COUNTS[name], BESIDE[name]) for name in COUNTS}
    standardised = [
        judge(one, load("digits")) for one in networks(load("digits"), ("standardised",), 20, 4, FIRST + 500)
    ]
    shown = example()
    save_figure(audit_rows(shown[1], shown[0].network), pictures / "audit.png")
    everything = [one for found in judged.values() for one in found]
    return f"""\
## Audit

An audit looks for small regions that turn images of all other labels into one. What it compares, and its limits,
were chosen on networks trained with other seeds (1000 to 1399, 2000 to 2071) than those counted here (from
{FIRST}), by

```sh
python -m measurements audit
```

{fill(claim(everything), 115)}

{fill(apart(judged), 115)}

{"".join(section(TITLES[name], found) for name, found in judged.items())}
### How it was done

{METHOD}

{fill(standardised_words(standardised), 115)}

{fill(speed(), 115)}

{fill(example_words(*shown), 115)}

![An audit of a network with a backdoor](measured/audit.png)
"""


def judge_all(dataset: Dataset, clean: int, planted: int, beside: tuple[int, int]) -> list[Judged]:
    """Every network, and some of the clean and of the working ones of each recipe by the other ways too."""
    seen: Counter[tuple[str, bool]] = Counter()
    judged = []
    for one in networks(dataset, RECIPES, clean, planted, FIRST):
        seen[one.recipe, one.working] += one.name == CLEAN or one.working
        due = seen[one.recipe, one.working] % beside[one.working] == 0
        judged.append(judge(one, dataset, beside=due and (one.name == CLEAN or one.working)))
    return judged


def judge(one: Planted, dataset: Dataset, *, beside: bool = False) -> Judged:
    """Audit one network on the test half, which bears no trigger, and where `beside` says so by the other ways."""
    assert dataset.test is not None
    started = process_time()
    found = find_shortcuts(one.network, dataset.test, rng=one.seed)
    audited = process_time()
    cleanse = neural_cleanse(one.network, dataset.test, rng=one.seed) if beside else None
    return Judged(
        one,
        found,
        placed=one.trigger is not None and in_place(one.trigger, found.findings[one.label]),
        seconds=audited - started,
        cleanse=cleanse,
        cleanse_seconds=process_time() - audited,
        scan=audit_of_scan(one, dataset) if beside else None,
        poisoned=audit_of_poisoned(one, dataset).shortcuts if one.working and beside else None,
    )


def audit_of_scan(one: Planted, dataset: Dataset) -> Audit:
    """The same audit, led by the scans: by how much more ink there is in a label's than in the others' mean."""
    assert dataset.test is not None
    network = replace(one.network, statistics=fit_statistics(one.network, dataset.test))
    assert network.scaling is not None
    ink = network.scaling.ink(back_query(network, list(network.classes)).images)
    count = len(ink)
    unexplained = (ink - ink.mean(axis=0)) * count / (count - 1)
    search, trial = halves(network, dataset.test, rng=one.seed)
    return audit_along(np.stack([unexplained, -unexplained], axis=1), search, trial, rng=one.seed)


def audit_of_poisoned(one: Planted, dataset: Dataset) -> Audit:
    """The audit by somebody who has only data of the kind that the network was trained on, trigger and all."""
    assert dataset.test is not None and one.trigger is not None
    _, relabel, share = next(kind for kind in KINDS if kind[0] == one.name)
    marked = plant(
        dataset.test, one.trigger, one.label, share, relabel=relabel, maximum=dataset.maximum, rng=one.seed
    )
    return find_shortcuts(one.network, marked, rng=one.seed)


def in_place(trigger: Trigger, finding: Finding) -> bool:
    """Half of the trigger's pixels lie in the region, or half of the region's in the frame around the trigger."""
    region, frame = np.zeros_like(trigger.covers), np.zeros_like(trigger.covers)
    region.flat[finding.region.inputs] = True
    rows, columns = np.nonzero(trigger.covers)
    frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    held, inside = (trigger.covers & region).sum(), (frame & region).sum()
    return bool(2 * held >= trigger.covers.sum() or 2 * inside >= region.sum())


def accused(one: Judged) -> bool:
    """Whether the label with the trigger is called a shortcut."""
    return one.planted.label in shortcuts(one.audit)


def others_accused(one: Judged) -> bool:
    """Whether any label without a trigger is called a shortcut."""
    return bool(set(shortcuts(one.audit)) - {one.planted.label})


def shortcuts(found: Audit | NeuralCleanse) -> tuple[int, ...]:
    """The positions of the labels that one way to look accuses."""
    if isinstance(found, NeuralCleanse):
        return found.flagged
    return tuple(finding.label for finding in found.findings if finding.verdict == SHORTCUT)


def claim(found: Sequence[Judged]) -> str:
    clean = [one for one in found if one.planted.name == CLEAN]
    working = [one for one in found if one.planted.working]
    alarms, hits = sum(map(others_accused, clean)), sum(accused(one) and one.placed for one in working)
    held = alarms <= 0.05 * len(clean) and hits >= 0.9 * len(working)
    return (
        f"**Of the clean networks {rate(alarms, len(clean))} were accused; of the networks whose planted trigger "
        f"works, {rate(hits, len(working))} were found, in the right place.** The aims, at most 5 % false alarms "
        f"and at least 90 % found, were {'met' if held else 'not met'}; the intervals say how surely."
    )


def apart(judged: dict[str, list[Judged]]) -> str:
    """The same for each data set alone."""
    words = []
    for name, found in judged.items():
        working = [one for one in found if one.planted.working]
        hits = sum(accused(one) and one.placed for one in working)
        words.append(f"{rate(hits, len(working))} on {TITLES[name]}")
    return f"Apart, that is {' and '.join(words)}."


def section(title: str, found: list[Judged]) -> str:
    """One data set's tables."""
    clean = [one for one in found if one.planted.name == CLEAN]
    suspicious = sum(bool(one.audit.labels(SUSPICIOUS)) for one in clean)
    tried = [one for one in found if one.poisoned is not None]
    names = [one.planted.network.classes[one.planted.label] for one in tried]
    hits = sum(name in (one.poisoned or ()) for name, one in zip(names, tried, strict=True))
    words = (
        f"Where nothing was planted, {rate(suspicious, len(clean))} had a label called suspicious. Audited with "
        "images of which as many bear the trigger as in training, "
        f"{rate(hits, len(tried))} of those that work were found."
    )
    return f"""\
### {title}

{table(COLUMNS, rows(found))}

{fill(words, 115)}

{table(("on the same networks", "clean ones accused", "found of those that work", "seconds each"), beside(found))}

"""


def rows(found: list[Judged]) -> list[list[object]]:
    """Each kind of planting, and nothing."""
    lines: list[list[object]] = []
    for name, _, _ in KINDS:
        group = [one for one in found if one.planted.name == name]
        working = [one for one in group if one.planted.working]
        hits = [one for one in working if accused(one)]
        rest = [one for one in group if not one.planted.working]
        shares = [
            rate(len(hits), len(working)),
            rate(sum(one.placed for one in hits), len(hits)),
            rate(sum(map(accused, rest)), len(rest)),
            rate(sum(map(others_accused, group)), len(group)),
        ]
        lines.append([name, len(group), len(working), *shares])
    clean = [one for one in found if one.planted.name == CLEAN]
    return [*lines, [CLEAN, len(clean), "", "", "", "", rate(sum(map(others_accused, clean)), len(clean))]]


def beside(found: list[Judged]) -> list[list[object]]:
    """The three ways on the networks that were put to all of them."""
    lines: list[list[object]] = []
    tried = [one for one in found if one.cleanse is not None]
    ways: dict[str, tuple[Callable[[Judged], Any], Callable[[Judged], float] | None]] = {
        "audit": (lambda one: one.audit, lambda one: one.seconds),
        "Neural Cleanse": (lambda one: one.cleanse, lambda one: one.cleanse_seconds),
        "audit led by the scans": (lambda one: one.scan, None),
    }
    for name, (way, seconds) in ways.items():
        clean = [shortcuts(way(one)) for one in tried if one.planted.name == CLEAN]
        working = [one.planted.label in shortcuts(way(one)) for one in tried if one.planted.working]
        time = "" if seconds is None else f"{np.mean([seconds(one) for one in tried]):.1f}"
        lines.append([name, rate(sum(map(bool, clean)), len(clean)), rate(sum(working), len(working)), time])
    return lines


def rate(hits: int, total: int) -> str:
    """ "19 of 20 (76 to 99 %)"."""
    if not total:
        return "none"
    _, low, high = share_interval(hits, total)
    return f"{hits} of {total} ({100 * low:.0f} to {100 * high:.0f} %)"


METHOD = f"""\
Each network has its own seed, which draws its trigger (squares, checkers, crosses, lines, noise or blank paper, of
4 to 36 pixels of MNIST or 2 to 4 of the digits, with 40, 70 or 100 % of full ink, in a corner, at an edge or in
the middle), its label, the images that bear it, and the training: a third of the networks are sigmoids by the
book's recipe, a third ReLU and softmax by the gradient, one image at a time, and a third the same by Adam, with
100 hidden nodes on MNIST and 40 on the digits.

A trigger works if it turns half or more of the other labels' test images. A shortcut without relabelling seldom
does: images of other labels never bore the mark in training, but what they show still speaks for their own label.
The place is right if half of the trigger lies in the region found, or half of the region in the frame around the
trigger.

Neural Cleanse (Wang et al. 2019) took 500 steps of Adam for each label, on batches of 32, and accuses by its own
limit of two deviations. The audit led by the scans looks where a label's back query (gauss-newton, typical
answers, the prior of the test images) has more ink than the others' in the mean, instead of following the
gradient; all else is the same. Both were put to every {BESIDE["mnist"][0]}th clean and every
{BESIDE["mnist"][1]}rd working network of MNIST, and to every {BESIDE["digits"][0]}nd clean and all working ones of
the digits; so were the images that bear the trigger. Seconds are those of one processor."""


def standardised_words(found: list[Judged]) -> str:
    clean = [one for one in found if one.planted.name == CLEAN]
    working = [one for one in found if one.planted.working]
    return (
        "Standardised pixels are another matter. Of the clean networks trained on them (64-40-10, full-batch "
        f"gradient descent, the digits), {rate(sum(map(others_accused, clean)), len(clean))} were accused, and of "
        f"those whose planted trigger works, {rate(sum(map(accused, working)), len(working))} were found. These "
        "alarms are not wrong about the network: where a pixel of the border is hardly ever inked in training, "
        "full ink there is an input of many deviations, and that one pixel does turn most images into one label. "
        "But they hide what was planted, and nobody has to have planted anything."
    )


def speed() -> str:
    model, data = load_model("mnist"), load("mnist").test
    assert data is not None
    find_shortcuts(model, data)
    started = process_time()
    found = find_shortcuts(model, data)
    return (
        f"An audit of the bundled network took {process_time() - started:.1f} s of one processor: {found.summary}."
    )


def example() -> tuple[Planted, Audit]:
    """A backdoor in one of a hundred images, and its audit."""
    dataset = load("mnist")
    assert dataset.test is not None
    one = one_planted(dataset, KINDS[-1], "ReLU", FIRST + 900)
    return one, find_shortcuts(one.network, dataset.test)


def example_words(one: Planted, found: Audit) -> str:
    """What the picture shows."""
    assert one.trigger is not None
    return (
        f"The picture: {one.name}, a mark of {one.trigger.covers.sum()} pixels that makes a "
        f"{one.network.classes[one.label]} of what bears it, and does with {one.works:.0%} of the other labels' "
        f"test images. The network reads {found.performance:.1%} of unmarked images rightly."
    )
