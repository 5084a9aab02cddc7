"""A plan from the command line's words, carried out with its progress shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.cli import UsageError
from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.cli.progress import TrainingProgress
from backquery.cli.terminal import count, say
from backquery.errors import TrainingError
from backquery.model.memory import in_words
from backquery.training import RECIPES
from backquery.training.plan import Plan, expectation, settled_activations

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backquery.datasets import Dataset
    from backquery.model import Network
    from backquery.notes import Notes
    from backquery.training import Checkpoint, History

MOST_NODES = 10_000_000
"""In one layer: with weights from 784 pixels these are 31 GB."""

MUCH_MEMORY, MUCH_TIME = 2e9, 60.0
"""Bytes and seconds from which it is said beforehand that a training takes so many."""

MOST_DIGITS = 9
MOST_SHOWN = 80
SORTED = 0.9
"""From this share of neighbours with the same label on, the images come label by label."""


def make_plan(hidden: str, activation: str | None, **settings: Any) -> Plan:
    """The plan that a training's options ask for, where None stands for what is usual; see `Plan.settled`."""
    try:
        return Plan.settled(parse_hidden(hidden), activations=parse_names(activation), **settings)
    except TrainingError as error:
        raise UsageError(str(error)) from None


def open_halves(
    data: str, test: Path | None, plan: Plan, how: ReadingOptions = AS_FOUND, notes: Notes | None = None
) -> tuple[Dataset, bool]:
    """The data to train and test on, and whether a test half had to be held out; says what will be done."""
    from backquery.cli.noted import noted_data
    from backquery.datasets.split import HELD_OUT
    from backquery.notes import Notes

    notes = notes or Notes()
    found = noted_data(notes, data, test, how)
    dataset = notes("data", found.with_test_half, plan.seed)
    if found.test is None:
        images = count(len(dataset.to_test_on), "image")
        say(f"no test half: {images}, {HELD_OUT:.0%} of each label, held out by seed {plan.seed}")
    sizes = "-".join(map(str, (dataset.inputs, *plan.hidden, len(dataset.classes))))
    images = count(len(dataset.train), "image")
    copies = (2 if plan.rotate else 0) + (4 if plan.shift else 0)
    more = f" and {copies} copies of each" if copies else ""
    say(f"training {sizes} on {images}{more}, recipe {plan.recipe_name}, seed {plan.seed}{_effort(plan, dataset)}")
    if plan.recipe.one_by_one and not plan.recipe.shuffle and _label_by_label(dataset.train.labels):
        say(
            f"the images come label by label, and recipe {plan.recipe_name} learns them in that order: it will "
            "forget all labels but the last ones; --recipe online shuffles them"
        )
    return dataset, found.test is None


def _effort(plan: Plan, dataset: Dataset) -> str:
    """What a training takes, where that is much; "" where it is little."""
    memory, seconds = expectation(plan, dataset)
    room = f"up to {in_words(memory)} of memory and " if memory >= MUCH_MEMORY else ""
    return f"; it takes {room}about {time_in_words(seconds)}" if room or seconds >= MUCH_TIME else ""


def time_in_words(seconds: float) -> str:
    """About so long, by the largest unit of which there are two: ``"3 hours"``."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def _label_by_label(labels: NDArray[np.int64]) -> bool:
    """Whether an image's neighbour nearly always has the same label."""
    same = labels[1:] == labels[:-1]
    return bool(len(same) and same.mean() > SORTED)


def run(
    plan: Plan, dataset: Dataset, checkpoint: Checkpoint | None = None, resume: Path | None = None
) -> tuple[Network, History]:
    """The trained network, knowing how it came to be, and its history; progress on standard error."""
    from backquery.inversion.fitting import fit_statistics, moments_of
    from backquery.training.plan import carry_out, create

    with TrainingProgress(plan.epochs) as watch, ThreadPoolExecutor(1) as beside:
        # They depend on the images alone, and are ready when the training is.
        moments = beside.submit(moments_of, create(plan, dataset), dataset.train) if plan.statistics else None
        network, history = carry_out(
            plan, dataset, callbacks=(watch.epoch,), progress=watch.images, checkpoint=checkpoint, resume=resume
        )
    if moments is not None:
        statistics = fit_statistics(network, dataset.train, moments=moments.result())
        network = replace(network, statistics=statistics)
    return network, history


def parse_hidden(text: str, between: str = ",") -> tuple[int, ...]:
    """``"100,50"`` to ``(100, 50)``; `UsageError` for anything but whole numbers from 1 to `MOST_NODES`."""
    nodes = [parse_whole(word) for word in text.split(between)]
    if not all(0 < number <= MOST_NODES for number in nodes):
        raise UsageError(
            f"--hidden takes numbers of nodes such as 200 or 100{between}50, at most {MOST_NODES:,} each; "
            f"received {shorten(text)!r}"
        )
    return tuple(nodes)


def parse_whole(word: str) -> int:
    """A whole number above zero of at most `MOST_DIGITS` digits, or 0 for anything else."""
    word = word.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS else 0


def shorten(text: str) -> str:
    """`text`, or its beginning where it is longer than an error message should be."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def parse_names(text: str | None) -> list[str]:
    """The words between commas; none where nothing is given."""
    return [word.strip() for word in text.split(",")] if text else []


def parse_activations(text: str | None, recipe: str, loss: str, layers: int) -> tuple[str, ...]:
    """One activation for each layer, as `settled_activations` has it, from one name or several with commas."""
    try:
        return settled_activations(parse_names(text) or [RECIPES[recipe].usual.activation], loss, layers)
    except TrainingError as error:
        raise UsageError(str(error)) from None
