"""How much of the bundled network can be lost, against the claim that its learning is spread over the weights."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from backquery import load_model
from backquery.datasets import load
from backquery.experiments.damage import Damage, measure_damage
from backquery.experiments.endurance import ORDERS, Endurance
from backquery.intervals import Interval
from backquery.plots import damage_curves, save_figure
from measurements.page import table

REPEATS, SEED = 20, 0


def measure(pictures: Path) -> str:
    found = measure_damage(load_model("mnist"), load("mnist"), repeats=REPEATS, rng=SEED)
    save_figure(damage_curves(found), pictures / "damage.png")
    return f"""\
## Damage

The claim: learning is spread over the weights, so that losing a node, even quite a few nodes, does not destroy the
network. Counted on the bundled network (784-200-10, {found.performance:.2%} of the 10,000 test images) by

```sh
backquery damage mnist mnist --repeats {REPEATS} --seed {SEED} -o damage.png
```

{fill(verdict(found), 115)}

{table(("lost", "in which order", "until one point", "until half", "until half of the scans"), rows(found))}

Damage at random was repeated {REPEATS} times, and its intervals hold for the mean over such networks; the other
orders are single ones, and their intervals say how much hangs on the 10,000 images. The evidence of a node is how
far, to first order, the margin of the right label falls without it, on 10,000 training images. Noise is given in
per cent of the standard deviation of each layer's weights. The scans are the intact network's own ten
(gauss-newton, typical answers), and the damaged networks are asked to read them.

![Performance, scans still read, labels and scans against damage](measured/damage.png)
"""


def verdict(found: Damage) -> str:
    """A twentieth of the nodes is taken to be quite a few, and one point at most not to destroy a network."""
    random, heaviest, evidence = found.of("nodes", 1)
    weights = found.of("weights")[0]
    few = random.one_point()
    held = few.low >= 0.05 * random.total
    return (
        f"**At random, {few.value:.0f} of {random.total} nodes ({bounds(random, few)}) can be lost before one "
        f"point is, and {amount(random, random.half())} before half of the performance is: the claim "
        f"{'held' if held else 'did not hold'}** if a twentieth of the nodes is quite a few. Of chosen nodes "
        f"fewer can go: the {heaviest.one_point().value:.0f} heaviest or the {evidence.one_point().value:.0f} of "
        f"most evidence before one point does, {heaviest.half().value:.0f} or {evidence.half().value:.0f} before "
        f"half of the performance does. Of single weights, "
        f"{amount(weights, weights.one_point())} can go at random before one point does. "
        f"{of_labels(random, found.network.classes)}"
    )


def rows(found: Damage) -> list[tuple[str, ...]]:
    return [
        (
            f"nodes, of {one.total}" if one.what == "nodes" else one.what,
            ORDERS[one.order],
            amount(one, one.one_point()),
            amount(one, one.half()),
            amount(one, one.until_unread(0.5)),
        )
        for one in found.endurances
    ]


def of_labels(one: Endurance, names: tuple[str, ...]) -> str:
    """Which label endures least and which most, and whether their intervals keep them apart."""
    halves = sorted((one.half(label), name) for label, name in enumerate(names))
    (least, first), (most, last) = halves[0], halves[-1]
    apart = least.high < most.low
    return (
        f"A label's own right answers are halved by {amount(one, least)} nodes at random (the {first}) to "
        f"{amount(one, most)} (the {last}): {'they differ' if apart else 'no difference beyond the intervals'}."
    )


def amount(one: Endurance, found: Interval) -> str:
    return f"{number(one, found.value)} ({bounds(one, found)})"


def bounds(one: Endurance, found: Interval) -> str:
    return f"{number(one, found.low)} to {number(one, found.high)}"


def number(one: Endurance, value: float | None) -> str:
    if value is None:
        return "more than tried"
    if one.what == "nodes":
        return f"{value:.0f}"
    share = 100 * value / one.total
    return f"{share:.0f} %" if share >= 10 else f"{share:.2g} %"
