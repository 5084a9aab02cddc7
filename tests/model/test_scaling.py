"""Raw images become inputs in the order that the model has, grey or in colour, wherever the channels stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from backquery import Network, from_torch
from backquery.datasets import load
from backquery.errors import DataError, ModelError
from backquery.model import Examples, Layout, Meaning, Scaling, ordered_images, scaled_images

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LAST, FIRST = (4, 6, 3), (3, 4, 6)


@dataclass(frozen=True)
class Pictures:
    """Images and labels, as any half of a data set has them."""

    images: np.ndarray
    labels: np.ndarray


def pictures(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *LAST), np.uint8)


def normalised(images: np.ndarray) -> np.ndarray:
    """What torchvision's ToTensor and Normalize make of images (n, rows, columns, 3), channels last."""
    return (images / 255 - np.array(MEAN)) / np.array(DEVIATION)


@pytest.mark.parametrize("shape", [LAST, FIRST])
@pytest.mark.parametrize("channels_first", [False, True])
def test_colour_images_fit_wherever_their_channels_stand(shape, channels_first):
    images = pictures()
    given = images.transpose(0, 3, 1, 2) if channels_first else images
    wanted = images if shape == LAST else images.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(ordered_images(given, shape), wanted.reshape(5, -1))
    np.testing.assert_array_equal(ordered_images(given[0], shape), wanted.reshape(5, -1)[:1])
    np.testing.assert_array_equal(ordered_images(wanted.reshape(5, -1), shape), wanted.reshape(5, -1))


@pytest.mark.parametrize("shape", [LAST, FIRST])
def test_scaling_by_channel_is_torchvision_s_in_the_order_of_the_model(shape):
    images = pictures()
    expected = normalised(images)
    scaling = Scaling.by_channel(MEAN, DEVIATION, shape)
    inputs = scaled_images(images, scaling, shape, np.float64)
    np.testing.assert_allclose(Layout.of(shape).grid(inputs), expected, atol=1e-12)
    np.testing.assert_allclose(Layout.of(shape).grid(scaling.ink(inputs)), images / 255, atol=1e-12)
    assert scaling.meaning is not None
    assert scaling.meaning.ground == "none"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaled_images_are_of_the_type_that_is_asked_for(dtype):
    images = np.full((2, 3, 3), 255, np.uint8)
    inputs = scaled_images(images, Scaling.unit(255), (3, 3), dtype)
    assert inputs.dtype == dtype and inputs.tolist() == [[1.0] * 9] * 2


@pytest.mark.parametrize("of", [{"white": 255.0}, {"maximum": 1.0}, {"white": 255.0, "maximum": 1.0}])
def test_scaling_by_channel_knows_bytes_from_fractions(of):
    images, white, maximum = pictures(), of.get("white", 1.0), of.get("maximum", 255.0)
    scaling = Scaling.by_channel(np.multiply(MEAN, white), np.multiply(DEVIATION, white), LAST, **of)
    inputs = scaled_images(images * (maximum / 255), scaling, LAST, np.float64)
    np.testing.assert_allclose(inputs, normalised(images).reshape(5, -1), atol=1e-12)


def test_one_mean_for_all_channels_is_a_grey_image_s_too():
    scaling = Scaling.by_channel(0.1307, 0.3081, (28, 28))
    assert scaling.meaning is None
    np.testing.assert_allclose([scaling.low[0], scaling.high[-1]], [-0.4242, 2.8215], atol=1e-4)
    own = Scaling.by_channel([0.5], 0.5, FIRST, meaning=Meaning("one"))
    assert own.meaning == Meaning("one")
    np.testing.assert_allclose([own.low, own.high], [[-1] * 72, [1] * 72])


def test_scaling_by_channel_treats_all_pixels_alike_but_each_by_itself_does_not():
    for shape in (LAST, FIRST):
        layout = Layout.of(shape)
        assert Scaling.by_channel(MEAN, DEVIATION, shape).alike(layout) and Scaling.book().alike(layout)
        assert not Scaling.standardised(ordered_images(pictures(), shape)).alike(layout)
    assert not Scaling.by_channel(MEAN, DEVIATION, FIRST).alike(Layout.of(LAST))


