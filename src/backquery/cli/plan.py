"""A plan from the command line's words, carried out with its progress shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backquery.cli import UsageError
from backquery.cli.progress import TrainingProgress
from backquery.errors import TrainingError
from backquery.training.plan import Plan, settled_activations

if TYPE_CHECKING:
    from backquery.datasets import Dataset, Split
    from backquery.network import Network
    from backquery.training import Checkpoint, History


def run(
    plan: Plan, dataset: Dataset, checkpoint: Checkpoint | None = None, resume: Path | None = None
) -> tuple[Network, History]:
    """The trained network, knowing how it came to be, and its history; progress on standard error."""
    from backquery.training.plan import carry_out

    with TrainingProgress(plan.epochs) as watch:
        network, history = carry_out(
            plan,
            dataset,
            callbacks=(watch.epoch,),
            progress=watch.images,
            checkpoint=checkpoint,
            resume=resume,
        )
    return (_remembering(network, dataset) if plan.statistics else network), history


def parse_hidden(text: str, between: str = ",") -> tuple[int, ...]:
    """``"100,50"`` to ``(100, 50)``; `UsageError` for anything but positive whole numbers."""
    words = [word.strip() for word in text.split(between)]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise UsageError(f"--hidden takes numbers of nodes such as 200 or 100{between}50; received {text!r}")
    return tuple(map(int, words))


def parse_activations(text: str | None, recipe: str, loss: str, layers: int) -> tuple[str, ...]:
    """One activation for each layer, as `settled_activations` has it, from one name or several with commas."""
    names = [] if not text else [word.strip() for word in text.split(",")]
    try:
        return settled_activations(names, recipe, loss, layers)
    except TrainingError as error:
        raise UsageError(str(error)) from None


def _remembering(network: Network, dataset: Dataset) -> Network:
    from backquery.inversion import fit_statistics

    return replace(network, statistics=fit_statistics(network, dataset.train))


def test_half(dataset: Dataset) -> Split:
    """The test half of a data set that certainly has one."""
    assert dataset.test is not None
    return dataset.test
