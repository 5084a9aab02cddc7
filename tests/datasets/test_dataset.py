"""Splits and data sets: what is accepted, what is refused and why, how halves are held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backquery.datasets import Dataset, Split, split_off_test
from backquery.errors import AssumptionWarning, DataError
from backquery.inversion import fit_statistics
from backquery.model import Network, Scaling, evaluate
from backquery.training.plan import Plan, carry_out


def images(count: int, value: float = 1, dtype: type = np.uint8) -> np.ndarray:
    return np.full((count, 2, 2), value, dtype)


def test_a_split_keeps_bytes_and_floats_and_converts_the_rest() -> None:
    for given_dtype, kept in [
        (np.uint8, np.uint8),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.bool_, np.uint8),
        (np.int64, np.uint8),
    ]:
        split = Split(images(3, 1, given_dtype), [0, 1, 0])
        assert split.images.dtype == kept
        assert (split.images == 1).all()
        assert split.labels.dtype == np.int64
    assert Split(images(1, 300, np.int32), [0]).images.dtype == np.float64


def test_a_split_is_read_only_and_leaves_its_arguments_writable() -> None:
    given_images = images(2)
    split = Split(given_images, np.array([0, 1]))
    with pytest.raises(ValueError, match="read-only"):
        split.images[0, 0, 0] = 5
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 5
    given_images[0, 0, 0] = 7


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((2, 4)), [0, 1], r"shape \(n, height, width\)"),
        (np.zeros((2, 0, 3)), [0, 1], r"shape \(n, height, width\)"),
        (np.zeros((3, 2, 2)), [0, 1], "3 images, 2 labels"),
        (np.zeros((0, 2, 2)), np.zeros(0, int), "no images"),
        (np.zeros((2, 2, 2)), [0.0, 1.0], "whole numbers"),
        (np.zeros((2, 2, 2)), [[0], [1]], r"shape \(n,\)"),
        (np.full((1, 2, 2), "x"), [0], "must be numbers"),
    ],
)
def test_a_split_refuses(pixels: np.ndarray, labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(pixels, np.asarray(labels))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 255.5])
def test_pixels_outside_the_scale_are_refused(value: float) -> None:
    pixels = images(2, 10.0, np.float64)
    pixels[1, 0, 1] = value
    with pytest.raises(DataError, match="odd, test half: raw pixels"):
        Dataset("odd", Split(images(2), [0, 1]), Split(pixels, [0, 1]), ("a", "b"))


def test_bytes_above_a_smaller_maximum_are_refused() -> None:
    with pytest.raises(DataError, match=r"0 \(paper\) to 16"):
        Dataset("digits", Split(images(2, 17), [0, 1]), None, ("a", "b"), maximum=16)


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (("a",), [0, 0], "two or more classes"),
        (("a", "a"), [0, 1], "different names"),
        (("a", "b"), [0, 2], "labels from 0 to 2; 2 classes allow 0 to 1"),
        (("a", "b"), [-1, 0], "labels from -1"),
    ],
)
def test_classes_and_labels_must_fit(classes: tuple[str, ...], labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset("odd", Split(images(2), labels), None, classes)


def test_halves_must_have_images_of_one_shape() -> None:
    with pytest.raises(DataError, match="3 x 3 pixels, but 2 x 2"):
        Dataset("odd", Split(images(2), [0, 1]), Split(np.zeros((2, 3, 3)), [0, 1]), ("a", "b"))


@pytest.mark.parametrize("maximum", [0, -1, np.inf, np.nan])
def test_the_maximum_must_be_a_number_above_zero(maximum: float) -> None:
    with pytest.raises(DataError, match="maximum must be above zero"):
        Dataset("odd", Split(images(2), [0, 1]), None, ("a", "b"), maximum)


def test_shape_and_inputs(small: Dataset) -> None:
    assert small.input_shape == (3, 3)
    assert small.inputs == 9
    assert [half for half, _ in small.halves] == ["train", "test"]


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 1000),
)
def test_holding_out_divides_every_label_by_the_share(labels: list[int], share: float, seed: int) -> None:
    counts = np.bincount(labels, minlength=5)
    wanted = np.minimum([round(share * count) for count in counts], np.maximum(counts - 1, 0))
    everything = Split(np.arange(len(labels), dtype=np.float64).reshape(-1, 1, 1), np.array(labels))
    if not wanted.sum():
        with pytest.raises(DataError, match="too few images"):
            split_off_test(everything, share, rng=seed)
        return
    train, test = split_off_test(everything, share, rng=seed)
    assert (np.bincount(test.labels, minlength=5) == wanted).all()
    assert sorted([*train.images.ravel(), *test.images.ravel()]) == list(range(len(labels)))
    for half in (train, test):
        assert (np.diff(half.images.ravel()) > 0).all()
        assert (half.labels == np.array(labels)[half.images.ravel().astype(int)]).all()


def test_the_same_seed_holds_out_the_same_images() -> None:
    everything = Split(np.arange(50.0).reshape(-1, 1, 1), np.arange(50) % 5)
    first, second, other = (split_off_test(everything, 0.3, rng=seed)[1].images for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


def test_with_test_holds_out_once(small: Dataset) -> None:
    whole = Dataset("whole", small.train, None, small.classes)
    divided = whole.with_test(0.3, rng=0)
    assert whole.test is None
    assert divided.test is not None
    assert (len(divided.train), len(divided.test)) == (7, 3)
    with pytest.raises(DataError, match="has a test half already"):
        divided.with_test(0.3)
    with pytest.raises(DataError, match="between 0 and 1"):
        whole.with_test(1.0)


def test_a_test_half_is_held_out_where_there_is_none(small: Dataset) -> None:
    assert small.test is not None and small.with_test_half(1) is small and small.to_test_on is small.test
    whole = Dataset("whole", small.train, None, small.classes)
    assert whole.to_test_on is whole.train
    divided, expected = whole.with_test_half(3), whole.with_test(0.2, rng=3)
    assert (divided.to_test_on.images == expected.to_test_on.images).all()
    assert (divided.train.labels == expected.train.labels).all()


def test_with_maximum_keeps_the_shares_of_ink(small: Dataset) -> None:
    brought = small.with_maximum(2 * small.maximum)
    assert brought.maximum == 2 * small.maximum and small.with_maximum(small.maximum) is small
    for (_, before), (_, after) in zip(small.halves, brought.halves, strict=True):
        assert np.array_equal(after.images, 2.0 * before.images) and np.array_equal(after.labels, before.labels)


def test_with_classes_finds_labels_by_name(small: Dataset) -> None:
    moved = small.with_classes(("c", "x", "b", "a"))
    assert moved.classes == ("c", "x", "b", "a")
    for (_, before), (_, after) in zip(small.halves, moved.halves, strict=True):
        assert [small.classes[label] for label in before.labels] == [moved.classes[k] for k in after.labels]
    with pytest.raises(DataError, match="labels without a class: c; the classes are a, b"):
        small.with_classes(("a", "b"))


def whole(count: int = 40) -> Dataset:
    """Data without a test half, of two labels in turn."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 2, 2), np.uint8)
    return Dataset("mine", Split(pixels, np.arange(count) % 2), None, ("a", "b"))


