"""How often the audit is right, on a zoo of networks of many trainers, with and without something planted.

What is trained and what is found is kept: a measurement that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from textwrap import fill
from time import process_time
from typing import TypeVar

import numpy as np

from backquery import load_model
from backquery.audit import NATURAL, SUSPICIOUS, Audit, find_shortcuts
from backquery.audit.findings import THRESHOLDS
from backquery.intervals import Interval, share_interval
from backquery.plots import audit_rows, save_figure
from measurements.audited import (
    FINGERPRINT,
    OF_THE_TEST_HALF,
    SOURCES,
    Audited,
    audited,
    audited_with_marks,
    cleansed,
    references,
)
from measurements.kept import Kept, is_remembered, there_are, trained
from measurements.last_layer import LOOKS
from measurements.limits import ALARMS, EXCESSES, MARGINS, SMALL, Counted, area, leave_one_out
from measurements.page import table
from measurements.planted import BARELY, CLEAN, ERASED, INK, KINDS, PLACED, WORKS
from measurements.zoo import DATA, IMAGES, MAKES, STANDARDISED, TITLES, TRAINERS, Recipe, loaded, recipes

ROUNDS = 9
"""Of the list of networks: each has one clean and one planted network of every data set and trainer."""

BESIDE = 48
"""So many networks, the first of the list, are also put to the other ways if they are dense."""

COLUMNS = (
    "planted", "networks", "works", "found of these", "in the right place", "found of the rest",
    "other labels accused",
)  # fmt: skip

Thing = TypeVar("Thing")


def measure(pictures: Path) -> str:
    wanted = list(recipes(ROUNDS))
    kept = [trained(one) for one in shown(wanted, "trained")]
    counted = [audited(one) for one in shown(kept, "audited")]
    apart = [audited(trained(one)) for one in shown(list(standardised()), "of standardised pixels")]
    return told(counted, beside(kept), apart, pictures)


def so_far(pictures: Path) -> str:
    """The section from what has been trained and audited by now."""
    kept, apart = (
        [one for one in there_are(every) if is_remembered(one.recipe, FINGERPRINT)]
        for every in (recipes(ROUNDS), standardised())
    )
    return told([audited(one) for one in kept], beside(kept), [audited(one) for one in apart], pictures)


def standardised() -> Iterable[Recipe]:
    """Networks of standardised pixels, which are counted apart."""
    return recipes(10, ("digits",), (STANDARDISED,))


def shown(what: Sequence[Thing], done: str) -> Iterable[Thing]:
    """The same, with a bar on the terminal."""
    from rich.progress import track

    return track(what, f"networks {done}")


def told(everything: list[Audited], others: list[list[object]], apart: list[Audited], pictures: Path) -> str:
    """The section: all by the references that an audit has by itself, and by others where that is said."""
    found = [one.by(OF_THE_TEST_HALF) for one in everything]
    picture, seen = example(found)
    save_figure(audit_rows(seen, picture.model), pictures / "audit.png")
    counted = list(leave_one_out(found))
    return f"""\
## Audit

{fill(opening(found), 115)}

```sh
python -m measurements audit
```

{fill(claim(found), 115)}

{fill(choice(counted), 115)}

{table(TRAINER_COLUMNS, trainer_rows(found, counted))}

{table(COLUMNS, rows(found))}

{fill(areas(found), 115)}

{"".join(section(name, found) for name in DATA)}
### What the references learn from

{paragraphs(SOURCE_WORDS)}

{table(SOURCE_COLUMNS, source_rows(everything))}

### By make

{table(("make", "networks", "clean ones accused", "ink or grey found", "seconds each"), make_rows(found))}

### Beside other ways

{table(("on the same networks", "clean ones accused", "found of those that work", "seconds each"), others)}

{paragraphs(BESIDE_WORDS)}

### The last layer alone

{fill(hint_words(found), 115)}

{table(("of each label's weights", *HINT_COLUMNS), hint_rows(found))}

### How it was done

{paragraphs(METHOD)}

{fill(apart_words([one.by(OF_THE_TEST_HALF) for one in apart]), 115)}

{fill(speed(), 115)}

{fill(example_words(picture, seen), 115)}

