"""A new network from a plan: made, trained, tested, and told how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.activations import ACTIVATIONS
from backquery.cli import UsageError
from backquery.cli.progress import TrainingProgress

if TYPE_CHECKING:
    from backquery.datasets import Dataset, Split
    from backquery.network import Network
    from backquery.training import Checkpoint, History, Recipe


@dataclass(frozen=True)
class Plan:
    """What the command line asks for, with every default settled."""

    hidden: tuple[int, ...]
    activations: tuple[str, ...]
    biases: bool
    recipe_name: str
    recipe: Recipe
    epochs: int
    seed: int
    dtype: str
    kernel: str
    statistics: bool


def run(
    plan: Plan, dataset: Dataset, checkpoint: Checkpoint | None = None, resume: Path | None = None
) -> tuple[Network, History]:
    """The trained network, knowing how it came to be, and its history; progress on standard error."""
    from backquery.training import train as train_network

    with TrainingProgress(plan.epochs) as watch:
        network, history = train_network(
            create(plan, dataset),
            dataset.train,
            plan.recipe,
            epochs=plan.epochs,
            test=dataset.test,
            callbacks=(watch.epoch,),
            rng=plan.seed,
            kernel=plan.kernel,
            progress=watch.images,
            checkpoint=checkpoint,
            resume=resume,
        )
    network = replace(network, about=about(plan, dataset, history))
    return (_remembering(network, dataset) if plan.statistics else network), history


def create(plan: Plan, dataset: Dataset) -> Network:
    """The untrained network of a plan, its scaling made for the data set."""
    from backquery.network import Network
    from backquery.scaling import Scaling

    whole = plan.recipe_name == "batch"
    scaling = (
        Scaling.standardised(dataset.train.images, dataset.maximum) if whole else Scaling.book(dataset.maximum)
    )
    return Network.create(
        [dataset.inputs, *plan.hidden, len(dataset.classes)],
        activation=plan.activations,
        biases=plan.biases,
        rng=plan.seed,
        dtype=plan.dtype,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        scaling=scaling,
    )


def about(plan: Plan, dataset: Dataset, history: History) -> dict[str, object]:
    """How the network came to be, as plain values; without the clock's, so that equal runs make equal files."""
    from backquery import __version__

    return {
        "data": dataset.name,
        "training_images": len(dataset.train),
        "recipe": plan.recipe_name,
        "loss": plan.recipe.loss,
        "learning_rate": plan.recipe.learning_rate,
        "epochs": len(history.epochs),
        "seed": plan.seed,
        "kernel": history.kernel,
        "performance": history.epochs[-1].test_accuracy,
        "test_images": len(test_half(dataset)),
        "made_by": f"backquery {__version__}",
    }


def parse_hidden(text: str) -> tuple[int, ...]:
    """``"100,50"`` to ``(100, 50)``; `UsageError` for anything but positive whole numbers."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise UsageError(f"--hidden takes numbers of nodes such as 200 or 100,50; received {text!r}")
    return tuple(map(int, words))


def parse_activations(text: str | None, recipe: str, settings: Recipe, layers: int) -> tuple[str, ...]:
    """One activation for each layer.

    One name alone is for all layers, but the answers become softmax where the loss is cross-entropy and the
    name is not sigmoid, and where ReLU would leave them without bounds.
    """
    text = text or ("relu" if recipe in ("online", "minibatch") else "sigmoid")
    names = [word.strip() for word in text.split(",")]
    unknown = [name for name in names if name not in ACTIVATIONS]
    if unknown:
        raise UsageError(f"unknown activation {unknown[0]!r}; choose from {', '.join(ACTIVATIONS)}")
    if len(names) == 1:
        probabilities = settings.loss == "cross-entropy" and text != "sigmoid"
        answers = "softmax" if probabilities or text in ("relu", "leaky-relu") else text
        names = names * (layers - 1) + [answers]
    if len(names) != layers:
        raise UsageError(f"{layers} layers need one activation or {layers}; received {text!r}")
    return tuple(names)


def settle(recipe: Recipe, learning_rate: float | None, loss: str | None) -> Recipe:
    """The recipe with what the command line says instead of its own settings."""
    given: dict[str, Any] = {"learning_rate": learning_rate, "loss": loss}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _remembering(network: Network, dataset: Dataset) -> Network:
    from backquery.inversion import fit_statistics

    return replace(network, statistics=fit_statistics(network, dataset.train))


def test_half(dataset: Dataset) -> Split:
    """The test half of a data set that certainly has one."""
    assert dataset.test is not None
    return dataset.test
