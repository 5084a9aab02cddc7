"""Whether more examples sharpen the scans, and whether some labels come out more clearly than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from textwrap import fill as wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from backquery.datasets import load
from backquery.faithfulness import RealDensities, convolutional_judge
from backquery.intervals import Interval, mean_interval
from backquery.inversion import back_query, data_prior, fit_statistics
from backquery.inversion.fitting import with_typical
from backquery.model.evaluation import evaluate
from backquery.model.network import Network
from backquery.model.protocol import ink_of
from backquery.model.scaling import Scaling
from backquery.plots import save_figure
from backquery.plots.paper import (
    HAIRLINE,
    HEADING,
    INK,
    MARGIN,
    PENCIL,
    bare,
    heading,
    new_figure,
    place_ink,
    words,
)
from backquery.training import train
from measurements.clarity import likeness, sharpness
from measurements.page import table

Array = NDArray[np.floating[Any]]
Scores = dict[str, Array]
"""For each measure (seeds, labels), or of one network (labels,)."""

SEEDS = range(1, 11)
METHODS = ("transpose", "gauss-newton")
CLEAR, UNCLEAR = [2, 3, 5, 7], [1, 9]
NINE = 9
MOST = 60_000
USUAL = 10_000
"""Training images, at most, that say which answers are typical of a network."""

SIDES = (28, 28)


@dataclass(frozen=True)
class Course:
    """So many training images, met so many times."""

    images: int
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.images:,} images, {self.epochs} epochs"


ALL = Course(MOST, 5)
AS_LONG = (Course(1_000, 300), Course(10_000, 30), ALL)
AS_OFTEN = (Course(1_000, 5), Course(10_000, 5), ALL)
COURSES = (*AS_OFTEN[:-1], *AS_LONG)


CHANCE = 0.1
"""How often a judge that guesses is right."""


class Inquiry:
    """The data, what images are like, and the judge: the same for every network."""

    def __init__(self) -> None:
        self.mnist = load("mnist")
        self.judge = convolutional_judge(self.mnist)
        first = self.untrained(0)
        self.statistics = fit_statistics(first, self.mnist.train)
        inputs = first.scale(self.mnist.test.images)
        self.densities = RealDensities(data_prior(self.statistics), inputs)
        ink = self.mnist.test.images.reshape(len(self.mnist.test), -1) / 255.0
        self.real = [ink[self.mnist.test.labels == label] for label in range(10)]

    def untrained(self, seed: int) -> Network:
        return Network.create([784, 200, 10], input_shape=SIDES, scaling=Scaling.book(), rng=seed)

    def trained(self, course: Course, seed: int) -> Network:
        """The book's network on the first images of an order; the seed decides the order and the first weights."""
        order = np.random.default_rng(seed).permutation(MOST)[: course.images]
        trained, _ = train(self.untrained(seed), self.mnist.train.select(order), epochs=course.epochs)
        usual = trained.scale(self.mnist.train.images[:USUAL])
        return with_typical(replace(trained, statistics=self.statistics), usual)

    def scores(self, network: Network, method: str) -> tuple[Array, Scores]:
        """The scans of all labels as ink (labels, 784), and every measure of each."""
        scans = back_query(network, range(10), method=method)
        ink = ink_of(network, scans.images)
        beside = list(zip(ink[:, None], self.real, strict=True))
        return ink, {
            "sharpness": np.array([sharpness(one, real, SIDES)[0] for one, real in beside]),
            "likeness": np.array([likeness(one, real)[0] for one, real in beside]),
            "read": scans.read_as_asked,
            "judge": self.judge.ask(ink),
            "judged": self.judge.ask(ink) == np.arange(10),
            "plainness": self.densities.usualness(scans.images).percentile,
        }


@dataclass(frozen=True)
class Findings:
    """Of every course: the performance (seeds,), and by each method the first seed's scans and all scores.

    judge: how far to trust the one that reads the scans.
    """

    judge: str
    performance: dict[Course, Array]
    scans: dict[tuple[str, Course], Array]
    scores: dict[tuple[str, Course], Scores]

    def of(self, method: str, course: Course, measure: str, labels: Sequence[int] = range(10)) -> Array:
        """A measure's mean over some labels, for each seed."""
        return np.asarray(self.scores[method, course][measure][:, list(labels)].mean(axis=1))

    def change(self, method: str, before: Course, measure: str, labels: Sequence[int] = range(10)) -> Interval:
        """From a course to all images, seed by seed."""
        return mean_interval(self.of(method, ALL, measure, labels) - self.of(method, before, measure, labels))

    def clarity(self, method: str, measure: str) -> Interval:
        """By how much the labels that are said to be clear exceed the others, after all images."""
        return mean_interval(self.of(method, ALL, measure, CLEAR) - self.of(method, ALL, measure, UNCLEAR))


