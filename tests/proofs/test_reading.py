"""When it is certain which label a program reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backquery.model import Layer, Network, activation_named
from backquery.proofs.reading import Reading, apart_in_answers
from backquery.proofs.rounding import FEW, unit
from tests.proofs.conftest import OUTPUT


def constant(sums, activation: str, dtype: type = np.float32) -> Network:
    """A network whose output sums are always these."""
    return Network((Layer(np.zeros((len(sums), 1), dtype), np.array(sums), activation_named(activation)),))


def surely(network: Network) -> bool:
    image = np.zeros((1, 1))
    return bool(Reading(network).surely(image, image, network.query(image).argmax(axis=1))[0])


@pytest.mark.parametrize("activation", OUTPUT)
def test_two_labels_apart_are_read_surely_and_equal_ones_are_not(activation: str) -> None:
    assert surely(constant([0.5, 2.0, -1.0], activation))
    assert not surely(constant([2.0, 2.0, -1.0], activation))


def test_answers_that_a_program_rounds_to_the_same_number_are_not_read_surely() -> None:
    """In float32 the sigmoids of 20 and 25 are both 1; in float64 they differ."""
    assert not surely(constant([20.0, 25.0], "sigmoid"))
    assert surely(constant([20.0, 25.0], "sigmoid", np.float64))
    assert not surely(constant([10.0, 15.0], "tanh"))
    assert not surely(constant([-1.0, -2.0], "relu"))
    assert surely(constant([-1.0, -2.0], "leaky-relu"))


def test_a_network_with_one_output_has_nothing_else_to_read() -> None:
    for activation in OUTPUT:
        assert surely(constant([1.5], activation))


@pytest.mark.parametrize("name", OUTPUT)
@given(st.floats(-30, 30), st.floats(0, 20), st.floats(0, 5))
def test_answers_are_as_far_apart_as_is_said(name: str, least: float, apart: float, width: float) -> None:
    activation, most = activation_named(name), least + width
    room = apart_in_answers(activation, *(np.array([value]) for value in (apart, least, most)))[0]
    if room > 4 * FEW * unit(np.float32):
        for own in np.linspace(least, most, 11):
            for more in (0.0, 0.3, 4.0):
                pair = np.array([[own, own - apart - more]])
                if name != "softmax":
                    assert np.greater(*activation.function(pair.astype(np.float32))[0])
                assert np.greater(*activation.function(pair)[0])
