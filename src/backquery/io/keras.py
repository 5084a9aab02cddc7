"""Keras 3: dense chains from a live model or a ``.keras`` file, and back.

A ``.keras`` file is a zip archive with ``config.json``, which names the layers, and ``model.weights.h5``, which
holds their numbers. Both are read as plain data: Keras is not loaded for it, nothing that the file contains is
run, and a layer that is code (Lambda) or unknown is refused by its name. Files are written the same way.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from backquery.errors import MissingExtraError, ModelError
from backquery.files import replacing
from backquery.io.chain import Chain
from backquery.io.foreign import (
    NOTES,
    TEXT_LIMIT,
    bounded_zip,
    member,
    parse_json,
    read_notes,
    reading,
    settled,
    write_notes,
)
from backquery.io.keras_config import NAMES, add_layer, dense_layers, described_input, path_of_layers
from backquery.model import Array, Layer, Network, Scaling, image_shape

if TYPE_CHECKING:
    import h5py
    import keras

CONFIG, WEIGHTS, METADATA, CARRIED = "config.json", "model.weights.h5", "metadata.json", f"{NOTES}.json"
Arrays = dict[str, list[Array]]


def network_from_keras(
    model: keras.Model,
    *,
    outputs: str = "logits",
    input_shape: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network:
    """A Sequential or functional dense chain of Keras 3 as a `Network` with the same answers.

    Layers are Input, Flatten, Reshape, Dense, Activation, ReLU, LeakyReLU, Softmax and Rescaling,
    which is folded into the weights; Dropout and its kin, which rest at query time, may stand between.
    Activations are sigmoid, tanh, relu, linear, and softmax for the answers. Any other layer raises
    `ModelError`, which names it. Inputs are what the Keras model takes, each image in a row.

    Where the last Dense has no activation, `outputs` says what it gives: ``"logits"`` (their softmax are the
    answers) or ``"scores"`` (they are the answers). One output alone becomes two labels.
    """
    config = parse_json(model.to_json(), "the model's configuration")
    arrays = {name: model.get_layer(name).get_weights() for name, _ in dense_layers(config)}
    told = {"input_shape": input_shape, "classes": classes, "scaling": scaling}
    return _network(config, arrays, told, outputs=outputs)


def load_keras(path: str | os.PathLike[str], *, outputs: str = "logits", **description: Any) -> Network:
    """The network in a ``.keras`` file; see `network_from_keras`. Needs h5py, but not Keras.

    Files that `save_keras` wrote also bring their class names and scaling, and `description` (input_shape,
    classes, scaling) has the last word. `ModelError` says what cannot be read.
    """
    with reading(path, "keras", "h5py"), bounded_zip(path) as archive:
        config = parse_json(member(archive, CONFIG, TEXT_LIMIT), CONFIG)
        arrays = _read_weights(member(archive, WEIGHTS), config)
        notes = read_notes(member(archive, CARRIED, TEXT_LIMIT)) if CARRIED in archive.namelist() else {}
        return _network(config, arrays, description, notes, "as written" if notes else outputs)


def network_to_keras(network: Network) -> keras.Sequential:
    """The network as a Keras Sequential model, which takes inputs in input scale and answers alike.

    Keras runs on the backend of your choice (``KERAS_BACKEND``). Scaling, class names and statistics have no
    place in a model; keep them at hand.
    """
    model = _import_keras().models.model_from_json(json.dumps(_config(network)))
    for layer, dense in zip(network.layers, _dense_of(model), strict=True):
        dense.set_weights(_arrays(layer))
    return model


def save_keras(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the network as a ``.keras`` file that Keras 3 opens; statistics are not kept. Needs h5py only.

    Image shape, class names and scaling travel in a file of their own inside the archive, which Keras ignores.
    """
    contents = {
        METADATA: json.dumps({"keras_version": "3.4.0", "date_saved": "1980-01-01@00:00:00"}).encode(),
        CONFIG: json.dumps(_config(network)).encode(),
        WEIGHTS: _weights_file(network),
        CARRIED: write_notes(network).encode(),
    }
    with replacing(path) as stream, ZipFile(stream, "w") as archive:
        for name, content in contents.items():
            archive.writestr(ZipInfo(name), content)


def _network(
    config: dict[str, Any],
    arrays: Arrays,
    told: dict[str, Any],
    notes: dict[str, Any] | None = None,
    outputs: str = "logits",
) -> Network:
    layers = path_of_layers(config)
    shape = described_input(config, layers)
    chain = Chain(shape)
    for layer in layers:
        add_layer(chain, layer, arrays)
    found = {
        "scaling": _scaling_of_rescaled(layers),
        "input_shape": image_shape(shape),
        "about": {"source": "Keras"},
    }
    return chain.finish(outputs, **settled(told, notes or found))


