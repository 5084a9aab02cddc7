"""A network from a plan: everything that decides it, settled; made, trained and told how it came to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from backquery import __version__
from backquery.errors import TrainingError
from backquery.model.activations import ACTIVATIONS
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.training.history import History
from backquery.training.loop import train
from backquery.training.recipes import RECIPES, FullBatch, Recipe

if TYPE_CHECKING:
    from backquery.datasets import Dataset

EPOCHS, ITERATIONS = 5, 3000
HELD_OUT = 0.2
"""The share of each label's images to test on where the data have no test half."""


@dataclass(frozen=True)
class Plan:
    """What was asked for, with every default settled: the same plan on the same data gives the same network."""

    hidden: tuple[int, ...]
    activations: tuple[str, ...]
    biases: bool
    recipe_name: str
    recipe: Recipe
    epochs: int
    seed: int
    dtype: str = "float32"
    kernel: str = "auto"
    statistics: bool = False
    rotate: float = 0.0
    shift: int = 0


def usual_epochs(recipe: Recipe) -> int:
    """The book's five rounds; for the whole set at once, the published number of iterations."""
    return ITERATIONS if isinstance(recipe, FullBatch) else EPOCHS


def settled_recipe(name: str, learning_rate: float | None = None, loss: str | None = None) -> Recipe:
    """The recipe of that name, with what is given instead of its own settings."""
    if name not in RECIPES:
        raise TrainingError(f"unknown recipe {name!r}; choose one of {', '.join(RECIPES)}")
    given: dict[str, Any] = {"learning_rate": learning_rate, "loss": loss}
    return replace(RECIPES[name], **{key: value for key, value in given.items() if value is not None})


def settled_activations(names: Sequence[str], recipe: str, loss: str, layers: int) -> tuple[str, ...]:
    """One activation for each layer, from one for each, one for all, or none.

    With none it is sigmoid, with recipes online and minibatch ReLU. One name alone is for all layers, but the
    answers become softmax where the loss is cross-entropy and the name is not sigmoid, and where ReLU would
    leave them without bounds.
    """
    names = list(names) or ["relu" if recipe in ("online", "minibatch") else "sigmoid"]
    unknown = [name for name in names if name not in ACTIVATIONS]
    if unknown:
        raise TrainingError(f"unknown activation {unknown[0]!r}; choose from {', '.join(ACTIVATIONS)}")
    if len(names) == 1:
        probabilities = loss == "cross-entropy" and names[0] != "sigmoid"
        answers = "softmax" if probabilities or names[0] in ("relu", "leaky-relu") else names[0]
        names = names * (layers - 1) + [answers]
    if len(names) != layers:
        raise TrainingError(f"{layers} layers need one activation or {layers}; received {','.join(names)!r}")
    return tuple(names)


def with_test_half(dataset: Dataset, seed: int) -> Dataset:
    """The data set itself, or with `HELD_OUT` of each label's images held out by `seed` if it has no test half."""
    return dataset if dataset.test is not None else dataset.with_test(HELD_OUT, rng=seed)


def create(plan: Plan, dataset: Dataset) -> Network:
    """The untrained network of a plan, its scaling made for the data set."""
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


def carry_out(plan: Plan, dataset: Dataset, **options: Any) -> tuple[Network, History]:
    """The trained network, knowing how it came to be, and its history.

    dataset: with a test half (`with_test_half`); the turned and moved copies that the plan asks for are made here.
    `options` are those of `train` that decide nothing: `callbacks`, `progress`, `checkpoint`, `resume`.
    """
    network, history = train(
        create(plan, dataset),
        dataset.augmented(plan.rotate, plan.shift).train if plan.rotate or plan.shift else dataset.train,
        plan.recipe,
        epochs=plan.epochs,
        test=dataset.test,
        rng=plan.seed,
        kernel=plan.kernel,
        **options,
    )
    return replace(network, about=about(plan, dataset, history)), history


def about(plan: Plan, dataset: Dataset, history: History) -> dict[str, object]:
    """How the network came to be, as plain values for its file; no clock: the same run gives the same file."""
    return {
        "data": dataset.name,
        "training_images": len(dataset.train),
        **{name: value for name, value in (("rotate", plan.rotate), ("shift", plan.shift)) if value},
        "recipe": plan.recipe_name,
        "loss": plan.recipe.loss,
        "learning_rate": plan.recipe.learning_rate,
        "epochs": len(history.epochs),
        "seed": plan.seed,
        "kernel": history.kernel,
        "history": history.brief(),
        "performance": history.epochs[-1].test_accuracy,
        "test_images": None if dataset.test is None else len(dataset.test),
        "made_by": f"backquery {__version__}",
    }
