"""Does the bundled network read photographed handwriting? Once as any other picture, once without its shadows."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np

from backquery.datasets import Split, load, prepare_steps
from backquery.errors import AssumptionWarning
from backquery.io import load_model
from backquery.model.network import Network
from backquery.plots import query_steps, save_figure
from measurements.page import table
from measurements.photographing import KINDS, Camera, photograph

DIGITS = 100
SHOWN = (
    "linear shadow",
    "edge of a shadow",
    "shadow, thin pen",
    "shadow, squared paper",
    "shadow, chalk on a board",
)


@dataclass(frozen=True)
class Reading:
    """Of so many photographs how many are read rightly, in either way, and how many `auto` cleans."""

    images: int
    as_they_are: int
    cleaned: int
    taken_for_uneven: int


def measure(pictures: Path) -> str:
    network, digits = load_model("mnist"), load("mnist").test
    assert isinstance(network, Network) and digits is not None
    found = {name: reading(network, digits, camera, number) for number, (name, camera) in enumerate(KINDS.items())}
    draw(network, digits, pictures / "photographs.png")
    columns = ("photographs", "as any other picture", "cleaned", "taken for uneven")
    rows = [(name, one.as_they_are, one.cleaned, one.taken_for_uneven) for name, one in found.items()]
    return f"""\
## Photographed handwriting

By `python -m measurements photographs`.

{fill(procedure(), 115)}

{table(columns, rows)}

{fill(verdict(found), 115)}

![Photographs, the light on their paper, the ink, the network's input and its answers](measured/photographs.png)
"""


def procedure() -> str:
    return (
        f"The first {DIGITS} test images of MNIST, as strokes of a pen on paper of the shades 140 to 235, 400 to "
        "1,200 pixels wide and high, in light that falls to a fifth or a third on one side, in a round shadow, in "
        "the corners or behind an edge; with the blur, the noise and the JPEG of a camera "
        "(`measurements/photographing.py` makes them, by seeds). They are no real photographs: what they share "
        "with them is what is written there. The bundled network reads each twice, and so many of "
        f"{DIGITS} rightly: as any other picture (`--light even`), and by `--light auto`, which takes shadows "
        "away where it takes the picture for a photograph in uneven light; how often it does is the last column."
    )


def verdict(found: dict[str, Reading]) -> str:
    shadows = [one for name, one in found.items() if name != "even light"]
    images = sum(one.images for one in shadows)
    before, after = (sum(getattr(one, name) for one in shadows) for name in ("as_they_are", "cleaned"))
    return f"**In uneven light {before / images:.1%} are read rightly as they are, {after / images:.1%} cleaned.**"


def reading(network: Network, digits: Split, camera: Camera, seed: int, images: int = DIGITS) -> Reading:
    """How the network reads photographs of the first `images` digits."""
    photographs = [photographed(digits, camera, seed, position) for position in range(images)]
    plain = [prepare_steps(one, light="even") for one in photographs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        cleaned = [prepare_steps(one) for one in photographs]
    right = []
    for steps in (plain, cleaned):
        answers = network.query(network.scale(np.stack([one.pixels for one in steps])))
        right.append(int((answers.argmax(axis=1) == digits.labels[:images]).sum()))
    return Reading(images, *right, sum(one.uneven for one in cleaned))


def photographed(digits: Split, camera: Camera, seed: int, position: int) -> bytes:
    """The photograph of one digit, always the same."""
    return photograph(digits.images[position], camera, np.random.default_rng([seed, position]))


def draw(network: Network, digits: Split, path: Path) -> None:
    """What `backquery query mnist ... --show` draws of one photograph of each kind in `SHOWN`."""
    steps = [
        prepare_steps(io.BytesIO(photographed(digits, KINDS[name], 99, position)), light="uneven")
        for position, name in enumerate(SHOWN)
    ]
    answers = network.query(network.scale(np.stack([one.pixels for one in steps])))
    save_figure(query_steps(steps, SHOWN, answers, network), path)
