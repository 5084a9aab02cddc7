"""Judges and real images in colour: wherever a model has its channels, it is judged by the same pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backquery.datasets import Dataset
from backquery.faithfulness import RealImages, compare_methods, convolutional_judge, linear_judge, neighbour_judge
from backquery.faithfulness.judges import model_judge
from backquery.model import Layout
from tests.colours import SHAPES, coloured_data, coloured_network


@pytest.fixture(scope="module")
def data() -> Dataset:
    return coloured_data()


def test_a_comparison_is_the_same_wherever_the_channels_stand(data: Dataset) -> None:
    last = coloured_network(SHAPES[0], data)
    places = Layout.of(SHAPES[1]).places
    first = coloured_network(SHAPES[1], data)
    moved = (replace(first.layers[0], weights=last.layers[0].weights[:, places]), last.layers[1])
    first = replace(first, layers=moved)
    real = RealImages(data.train.images, data.train.labels, data.maximum)
    judges = [neighbour_judge(real, data.test), linear_judge(data)]
    assert judges[1].performance == 1
    tables = [
        compare_methods(model, data, judges=judges, controls=False, confidences=False) for model in (last, first)
    ]
    for one, other in zip(tables[0].rows, tables[1].rows, strict=True):
        if one.name in ("transpose", "noise", "real test images", "class means"):
            np.testing.assert_allclose(one.ink[:, places], other.ink, atol=1e-4)
            assert one.recognition.read.keys() == other.recognition.read.keys()
            for judge, labels in one.recognition.read.items():
                assert np.array_equal(labels, other.recognition.read[judge])
            assert np.array_equal(one.nearness.nearest, other.nearness.nearest)
    for table in tables:
        row = table.row("real test images")
        assert row.agreement("linear") == 3
        shown = Layout.of(table.image_shape).drawn(table.nearest_ink[row.name])
        expected = data.train.images[row.nearness.nearest] / 255
        np.testing.assert_allclose(shown, expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_any_model_in_colour_can_judge(shape: tuple[int, ...], data: Dataset) -> None:
    network = coloured_network(shape, data)
    ink = data.to_test_on.images.reshape(60, -1) / 255
    read = network.query(network.scale(data.to_test_on.images)).argmax(axis=1)
    assert np.array_equal(model_judge("it", network).ask(ink), read)


@pytest.mark.needs("torch")
def test_the_convolutional_judge_learns_colours(data: Dataset, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    judge = convolutional_judge(data)
    assert judge.performance == 1
    ink = data.to_test_on.images.reshape(60, -1) / 255
    assert np.array_equal(judge.ask(ink), data.to_test_on.labels)
