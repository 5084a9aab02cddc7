"""What a score is worth: the same scores for images and networks of which the outcome is known beforehand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset, Split
from backquery.errors import ModelError
from backquery.inversion.fitting import CHUNK, statistics_of, typical_logits
from backquery.model import SIGMOID, SOFTMAX, Array, Examples, Labels, Model, Network, Untaught
from backquery.training import Online, train

CHEAP = 2_000_000
"""Networks with more parameters than this are not trained again for a control."""

CONTROL_EPOCHS, CONTROL_STEPS = 3, 60_000
"""Controls are trained for so many epochs, and on small data for so many steps."""


def control_images(dataset: Dataset, labels: Labels, rng: np.random.Generator) -> dict[str, NDArray[np.floating]]:
    """Raw images (n, height, width) for each label: a real image, the class mean, noise with as much ink.

    The real one is a test image where the label has any; each of `labels` needs a training image.
    """
    real = np.stack([_real_image(dataset, label, rng) for label in labels])
    means = np.stack([dataset.train.images[dataset.train.labels == label].mean(axis=0) for label in labels])
    noise = rng.permuted(real.reshape(len(labels), -1), axis=1).reshape(real.shape)
    return {"real test images": real.astype(float), "class means": means, "noise": noise.astype(float)}


def _real_image(dataset: Dataset, label: int, rng: np.random.Generator) -> NDArray[Any]:
    halves = [dataset.train] if dataset.test is None else [dataset.test, dataset.train]
    shown = next(half.images[half.labels == label] for half in halves if (half.labels == label).any())
    image: NDArray[Any] = shown[rng.choice(len(shown))]
    return image


NETWORKS = ("untrained", "shuffled weights", "shuffled labels", "labels moved by one")


def control_networks(
    model: Model,
    dataset: Dataset,
    rng: np.random.Generator,
    *,
    names: Collection[str] = NETWORKS,
    statistics: bool = True,
    left_out: list[str] | None = None,
) -> dict[str, Model]:
    """Networks of the same shape that have learned nothing, or the wrong thing.

    ``"untrained"``; ``"shuffled weights"`` (of a `Network` the first layer's, of others all layers', each where
    another was); and of a `Network` whose training is cheap ``"shuffled labels"`` and ``"labels moved by one"``
    (every k is called k + 1, the last one 0). `names` picks some of them. Each keeps `statistics` of the images
    and of its own answers to them, unless they are not wanted. `left_out` is told a line for each that cannot be
    made; without it that is a `ModelError`.
    """
    cheap = isinstance(model, Network) and model.parameters <= CHEAP
    controls: dict[str, Model] = {}
    for name in NETWORKS:
        if name in names and (name in TAUGHT_NOTHING or cheap):
            try:
                controls[name] = _control(name, model, dataset.train, rng)
            except ModelError as error:
                if left_out is None:
                    raise
                left_out.append(f"{name} network: {error}")
    return _remembering(controls, dataset.train) if statistics and controls else controls


def _remembering(controls: dict[str, Any], train: Split) -> dict[str, Model]:
    """The controls with statistics: their images are the same, and only what is typical is each one's own."""
    any_control = next(iter(controls.values()))
    of_images = statistics_of(any_control, train)
    given: dict[str, list[Array]] = {name: [] for name in controls}
    for part in Examples.of(any_control, train).parts(CHUNK):
        inputs = part.inputs()
        for name, control in controls.items():
            given[name].append(control.logits(inputs).astype(np.float64))
    usual = {name: typical_logits(np.concatenate(logits)) for name, logits in given.items()}
    return {
        name: replace(control, statistics=replace(of_images, typical=usual[name]))
        for name, control in controls.items()
    }


def _control(name: str, model: Model, train: Split, rng: np.random.Generator) -> Model:
    if not isinstance(model, Network):
        return _of_another(name, model, rng)
    if name in TAUGHT_NOTHING:
        return TAUGHT_NOTHING[name](model, rng)
    shuffled = name == "shuffled labels"
    labels = rng.permutation(train.labels) if shuffled else (train.labels + 1) % model.outputs
    return _trained(model, Split(train.images, labels), rng)


def _of_another(name: str, model: Model, rng: np.random.Generator) -> Model:
    """A control of a model that is no `Network`."""
    if not isinstance(model, Untaught):
        raise ModelError("it is made for dense networks and for modules of PyTorch")
    return model.untrained(rng) if name == "untrained" else model.shuffled(rng)


def _untrained(network: Network, rng: np.random.Generator) -> Network:
    """The same layers with new random weights, as this network's own training would begin."""
    names = [layer.activation.name for layer in network.layers]
    fresh = Network.create(network.sizes, activation=names, rng=rng, dtype=network.dtype)
    layers = tuple(
        replace(old, weights=new.weights, biases=None if old.biases is None else np.zeros_like(old.biases))
        for new, old in zip(fresh.layers, network.layers, strict=True)
    )
    return replace(network, layers=layers, statistics=None, about={})


def _shuffled(network: Network, rng: np.random.Generator) -> Network:
    first = network.layers[0]
    weights = rng.permutation(first.weights.reshape(-1)).reshape(first.weights.shape)
    layers = (replace(first, weights=weights), *network.layers[1:])
    return replace(network, layers=layers, statistics=None, about={})


def _trained(network: Network, taught: Split, rng: np.random.Generator) -> Network:
    probabilities = network.output_activation in (SIGMOID, SOFTMAX)
    recipe = Online(0.02, "cross-entropy" if probabilities else "squared", shuffle=True, decay="linear")
    epochs = max(CONTROL_EPOCHS, CONTROL_STEPS // len(taught))
    return train(_untrained(network, rng), taught, recipe, epochs=epochs, rng=rng)[0]


TAUGHT_NOTHING = {"untrained": _untrained, "shuffled weights": _shuffled}
