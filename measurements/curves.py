"""The book's three curves: learning rate, epochs and hidden nodes against performance, with intervals."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from backquery.experiments.sweep import Cluster, Family, Grid, Point, Reached, Runs, families, run_sweep
from backquery.intervals import mean_interval
from backquery.plots import save_figure, sweep_curves
from measurements.page import table

SEEDS = 5
NODES = (5, 10, 20, 50, 100, 200, 300, 500)
RATES = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.9)
LONG_RATES, LONGEST = (0.05, 0.1, 0.2), 20
GRIDS = (
    Grid(hidden=[(n,) for n in NODES], learning_rates=RATES, seeds=SEEDS, one_at_a_time=True),
    Grid(learning_rates=LONG_RATES, epochs=[LONGEST], seeds=SEEDS),
)
BASE = Point(0.1, 5, "200")


def measure(pictures: Path) -> str:
    with TemporaryDirectory() as folder:
        for grid in GRIDS:
            run_sweep(grid, "mnist", folder, cluster=Cluster(workers=2))
        return section(Path(folder), pictures)


def section(folder: Path, pictures: Path) -> str:
    """The section, from the folder of a sweep over `GRIDS`."""
    with Runs.existing(folder) as runs:
        family = families(runs)[0]
    save_figure(sweep_curves(family, epochs=BASE.epochs), pictures / "curves.png")
    return f"""\
## Learning rate, epochs, hidden nodes

The book's three curves, with intervals; by `python -m measurements curves`, or

```sh
backquery sweep mnist --one-at-a-time --hidden {listed(NODES)} \\
    --learning-rate {listed(RATES)} --seeds {SEEDS} -o sweep
backquery sweep mnist --learning-rate {listed(LONG_RATES)} --epochs {LONGEST} --seeds {SEEDS} -o sweep
backquery sweep show sweep --epochs {BASE.epochs} -o curves.png
```

{len(family.runs)} networks learned from all 60,000 images of MNIST by the book's recipe (float32, one image at a
time, in file order), by the seeds 1 to {SEEDS}, and were tested on the 10,000 test images after every epoch. One
thing is varied, the others stay at {BASE.hidden} hidden nodes, a rate of {BASE.learning_rate:g} and {BASE.epochs}
epochs. The intervals (Student's) are of the mean over the seeds: they say how much hangs on the first weights, not
how much on the choice of test images.

![Performance against learning rate, epochs and hidden nodes](measured/curves.png)

### Learning rate

{rates(family)}

### Epochs

{epochs(family)}

### Hidden nodes

{nodes(family)}
"""


def rates(family: Family) -> str:
    one, five = (family.curve("learning_rate", BASE._replace(epochs=epochs)) for epochs in (1, BASE.epochs))
    rows = [[f"{a.point.learning_rate:g}", said(a), said(b)] for a, b in zip(one, five, strict=True)]
    first, later = best(one), best(five)
    return f"""\
The book looks for the best rate after a single epoch, with fewer nodes, and settles between 0.1 and 0.3.
**{held(0.1 <= first.point.learning_rate <= 0.3)} with {BASE.hidden} nodes: after one epoch the best rate is
{first.point.learning_rate:g}, with {said(first)}.** After {BASE.epochs} epochs the best is
{later.point.learning_rate:g}, with {said(later)}.

{table(["rate", "right after 1 epoch", f"right after {BASE.epochs} epochs"], rows)}"""


def epochs(family: Family) -> str:
    lines = {rate: family.curve("epochs", BASE._replace(learning_rate=rate)) for rate in LONG_RATES}
    shown = (1, 2, 3, 5, 7, 10, 15, LONGEST)
    rows = [[epoch, *(said(line[epoch - 1]) for line in lines.values())] for epoch in shown]
    usual = lines[BASE.learning_rate]
    top, close = best(usual), best(usual[4:7])
    change = mean_interval(changes(family, 7, LONGEST))
    others = ", ".join(f"{best(line).point.epochs} at {rate:g}" for rate, line in lines.items())
    return f"""\
The book finds the best performance after about five to seven epochs, and less after more, which it explains by
overfitting. **The first {"held" if close.high >= top.performance else "did not hold"} at a rate of
{BASE.learning_rate:g}, as far as {SEEDS} seeds can tell: the best mean is that after {top.point.epochs} epochs,
{said(top)}; after {close.point.epochs} it is {said(close)}.
The second {"held" if change.high < 0 else "is not shown"}: from 7 to {LONGEST} epochs a network changes by
{change.value:+.2f} points ({change.low:+.2f} to {change.high:+.2f}).**
The epochs of the best mean depend on the rate: {others}.

{table(["epochs", *(f"right at a rate of {rate:g}" for rate in LONG_RATES)], rows)}"""


def changes(family: Family, few: int, more: int) -> list[float]:
    """Points that each network gains from some epochs to more, at the base's rate."""
    before, after = (family.performances[BASE._replace(epochs=count)] for count in (few, more))
    return [100 * (after[seed] - before[seed]) for seed in after]


def nodes(family: Family) -> str:
    line = family.curve("hidden", BASE)
    reached = {int(one.point.hidden): one for one in line}
    means = [100 * reached[count].performance for count in (10, 100, 200, 500)]
    gains = [more - fewer for fewer, more in pairwise(means)]
    return f"""\
The book finds that performance rises with the hidden nodes, ever more slowly, and takes 200.
**{held(gains[0] > gains[1] > gains[2] >= 0)}: with 10 nodes it is {said(reached[10])} already; from 10 to 100
nodes the mean gains {gains[0]:.2f} points, from 100 to 200 {gains[1]:.2f}, from 200 to 500 {gains[2]:.2f}.**

{table(["hidden nodes", "right"], [[one.point.hidden, said(one)] for one in line])}"""


def best(line: list[Reached]) -> Reached:
    return max(line, key=lambda one: one.performance)


def held(yes: bool) -> str:
    return "This held" if yes else "This did not hold"


def said(one: Reached) -> str:
    bounds = "" if one.low is None or one.high is None else f" ({100 * one.low:.2f} to {100 * one.high:.2f})"
    return f"{one.performance:.2%}{bounds}"


def listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
