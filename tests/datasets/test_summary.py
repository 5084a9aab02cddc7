"""The numbers that describe a data set."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backquery.datasets import Dataset, Split, inspect


def test_counts_range_and_blank_share() -> None:
    images = np.zeros((4, 2, 2), np.uint8)
    images[0] = [[0, 10], [200, 0]]
    dataset = Dataset("drawn", Split(images, [0, 2, 2, 2]), None, ("a", "b", "c"))
    summary = inspect(dataset)
    assert summary.train.counts == {"a": 1, "b": 0, "c": 3}
    assert (summary.train.images, summary.train.lowest, summary.train.highest) == (4, 0, 200)
    assert summary.train.blank == pytest.approx(14 / 16)
    assert (summary.test, summary.shared) == (None, 0)
    assert (summary.input_shape, summary.maximum) == ((2, 2), 255)


def test_in_colour_the_means_of_the_colours_are_told() -> None:
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[0, 0, 0] = (8, 16, 0)
    summary = inspect(Dataset("colours", Split(images, [0, 1]), None, ("a", "b")))
    assert summary.train.colours == {"red": 1, "green": 2, "blue": 0}
    assert summary.train.blank == 7 / 8 and summary.input_shape == (2, 2, 3)


def test_shared_images_are_counted_whatever_their_type(small: Dataset) -> None:
    assert small.test is not None
    assert inspect(small).shared == 0
    images = np.concatenate([small.train.images[:2], small.test.images[:1], small.train.images[:1]])
    leaking = replace(small, test=Split(images.astype(np.float64), [0, 1, 2, 0]))
    assert inspect(leaking).shared == 3


def test_everything_is_json(small: Dataset) -> None:
    content = json.loads(json.dumps(inspect(small).as_json()))
    assert content["classes"] == ["a", "b", "c"]
    assert content["train"]["counts"] == {"a": 4, "b": 3, "c": 3}
    assert content["test"]["images"] == 4
    assert set(content) == {"name", "classes", "input_shape", "maximum", "meaning", "train", "test", "shared"}


def test_mnist_is_four_fifths_blank(mnist: Dataset) -> None:
    summary = inspect(mnist)
    assert summary.train.blank == pytest.approx(0.809, abs=0.001)
    assert summary.train.counts["5"] == 5421
    assert summary.shared == 0
