"""The method that is taken where none is named can always be used on the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery import Network, Scaling, back_query, fit_statistics
from backquery.inversion import METHODS, usable_methods, usual_method
from backquery.model import Model


def network(activation: str) -> Network:
    return Network.create([16, 9, 3], activation=activation, rng=1, input_shape=(4, 4), scaling=Scaling.unit())


class Foreign:
    """A model of another framework: it answers, but shows no weights."""

    def __init__(self, inner: Network) -> None:
        self._inner = inner

    def __getattr__(self, name: str):
        if name.startswith("_") or name == "layers":
            raise AttributeError(name)
        return getattr(self._inner, name)


MODELS = {
    "sigmoid": network("sigmoid"),
    "tanh": network("tanh"),
    "relu": network("relu"),
    "leaky relu": network("leaky-relu"),
    "another framework's": Foreign(network("relu")),
    "one whose pixels all come out alike": replace(
        network("sigmoid"), layers=(network("sigmoid").layers[0], Network.create([9, 3], rng=1).layers[0])
    ).without_nodes(range(9)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_usual_method_can_be_used(name: str) -> None:
    model = MODELS[name]
    assert isinstance(model, Model)
    usual = usual_method(model)
    assert usable_methods(model)[usual] is None
    assert back_query(model, [0, 1, 2]).method == usual


@pytest.mark.parametrize(("name", "usual"), [("sigmoid", "transpose"), ("relu", "gauss-newton")])
def test_without_statistics_it_is_the_book_s_where_the_book_s_can_be(name: str, usual: str) -> None:
    assert usual_method(MODELS[name]) == usual


def test_with_statistics_it_is_the_faithful_one() -> None:
    images = np.random.default_rng(0).uniform(0, 1, (60, 16))
    model = MODELS["sigmoid"]
    assert isinstance(model, Network)
    kept = replace(model, statistics=fit_statistics(model, (images, np.arange(60) % 3)))
    assert usual_method(kept) == "gauss-newton"
    assert set(usable_methods(kept)) == set(METHODS)
