"""How each trainer of the zoo teaches a network: the package itself, PyTorch, scikit-learn and Keras.

A chain of dense layers becomes a `Network`, as it would for whoever brings one, and is kept in the package's own
format; PyTorch's convolutions are kept as a state dict, Keras' in its own file. None of them is a pickle.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.deep import residual_block

from backquery import (
    FullBatch,
    MiniBatch,
    Network,
    Online,
    Scaling,
    from_torch,
    load_model,
    network_from_torch,
    train,
)
from backquery.datasets import Split
from backquery.io import native
from backquery.io.keras import from_keras, network_from_keras
from backquery.io.sklearn import network_from_sklearn
from backquery.model import Array, Model
from measurements.zoo import (
    BATCHES,
    BOOK,
    CONVOLUTION,
    DEEPER,
    KERAS,
    LENET,
    OWN,
    SGD,
    SKLEARN,
    STANDARDISED,
    Recipe,
    loaded,
)

OWN_FILE, STATE_FILE, KERAS_FILE = ".safetensors", ".state", ".keras"


def taught(recipe: Recipe) -> tuple[bytes, str]:
    """The content and the suffix of the file that holds the network once it has learned."""
    lesson = recipe.lesson()
    if recipe.trainer in (*OWN, STANDARDISED):
        return native.to_bytes(_by_this_package(recipe, lesson)), OWN_FILE
    if recipe.trainer == SKLEARN:
        return native.to_bytes(_by_sklearn(recipe, lesson)), OWN_FILE
    return (_by_keras if recipe.trainer == KERAS else _by_torch)(recipe, lesson)


def opened(recipe: Recipe, path: Path) -> Model:
    """The network that `taught` gave, from its file."""
    if path.suffix == OWN_FILE:
        return load_model(path)
    if path.suffix == KERAS_FILE:
        return from_keras(path, **_described(recipe))
    from safetensors.torch import load_file

    module = _module(recipe)
    module.load_state_dict(load_file(path))
    return from_torch(module.eval(), outputs="logits", **_described(recipe, channels_first=True))


def scaling_of(recipe: Recipe) -> Scaling:
    """How raw pixels become inputs."""
    dataset = loaded(recipe.data)
    if recipe.trainer == BOOK:
        return Scaling.book(dataset.maximum, dataset.meaning)
    if not recipe.centred:
        return Scaling.unit(dataset.maximum, dataset.meaning)
    ink = dataset.train.images[:2000] / dataset.maximum
    low, high = -ink.mean() / ink.std(), (1 - ink.mean()) / ink.std()
    return Scaling.between(float(low), float(high), dataset.maximum, dataset.meaning)


def _described(recipe: Recipe, *, channels_first: bool = False) -> dict[str, Any]:
    dataset = loaded(recipe.data)
    shape = dataset.input_shape
    if channels_first and dataset.colour:
        shape = (shape[2], *shape[:2])
    return {"input_shape": shape, "classes": dataset.classes, "scaling": scaling_of(recipe)}


def _by_this_package(recipe: Recipe, lesson: Split) -> Network:
    dataset = loaded(recipe.data)
    layers: dict[str, Any] = {} if recipe.trainer == BOOK else {"activation": "relu", "biases": True}
    rate = 0.1 if dataset.inputs < 1000 else 0.03
    if recipe.trainer == BOOK:
        how: Any = Online(rate, shuffle=True)
    elif recipe.trainer == BATCHES:
        how = MiniBatch(batch_size=_batch(recipe))
    else:
        how = Online(rate / 5, "cross-entropy", shuffle=True, decay="linear")
    described = _described(recipe)
    if recipe.trainer == STANDARDISED:
        how, layers = FullBatch(1.0, "cross-entropy"), {"biases": True}
        described["scaling"] = Scaling.standardised(lesson.images, dataset.maximum, dataset.meaning)
    sizes = [dataset.inputs, recipe.nodes, len(dataset.classes)]
    network = Network.create(sizes, rng=recipe.seed, **layers, **described)
    return train(network, lesson, how, epochs=recipe.epochs, rng=recipe.seed)[0]


def _by_sklearn(recipe: Recipe, lesson: Split) -> Network:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    hidden = (recipe.nodes, recipe.nodes // 2) if recipe.make == DEEPER else (recipe.nodes,)
    learner = MLPClassifier(
        hidden, alpha=recipe.decay, batch_size=_batch(recipe), max_iter=recipe.epochs, random_state=recipe.seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(_inputs(recipe, lesson), lesson.labels)
    return network_from_sklearn(learner, **_described(recipe))


def _by_torch(recipe: Recipe, lesson: Split) -> tuple[bytes, str]:
    import torch
    from safetensors.torch import save

    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = _module(recipe)
        _teach(torch, module, recipe, lesson)
    module.eval()
    if _dense(recipe):
        return native.to_bytes(network_from_torch(module, **_described(recipe, channels_first=True))), OWN_FILE
    return save(module.state_dict()), STATE_FILE


def _module(recipe: Recipe) -> Any:
    """A module of this make, for images (n, channels, rows, columns)."""
    from torch import nn

    dataset, nodes = loaded(recipe.data), recipe.nodes
    rows, _, channels = (*dataset.input_shape, 1)[:3]
    outputs, large = len(dataset.classes), rows > 8
    if _dense(recipe):
        widths = [dataset.inputs, nodes, nodes // 2][: 3 if recipe.make == DEEPER else 2]
        layers = [layer for pair in pairwise(widths) for layer in _hidden(nn, recipe, *pair)]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], outputs))
    if recipe.make == CONVOLUTION:
        side = rows // 2
        first = nn.Conv2d(channels, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        return nn.Sequential(*first, *_hidden(nn, recipe, 12 * side**2, nodes), nn.Linear(nodes, outputs))
    if recipe.make == LENET:
        size, side = (5, ((rows - 4) // 2 - 4) // 2) if large else (3, rows // 4)
        padding = 0 if large else 1
        return nn.Sequential(
            nn.Conv2d(channels, 6, size, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, size, padding=padding), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            *_hidden(nn, recipe, 16 * side**2, 120), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, outputs),
        )  # fmt: skip
    import torch

    stem = nn.Conv2d(channels, 8, 3, 2 if large else 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
    blocks = residual_block(torch, 8, 8, 1), residual_block(torch, 8, 16, 2), residual_block(torch, 16, 32, 2)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, outputs))


def _hidden(nn: Any, recipe: Recipe, inward: int, outward: int) -> list[Any]:
    """A dense layer and what goes with it."""
    normal = [nn.BatchNorm1d(outward)] if recipe.normalised else []
    return [
        nn.Linear(inward, outward),
        *normal,
        nn.ReLU(),
        *([nn.Dropout(recipe.dropout)] if recipe.dropout else []),
    ]


def _teach(torch: Any, module: Any, recipe: Recipe, lesson: Split) -> None:
    shape = (*loaded(recipe.data).input_shape, 1)[:3]
    inputs = _inputs(recipe, lesson).reshape(len(lesson), *shape)
    images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(inputs, 3, 1)))
    labels = torch.from_numpy(np.array(lesson.labels))
    optimizer = _optimizer(torch, module, recipe)
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(labels)).split(_batch(recipe)):
            if len(batch) == 1:
                continue
            optimizer.zero_grad()
            shown = _moved(torch, images[batch], recipe.moved)
            torch.nn.functional.cross_entropy(module(shown), labels[batch]).backward()
            optimizer.step()


def _optimizer(torch: Any, module: Any, recipe: Recipe) -> Any:
    if recipe.trainer == SGD:
        return torch.optim.SGD(module.parameters(), lr=0.03, momentum=0.9, weight_decay=recipe.decay)
    make = torch.optim.Adam if recipe.trainer == "PyTorch, Adam" else torch.optim.AdamW
    return make(module.parameters(), lr=0.002, weight_decay=recipe.decay)


def _moved(torch: Any, images: Any, most: int) -> Any:
    """The batch moved by up to so many pixels each way; what comes in at the edges is what lies there."""
    if not most:
        return images
    down, right = torch.randint(0, 2 * most + 1, (2,)).tolist()
    padded = torch.nn.functional.pad(images, (most,) * 4, mode="replicate")
    return padded[:, :, down : down + images.shape[2], right : right + images.shape[3]]


def _by_keras(recipe: Recipe, lesson: Split) -> tuple[bytes, str]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    import torch

    torch.set_num_threads(1)
    keras.utils.set_random_seed(recipe.seed)
    model = _keras_model(keras, recipe)
    dataset = loaded(recipe.data)
    model.compile(
        keras.optimizers.Adam(0.002, weight_decay=recipe.decay or None), "sparse_categorical_crossentropy"
    )
    images = _inputs(recipe, lesson).reshape(len(lesson), *(*dataset.input_shape, 1)[:3])
    model.fit(images, lesson.labels, batch_size=2 * _batch(recipe), epochs=recipe.epochs, verbose=0)
    if _dense(recipe):
        return native.to_bytes(network_from_keras(model, **_described(recipe))), OWN_FILE
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes(), KERAS_FILE


def _keras_model(keras: Any, recipe: Recipe) -> Any:
    layers, dataset = keras.layers, loaded(recipe.data)
    parts: list[Any] = [keras.Input((*dataset.input_shape, 1)[:3])]
    if not _dense(recipe):
        parts += [layers.Conv2D(12, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    parts.append(layers.Flatten())
    for nodes in (recipe.nodes, recipe.nodes // 2)[: 2 if recipe.make == DEEPER else 1]:
        parts.append(layers.Dense(nodes))
        parts += [layers.BatchNormalization()] if recipe.normalised else []
        parts.append(layers.Activation("relu"))
        parts += [layers.Dropout(recipe.dropout)] if recipe.dropout else []
    return keras.Sequential([*parts, layers.Dense(len(dataset.classes), activation="softmax")])


def _dense(recipe: Recipe) -> bool:
    return "dense" in recipe.make


def _inputs(recipe: Recipe, lesson: Split) -> Array:
    """The images as inputs (n, inputs), in float32."""
    return scaling_of(recipe).apply(lesson.images, np.float32)


def _batch(recipe: Recipe) -> int:
    return 32 if prod(loaded(recipe.data).input_shape) < 100 else 64
