"""``backquery demo``: the whole road in seconds, on data and a network that come with the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backquery.cli.options import AsJson, decides
from backquery.cli.terminal import count, make_folder, pairs, print_json, save_picture, say, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backquery.model import Network
    from backquery.training.plan import Plan

BUNDLED = "mnist"
METHODS = {"transpose": "by the book's formula", "gauss-newton": "by the faithful search"}
NAMES = {"digits": "the small network", BUNDLED: "the MNIST network"}

Folder = Annotated[Path, Parameter(name=["-o", "--output"], help="The folder for the pictures, made if needed.")]
SeedNumber = Annotated[int, decides("which network is started from")]


@dataclass
class Tour:
    """What the demonstration has shown so far."""

    folder: Path
    pictures: dict[str, str] = field(default_factory=dict)
    read_as_asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def keep(self, figure: Figure, name: str, what: str) -> None:
        """Write a picture, and remember what it shows."""
        path = self.folder / name
        save_picture(figure, path)
        self.pictures[str(path)] = what


def demo(*, output: Folder = Path("demo"), seed: SeedNumber = 1, as_json: AsJson = False) -> None:
    """Train, test and ask a network backwards on the spot, with pictures, in seconds.

    A small network learns 1,078 handwritten digits of 8 x 8 pixels, is tested on 719 others, and is asked what
    it sees when it says 0 to 9; then the bundled MNIST network is asked the same. Nothing is downloaded.

    With --json: performance (of the small network), seconds (all together), pictures (path to what it shows),
    read_as_asked (for each network and method, how many of its images it reads as asked), model (the file of
    the small network), report (the page about it), next (commands worth trying), seed.
    """
    from backquery.cli.source import open_network
    from backquery.files import check_writable

    clock = perf_counter()
    model = make_folder(output) / "digits.safetensors"
    check_writable(model)
    tour = Tour(output)
    network = _learn(tour, _plan(seed), model)
    _ask(tour, network, "digits")
    bundled = open_network(BUNDLED, "the demonstration")
    say(f"asking {NAMES[BUNDLED]}, which learned {count(bundled.about['training_images'], 'digit')}, the same")
    _ask(tour, bundled, BUNDLED)
    page = _report(tour, network)
    following = _next(model)
    if as_json:
        print_json(
            {
                "performance": network.about["performance"],
                "seconds": perf_counter() - clock,
                "pictures": tour.pictures,
                "read_as_asked": tour.read_as_asked,
                "model": str(model),
                "report": str(page),
                "next": following,
                "seed": seed,
            }
        )
        return
    show(_found("digits", network, tour), "", _found(BUNDLED, bundled, tour), "")
    show("pictures", pairs((f"  {path}", what) for path, what in tour.pictures.items()), "")
    show(pairs([("report", f"{page}: all about the small network, in one page")]), "")
    show("to try next", *(f"  {command}" for command in following))
    say(f"done in {perf_counter() - clock:.1f} s")


def _plan(seed: int) -> Plan:
    from backquery.training import MiniBatch
    from backquery.training.plan import Plan

    small_batches = MiniBatch(learning_rate=0.01, batch_size=32)
    return Plan.settled(
        (100,), recipe=small_batches, activations=["sigmoid"], biases=False, epochs=30, seed=seed, statistics=True
    )


def _learn(tour: Tour, plan: Plan, model: Path) -> Network:
    """Train and test the small network, save it, and draw how it learned and what it confuses."""
    from backquery.cli.plan import run
    from backquery.datasets import load
    from backquery.io import save_model
    from backquery.model import evaluate
    from backquery.plots import confusion_matrix, learning_curves

    digits = load("digits")
    say(f"learning {count(len(digits.train), 'digit')} of 8 x 8 pixels, {plan.epochs} times over")
    network, history = run(plan, digits)
    save_model(network, model)
    say(f"testing it on {count(len(digits.to_test_on), 'other digit')}, and asking it what it sees")
    evaluation = evaluate(network, digits.to_test_on)
    tour.keep(learning_curves(history), "digits-learning.png", "how the small network learned")
    tour.keep(confusion_matrix(evaluation, network.classes), "digits-confusions.png", "what it takes for what")
    return network


def _ask(tour: Tour, network: Network, name: str) -> None:
    """Ask a network backwards by each method, and draw the ten images."""
    from backquery.inversion import back_query
    from backquery.plots import scan_grid

    tour.read_as_asked[name] = {}
    for method, manner in METHODS.items():
        result = back_query(network, list(range(network.outputs)), method=method)
        tour.read_as_asked[name][method] = f"{int(result.read_as_asked.sum())} of {len(result)}"
        what = f"what {NAMES[name]} sees, {manner}"
        tour.keep(scan_grid(result, network), f"{name}-{method}.png", what)


def _report(tour: Tour, network: Network) -> Path:
    """Everything that can soon be said about the small network, as a page."""
    from backquery.datasets import load
    from backquery.report import write_report

    page = tour.folder / "digits.html"
    say("writing a report of the small network")
    write_report(network, load("digits"), page, source="digits.safetensors", quick=True)
    return page


def _found(name: str, network: Network, tour: Tour) -> Any:
    sizes = "-".join(map(str, network.sizes))
    performance = (
        f"{network.about['performance']:.2%} of {count(network.about['test_images'], 'test image')} right"
    )
    asked = tour.read_as_asked[name]
    rows = [(f"  asked {METHODS[method]}", f"{share} images read as asked") for method, share in asked.items()]
    return pairs([(f"{NAMES[name]}, {sizes}", performance), *rows])


def _next(model: Path) -> list[str]:
    return [
        f"backquery test {quote(str(model))} digits",
        f"backquery scan {BUNDLED} --label 3 8 --confidence 0.9 -o three-and-eight.png",
        f"backquery train {BUNDLED} -o mine.safetensors",
    ]
