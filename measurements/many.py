"""Many images for one answer: how they are read, by judges too, and how far apart they are beside real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from textwrap import fill
from time import process_time
from typing import Any

import numpy as np
from benchmarks import peers
from benchmarks.faithful import RECIPES, judge, trained

from backquery import BackQuery, Network, back_query, load_model
from backquery.faithfulness import Judge, RealImages, control_networks, neighbour_judge
from backquery.inversion import fit_statistics
from backquery.inversion.draws import sample
from backquery.inversion.named_priors import prior_for
from backquery.inversion.problem import box
from backquery.model import Array
from backquery.plots import many_sheet, save_sheet
from measurements.page import table

MANY, LABELS = 12, list(range(10))
PRIORS = ("data", "mixture")
AROUND = "around real images"
"""In place of a prior: the second way, which begins at training images of any label, chosen blindly."""

COMPONENTS = 120
"""Of the mixture, which is asked for although one Gaussian describes the digits as well."""

REAL = 60
"""Test images of each label between which distances are measured."""

ABOUT = f"""\
{MANY} draws of each of ten labels, typical answers, under one Gaussian (`data`) and under a mixture of
{COMPONENTS}, neither of which knows labels; and the answers near training images of any label, chosen blindly,
under one Gaussian. *Judges*: of how many draws a convolutional network, and the vote of the five nearest training
images, read the label asked for. *Apart*: the mean distance between draws of a label, in ink, and in parts of
that between real test images of the label, its mean over labels and, in brackets, its smallest. *ms*: the
processor's time for a draw, the likeliest images included, on one core."""

WHY = """\
Draws are less far apart than real images, and this is where the distance goes: between real images of any label;
between images that the prior draws, which have what no drawing has, ink below none and above full; between the
same brought into the box; between those whose answers came nearest to what is asked, of each label; and between
the answers near them, that is the draws."""

COLUMNS = ["network", "prior", "outcomes", "read", "judges", "apart", "of real ones", "ms"]
WAY = ["prior", "real, any label", "prior's", "in the box", "chosen", "draws", "real, one label"]


def measure(pictures: Path) -> str:
    rows = [list(row) for row in networks()]
    sheet(pictures / "many.png")
    return f"""\
## Many images for one answer

Command: `python -m measurements many`.

{ABOUT}

{table(COLUMNS, [row[:-2] for row in rows])}

{verdict(rows)}

{WHY}

{table(WAY, [way(prior) for prior in PRIORS])}

![The likeliest image of each label, draws beside it, and how freely each pixel varies](measured/many.png)
"""


def networks() -> Iterator[list[Any]]:
    """The rows of the first table; each ends with the number of draws that both judges read, and the share."""
    for name in RECIPES:
        network = mixed(trained(name))
        for prior in (*PRIORS, AROUND):
            yield row(name, network, prior)
    rng = np.random.default_rng(0)
    control = control_networks(trained("the book's, seed 1"), peers.mnist(), rng, names=("untrained",))
    yield row("*untrained*", control["untrained"], "data")


def mixed(network: Network) -> Network:
    """The network with a mixture in its statistics."""
    return replace(network, statistics=fit_statistics(network, peers.mnist().train, components=COMPONENTS))


def row(name: str, network: Network, prior: str) -> list[Any]:
    drawn_of(network, prior, 1)
    began = process_time()
    result = drawn_of(network, prior, 0)
    milliseconds = 1000 * (process_time() - began) / len(result)
    assert network.scaling is not None
    ink = network.scaling.ink(result.images)
    agreed = [int(np.sum(each.ask(ink) == result.labels)) for each in judges()]
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(result.outcome).items())
    apart = mean_distances(ink, result.labels)
    shares = apart / real_distances()
    cells = [name, prior, outcomes, int(result.read_as_asked.sum()), ", ".join(map(str, agreed))]
    said = [f"{apart.mean():.2f}", f"{shares.mean():.2f} ({shares.min():.2f})", f"{milliseconds:.1f}"]
    return [*cells, *said, agreed, shares.mean()]


def drawn_of(network: Network, prior: str, seed: int) -> BackQuery:
    if prior != AROUND:
        return back_query(network, LABELS, method="gauss-newton", prior=prior, many=MANY, rng=seed)
    around = network.scale(peers.mnist().train.images[:5000])
    return back_query(network, LABELS, method="gauss-newton", prior="data", many=MANY, around=around, rng=seed)


@cache
def judges() -> tuple[Judge, Judge]:
    train = peers.mnist().train
    return judge(), neighbour_judge(
        RealImages(train.images, train.labels, peers.mnist().maximum), peers.mnist().test
    )


@cache
def real_ink() -> tuple[Array, Array]:
    """Test images as ink, and their labels, as many of each."""
    data = peers.mnist()
    assert data.test is not None
    rows = np.concatenate([np.flatnonzero(data.test.labels == label)[:REAL] for label in LABELS])
    return data.test.images[rows].reshape(len(rows), -1) / data.maximum, data.test.labels[rows]


def real_distances() -> Array:
    return mean_distances(*real_ink())


def mean_distances(images: Array, labels: Array) -> Array:
    """The mean distance (labels,) between two images of each label."""
    return np.array([_apart(images[labels == label]) for label in np.unique(labels)])


def _apart(images: Array) -> float:
    squares = ((images[:, None] - images) ** 2).sum(axis=2) if len(images) < 200 else _squares(images)
    return float(np.sqrt(np.maximum(squares, 0)).sum() / (len(images) * (len(images) - 1)))


def _squares(images: Array) -> Array:
    sizes = (images**2).sum(axis=1)
    return np.asarray(sizes[:, None] + sizes - 2 * images @ images.T)


def way(name: str) -> list[Any]:
    """A row of the second table: one network's draws on their way."""
    network = mixed(trained("the book's, seed 1"))
    assert network.scaling is not None
    low, high = box(network, None)
    result = drawn_of(network, name, 0)
    assert result.change is not None
    ink, labels = network.scaling.ink, result.labels
    drawn = sample(prior_for(network, name, low, high), 600, np.random.default_rng(0))
    chosen = np.clip(result.images - result.change, low, high)
    anything, real = real_ink()[0], real_distances().mean()
    of_labels = [mean_distances(ink(images), labels).mean() for images in (chosen, result.images)]
    # Ink ends at full and none, which what the prior draws does not: it is measured by the scale alone.
    raw = _apart(drawn) / float(np.mean(high - low))
    cells = [_apart(anything), raw, _apart(ink(np.clip(drawn, low, high))), *of_labels, real]
    return [name, *(f"{cell:.2f}" for cell in cells)]


def sheet(path: Path) -> None:
    """The picture: four labels of the bundled network."""
    result = back_query(load_model("mnist"), [1, 3, 4, 7], many=6)
    save_sheet(many_sheet(result, load_model("mnist")), path)


def verdict(rows: list[list[Any]]) -> str:
    """What must hold for networks that learned, in one sentence."""
    learned, count = [row for row in rows if row[0] != "*untrained*" and row[1] != AROUND], MANY * len(LABELS)
    read = sum(row[3] for row in learned)
    worst = [min(row[-2][k] for row in learned) for k in (0, 1)]
    near = [row for row in learned if row[-1] < 0.6]
    names = sorted({row[0] for row in near})
    below = f"all but {', '.join(names)}" if names else "all"
    return fill(
        f"**Of {count * len(learned)} draws from a prior, of networks that learned, {read} are read as asked; the "
        f"judges read at least {worst[0]} and {worst[1]} of each {count}; draws are at least 0.6 times as far "
        f"apart as real images for {below}.**",
        115,
    )
