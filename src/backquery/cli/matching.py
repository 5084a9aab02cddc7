"""A model and data brought together: the same labels, the same scale of pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backquery.cli.terminal import say
from backquery.datasets import Dataset, Split, open_data
from backquery.io import load_model
from backquery.network import Network
from backquery.scaling import Scaling


def load_for_images(source: str, maximum: float = 255.0) -> Network:
    """The model, with the book's scaling of pixels from 0 to `maximum` where it does not bring its own."""
    network = load_model(source)
    if network.scaling is not None:
        return network
    say(f"{source} does not say how pixels become inputs; taking the book's pixel / {maximum:g} * 0.99 + 0.01")
    return replace(network, scaling=Scaling.book(maximum))


def load_for_data(source: str, data: str, test: Path | None) -> tuple[Network, Dataset]:
    """The model, and the data set with its labels as the model's and its pixels on the model's scale."""
    network = load_model(source)
    dataset = open_data(data, test, classes=network.classes)
    if network.scaling is None:
        network = load_for_images(source, dataset.maximum)
    return network, _rescaled(dataset, network)


def _rescaled(dataset: Dataset, network: Network) -> Dataset:
    """Full ink is the same number in both, so that no image looks faint to the model."""
    assert network.scaling is not None
    maximum = network.scaling.maximum
    if maximum == dataset.maximum:
        return dataset
    say(f"pixels up to {dataset.maximum:g} are brought to the model's scale, up to {maximum:g}")
    factor = maximum / dataset.maximum
    halves = {half: Split(split.images * factor, split.labels) for half, split in dataset.halves}
    return replace(dataset, train=halves["train"], test=halves.get("test"), maximum=maximum)
