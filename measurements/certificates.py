"""What is proved of scans: how far around each all is read alike, and which answers no image can give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import fill
from time import process_time
from typing import Any

import numpy as np
from benchmarks import peers
from benchmarks.faithful import RECIPES, trained

from backquery import Network, Online, Scaling, back_query, certify, datasets, evaluate, load_model, train
from backquery.inversion import confidence, fit_statistics
from backquery.model import Array, ends_of
from backquery.proofs.certificates import GREY_LEVELS
from measurements.page import table

ABOUT = """\
Ten scans of each network, its typical answers, and a hundred test images that it reads rightly. *Proved*: of how
many it is certain, whatever rounding does, what is read, and (for scans) that all log-odds are within 1e-3 of
those asked for. *Radius*: every image that differs in no pixel by more than so many grey levels of 255 is read
alike, the median and, in brackets, the smallest. *Changed at*: the smallest such difference at which another
reading was found, by climbing from each image towards its nearest rivals; no radius can be larger. *ms*: the ten
scans' certificates together, on one core."""

IMPOSSIBLE = """\
What gauss-newton came to where ever surer answers were asked for, each of ten labels at p and all others at 1
- p, or at 0.01 where that is less. Of answers that were not found it is tried to prove that no image gives
them, by linear bounds over the box of all images and its parts, with bounded effort: the smaller the network,
and the farther an answer from all that it can give, the more is decided. Ten networks each have learned the 8
x 8 digits."""

RADII = ["network", "scans proved", "radius", "changed at", "real images proved", "radius", "changed at", "ms"]
SURER = [
    "network",
    "asked for",
    "found",
    "proved impossible",
    "not found",
    "stalled",
    "proved, of what was not found",
]

SMALL, SURE = (0.6, 0.8, 0.9, 0.99, 0.999), (0.999, 1 - 1e-5, 1 - 1e-7, 1 - 1e-9, 1 - 1e-11)
"""Asked of the small networks, and of the bundled one."""

REAL, RIVALS, CLIMBING = 100, 3, 30


def measure(_pictures: Path) -> str:
    rows = list(impossible())
    return f"""\
## Proved

Command: `python -m measurements certificates`.

{ABOUT}

{table(RADII, [radii(name, network) for name, network in networks()])}

{IMPOSSIBLE}

{table(SURER, rows)}

{verdict(rows)}
"""


def networks() -> Iterator[tuple[str, Network]]:
    yield "bundled, 784-200-10", load_model("mnist")
    for name in list(RECIPES)[-3:]:
        yield name, trained(name)


def radii(name: str, network: Network) -> list[Any]:
    """A row of the first table."""
    result = back_query(network, list(range(network.outputs)))
    data = peers.mnist().test
    inputs = network.scale(data.images[: 2 * REAL])
    right = inputs[network.query(inputs).argmax(axis=1) == data.labels[: 2 * REAL]][:REAL]
    began = process_time()
    scans = certify(network, result)
    milliseconds = 1000 * (process_time() - began)
    assert scans.as_asked is not None
    both = int(np.sum(scans.certain & scans.as_asked))
    cells: list[Any] = [name, f"{both}/{len(scans)}", *_distances(network, result.images, scans.grey_levels)]
    real = certify(network, right)
    cells += [f"{int(real.certain.sum())}/{len(real)}", *_distances(network, right, real.grey_levels)]
    return [*cells, f"{milliseconds:.0f}"]


def _distances(network: Network, images: Array, proved: Array) -> list[str]:
    changed = np.array([changed_at(network, image) for image in images])
    assert np.all(~(changed < proved)), "a certificate is wrong"
    return [f"{np.nanmedian(each):.1f} ({np.nanmin(each):.1f})" for each in (proved, changed)]


def changed_at(network: Network, image: Array) -> float:
    """The smallest radius in grey levels at which climbing finds an image that is read otherwise."""
    network = network.astype(np.float64)
    (logits,), (slopes,) = network.logits_and_jacobian(image[None])
    label = int(logits.argmax())
    reach = (logits[label] - logits) / np.maximum(np.abs(slopes[label] - slopes).sum(axis=1), 1e-12)
    rivals = [int(rival) for rival in np.argsort(reach) if rival != label][:RIVALS]
    inside, outside = 0.0, float(GREY_LEVELS)
    while outside - inside > 0.01 * outside:
        radius = (inside + outside) / 2
        found = any(_climbs(network, image, label, rival, radius) for rival in rivals)
        inside, outside = (inside, radius) if found else (radius, outside)
    return outside


def _climbs(network: Network, image: Array, label: int, rival: int, radius: float) -> bool:
    paper, ink = ends_of(network)
    reach = radius * np.abs(ink - paper) / GREY_LEVELS
    low, high = (
        np.maximum(image - reach, np.minimum(paper, ink)),
        np.minimum(image + reach, np.maximum(paper, ink)),
    )
    x = image.copy()
    for step in range(CLIMBING):
        (logits,), (slopes,) = network.logits_and_jacobian(x[None])
        if logits.argmax() != label:
            return True
        towards = np.where(slopes[rival] > slopes[label], high, low)
        x = x + (towards - x) / (1 + step / 3)
    return bool(network.logits(x[None])[0].argmax() != label)


def impossible() -> Iterator[list[Any]]:
    """The rows of the second table."""
    small = {size: [_of_digits(size, seed) for seed in range(10)] for size in (20, 40)}
    kinds = {**{f"ten 64-{size}-10": each for size, each in small.items()}, "bundled": [load_model("mnist")]}
    for name, each in kinds.items():
        for p in SURE if name == "bundled" else SMALL:
            ask = partial(confidence, p=p)
            outcomes = Counter(o for net in each for o in back_query(net, ask(net, list(range(10)))).outcome)
            counts = [outcomes[o] for o in ("converged", "proved impossible", "not found", "stalled")]
            missing = sum(counts[1:])
            yield [name, f"{p:.12g}", *counts, f"{counts[1] / missing:.0%}" if missing else "-"]


def _of_digits(hidden: int, seed: int) -> Network:
    data = datasets.load("digits")
    fresh = Network.create(
        [64, hidden, 10], rng=seed, biases=True, input_shape=(8, 8), scaling=Scaling.book(data.maximum)
    )
    network, _ = train(fresh, data.train, Online(0.2), epochs=10, rng=seed)
    assert evaluate(network, data.test).performance > 0.8
    return replace(network, statistics=fit_statistics(network, data.train))


def verdict(rows: list[list[Any]]) -> str:
    """How many of the answers that were not found are proved to be impossible, for each kind of network."""
    told = []
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        proved, missing = sum(row[3] for row in mine), sum(sum(row[3:6]) for row in mine)
        told.append(f"{proved} of {missing} ({name})")
    return fill(f"**Of the answers that were not found, these are proved impossible: {'; '.join(told)}.**", 115)
