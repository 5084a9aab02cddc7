"""Lines that a curve does not cross."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backquery.model import RELU, activation_named
from backquery.proofs.curves import curve_of
from tests.proofs.conftest import HIDDEN

ENDS = st.floats(-30, 30)


@pytest.mark.parametrize("name", HIDDEN)
@given(one=ENDS, other=ENDS)
def test_no_curve_crosses_its_lines(name: str, one: float, other: float) -> None:
    low, high = np.array([[min(one, other)]]), np.array([[max(one, other)]])
    curve = curve_of(activation_named(name))
    lines = curve.lines(low, high)
    z = np.clip(
        np.concatenate([np.linspace(low, high, 777), low[None], high[None], np.zeros((1, 1, 1))]), low, high
    )
    values, room = curve.function(z), 1e-12 * (1 + np.abs(z))
    assert np.all(lines.under * z + lines.least <= values + room)
    assert np.all(values <= lines.over * z + lines.most + room)
    least, most = curve.ends(low, high)
    assert np.all(least <= values + room)
    assert np.all(values <= most + room)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_no_curve_bends_more_than_is_said(name: str) -> None:
    z, step = np.linspace(-8, 8, 20_001), 1e-3
    curve = curve_of(activation_named(name))
    bend = (curve.function(z + step) - 2 * curve.function(z) + curve.function(z - step)) / step**2
    assert curve.bend * 0.999 < np.abs(bend).max() <= curve.bend


def test_lines_of_a_relu_are_those_of_crown() -> None:
    low, high = np.array([[-1.0, -3.0, 1.0, -4.0]]), np.array([[3.0, 1.0, 2.0, -2.0]])
    lines = curve_of(RELU).lines(low, high)
    np.testing.assert_allclose(lines.over[0], [0.75, 0.25, 1.0, 0.0])
    np.testing.assert_allclose(lines.most[0], [0.75, 0.75, 0.0, 0.0])
    np.testing.assert_allclose(lines.under[0], [1.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(lines.least[0], [0.0, 0.0, 0.0, 0.0])


def test_near_lines_follow_the_curve() -> None:
    low = np.linspace(-5, 5, 50)[None]
    lines = curve_of(activation_named("sigmoid")).lines(low, low + 0.1)
    middle = low + 0.05
    gap = (lines.over * middle + lines.most) - (lines.under * middle + lines.least)
    assert gap.max() < 5e-4