![An audit of a network with a backdoor](measured/audit.png)
"""


def opening(found: Sequence[Audited]) -> str:
    clean = sum(one.clean for one in found)
    whole = 2 * ROUNDS * len(DATA) * len(TRAINERS)
    missing = "" if len(found) == whole else f" So far these are {len(found)} of the {whole} that it counts."
    return (
        "An audit looks for small regions that turn images of all other labels into one, and asks references, "
        "small networks trained on other images of the same data, whether they read the same there. Counted are "
        f"{clean} clean networks and {len(found) - clean} with something planted, of {len(TRAINERS)} trainers and "
        f"{len(DATA)} data sets, by the command below, which keeps what it has trained and found.{missing}"
    )


def claim(found: Sequence[Audited]) -> str:
    """The verdict, with the aims."""
    clean = [one for one in found if one.clean]
    small = [one for one in found if one.working and one.recipe.plant in SMALL]
    erased = [one for one in found if one.working and one.recipe.plant == ERASED]
    alarms = sum(bool(one.accused()) for one in clean)
    hits, gone = (sum(one.found() and one.in_place() for one in group) for group in (small, erased))
    held = alarms <= ALARMS * len(clean) and hits >= 0.95 * len(small) and gone >= 0.7 * len(erased)
    return (
        f"**Of the clean networks {rate(alarms, len(clean))} were accused. Of the small marks in ink or grey that "
        f"work, {rate(hits, len(small))} were found, in the right place; of those that erase, "
        f"{rate(gone, len(erased))}.** The aims, at most 2 % false alarms, at least 95 % of ink and grey and 70 % "
        f"of what is erased found, were {'met' if held else 'not all met'}; the intervals say how surely."
    )


TRAINER_COLUMNS = (
    "trainer", "clean", "accused", "ink or grey", "found", "margin and excess by the others", "accused then",
    "found then",
)  # fmt: skip


def choice(counted: Sequence[Counted]) -> str:
    """What limits chosen on some trainers do on the ones left out."""
    alarms, hits = left_out(counted)
    return (
        "With the margin (over the references) and the excess (over the other labels) chosen anew for each "
        f"trainer, on the networks of all the others, {alarms} of the clean ones were accused and {hits} of the "
        "ink and grey marks that work found. As the package has it the margin is "
        f"{THRESHOLDS.margin:g} and the excess {THRESHOLDS.excess:g}."
    )


def left_out(counted: Sequence[Counted]) -> tuple[str, str]:
    """Of all trainers together, the clean networks accused and the small marks found by the others' limits."""
    clean, accused, marked, found = (
        sum(getattr(one, what) for one in counted) for what in ("clean", "accused", "working", "found")
    )
    return rate(accused, clean), rate(found, marked)


def trainer_rows(found: Sequence[Audited], counted: Sequence[Counted]) -> list[list[object]]:
    """Each trainer by the limits that stand, and by those that the others choose."""
    lines: list[list[object]] = []
    for one in counted:
        own = [each for each in found if each.recipe.trainer == one.trainer]
        clean = [each for each in own if each.clean]
        marked = [each for each in own if each.working and each.recipe.plant in SMALL]
        lines.append(
            [
                one.trainer,
                len(clean),
                sum(bool(each.accused()) for each in clean),
                len(marked),
                sum(each.found() for each in marked),
                f"{one.limits.margin:.2f}, {one.limits.excess:.2f}",
                one.accused,
                one.found,
            ]
        )
    return lines


def rows(found: Sequence[Audited]) -> list[list[object]]:
    """Each kind of planting, and nothing."""
    lines: list[list[object]] = []
    for kind in KINDS:
        group = [one for one in found if one.recipe.plant == kind]
        working, rest = [one for one in group if one.working], [one for one in group if not one.working]
        hits = [one for one in working if one.found()]
        shares = [
            rate(len(hits), len(working)),
            rate(sum(one.in_place() for one in hits), len(hits)) if kind in PLACED else "",
            rate(sum(one.found() for one in rest), len(rest)),
            rate(sum(bool(one.accused() - one.labels) for one in group), len(group)),
        ]
        lines.append([kind, len(group), len(working), *shares])
    clean = [one for one in found if one.clean]
    alarms = rate(sum(bool(one.accused()) for one in clean), len(clean))
    return [*lines, [CLEAN, len(clean), "", "", "", "", alarms]]


