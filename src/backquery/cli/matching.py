"""A model and data brought together: the same labels, the same scale of pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from backquery.cli.source import open_model
from backquery.cli.terminal import say
from backquery.datasets import Dataset, open_data
from backquery.errors import ModelError
from backquery.model.protocol import Model
from backquery.model.scaling import Scaling


def load_for_images(source: str, maximum: float = 255.0) -> Model:
    """The model, with the book's scaling of pixels from 0 to `maximum` where it does not bring its own."""
    return _scaled(open_model(source), source, maximum)


def _scaled(model: Model, source: str, maximum: float) -> Model:
    if model.scaling is not None:
        return model
    if not hasattr(model, "__dataclass_fields__"):
        raise ModelError(f"{source} does not say how pixels become inputs; give its model a scaling")
    say(f"{source} does not say how pixels become inputs; taking the book's pixel / {maximum:g} * 0.99 + 0.01")
    settable: Any = model
    return cast(Model, replace(settable, scaling=Scaling.book(maximum)))


def load_for_data(source: str, data: str, test: Path | None) -> tuple[Model, Dataset]:
    """The model, and the data set with its labels as the model's and its pixels on the model's scale."""
    model = open_model(source)
    dataset = open_data(data, test, classes=model.classes)
    model = _scaled(model, source, dataset.maximum)
    return model, rescaled(dataset, model)


def rescaled(dataset: Dataset, model: Model) -> Dataset:
    """Full ink is the same number in both, so that no image looks faint to the model."""
    assert model.scaling is not None
    maximum = model.scaling.maximum
    if maximum != dataset.maximum:
        say(f"pixels up to {dataset.maximum:g} are brought to the model's scale, up to {maximum:g}")
    found = dataset.with_maximum(maximum)
    model.scale(found.train.images[:1])  # images of another size are refused now, not after long work
    return found
