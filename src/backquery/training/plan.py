"""A network from a plan: everything that decides it, settled; made, trained and told how it came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from backquery import __version__
from backquery.errors import ModelError, TrainingError
from backquery.model import SIGMOID, Network, Scaling, activation_named, memory_of
from backquery.model.memory import need
from backquery.training.forecast import LESS, Forecast, forecast, training_in_words
from backquery.training.history import History
from backquery.training.loop import train
from backquery.training.recipes import RECIPES, Recipe
from backquery.training.run import TrainingRun

if TYPE_CHECKING:
    from backquery.datasets import Dataset

MADE_BY = f"backquery {__version__}"
"""What files and pages say that they were made by."""


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

    @classmethod
    def settled(
        cls,
        hidden: Sequence[int],
        *,
        recipe: str | Recipe = "book",
        learning_rate: float | None = None,
        loss: str | None = None,
        activations: Sequence[str] = (),
        biases: bool | None = None,
        epochs: int | None = None,
        seed: int = 1,
        dtype: str = "float32",
        kernel: str = "auto",
        statistics: bool = False,
        rotate: float = 0.0,
        shift: int = 0,
    ) -> Plan:
        """The plan of a training with these hidden layers; None and () stand for what is usual with the recipe.

        recipe: the name of one of `RECIPES`, or a recipe of one's own. activations: one for each layer, or one for
        all, as `settled_activations` has it. Raises `TrainingError` for what cannot be trained.
        """
        chosen = settled_recipe(recipe, learning_rate, loss)
        epochs = chosen.usual.epochs if epochs is None else epochs
        if min(hidden, default=1) < 1 or epochs < 1:
            raise TrainingError(
                f"hidden layers need 1 node or more, a training 1 epoch or more; received {hidden} and {epochs}"
            )
        return cls(
            tuple(hidden),
            settled_activations(activations or [chosen.usual.activation], chosen.loss, len(hidden) + 1),
            chosen.usual.biases if biases is None else biases,
            recipe if isinstance(recipe, str) else chosen.kind,
            chosen, epochs, seed, dtype, kernel, statistics, rotate, shift,
        )  # fmt: skip


def settled_recipe(recipe: str | Recipe, learning_rate: float | None = None, loss: str | None = None) -> Recipe:
    """The recipe, or the one of that name, with what is given instead of its own settings."""
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise TrainingError(f"unknown recipe {recipe!r}; choose one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    given: dict[str, Any] = {"learning_rate": learning_rate, "loss": loss}
    return replace(recipe, **{key: value for key, value in given.items() if value is not None})


def settled_activations(names: Sequence[str], loss: str, layers: int) -> tuple[str, ...]:
    """One activation for each layer, from one for each or one for all.

    One name alone is for all layers, but the answers become softmax where the loss is cross-entropy and the name
    is not sigmoid, and where ReLU would leave them without bounds.
    """
    try:
        activations = [activation_named(name) for name in names]
    except ModelError as error:
        raise TrainingError(str(error)) from None
    if len(names) == 1:
        probabilities = loss == "cross-entropy" and activations[0] is not SIGMOID
        answers = "softmax" if probabilities or activations[0].leak is not None else names[0]
        names = [names[0]] * (layers - 1) + [answers]
    if len(names) != layers:
        raise TrainingError(f"{layers} layers need one activation or {layers}; received {','.join(names)!r}")
    return tuple(names)


def sizes_of(plan: Plan, dataset: Dataset) -> list[int]:
    """The nodes of each layer of a plan's network, inputs first."""
    return [dataset.inputs, *plan.hidden, len(dataset.classes)]


def expectation(plan: Plan, dataset: Dataset) -> Forecast:
    """What a plan will take on a data set, the network itself included; images are turned and moved beforehand."""
    sizes = sizes_of(plan, dataset)
    copies = 1 + (2 if plan.rotate else 0) + (4 if plan.shift else 0)
    images, pixel = copies * len(dataset.train), dataset.train.images.itemsize
    found = forecast(sizes, images, plan.epochs, plan.recipe, plan.dtype, plan.kernel)
    turned = 2 * images * dataset.inputs * pixel if copies > 1 else 0
    # Where images are remembered, what they are like is found out beside a network of its own.
    networks = (2 if plan.statistics else 1) * memory_of(sizes, plan.dtype)
    return found._replace(memory=found.memory + networks + turned)


def create(plan: Plan, dataset: Dataset) -> Network:
    """The untrained network of a plan, its scaling made for the data set."""
    expected = expectation(plan, dataset)
    need(expected.memory, training_in_words(sizes_of(plan, dataset)), LESS)
    train, maximum, meaning = dataset.train, dataset.maximum, dataset.meaning
    if plan.recipe.usual.standardised:
        scaling = Scaling.standardised(train.images, maximum, meaning)
    else:
        scaling = Scaling.book(maximum, meaning)
    return Network.create(
        sizes_of(plan, dataset),
        activation=plan.activations,
        biases=plan.biases,
        rng=plan.seed,
        dtype=plan.dtype,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        scaling=scaling,
    )


def begin(plan: Plan, dataset: Dataset) -> TrainingRun:
    """The training of a plan, not yet begun; on the train half, and the copies that it asks for."""
    return TrainingRun(**_training(plan, dataset))


def carry_out(plan: Plan, dataset: Dataset, **options: Any) -> tuple[Network, History]:
    """The trained network, knowing how it came to be, and its history.

    dataset: with a test half (`Dataset.with_test_half`). `options` are those of `train` that decide nothing:
    `callbacks`, `progress`, `checkpoint`, `resume`.
    """
    network, history = train(**_training(plan, dataset), test=dataset.test, **options)
    found = {
        "kernel": history.kernel,
        "history": history.brief(),
        "performance": history.epochs[-1].test_accuracy,
        "test_images": None if dataset.test is None else len(dataset.test),
        "made_by": MADE_BY,
    }
    return replace(network, about=about(plan, dataset, {"epochs": len(history.epochs)}, found)), history


def about(
    plan: Plan, dataset: Dataset, length: Mapping[str, object], found: Mapping[str, object]
) -> dict[str, object]:
    """How a network came to be, as plain values for its file; no clock: the same run gives the same file.

    `length` says how long it learned, `found` what came of it.
    """
    return {
        "data": dataset.name,
        "training_images": len(dataset.train),
        **{name: value for name, value in (("rotate", plan.rotate), ("shift", plan.shift)) if value},
        "recipe": plan.recipe_name,
        "loss": plan.recipe.loss,
        "learning_rate": plan.recipe.learning_rate,
        **length,
        "seed": plan.seed,
        **found,
    }


def _training(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    return {
        "network": create(plan, dataset),
        "data": dataset.augmented(plan.rotate, plan.shift).train,
        "recipe": plan.recipe,
        "epochs": plan.epochs,
        "rng": plan.seed,
        "kernel": plan.kernel,
    }