def measure(pictures: Path) -> str:
    found = find(Inquiry())
    save_figure(draw(found), pictures / "sharpness.png")
    return write(found)


def find(inquiry: Inquiry) -> Findings:
    """Train every network and ask it for every label by both methods."""
    found = Findings(inquiry.judge.trusted(CHANCE), {}, {}, {})
    for course in COURSES:
        networks = [inquiry.trained(course, seed) for seed in SEEDS]
        found.performance[course] = np.array(
            [evaluate(network, inquiry.mnist.test).performance for network in networks]
        )
        for method in METHODS:
            answers = [inquiry.scores(network, method) for network in networks]
            found.scans[method, course] = answers[0][0]
            found.scores[method, course] = {
                name: np.array([scores[name] for _, scores in answers]) for name in answers[0][1]
            }
    return found


def write(found: Findings) -> str:
    few, long = AS_OFTEN[0], AS_LONG[0]
    return f"""\
## More examples sharpen the scans; 2, 3, 5, 7 come out clearly, 1 and 9 do not

Command: `python -m measurements sharpness`. Ten networks as the book has them (784-200-10, learning rate 0.1) for
each number of training images, seeds {SEEDS[0]} to {SEEDS[-1]}: a seed decides the first weights and which images
are left out. Fewer images are met either as often, 5 epochs, or more often, for as many updates in all
({MOST * ALL.epochs:,}). Every network was asked for all ten labels, by the book's transpose and by gauss-newton.

*Sharpness* is the gradient energy of a scan over its variance, divided by the median of the same for real test
images of that label: 1 is as sharp as a real image, less is blurred, more is grained. *Likeness* is a scan's
highest correlation with any real test image of that label. *Read as asked* is what the network itself reads in the
scan; *judged right* is what a separate convolutional network reads in it ({found.judge} on real test images;
chance is {CHANCE:.0%}).

![The scans after 1,000, 10,000 and 60,000 images by both methods, and the sharpness](measured/sharpness.png)

What is said of more examples was guessed for the 9. Means of ten networks, or how many of the ten:

{_table_of_nine(found)}

What {MOST:,} images change, network by network, for the 9 and in the mean of all labels:

{_table_of_changes(found)}

{fill("**" + _on_the_nine(found, long) + "**")}

{fill(_on_the_nine_as_often(found, few))}

{fill(_on_reading(found))}

After {MOST:,} images, label by label, again means or how many of ten:

{_table_of_labels(found)}

{fill("**" + _on_labels(found) + "**")}

{fill(_on_the_judge(found) + " " + _on_plainness(found))}
"""


def fill(text: str) -> str:
    """Lines as long as those of the other pages."""
    return wrap(text, 115, break_long_words=False, break_on_hyphens=False)


def _table_of_nine(found: Findings) -> str:
    rows = []
    for course in COURSES:
        row = [course.name, f"{found.performance[course].mean():.1%}"]
        for method in METHODS:
            scores = {name: values[:, NINE] for name, values in found.scores[method, course].items()}
            row += [_plus_minus(mean_interval(scores[name])) for name in ("sharpness", "likeness")]
            row += [str(int(scores[name].sum())) for name in ("read", "judged")]
        rows.append(row)
    columns = ("sharpness", "likeness", "read as asked", "judged right")
    return table(["trained on", "performance", *(f"{m}: {name}" for m in METHODS for name in columns)], rows)


def _table_of_changes(found: Findings) -> str:
    rows = []
    for method in METHODS:
        for name in ("sharpness", "likeness"):
            for who, labels in (("the 9", [NINE]), ("all labels", range(10))):
                changes = (_signed(found.change(method, course, name, labels)) for course in COURSES[:-1])
                rows.append([f"{method}: {name}, {who}", *changes])
    return table(["", *(f"from {course.name}" for course in COURSES[:-1])], rows)


