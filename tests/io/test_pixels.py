"""What a model's first steps say about its pixels: certain, likely and said, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backquery.errors import AssumptionWarning
from backquery.io.pixels import raw_scaling


def ink(steps: list[Any], dtype: str = "float32") -> float | None:
    scaling = raw_scaling(steps, dtype)
    assert scaling is None or (scaling.gain, scaling.offset) == (1, 0)
    return scaling and scaling.maximum


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1 / 255, 0)], 255),
        ([(0.0039, 0)], 255),
        ([(np.float32(1) / np.float32(255), 0.0)], 255),
        ([(1 / 256, 0)], 255),
        ([(1 / 16, 0)], 16),
        ([(1 / 20, 0)], 20),
        ([(1 / 127.5, -1)], 255),
        ([(1, -127.5), (1 / 127.5, -1)], 255),
        ([(1 / 255, 0), (1 / 255, -0.1307), (1 / 255 / 0.3081, -0.1307 / 0.3081)], 255),
        ([(1 / 255, -0.5)], 255),
        ([(1 / 64, -2)], 255),
        ([(0.99 / 255, 0.01)], 255),
        ([(2, -1)], 1),
        ([(np.full(9, 1 / 255), np.zeros(9))], 255),
        ([(-1 / 255, 1)], 255),
        ([(-1, 255), (-1 / 255, 1)], 255),
        ([(-1 / 127.5, 1)], 255),
        ([(-1 / 16, 1)], 16),
        ([(-0.3, 2)], None),
        ([(1, 0)], None),
        ([(3, 0)], None),
        ([(-1, 1)], None),
        ([(1, -0.5)], None),
        ([], None),
    ],
)
def test_steps_that_bring_ink_to_one_are_certain(steps: list[Any], expected: float | None) -> None:
    assert ink(steps) == expected


def test_bytes_go_as_far_as_a_step_says() -> None:
    assert ink([(1 / 255, 0)], "uint8") == 255
    assert ink([(1 / 16, 0)], "uint8") == 16
    with pytest.warns(AssumptionWarning, match="0 to 255, as it takes whole numbers"):
        assert ink([(1 / 78.6, -33.3 / 78.6)], "uint8") == 255
    assert ink([], "bool") == 1


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [(0.1307, 0.3081, 1), (33.3285, 78.5675, 255), (0.485, 0.229, 1), (4.9, 6.0, 16)],
)
def test_means_and_deviations_are_likely_and_said(mean: float, deviation: float, expected: float) -> None:
    with pytest.warns(AssumptionWarning, match=rf"0 to {expected}, as it begins by standardising; scaling="):
        assert ink([(1 / deviation, -mean / deviation)]) == expected


def test_whole_numbers_are_likely_bytes_and_said() -> None:
    with pytest.warns(AssumptionWarning, match="0 to 255, as it takes whole numbers"):
        assert ink([], "int64") == 255
    with pytest.warns(AssumptionWarning, match="0 to 255, as it takes whole numbers"):
        assert ink([], "uint8") == 255
    assert ink([(1 / 65535, 0)], "int32") == 65535


@pytest.mark.parametrize("maximum", [1, 16, 255])
def test_scalers_of_every_pixel_are_told_by_what_they_were_fitted_to(maximum: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(size=(200, 30)) * (rng.uniform(size=(200, 30)) < rng.uniform(0.02, 0.9, 30))
    pixels[:5] = np.eye(5, 30)
    pixels = np.round(pixels * maximum) if maximum > 1 else pixels
    pixels[:, 7] = 0
    pixels[0, 8:] = maximum
    spread = np.where(pixels.std(0) > 0, pixels.std(0), 1)
    with pytest.warns(AssumptionWarning, match=f"0 to {maximum}"):
        assert ink([(1 / spread, -pixels.mean(0) / spread)]) == maximum
    lowest, highest = pixels.min(0), np.where(pixels.max(0) > 0, pixels.max(0), 1)
    lowest[3] = 0.25 * maximum
    with pytest.warns(AssumptionWarning, match=f"0 to {maximum}"):
        assert ink([(1 / (highest - lowest), -lowest / (highest - lowest))]) == maximum


def test_numbers_below_zero_are_no_pixels() -> None:
    assert ink([(np.full(4, 0.5), np.array([-1, -1, 0.5, -1]))]) is None
