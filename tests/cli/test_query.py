"""Which models a picture can be an input of."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from PIL import Image

from backquery.cli.source import prepared
from backquery.errors import AssumptionWarning, ModelError
from backquery.model.network import Network
from backquery.model.scaling import Scaling


@pytest.fixture
def picture(tmp_path):
    ink = np.full((30, 20), 255, np.uint8)
    ink[5:25, 8:12] = 0
    Image.fromarray(ink).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def network(shape):
    return Network.create([prod(shape), 2], rng=1, input_shape=shape, scaling=Scaling.book())


@pytest.mark.parametrize("shape", [(12, 9), (1, 12, 9), (12, 9, 1)])
def test_a_grey_picture_fits_wherever_the_one_channel_stands(picture, shape):
    model = network(shape)
    with pytest.warns(AssumptionWarning, match="2 of 2 pictures stand on bright paper"):
        pixels = prepared(model, [picture, picture])
    assert pixels.shape == (2, 12, 9)
    np.testing.assert_array_equal(pixels, prepared(network((12, 9)), [picture, picture], ink="dark"))
    assert model.query_images(pixels).shape == (2, 2)


@pytest.mark.parametrize("shape", [(108,), (2, 12, 9), (12, 9, 4), (2, 2, 3, 9)])
def test_other_channels_and_rows_of_numbers_are_no_picture(picture, shape):
    with pytest.raises(ModelError, match="which no picture can become"):
        prepared(network(shape), [picture])


@pytest.mark.reads(
    "data", "`query` with a picture in a frame, or with a scanner's black edge", "cut off, and said"
)
def test_a_frame_is_cut_off_and_said(picture, tmp_path):
    framed = np.pad(np.array(Image.open(picture)), 2, constant_values=0)
    Image.fromarray(framed).save(tmp_path / "framed.png")
    with pytest.warns(AssumptionWarning) as said:
        pixels = prepared(network((12, 9)), [tmp_path / "framed.png"])
    assert "a frame around the picture was cut off" in str(said[0].message)
    np.testing.assert_array_equal(pixels, prepared(network((12, 9)), [picture], ink="dark"))
