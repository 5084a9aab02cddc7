"""Frames around images: found by hand-made ones, and cut off a single picture."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.datasets.frames import frame_width, within_frame
from backquery.datasets.images import prepare_image


def paper(width: int, shade: int) -> np.ndarray:
    """White paper with a dark stroke, within a frame."""
    page = np.full((40, 40), 255, np.uint8)
    page[12:28, 18:22] = 0
    return np.pad(page, width, constant_values=shade)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_frame_is_found(width: int) -> None:
    images = np.stack([paper(width, 0)] * 3)
    assert frame_width(images) == width
    assert within_frame(images, width).shape == (3, 40, 40)


def test_no_frame_is_seen_where_none_is() -> None:
    page = paper(0, 0)
    solid = np.zeros((3, 28, 28), np.uint8)
    solid[:, 4:24, 4:24] = 255
    assert frame_width(page[None]) == frame_width(solid) == frame_width(np.zeros((2, 9, 9))) == 0
    assert frame_width(np.stack([paper(2, 0), paper(2, 255)])) == 0


def test_a_picture_in_a_frame_is_read_without_it() -> None:
    np.testing.assert_array_equal(prepare_image(paper(3, 0)), prepare_image(paper(0, 0)))
