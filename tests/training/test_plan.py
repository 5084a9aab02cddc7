"""A training is settled in one place: what is usual with each recipe, and what cannot be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from backquery import MiniBatch, Online, datasets
from backquery.errors import TrainingError
from backquery.training import RECIPES, train
from backquery.training.plan import Plan, begin, carry_out, create
from backquery.training.recipes import Recipe, Usual


@pytest.mark.parametrize(
    ("recipe", "activations", "biases", "epochs"),
    [
        ("book", ("sigmoid", "sigmoid"), False, 5),
        ("online", ("relu", "softmax"), True, 5),
        ("minibatch", ("relu", "softmax"), True, 5),
        ("batch", ("sigmoid", "sigmoid"), True, 3000),
    ],
)
def test_what_is_usual_with_each_recipe(recipe, activations, biases, epochs):
    plan = Plan.settled((7,), recipe=recipe)
    assert plan == Plan((7,), activations, biases, recipe, RECIPES[recipe], epochs, seed=1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_given_as_itself_is_planned_under_a_name_that_gives_its_kind(name):
    planned = Plan.settled((3,), recipe=RECIPES[name]).recipe_name
    assert type(RECIPES[planned]) is type(RECIPES[name])


def test_what_is_given_takes_the_place_of_what_is_usual():
    plan = Plan.settled(
        [5, 4], learning_rate=0.3, loss="cross-entropy", activations=["tanh"], biases=True, epochs=2
    )
    assert plan.recipe == Online(0.3, "cross-entropy")
    assert plan.activations == ("tanh", "tanh", "softmax")
    assert (plan.recipe_name, plan.biases, plan.epochs, plan.hidden) == ("book", True, 2, (5, 4))
    mine = MiniBatch(0.02, batch_size=8)
    assert Plan.settled((3,), recipe=mine) == replace(Plan.settled((3,), recipe="minibatch"), recipe=mine)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": (5, 0)}, "1 node or more"),
        ({"epochs": 0}, "1 epoch or more"),
        ({"recipe": "cake"}, "unknown recipe 'cake'; choose one of book"),
        ({"learning_rate": float("inf")}, "learning rate"),
        ({"loss": "hinge"}, "unknown loss"),
        ({"activations": ["soft"]}, "unknown activation 'soft'"),
        ({"activations": ["relu", "relu", "softmax"]}, "2 layers need one activation or 2"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings, message):
    with pytest.raises(TrainingError, match=message):
        Plan.settled(**{"hidden": (5,), **settings})


def test_a_network_of_a_plan_knows_the_images_and_labels_of_its_data():
    shapes = datasets.load("shapes")
    network = create(Plan.settled((6,), dtype="float64"), shapes)
    assert (network.classes, network.input_shape, network.dtype) == (
        shapes.classes,
        shapes.input_shape,
        np.float64,
    )
    assert network.sizes == (shapes.inputs, 6, len(shapes.classes)) and network.classes != ("0", "1", "2")
    assert network.scale(shapes.train.images[:2]).max() <= 1


def test_a_plan_begun_is_the_plan_carried_out():
    digits = datasets.load("digits")
    plan = Plan.settled((6,), epochs=1, shift=1)
    run = begin(plan, digits)
    assert len(run.examples) == 5 * len(digits.train)
    while not run.ended:
        run.advance()
    network, _ = carry_out(plan, digits)
    for mine, theirs in zip(run.snapshot().layers, network.layers, strict=True):
        np.testing.assert_array_equal(mine.weights, theirs.weights)


def test_a_new_recipe_is_one_class_and_one_line(monkeypatch):
    @dataclass(frozen=True)
    class Halves(Recipe):
        """Half of the images at a time, at half the rate in the second half."""

        learning_rate: float = 0.5
        loss: str = "squared"
        kind: ClassVar[str] = "halves"

        @property
        def usual(self):
            return Usual("tanh", epochs=2)

        @property
        def is_steady(self):
            return False

        def rate(self, share):
            return self.learning_rate * (1 if share < 0.5 else 0.5)

        def images_an_update(self, images):
            return -(-images // 2)

    monkeypatch.setitem(RECIPES, "halves", Halves())
    plan = Plan.settled((5,), recipe="halves", learning_rate=0.25)
    assert (plan.activations, plan.biases, plan.epochs) == (("tanh", "tanh"), True, 2)
    run = begin(plan, datasets.load("digits"))
    assert (run.updates, run.settings["recipe"]) == (4, "Halves")
    _, history = carry_out(plan, datasets.load("digits"))
    assert [record.learning_rate for record in history.epochs] == [0.25, 0.125]
    assert train(run.network, datasets.load("digits").train, Halves(), epochs=1)[1].kernel == "numpy"
