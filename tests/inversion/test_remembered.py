"""What is kept for a model: made once while it lives, gone when it goes, and no harm where it cannot be kept."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

import numpy as np
import pytest

from backquery.inversion import back_query
from backquery.inversion.named_priors import prior_for
from backquery.inversion.remembered import Remembered
from backquery.model.network import Network
from tests.inversion.conftest import Opaque, network_of, prior_of


class Unhashable(Opaque):
    """A model that is compared by its value, as a plain dataclass is."""

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Slotted:
    """A model that cannot be referenced weakly."""

    __slots__ = ("network",)
    network: Network
    __getattr__ = Opaque.__getattr__


class Owner:
    pass


def test_an_owner_is_given_the_same_each_time_and_another_something_else() -> None:
    remembered, one, other = Remembered(dict), Owner(), Owner()
    remembered.of(one)["kept"] = 1
    assert remembered.of(one) == {"kept": 1}
    assert remembered.of(other) == {}


def test_what_is_kept_goes_when_its_owner_goes() -> None:
    class Kept:
        gone = 0

        def __del__(self) -> None:
            Kept.gone += 1

    remembered, owner = Remembered(dict), Owner()
    remembered.of(owner)["kept"] = Kept()
    assert Kept.gone == 0
    del owner
    gc.collect()
    assert Kept.gone == 1


def test_neither_a_network_nor_a_prior_is_kept_alive_by_what_is_remembered() -> None:
    network, own = network_of("deep tanh"), prior_of()
    opaque = Opaque(network)
    for model in (network, opaque):
        back_query(model, [0], method="gauss-newton", prior=own)
        back_query(model, [0], method="gauss-newton")
    usual = prior_for(network, None, np.zeros(16), np.ones(16))
    assert usual is prior_for(network, None, np.zeros(16), np.ones(16))
    watched = [ref(thing) for thing in (network, usual, own, opaque)]
    del own, model
    gc.collect()
    assert [thing() is None for thing in watched] == [False, False, True, False]
    del network, usual, opaque
    gc.collect()
    assert [thing() for thing in watched] == [None] * 4


@pytest.mark.parametrize("unkept", [Unhashable, Slotted])
def test_models_that_cannot_be_kept_give_the_same_images(unkept: type) -> None:
    network = network_of("relu, softmax")
    model = unkept(network)
    with pytest.raises(TypeError):
        WeakKeyDictionary()[model] = 0
    remembered = Remembered(dict)
    remembered.of(model)["kept"] = 1
    assert remembered.of(model) == {}
    expected = back_query(Opaque(network), [0, 1], method="gauss-newton")
    for _ in range(2):
        found = back_query(model, [0, 1], method="gauss-newton")
        np.testing.assert_array_equal(found.images, expected.images)
