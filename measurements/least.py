"""At least so sure against exactly so sure; the surest and the emptiest images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from time import process_time
from typing import Any

import numpy as np
from benchmarks import peers
from benchmarks.faithful import trained

from backquery import BackQuery, Network, back_query, load_model
from backquery.faithfulness import RealImages, neighbour_judge
from backquery.inversion import at_least, confidence, emptiest, most_sure
from backquery.inversion.priors import data_prior
from backquery.model import Array, ends_of
from backquery.plots import save_sheet
from backquery.plots.paper import as_picture
from backquery.plots.sheets import Sheet, Tile
from measurements.page import table

ABOUT = """\
Ten labels of each network. *Met*: of how many the label's answer is at least 0.8 (less 1e-3 in log-odds) and it
is read. *Distance²*: the squared Mahalanobis distance from the prior's mean, the median; the smaller, the likelier
the image. *Held back by*: how many limits are active, the mean. *Recognised*: how many are the label to the five
nearest training images, who know nothing of the network.
*ms*: all ten together, on one core."""

EXTREMES = """\
*Log-odds*: the label's own at the surest image that was found no farther from the prior's mean than images drawn
from the prior are on average (784; half of real test images are nearer than the number beside), and what the
network typically says. *Ink*: the sum of squared ink, full ink being 1, of the emptiest image that is read as the
label, and of real images. *Read*: of how many."""

LIMITS = ["network", "asked for", "met", "distance²", "held back by", "recognised", "ms"]
FARTHEST = [
    "network",
    "surest, log-odds",
    "typical",
    "distance²",
    "real images",
    "emptiest, ink",
    "real images",
    "read",
]

Question = Callable[[Network, list[int]], Any]

ASKED: dict[str, Question] = {
    "exactly 0.8, others 0.01 or shared": lambda network, labels: confidence(network, labels, 0.8),
    "exactly 0.8, others as usual": lambda network, labels: confidence(network, labels, 0.8, "typical"),
    "at least 0.8, others at most 0.1": lambda network, labels: at_least(network, labels, 0.8, others_at_most=0.1),
    "at least 0.8": lambda network, labels: at_least(network, labels, 0.8),
}

NETWORKS = ("tanh 784-100-50-10, sigmoid outputs", "ReLU 784-200-100-10, softmax")


def measure(pictures: Path) -> str:
    networks = {"bundled, 784-200-10": load_model("mnist"), **{name: trained(name) for name in NETWORKS}}
    limits = [row for name, network in networks.items() for row in limited(name, network)]
    extremes = [extreme(name, network) for name, network in networks.items()]
    draw(networks["bundled, 784-200-10"], pictures / "least.png")
    return f"""\
## At least

Command: `python -m measurements least`.

{fill(ABOUT, 115)}

{table(LIMITS, limits)}

{fill(EXTREMES, 115)}

{table(FARTHEST, extremes)}

![Likeliest images of 0.8 exactly, of at least 0.8, the surest and the emptiest](measured/least.png)

{verdict(limits)}
"""


def limited(name: str, network: Network) -> list[list[Any]]:
    labels, statistics = list(range(network.outputs)), network.statistics
    assert statistics is not None
    train = peers.mnist().train
    judge = neighbour_judge(RealImages(train.images, train.labels, 255.0))
    rows = []
    for words, question in ASKED.items():
        began = process_time()
        found = back_query(network, question(network, labels), prior="data")
        milliseconds = 1000 * (process_time() - began)
        surely = found.answers[np.arange(len(labels)), labels]
        met = int(np.sum(found.converged & (surely > 0.8 - 2e-4)))
        far = np.median(data_prior(statistics).squared_distance(found.images))
        held = "-" if found.active is None else f"{np.mean([len(each) for each in found.active]):.1f}"
        recognised = int(np.sum(judge.ask(_as_ink(network, found.images)) == labels))
        both = [f"{count}/{len(found)}" for count in (met, recognised)]
        rows.append([name, words, both[0], f"{far:.1f}", held, both[1], f"{milliseconds:.0f}"])
    return rows


def extreme(name: str, network: Network) -> list[Any]:
    """A row of the second table."""
    labels, statistics = list(range(network.outputs)), network.statistics
    assert statistics is not None
    prior, images = data_prior(statistics), network.scale(peers.mnist().test.images[:1000])
    surest = back_query(network, most_sure(network, labels), prior="data")
    least = back_query(network, emptiest(network, labels))
    sure, typical = (_own(network, each) for each in (surest, back_query(network, labels, prior="data")))
    far, real = (float(np.median(prior.squared_distance(each))) for each in (surest.images, images))
    empty, inked = (float(np.median(_ink(network, each))) for each in (least.images, images))
    read = int(np.sum(surest.converged)), int(np.sum(least.converged))
    return [
        name, f"{np.median(sure):.1f}", f"{np.median(typical):.1f}", f"{far:.0f}", f"{real:.0f}",
        f"{empty:.2f}", f"{inked:.0f}", f"{read[0]} and {read[1]} of {len(labels)}",
    ]  # fmt: skip


def _own(network: Network, found: BackQuery) -> Array:
    """The label's log-odds against all else, (n,)."""
    answers = np.take_along_axis(found.answers, found.labels[:, None], axis=1)[:, 0]
    if network.output_activation.name == "sigmoid":
        return np.asarray(np.take_along_axis(network.logits(found.images), found.labels[:, None], axis=1)[:, 0])
    others = np.where(np.arange(network.outputs) == found.labels[:, None], 0.0, found.answers).sum(axis=1)
    return np.asarray(np.log(answers) - np.log(np.maximum(others, 1e-300)))


def _ink(network: Network, images: Array) -> Array:
    return np.asarray((_as_ink(network, images) ** 2).sum(axis=1))


def _as_ink(network: Network, images: Array) -> Array:
    paper, ink = ends_of(network)
    return (images - paper) / (ink - paper)


def draw(network: Network, path: Path) -> None:
    """Some labels in columns, asked in four ways."""
    labels = [2, 3, 4, 5, 7]
    questions = {
        "exactly 0.8": ASKED["exactly 0.8, others as usual"],
        "at least 0.8": ASKED["at least 0.8"],
        "surest": most_sure,
        "emptiest": emptiest,
    }
    shown = []
    for words, question in questions.items():
        found = back_query(network, question(network, labels))
        for image, label, surely in zip(found.images, labels, found.surely, strict=True):
            shown.append(Tile(as_picture(image, network), [f"{label}, {words}", f"{surely:.3f} sure"]))
    save_sheet(Sheet("Exactly, at least, and the extremes", "each read as asked", shown, len(labels)), path)


def verdict(rows: list[list[Any]]) -> str:
    """How much nearer the images of a lower limit are."""
    names = list(dict.fromkeys(row[0] for row in rows))
    told = []
    for name in names:
        far = {row[1]: float(row[3]) for row in rows if row[0] == name}
        exactly, least = far["exactly 0.8, others as usual"], far["at least 0.8"]
        told.append(f"{least:.1f} instead of {exactly:.1f} ({name})")
    return fill(f"**At least 0.8 is met by likelier images, of a squared distance of {'; '.join(told)}.**", 115)