def trained_on(data: Dataset, seed: int = 3) -> Network:
    return carry_out(Plan.settled((2,), epochs=1, seed=seed), data.with_test_half(seed))[0]


def test_a_network_gets_the_halves_that_it_had_when_it_learned() -> None:
    data = whole()
    network, as_learned = trained_on(data), data.with_test(rng=3)
    with pytest.warns(AssumptionWarning, match="8 images that were held out by seed 3"):
        parted = data.parted_for(network)
    assert parted.test is not None and as_learned.test is not None
    assert np.array_equal(parted.test.images, as_learned.test.images)
    assert np.array_equal(parted.train.images, as_learned.train.images)
    assert parted.parted_by == 3
    assert parted.parted_for(network) is parted

    with pytest.warns(AssumptionWarning, match="held out by seed 3"):
        assert evaluate(network, data).images == 8
    with pytest.warns(AssumptionWarning, match="held out by seed 3"):
        kept = fit_statistics(network, data)
    assert np.array_equal(kept.mean, fit_statistics(network, as_learned.train).mean)


def test_halves_are_left_alone_where_nobody_knows_which_images_were_learned_from() -> None:
    data = whole()
    network = trained_on(data)
    with pytest.warns(AssumptionWarning, match="learned from 32 images of a data set called so"):
        assert whole(39).parted_for(network).test is None
    others = Dataset("others", whole(39).train, None, data.classes)
    assert others.parted_for(network) is others
    untold = Network.create([4, 2], rng=0, input_shape=(2, 2), scaling=Scaling.book())
    assert data.parted_for(untold) is data


@pytest.mark.parametrize(
    "about", [{"seed": "3"}, {"seed": -1, "training_images": 32, "test_images": 8}, {"seed": 3}]
)
def test_a_file_that_tells_nonsense_of_its_training_parts_nothing(about: dict[str, object]) -> None:
    network = Network.create([4, 2], rng=0, input_shape=(2, 2), classes=("a", "b"))
    assert whole().parted_for(replace(network, about=about)).test is None


def test_one_half_becomes_a_data_set_for_a_model() -> None:
    network = Network.create([4, 2], rng=0, input_shape=(2, 2), classes=("a", "b"), scaling=Scaling.book(9.0))
    half = Split(images(6, 9), np.arange(6) % 2)
    whole_set = Dataset.of(half, network)
    assert (whole_set.classes, whole_set.maximum, whole_set.test) == (("a", "b"), 9.0, None)
    assert np.array_equal(whole_set.train.images, half.images)
    assert Dataset.of(whole_set, network) is whole_set
    with pytest.raises(DataError, match=r"received a str: datasets\.open_data"):
        Dataset.of("digits", network)