def _table_of_labels(found: Findings) -> str:
    rows = []
    for method in METHODS:
        scores = found.scores[method, ALL]
        rows += [
            [f"{method}: {name}", *(f"{value:.2f}" for value in scores[name].mean(axis=0))]
            for name in ("sharpness", "likeness")
        ]
        for name, measure in (("read as asked", "read"), ("judged right", "judged")):
            rows.append([f"{method}: {name}", *(f"{count:d}" for count in scores[measure].sum(axis=0))])
    return table(["", *map(str, range(10))], rows)


def _on_the_nine(found: Findings, before: Course) -> str:
    grain, like = (found.change("transpose", before, name, [NINE]) for name in ("sharpness", "likeness"))
    verdict = "The guess held for as many updates" if grain.high < 0 < like.low else "The guess did not hold"
    judged = int(found.scores["transpose", ALL]["judged"][:, NINE].sum())
    means = {
        name: [found.of("transpose", course, name, [NINE]).mean() for course in (before, ALL)]
        for name in ("sharpness", "likeness")
    }
    return (
        f"{verdict}: from {before.images:,} to {MOST:,} images the grain of the book's 9 goes from "
        f"{means['sharpness'][0]:.2f} to {means['sharpness'][1]:.2f} times that of a real 9, and its likeness to "
        f"real ones from {means['likeness'][0]:.2f} to {means['likeness'][1]:.2f}. "
        f"{'It is clear' if judged > 5 else 'But it is not clear'}: the judge reads a 9 in {judged} of ten."
    )


def _on_the_nine_as_often(found: Findings, before: Course) -> str:
    grain, like = (found.change("transpose", before, name, [NINE]) for name in ("sharpness", "likeness"))
    blur = found.change("gauss-newton", AS_LONG[0], "sharpness", [NINE])
    judged = min(int(found.scores["gauss-newton", course]["judged"][:, NINE].sum()) for course in COURSES)
    return (
        f"Met 5 times each, which is 60 times as many updates, more images leave {_word(grain, 'more', 'less')} "
        f"grain and a 9 that is {_word(like, 'more', 'less')} like real ones. By gauss-newton the 9 is blurred, "
        f"as the likeliest image must be, and judged right in at least {judged} of ten at any number of images; "
        f"more of them make it {_word(blur, 'sharper', 'more blurred')} ({_signed(blur)} for as many updates)."
    )


def _word(change: Interval, more: str, less: str) -> str:
    """What an interval says, if it says anything."""
    if change.low > 0:
        return more
    return less if change.high < 0 else f"not clearly {more} or {less}"


def _on_reading(found: Findings) -> str:
    courses = sorted(COURSES, key=lambda course: found.performance[course].mean())
    counts = [int(found.scores["transpose", course]["read"].sum()) for course in courses]
    listed = ", ".join(
        f"{count} at {found.performance[course].mean():.1%}" for count, course in zip(counts, courses, strict=True)
    )
    falls = all(first > second for first, second in pairwise(counts))
    meaning = "the better a network reads, the less it reads in its own transposed images" if falls else "no order"
    whole = min(int(found.scores["gauss-newton", course]["read"].sum()) for course in COURSES)
    return (
        f"Besides: {meaning}. Of a hundred such scans, ten labels of ten networks, {listed} performance are read "
        f"as asked; by gauss-newton {'all' if whole == 100 else f'at least {whole}'}, everywhere."
    )


def _on_labels(found: Findings) -> str:
    like, judged = (found.clarity("transpose", name) for name in ("likeness", "judged"))
    held = like.low > 0 and judged.low > 0
    scores = found.scores["transpose", ALL]["judged"].sum(axis=0)
    listed = ", ".join(f"{label} in {scores[label]:d}" for label in (*CLEAR, *UNCLEAR))
    faithful = found.clarity("gauss-newton", "likeness")
    return (
        f"By the book's method the claim {'held in the mean' if held else 'did not hold'}: 2, 3, 5 and 7 are more "
        f"like real images than 1 and 9 by {_signed(like)}, and the share judged right is larger by "
        f"{_signed(judged)}; not for each of them, since of ten the judge reads {listed}. By gauss-newton it "
        f"{'is the same' if faithful.low > 0 else 'is not so'} ({_signed(faithful)} in likeness)."
    )