@pytest.mark.parametrize(
    ("mean", "deviation", "more"),
    [
        (MEAN[:2], DEVIATION, {}),
        (MEAN, [0.2, 0.0, 0.2], {}),
        ([np.nan] * 3, DEVIATION, {}),
        (MEAN, DEVIATION, {"white": 0.0}),
        (MEAN, DEVIATION, {"maximum": -1.0}),
    ],
)
def test_what_scales_no_channels_is_one_clear_error(mean, deviation, more):
    with pytest.raises(ModelError, match=r"channels is needed|above zero"):
        Scaling.by_channel(mean, deviation, FIRST, **more)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Scaling.book("a"), ModelError, "a scaling's maximum is a number; received 'a'"),
        (lambda: Scaling.unit(None), ModelError, "a scaling's maximum is a number; received None"),
        (lambda: Scaling.book(0), ModelError, "a scaling's maximum is a finite number above zero; received 0"),
        (lambda: Scaling.unit(float("inf")), ModelError, "a finite number above zero; received inf"),
        (lambda: Scaling.between("a", 1), ModelError, "what paper and full ink become is a number; received 'a'"),
        (lambda: Scaling.between(0, 1, -2), ModelError, "a finite number above zero; received -2"),
        (lambda: Scaling("a", 0.0), ModelError, "a scaling's gain are numbers"),
        (lambda: Scaling(1.0, np.nan), ModelError, "a scaling's offset is finite; received nan"),
        (lambda: Scaling.standardised([["a"]]), DataError, "images are numbers"),
        (lambda: Scaling.by_channel("a", DEVIATION, FIRST), ModelError, "means and deviations are numbers"),
        (lambda: Scaling.by_channel(MEAN, DEVIATION, FIRST, white="a"), ModelError, "white is a number"),
    ],
)
def test_what_is_no_number_scales_nothing(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("given", "shape", "advice"),
    [
        ((5, 4, 6), FIRST, r"np.repeat"),
        ((5, 4, 6, 3), (4, 6), r"--no-colour"),
        ((5, 6, 4, 3), FIRST, r"received \(6, 4, 3\)$"),
        ((5, 12, 6), LAST, r"received \(12, 6\)$"),
        ((5, 6, 4), (4, 6), r"received \(6, 4\)$"),
        ((5, 71), LAST, r"received \(71,\)$"),
        ((0,), LAST, r"received \(\)$"),
    ],
)
def test_images_that_do_not_fit_are_one_clear_error(given, shape, advice):
    with pytest.raises(DataError, match=advice):
        ordered_images(np.zeros(given, np.uint8), shape)


@pytest.mark.parametrize("given", [(2, 4, 6, 1), (2, 1, 4, 6), (2, 24), (4, 6), (2, 24, 1)])
def test_grey_images_fit_with_a_channel_of_one_and_as_rows(given):
    assert ordered_images(np.zeros(given), (4, 6)).shape == (1 if given == (4, 6) else 2, 24)


def test_a_row_of_numbers_says_nothing_of_pixels():
    assert ordered_images(pictures(), (72,)).shape == (5, 72)


@pytest.mark.parametrize("shape", [LAST, FIRST])
def test_examples_are_in_the_order_of_the_model(shape):
    images, labels = pictures(), np.arange(5) % 2
    model = Network.create(
        [72, 2], rng=0, input_shape=shape, scaling=Scaling.by_channel(MEAN, DEVIATION, shape), dtype="float64"
    )
    examples = Examples.of(model, Pictures(images, labels))
    np.testing.assert_allclose(Layout.of(shape).grid(examples.inputs()), normalised(images), atol=1e-12)
    np.testing.assert_array_equal(examples.at(slice(2, 4)).pixels, ordered_images(images[2:4], shape))
    np.testing.assert_array_equal(examples.inputs(), model.scale(images))


@pytest.mark.needs("torch")
def test_a_module_of_channels_first_answers_to_images_of_channels_last():
    import torch

    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 3))
    module = torch.nn.Sequential(*layers)
    model = from_torch(module, input_shape=FIRST, scaling=Scaling.by_channel(MEAN, DEVIATION, FIRST))
    images = pictures()
    given = torch.from_numpy(normalised(images)).permute(0, 3, 1, 2).float()
    expected = torch.softmax(module(given), 1).detach().numpy()
    np.testing.assert_allclose(model.query_images(images), expected, atol=1e-5)
    np.testing.assert_allclose(model.query_images(images.transpose(0, 3, 1, 2)), expected, atol=1e-5)


def test_raw_pixels_are_not_taken_for_inputs() -> None:
    digits = load("digits").train.images
    network = Network.create([64, 5, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16))
    for raw in (digits, digits[0], digits[:3].astype(np.float64)):
        with pytest.raises(DataError, match=r"between 0.01 and 1; received some up to 1\d.*query_images"):
            network.query(raw)
    with pytest.raises(DataError, match=r"up to 240, which look like raw pixels"):
        network.query(digits * 15)
    inputs = network.scale(digits)
    np.testing.assert_array_equal(network.query(inputs), network.query_images(digits))
    assert network.query(100.5 * inputs).shape == (len(digits), 10)
    assert network.query(-3 * inputs).shape == (len(digits), 10), "what no pixel can be is the asker's own affair"
    silent = Network.create([64, 5, 10], rng=1, input_shape=(8, 8))
    assert silent.query(digits).shape == (len(digits), 10)
    with pytest.raises(
        ModelError, match=r"give it a scaling: dataclasses.replace\(model, scaling=Scaling.unit\(255\)\)"
    ):
        silent.query_images(digits)
