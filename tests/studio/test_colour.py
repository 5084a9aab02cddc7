"""The studio in colour: pictures go in and come back as red, green and blue, wherever a model has its channels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from backquery import Network, Scaling, back_query
from backquery.datasets import Dataset, prepare_image
from backquery.errors import DataError
from backquery.evidence import measure_evidence
from backquery.faithfulness import RealImages, neighbour_judge
from backquery.model import Model
from backquery.studio import engine
from backquery.studio.describe import describe
from backquery.studio.opened import Jury, Opened, Subject, fits
from tests.colours import COLUMNS, ROWS, SHAPES, coloured_data, coloured_network
from tests.studio.conftest import base64


@pytest.fixture(scope="module")
def data() -> Dataset:
    return coloured_data()


@pytest.fixture(params=SHAPES, ids=["last", "first"])
def subject(request: pytest.FixtureRequest, data: Dataset) -> Subject:
    return Subject.of("colours", coloured_network(request.param, data), 3)


@pytest.fixture
def picture(data: Dataset) -> np.ndarray:
    return data.to_test_on.images[5]


def seen(model: Model, image: np.ndarray) -> np.ndarray:
    """An image in input scale (inputs,) as shares of colours, by the definition of its scaling."""
    image = image.reshape(model.input_shape)
    last = image if model.input_shape[-1] == 3 else np.moveaxis(image, 0, -1)
    return np.clip(last * [0.2, 0.25, 0.3] + [0.4, 0.5, 0.3], 0, 1)


def test_a_query_in_colour_is_the_models_own(subject: Subject, picture: np.ndarray) -> None:
    answer = engine.query(subject, {"pixels": base64(picture)})
    expected = subject.model.query(subject.model.scale(picture[None]))[0]
    np.testing.assert_allclose(answer.arrays["answers"], expected, atol=1e-6)


def test_a_back_query_comes_in_colour(subject: Subject) -> None:
    answer, image = engine.back(subject, {"method": "gauss-newton", "label": 2}, None)
    np.testing.assert_allclose(answer.arrays["ink"], seen(subject.model, image), atol=1e-6)
    result = back_query(subject.model, [2], method="gauss-newton")
    np.testing.assert_allclose(image, result.images[0])
    scans = engine.scans(subject, {"method": "gauss-newton"}).arrays["ink"]
    assert scans.shape == (3, ROWS, COLUMNS, 3)
    np.testing.assert_allclose(scans[2], answer.arrays["ink"], atol=1e-3)


def test_a_picture_is_turned_in_colour(subject: Subject, picture: np.ndarray) -> None:
    answer = engine.turn(subject, {"pixels": base64(picture), "label": 1})
    np.testing.assert_allclose(answer.arrays["ink"] - answer.arrays["change"], picture / 255, atol=1e-6)
    assert answer.arrays["change"].any()


def test_weights_come_as_pictures(subject: Subject) -> None:
    found = engine.weights(subject, {"from": 2, "count": 3}).arrays["weights"]
    assert isinstance(subject.model, Network)
    weights = subject.model.layers[0].weights[2:5].reshape(3, *subject.model.input_shape)
    assert np.array_equal(found, weights if subject.model.input_shape[-1] == 3 else np.moveaxis(weights, 1, -1))


def test_the_page_is_told_of_the_colours(subject: Subject) -> None:
    told = describe(subject, Opened("colours", subject.model, lambda: None))
    assert told["shape"] == [ROWS, COLUMNS, 3]
    assert told["black"] is True


def test_two_or_four_channels_are_no_colours(data: Dataset) -> None:
    for shape, drawn in (((2, 8, 9), (16, 9)), ((8, 9, 4), (72, 4))):
        network = Network.create([int(np.prod(shape)), 5, 3], rng=1, input_shape=shape, scaling=Scaling.unit())
        assert Subject.of("odd", network, 0).shape == drawn


def test_a_picture_file_keeps_its_colours(subject: Subject) -> None:
    wide = np.zeros((80, 120, 3), np.uint8)
    wide[:, :60], wide[:, 60:] = (230, 20, 40), (10, 60, 220)
    stream = BytesIO()
    Image.fromarray(wide).save(stream, "PNG")
    asked = {"file": base64(stream.getvalue()), "centre": True, "shade": "auto"}
    pixels = engine.image(subject, asked).arrays["pixels"]
    expected = prepare_image(stream.getvalue(), (ROWS, COLUMNS, 3), 255.0)
    assert np.array_equal(pixels, np.rint(expected))
    assert pixels[ROWS // 2, 0].tolist() == [230, 20, 40]
    with pytest.raises(DataError, match="dark ink"):
        engine.image(subject, {**asked, "shade": "dark"})


def test_real_images_come_in_colour(subject: Subject, data: Dataset, picture: np.ndarray) -> None:
    assert fits(subject.model, data)
    real = {image.tobytes() for image in data.to_test_on.images}
    shown = engine.samples(subject, {"count": 5, "seed": 1}, data).arrays["pixels"]
    assert shown.shape == (5, ROWS, COLUMNS, 3)
    assert all(image.tobytes() in real for image in shown)
    near = RealImages(data.train.images, data.train.labels, data.maximum)
    jury = Jury(near, (neighbour_judge(near, data.test),))
    told = engine.opinion(subject, {"pixels": base64(picture)}, data, jury)
    gaps = np.linalg.norm((data.train.images.astype(float) - picture).reshape(180, -1), axis=1)
    assert np.array_equal(told.arrays["nearest"], data.train.images[gaps.argmin()])
    assert told.fields["judges"]["neighbours"] == data.to_test_on.labels[5]


def test_evidence_comes_for_whole_pixels(subject: Subject, data: Dataset, picture: np.ndarray) -> None:
    found = engine.evidence(subject, {"label": 1}, data)
    alone = engine.why(subject, {"pixels": base64(picture)})
    for answer in (found, alone):
        assert answer.arrays["verdicts"].shape == (ROWS, COLUMNS) == answer.arrays["sensitivity"].shape
    (expected,) = measure_evidence(subject.model, data.train, [1], held_out=data.test)
    assert np.array_equal(found.arrays["verdicts"].ravel(), expected.findings.verdict)
