"""Which networks a sweep trains: every combination of what is listed, or the lines through one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import ne

from backquery.errors import TrainingError
from backquery.training import RECIPES
from backquery.training.plan import Plan, settled_recipe

HIDDEN = (200,)
"""The book's hidden layer."""

MOST_RUNS = 1_000_000
"""Networks at most: a list of them must fit into memory."""


@dataclass(frozen=True)
class Grid:
    """What to vary, and what all runs have in common.

    hidden: nodes of the hidden layers, a tuple for each network; learning_rates and epochs: by default the
    recipe's own; seeds: how many networks for each setting, by the seeds 1, 2, ... The rest is as for ``backquery
    train``. With `one_at_a_time` only one thing differs from `base` in any run, as in the book's curves; otherwise
    all combinations are trained.

    Where the learning rate does not fall, the first epochs of a long training are those of a short one. Of
    several numbers of epochs then only the largest is trained, and the others are read off its history.

    What makes no run raises `TrainingError`.
    """

    hidden: Sequence[tuple[int, ...]] = (HIDDEN,)
    learning_rates: Sequence[float] = ()
    epochs: Sequence[int] = ()
    seeds: int = 5
    recipe: str = "book"
    activations: Sequence[str] = ()
    loss: str | None = None
    biases: bool | None = None
    dtype: str = "float32"
    one_at_a_time: bool = False

    def __post_init__(self) -> None:
        recipe = settled_recipe(self.recipe, None, self.loss)
        object.__setattr__(self, "hidden", tuple(dict.fromkeys(map(tuple, self.hidden))))
        object.__setattr__(
            self, "learning_rates", tuple(dict.fromkeys(self.learning_rates or [recipe.learning_rate]))
        )
        object.__setattr__(self, "epochs", tuple(dict.fromkeys(self.epochs or [recipe.usual.epochs])))
        if not self.hidden or not all(self.hidden) or self.seeds < 1:
            raise TrainingError(f"hidden layers and a seed are needed; received {self.hidden} and {self.seeds}")
        if len(self.settings) * self.seeds > MOST_RUNS:
            raise TrainingError(
                f"a sweep trains at most {MOST_RUNS:,} networks; {len(self.settings):,} settings with "
                f"{self.seeds:,} seeds each are more; sweep in parts"
            )
        for hidden in self.hidden:
            self._plan(hidden, min(self.learning_rates), min(self.epochs))

    @property
    def base(self) -> tuple[tuple[int, ...], float, int]:
        """Hidden layers, rate and epochs that the lines go through: the usual ones if listed, else the first."""
        recipe = RECIPES[self.recipe]
        rate, epochs = recipe.learning_rate, recipe.usual.epochs
        return (
            HIDDEN if HIDDEN in self.hidden else self.hidden[0],
            rate if rate in self.learning_rates else self.learning_rates[0],
            epochs if epochs in self.epochs else self.epochs[0],
        )

    @property
    def settings(self) -> list[tuple[tuple[int, ...], float, int]]:
        """Hidden layers, rate and epochs of each setting, in the order given."""
        whole = product(self.hidden, self.learning_rates, self.epochs)
        if not self.one_at_a_time:
            return list(whole)
        return [point for point in whole if sum(map(ne, point, self.base)) <= 1]

    def plans(self) -> list[Plan]:
        """The runs: all settings by the first seed, the longest first, then all by the second, and so on."""
        longest: dict[tuple[tuple[int, ...], float], set[int]] = {}
        for hidden, rate, epochs in self.settings:
            longest.setdefault((hidden, rate), set()).add(epochs)
        steady = RECIPES[self.recipe].is_steady
        plans = [
            self._plan(hidden, rate, epochs)
            for (hidden, rate), asked in longest.items()
            for epochs in ([max(asked)] if steady else sorted(asked))
        ]
        # Long runs first, or one worker is left with the longest while the others wait.
        plans.sort(key=lambda plan: -work(plan))
        return [replace(plan, seed=seed) for seed in range(1, self.seeds + 1) for plan in plans]

    def _plan(self, hidden: tuple[int, ...], rate: float, epochs: int) -> Plan:
        return Plan.settled(
            hidden, recipe=self.recipe, learning_rate=rate, loss=self.loss, activations=self.activations,
            biases=self.biases, epochs=epochs, dtype=self.dtype,
        )  # fmt: skip


def work(plan: Plan) -> int:
    """About how long a run takes, in a unit of its own: it tells long runs from short ones, no more."""
    return plan.epochs * (50 + sum(plan.hidden))