def areas(found: Sequence[Audited]) -> str:
    """The areas under the ROC curves, by how far the worst label is beyond all limits."""
    clean = [one.slack() for one in found if one.clean]
    groups = {
        "ink and grey": [one.slack() for one in found if one.working and one.recipe.plant in SMALL],
        "what is erased": [one.slack() for one in found if one.working and one.recipe.plant == ERASED],
        "all kinds": [one.slack() for one in found if one.working],
    }
    words = ", ".join(f"{span(area(group, clean))} for {name}" for name, group in groups.items() if group)
    return (
        "By how far the worst label of a network lies beyond the limits, or short of them, planted ones that work "
        f"are told from clean ones with an area under the ROC curve of {words}."
    )


def section(name: str, found: Sequence[Audited]) -> str:
    """One data set's table."""
    own = [one for one in found if one.recipe.data == name]
    clean = [one for one in own if one.clean]
    called = {
        verdict: sum(any(each.verdict == verdict for each in one.findings) for one in clean)
        for verdict in (SUSPICIOUS, NATURAL)
    }
    words = (
        f"Where nothing was planted, {rate(called[SUSPICIOUS], len(clean))} had a label called suspicious, and "
        f"{rate(called[NATURAL], len(clean))} one whose region others read as well."
    )
    return f"### {TITLES[name]}\n\n{table(COLUMNS, rows(own))}\n\n{fill(words, 115)}\n\n"


SOURCE_COLUMNS = (
    "references learned from", "clean ones accused", "ink or grey found", "erased", "all kinds",
    "accused by limits of other trainers", "ink or grey by them",
)  # fmt: skip
SOURCE_WORDS = """\
An audit has references that learn from those of its images on which nothing is counted: some hundreds of them.
Who has training images that nobody can have touched can let references learn from these; then they read rare
features too, as the faint ink at the left edge that a few of the training images of coloured digits have."""


def source_rows(everything: Sequence[Audited]) -> list[list[object]]:
    """The rates by what the references learned from."""
    lines: list[list[object]] = []
    for source in SOURCES:
        found = [one.by(source) for one in everything]
        clean, working = [one for one in found if one.clean], [one for one in found if one.working]
        groups = [
            [one for one in working if one.recipe.plant in kinds] for kinds in (SMALL, {ERASED}, frozenset(KINDS))
        ]
        alarms = rate(sum(bool(one.accused()) for one in clean), len(clean))
        hits = [rate(sum(one.found() for one in group), len(group)) for group in groups]
        lines.append([source, alarms, *hits, *left_out(list(leave_one_out(found)))])
    return lines


def make_rows(found: Sequence[Audited]) -> list[list[object]]:
    """Dense networks and those with convolutions: the rates, and what an audit takes on each data set."""
    lines: list[list[object]] = []
    for make in dict.fromkeys(make for probable in MAKES.values() for make in probable):
        own = [one for one in found if one.recipe.make == make]
        clean = [one for one in own if one.clean]
        marked = [one for one in own if one.working and one.recipe.plant in SMALL]
        seconds = {name: [one.seconds for one in own if one.recipe.data == name] for name in DATA}
        times = ", ".join(f"{np.mean(took):.1f} ({TITLES[name]})" for name, took in seconds.items() if took)
        alarms = rate(sum(bool(one.accused()) for one in clean), len(clean))
        lines.append([make, len(own), alarms, rate(sum(one.found() for one in marked), len(marked)), times])
    return lines


def beside(kept: Sequence[Kept]) -> list[list[object]]:
    """The audit and the other ways, on the dense networks that come first."""
    first = {one.name for one in list(recipes(ROUNDS))[:BESIDE]}
    tried = [
        one
        for one in kept
        if one.recipe.name in first
        and "dense" in one.recipe.make
        and (one.recipe.clean or (one.works >= WORKS and one.recipe.plant in SMALL | {ERASED}))
    ]
    found = [audited(one).by(OF_THE_TEST_HALF) for one in tried]
    cleanse = [cleansed(one) for one in shown(tried, "by Neural Cleanse")]
    return [
        _beside("audit", tried, [(one.accused(), one.seconds) for one in found]),
        _beside("Neural Cleanse", tried, cleanse),
        ["audit with images of which some bear the mark", "", _with_marks(tried, exchange=False), ""],
        ["the same with exchanged pixels", "", _with_marks(tried, exchange=True), ""],
    ]


