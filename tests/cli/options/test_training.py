"""The options of a training become its plan, every default settled, and what cannot be is a usage error."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from backquery.cli import UsageError
from backquery.cli.options.training import USUAL, TrainingOptions
from backquery.cli.pages import find_page
from backquery.training.plan import Plan


def test_nothing_but_a_seed_is_the_books_training() -> None:
    assert replace(USUAL, seed=3).plan() == Plan.settled((200,), seed=3)


def test_words_become_layers_and_activations() -> None:
    options = TrainingOptions(
        hidden="30, 20", activation="tanh,relu,softmax", recipe="minibatch", epochs=2, seed=0
    )
    plan = options.plan(rotate=10.0)
    assert (plan.hidden, plan.activations) == ((30, 20), ("tanh", "relu", "softmax"))
    assert (plan.recipe_name, plan.epochs, plan.seed, plan.rotate) == ("minibatch", 2, 0, 10.0)


def test_the_seed_is_the_one_given_else_the_one_kept_else_drawn() -> None:
    assert replace(USUAL, seed=4).plan(kept_seed=9).seed == 4
    assert USUAL.plan(kept_seed=9).seed == 9
    assert len({USUAL.plan().seed for _ in range(5)}) > 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hidden": "0"}, "--hidden takes numbers of nodes"),
        ({"activation": "step"}, "unknown activation 'step'"),
        ({"activation": "tanh,tanh,tanh"}, "2 layers need one activation or 2"),
        ({"learning_rate": float("inf")}, "the learning rate must be a number above zero"),
    ],
)
def test_what_cannot_be_trained_is_a_usage_error(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainingOptions(**given).plan()


@pytest.mark.parametrize("command", ["train", "timeline"])
def test_both_commands_have_every_option(command: str) -> None:
    page = find_page([command, "--help"])
    assert page is not None
    assert all(f"--{field.name.replace('_', '-')}" in page for field in fields(TrainingOptions))