def _scaling_of_rescaled(layers: list[dict[str, Any]]) -> Scaling | None:
    """A model that begins by rescaling takes raw pixels; full ink is what the rescaling brings to 1."""
    first = next((layer for layer in layers if layer["class_name"] not in ("InputLayer", "Flatten")), None)
    if first is None or first["class_name"] != "Rescaling":
        return None
    scale, offset = first["config"].get("scale"), first["config"].get("offset", 0.0)
    if not isinstance(scale, float) or not isinstance(offset, float | int) or not 0 < scale <= 1 or offset >= 1:
        return None
    return Scaling(1.0, 0.0, float(f"{(1 - offset) / scale:.6g}"))


def _read_weights(content: bytes, config: dict[str, Any]) -> Arrays:
    """The numbers of each Dense layer by its name, none of them larger than the file that holds them.

    Folders are told by their place, as Keras does it. Attributes are not read: the HDF5 library can be made to
    crash over them.
    """
    import h5py

    try:
        with h5py.File(BytesIO(content), "r") as file:
            return {name: _variables(file, folder, len(content)) for name, folder in dense_layers(config)}
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{WEIGHTS} in it cannot be read: {error}") from None


def _variables(file: h5py.File, folder: str, size: int) -> list[Array]:
    place = f"layers/{folder}/vars"
    # By number, because as text 10 comes before 2.
    names = sorted(_inside(file, place), key=int)
    return [_numbers(_inside(file, f"{place}/{name}"), f"{place}/{name}", size) for name in names]


def _inside(file: h5py.File, place: str) -> Any:
    """What lies at `place`, reached by hard links only: others can lead out of the file."""
    import h5py

    found: Any = file
    for name in place.split("/"):
        if not isinstance(found, h5py.Group) or not isinstance(found.get(name, getlink=True), h5py.HardLink):
            raise ModelError(f"{WEIGHTS} in it has no {place}")
        found = found[name]
    return found


def _numbers(dataset: Any, place: str, size: int) -> Array:
    import h5py

    plain = isinstance(dataset, h5py.Dataset) and dataset.dtype in (np.float16, np.float32, np.float64)
    # External and virtual datasets would read other files of this machine.
    if not plain or dataset.external is not None or dataset.is_virtual:
        raise ModelError(f"{place} does not hold plain numbers within the file")
    if dataset.nbytes > size:
        raise ModelError(f"{place} promises {dataset.nbytes:,} bytes, more than the file holds")
    return np.asarray(dataset[()], np.float64 if dataset.dtype == np.float64 else np.float32)


def _config(network: Network) -> dict[str, Any]:
    dtype, shape = network.dtype.name, network.input_shape
    layers = [_entry("InputLayer", "inputs", dtype, batch_shape=[None, *shape])]
    if len(shape) > 1:
        layers.append(_entry("Flatten", "flatten", dtype))
    for number, layer in enumerate(network.layers, start=1):
        leak = layer.activation.leak
        activation = "linear" if leak else NAMES[layer.activation.name]
        dense = _entry(
            "Dense", f"layer_{number}", dtype,
            units=layer.outputs, activation=activation, use_bias=layer.biases is not None,
        )  # fmt: skip
        layers.append(dense | {"build_config": {"input_shape": [None, layer.inputs]}})
        if leak:
            layers.append(_entry("LeakyReLU", f"leaky_{number}", dtype, negative_slope=leak))
    config = {"name": "network", "trainable": True, "dtype": dtype, "layers": layers}
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": config | {"build_input_shape": [None, *shape]},
        "registered_name": None,
        "build_config": {"input_shape": [None, *shape]},
    }


def _entry(kind: str, name: str, dtype: str, **settings: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "dtype": dtype, **settings},
        "registered_name": None,
    }


def _weights_file(network: Network) -> bytes:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MissingExtraError("writing a .keras file", "h5py", "keras") from None
    content = BytesIO()
    with h5py.File(content, "w") as file:
        for (_, folder), layer in zip(dense_layers(_config(network)), network.layers, strict=True):
            for position, values in enumerate(_arrays(layer)):
                file.create_dataset(f"layers/{folder}/vars/{position}", data=values)
    return content.getvalue()


def _arrays(layer: Layer) -> list[Array]:
    return [layer.weights.T] if layer.biases is None else [layer.weights.T, layer.biases]


def _dense_of(model: Any) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == "Dense"]


def _import_keras() -> Any:
    try:
        import keras
    except ModuleNotFoundError as error:
        if error.name == "keras":
            raise MissingExtraError("making a Keras model", "keras", "keras") from None
        raise ModelError(
            f"Keras cannot start without {error.name}; set the environment variable KERAS_BACKEND to a backend "
            "that is installed, such as torch"
        ) from None
    return keras