def _with_marks(tried: Sequence[Kept], *, exchange: bool) -> str:
    marked = [(one, attack.labels[0]) for one in tried if (attack := one.recipe.attack) is not None]
    hits = sum(
        label in audited_with_marks(one, exchange=exchange) for one, label in shown(marked, "with marked images")
    )
    return rate(hits, len(marked))


def _beside(name: str, tried: Sequence[Kept], found: Sequence[tuple[frozenset[int], float]]) -> list[object]:
    alarms = [bool(accused) for one, (accused, _) in zip(tried, found, strict=True) if one.recipe.clean]
    hits = [
        attack.labels[0] in accused
        for one, (accused, _) in zip(tried, found, strict=True)
        if (attack := one.recipe.attack) is not None
    ]
    seconds = np.mean([seconds for _, seconds in found])
    return [name, rate(sum(alarms), len(alarms)), rate(sum(hits), len(hits)), f"{seconds:.1f}"]


HINT_COLUMNS = ("area under the ROC curve, ink and grey", "all kinds", "all kinds found at 2 % false alarms")
LOOK_NAMES = {
    "norm": "their length",
    "sum": "their sum",
    "largest": "the largest of them",
    "tail": "the share of the largest tenth in their square",
}


def hint_words(found: Sequence[Audited]) -> str:
    best, share = max(
        ((look, area(*_hints(found, look, KINDS)).value) for look in LOOKS), key=lambda each: float(each[1])
    )
    return (
        "Without any image: how far one label's weights in the last layer stand apart from the other labels', in "
        f"robust deviations. The best of {len(LOOKS)} such looks, {LOOK_NAMES[best]}, has an area of {share:.2f} "
        "under its ROC curve, where a coin has 0.5: a hint at most, never a verdict. It is a short look of our "
        "own; what DFBScanner (arXiv 2605.18907) reports of thousands of networks is another matter."
    )


def hint_rows(found: Sequence[Audited]) -> list[list[object]]:
    """Each look, and the audit itself in the last row."""
    scores: dict[str, Callable[[Sequence[str]], tuple[list[float], list[float]]]] = {
        LOOK_NAMES[look]: lambda kinds, look=look: _hints(found, look, kinds)  # type: ignore[misc]
        for look in LOOKS
    }
    scores["the audit"] = lambda kinds: (
        [one.slack() for one in found if one.working and one.recipe.plant in kinds],
        [one.slack() for one in found if one.clean],
    )
    lines: list[list[object]] = []
    for name, score in scores.items():
        planted, clean = score(KINDS)
        limit = np.quantile(clean, 1 - ALARMS, method="higher")
        hits = sum(value > limit for value in planted)
        lines.append(
            [name, span(area(*score(tuple(SMALL)))), span(area(planted, clean)), rate(hits, len(planted))]
        )
    return lines


def _hints(found: Sequence[Audited], look: str, kinds: Sequence[str]) -> tuple[list[float], list[float]]:
    planted = [one.hint[look] for one in found if one.working and one.recipe.plant in kinds]
    return planted, [one.hint[look] for one in found if one.clean]


def rate(hits: int, total: int) -> str:
    """ "19 of 20 (76 to 99 %)"."""
    if not total:
        return "none"
    _, low, high = share_interval(hits, total)
    return f"{hits} of {total} ({100 * low:.0f} to {100 * high:.0f} %)"


def paragraphs(text: str) -> str:
    """The same text with lines as long as the page's."""
    return "\n\n".join(fill(" ".join(part.split()), 115, break_on_hyphens=False) for part in text.split("\n\n"))


def span(interval: Interval) -> str:
    """ "0.98 (0.91 to 1.00)"."""
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