def _on_the_judge(found: Findings) -> str:
    counts = np.bincount(found.scores["transpose", ALL]["judge"].ravel(), minlength=10)
    order = np.argsort(-counts, kind="stable")
    listed = ", ".join(f"{label} in {counts[label]}" for label in order if counts[label])
    return (
        "What the judge says of grey images is to be taken with care, since it has learned from mostly blank "
        f"ones: of the hundred transposed scans it reads {listed}."
    )


def _on_plainness(found: Findings) -> str:
    means = {method: [found.of(method, course, "plainness").mean() for course in COURSES] for method in METHODS}
    listed = " and ".join(f"{_range(each)} by {method}" for method, each in means.items())
    return (
        "How usual the scans are tells nothing here: the share of real images that are stranger is in the mean "
        f"{listed}, for any number of images."
    )


def _range(values: list[float]) -> str:
    """From the least to the largest, or the one number that both are."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _plus_minus(interval: Interval) -> str:
    return f"{interval.value:.2f} ± {interval.high - interval.value:.2f}"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"


def draw(found: Findings) -> Figure:
    """The first seed's scans for three numbers of images and as many updates, and the sharpness beside them."""
    tile, names, curve = 0.62, 0.8, 3.0
    left, top, gap = MARGIN + names, HEADING + 0.5, 0.75
    width = left + 10 * tile + 0.75 + curve + MARGIN
    block = len(AS_LONG) * tile
    height = top + len(METHODS) * block + gap + 0.55
    figure = new_figure(width, height)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()
    for row, method in enumerate(METHODS):
        y = top + row * (block + gap)
        ax.text(MARGIN, y - 0.32, f"by {method}", fontweight="bold", **words(9.5))
        for label in range(10):
            x = left + (label + 0.5) * tile
            ax.text(x, y - 0.1, str(label), ha="center", fontweight="bold", **words(9))
        for place, course in enumerate(AS_LONG):
            middle = y + (place + 0.5) * tile
            ax.text(MARGIN, middle, f"{course.images:,}\nimages", va="center", **words(8.5, PENCIL))
            for label, ink in enumerate(found.scans[method, course]):
                box = (left + label * tile + 0.03, y + place * tile + 0.03, tile - 0.06)
                place_ink(ax, ink.reshape(SIDES), box, bool(found.scores[method, course]["read"][0, label]))
        place = (
            (left + 10 * tile + 0.75) / width, 1 - (y + block) / height, (curve - 0.7) / width, block / height
        )  # fmt: skip
        _curves(figure.add_axes(place), found, method)
    nine = [found.of("transpose", course, "sharpness", [NINE]).mean() for course in (AS_LONG[0], ALL)]
    judged = int(found.scores["transpose", ALL]["judged"][:, NINE].sum())
    heading(
        figure,
        f"60 times the images: the grain of the book's 9 falls from {nine[0]:.1f} to {nine[1]:.1f} times a real "
        f"one's, and a judge reads {judged} of 10",
        f"{MOST * ALL.epochs:,} updates each, scans of seed {SEEDS[0]}; dashed: the network does not read it as "
        "asked; right: sharpness of ten networks, 95 % intervals, 1 is a real image's",
    )
    return figure


def _curves(ax: Axes, found: Findings, method: str) -> None:
    """Sharpness against the number of images, for the 9 and for all labels."""
    images = [course.images for course in AS_LONG]
    for name, labels, colour, shift in (("the 9", [NINE], INK, 1.04), ("all labels", range(10), PENCIL, 0.96)):
        reached = [mean_interval(found.of(method, course, "sharpness", labels)) for course in AS_LONG]
        middle = np.array([interval.value for interval in reached])
        reach = np.array([interval.high for interval in reached]) - middle
        ax.errorbar(
            np.array(images) * shift, middle, reach, color=colour, linewidth=1.2, marker="o", markersize=3,
            elinewidth=0.9, capsize=2,
        )  # fmt: skip
        ax.annotate(
            name, (images[-1], middle[-1]), (8, 5 if name == "the 9" else -5), textcoords="offset points",
            va="center", annotation_clip=False, **words(8.5, colour),
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(800, 75_000)
    ax.set_xticks(images, [f"{count:,}" for count in images])
    ax.minorticks_off()
    ax.set_ylim(0, None)
    if ax.get_ylim()[1] > 1:
        ax.axhline(1, color=HAIRLINE, linewidth=0.8)
    ax.set_title("sharpness", loc="left", **words(8.5, PENCIL))
    bare(ax)