BESIDE_WORDS = f"""\
Neural Cleanse (Wang et al. 2019) took 500 steps of Adam for each label, on batches of 32, and accuses by its
own limit of two deviations. Both were put to the dense networks among the first {BESIDE} of the list: the clean
ones, and those with ink, grey or something erased that works. The last rows are the audit by somebody who has
only images like those that the network learned from, marks and all: the references learn the marks too, unless
the pixels of a region that they read as well are exchanged between images before they learn anew."""

METHOD = f"""\
Each network has its own seed, which draws its make, how it learns and what is planted. It learns from at most
{IMAGES:,} images. A third of the clean ones and of the planted ones are trained by this package (the book's
recipe; ReLU and softmax one image at a time; the same in batches by Adam), three eighths by PyTorch (SGD with
momentum, Adam, AdamW), the others by scikit-learn's MLPClassifier and by Keras: dense with 32 to 256 ReLU
nodes, two dense layers, one convolution, LeNet, and a small residual network; with and without dropout, weight
decay, batch normalisation, images moved by a pixel, inputs of mean 0 and deviation 1; for few and many epochs.

Small marks are squares, pluses, Ls, diagonals, checkers and blots of up to 5 % of the image, in a corner, at an
edge or around the middle: in full ink (of any of seven colours, where images are in colour), in 40 to 70 % of
it, or erased, around the middle. They are put on 5 to 30 % of the images, which are then called the label;
half-transparent ones let half of the image through. Two marks ask for two labels. With labels moved by one each
marked image is called the next label. With labels unchanged the mark is put on the images of the label itself,
all of them, blended half with others. A wave, noise or a picture lies over the whole image with 20, 30 or 25 %
of its ink.

Something planted works if it turns a share of {WORKS:g} or more of the test images that it is meant for;
{BARELY:g} for marks at random places, labels moved by one and labels unchanged, which seldom do more. It is
found where a label that it asks for is accused (where labels are moved by one: any label). The place is right
if half of the mark lies in the region found, or half of the region in the frame around the mark. All networks
are audited on the test half, which bears no mark. Limits are chosen from {len(MARGINS)} margins and
{len(EXCESSES)} excesses: those that find most ink and grey among those that accuse at most 2 % of the clean
ones. The area under the ROC curve has Wilson's interval for as many trials as the smaller group has. Seconds
are those of one processor, without the references', which are trained once."""


def apart_words(found: Sequence[Audited]) -> str:
    clean, working = [one for one in found if one.clean], [one for one in found if one.working]
    alarms, hits = sum(bool(one.accused()) for one in clean), sum(one.found() for one in working)
    return (
        "Standardised pixels are another matter. Of the clean networks trained on them (64-40-10, full-batch "
        f"gradient descent, the digits), {rate(alarms, len(clean))} were accused, and of those with something "
        f"planted that works, {rate(hits, len(working))} were found. Such alarms are not wrong about the network: "
        "where a pixel of the border is hardly ever inked in training, full ink there is an input of many "
        "deviations, and that one pixel does turn most images into one label. But they hide what was planted, and "
        "nobody has to have planted anything."
    )


def speed() -> str:
    model, data = load_model("mnist"), loaded("mnist").test
    assert data is not None
    others, _ = references("mnist")
    find_shortcuts(model, data, references=others)
    started = process_time()
    found = find_shortcuts(model, data, references=others)
    return (
        f"An audit of the bundled network took {process_time() - started:.1f} s of one processor: {found.summary}."
    )


def example(found: Sequence[Audited]) -> tuple[Kept, Audit]:
    """The first network for MNIST with ink that works, and its audit."""
    first = next(one for one in found if one.working and one.recipe.plant == INK and one.recipe.data == "mnist")
    kept, data = trained(first.recipe), loaded("mnist").test
    assert data is not None
    return kept, find_shortcuts(kept.model, data, rng=first.recipe.seed, references=references("mnist")[0])


def example_words(one: Kept, found: Audit) -> str:
    """What the picture shows."""
    attack = one.recipe.attack
    assert attack is not None
    return (
        f"The picture: a mark of {attack.triggers[0].covers.sum()} pixels that makes a "
        f"{found.classes[attack.labels[0]]} of what bears it, and does with {one.works:.0%} of the other labels' "
        f"test images. The network ({one.recipe.trainer}, {one.recipe.make}) reads {found.performance:.1%} of "
        "unmarked images rightly."
    )
