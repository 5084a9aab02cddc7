"""Keras: dense chains from a live model or a ``.keras`` file, and back.

A ``.keras`` file is a zip archive with ``config.json``, which names the layers, and ``model.weights.h5``, which
holds their numbers. Both are read as plain data: Keras is not needed for it, nothing that the file contains is
run, and a layer that is code (Lambda) or unknown is refused by its name. Files are written the same way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from backquery.errors import MissingExtraError, ModelError
from backquery.files import replacing
from backquery.io import keras_h5
from backquery.io.chain import Chain, NotAChainError
from backquery.io.foreign import (
    NOTES,
    TEXT_LIMIT,
    bounded_zip,
    member,
    parse_json,
    read_bytes,
    read_notes,
    reading,
    settled,
    theirs,
    write_notes,
)
from backquery.io.h5 import member_at, numbers_in
from backquery.io.h5_attribute import SIGNATURE
from backquery.io.keras_arrays import COUNT, arrays_of
from backquery.io.keras_comparison import Reading, compare_file, compare_live
from backquery.io.keras_config import SUBCLASSED, Step, described_input, input_type, steps_of
from backquery.io.keras_graph import INPUT, Signal
from backquery.io.keras_layers import AT_REST, LOG_SOFTMAX, NAMES, TELLING, Twin, add_step
from backquery.io.pixels import raw_scaling
from backquery.io.torch_module import import_torch
from backquery.model import IDENTITY, Array, Layer, Network, Scaling, Shape, image_shape

if TYPE_CHECKING:
    import h5py
    import keras

    from backquery.io.keras_module import Made
    from backquery.io.torch import TorchModel

CONFIG, WEIGHTS, METADATA, CARRIED = "config.json", "model.weights.h5", "metadata.json", f"{NOTES}.json"

PARTS = {"attention_output": "output_dense"}
"""Where parts of a layer keep their numbers, if not under their name and ``_dense``."""

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""The folders of a model that hold its layers' folders; the second is that of Keras 2.12."""


def network_from_keras(
    model: keras.Model,
    *,
    outputs: str = "logits",
    input_shape: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network:
    """A Sequential or functional dense chain of Keras as a `Network` with the same answers.

    Layers are Input, Flatten, Permute, Reshape, Dense, Activation, ReLU and LeakyReLU (of any slope), Softmax, and
    BatchNormalization, Normalization and Rescaling, which are folded into the weights; a model may hold others.
    Dropout, noise and augmentation, which rest at query time, may stand between. Activations are sigmoid, tanh,
    relu, leaky_relu, linear, and softmax or log_softmax for the answers. Any other layer raises `ModelError`,
    which names it. Inputs are what the Keras model takes, each image in a row.

    Where the last Dense has no activation, `outputs` says what it gives: ``"logits"`` (their softmax are the
    answers) or ``"scores"`` (they are the answers). One output alone becomes two labels.

    Before you get the network, the model has been asked the same, as it answers outside training; `ModelError`
    says by how much they differ, if they do. The model stays as it was.
    """
    config = _configuration(model)
    told = {"input_shape": input_shape, "classes": classes, "scaling": scaling}
    try:
        found = _read(config, partial(_live_arrays, model), told, outputs=outputs)
    except NotAChainError as error:
        raise NotAChainError(f"{error}. Any other layers are read by from_keras, which needs PyTorch") from None
    compare_live(found, model, config)
    return _only_network(found)


def load_keras(path: str | os.PathLike[str], *, outputs: str = "logits", **description: Any) -> Network:
    """The network in a ``.keras`` file of Keras 3 or 2, or in a whole model's ``.h5``; see `network_from_keras`.

    Needs h5py, but not Keras.

    Files that `save_keras` wrote also bring their class names and scaling, and `description` (input_shape,
    classes, scaling) has the last word. `ModelError` says what cannot be read. Where Keras is installed, it is
    asked the same when a file is first opened, by layers of its own that are given the file's numbers; where it is
    not, an `AssumptionWarning` says so.
    """
    with reading(path, "keras", "h5py"):
        content = read_bytes(path)
        read = _read_h5 if content.startswith(SIGNATURE) else _read_archive
        found = read(content, outputs, description, _read)
        compare_file(found, content, path)
        return _only_network(found)


def from_keras(
    source: keras.Model | str | os.PathLike[str],
    *,
    outputs: str | None = None,
    input_shape: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    scaling: Scaling | None = None,
) -> Network | TorchModel:
    """A Keras model of any layers, live or in a file: a dense chain as a `Network`, any other as a `TorchModel`.

    A dense chain is read as `network_from_keras` and `load_keras` do it. Any other Sequential or functional model
    is put together again as a PyTorch module, layer by layer (`keras_operators.LAYERS`), from its configuration
    and numbers alone; nothing of a file is run, and a layer that is code (Lambda), somebody's own, or unknown, is
    named in the error. It is given to `from_torch`, and Keras, where it is installed, has been asked the same.

    outputs: for a dense chain as in `network_from_keras`, for others as in `from_torch`. Everything else is as in
    `network_from_keras`, and what cannot be read raises `ModelError`. Images reach the model as (rows, columns,
    channels), as Keras has them.
    """
    told = {"input_shape": input_shape, "classes": classes, "scaling": scaling}
    if isinstance(source, str | os.PathLike):
        with reading(source, "keras", "h5py"):
            content = read_bytes(source)
            read = _read_h5 if content.startswith(SIGNATURE) else _read_archive
            found = read(content, outputs, told, partial(_read_any, os.fspath(source)))
            compare_file(found, content, source)
            return found.network
    config = _configuration(source)
    found = _read_any("the Keras model", config, partial(_live_arrays, source), told, outputs=outputs)
    compare_live(found, source, config)
    return found.network


def network_to_keras(network: Network) -> keras.Sequential:
    """The network as a Keras Sequential model, which takes inputs in input scale and answers alike.

    Keras runs on the backend of your choice (``KERAS_BACKEND``). Scaling, class names and statistics have no
    place in a model; keep them at hand. `MissingExtraError` without Keras, `ModelError` where it cannot be loaded.
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


def _only_network(found: Reading) -> Network:
    assert isinstance(found.network, Network)
    return found.network


def _configuration(model: Any) -> dict[str, Any]:
    try:
        text = model.to_json()
    except Exception:  # Keras raises of every kind over models that somebody wrote as a class.
        raise ModelError(f"the model {type(model).__name__} {SUBCLASSED}") from None
    return parse_json(text, "the model's configuration")


def _live_arrays(model: Any, step: Step) -> list[Array]:
    layer = model
    for name in step.names:
        layer = layer.get_layer(name)
    return [
        np.asarray(values) for name, values in zip_longest(arrays_of(step), layer.get_weights()) if name != COUNT
    ]


def _read_archive(
    content: bytes, outputs: str | None, description: dict[str, Any], read: Callable[..., Reading]
) -> Reading:
    with bounded_zip(BytesIO(content)) as archive:
        config = parse_json(member(archive, CONFIG, TEXT_LIMIT), CONFIG)
        weights = member(archive, WEIGHTS)
        notes = read_notes(member(archive, CARRIED, TEXT_LIMIT)) if CARRIED in archive.namelist() else {}
    with _opened(weights) as file:
        arrays = partial(_file_arrays, file, len(weights))
        return read(config, arrays, description, notes, "as written" if notes else outputs)


def _read_h5(
    content: bytes, outputs: str | None, description: dict[str, Any], read: Callable[..., Reading]
) -> Reading:
    config = keras_h5.configuration(content)
    with _opened(content) as file:
        return read(config, partial(keras_h5.arrays_in, file, len(content)), description, outputs=outputs)


def _read_any(
    what: str,
    config: dict[str, Any],
    arrays: Callable[[Step], list[Array]],
    told: dict[str, Any],
    notes: dict[str, Any] | None = None,
    outputs: str | None = None,
) -> Reading:
    """A dense chain, or what else it is."""
    try:
        return _read(config, arrays, told, notes, outputs or "logits")
    except NotAChainError as error:
        import_torch(f"{what} is no chain of dense layers ({error}), and")
        return _read_deep(config, arrays, told, outputs)


def _read_deep(
    config: dict[str, Any], arrays: Callable[[Step], list[Array]], told: dict[str, Any], outputs: str | None
) -> Reading:
    from backquery.io.graph_module import as_model
    from backquery.io.keras_module import module_from

    shape = described_input(config)
    module, ending, calls = module_from(config, arrays)
    description = settled(told, {"input_shape": image_shape(shape)})
    if "scaling" not in description:
        whole = "uint8" if "int" in input_type(config) else "float32"
        description |= settled({"scaling": raw_scaling(_first_rescalings(shape, calls, arrays), whole)})
    model = as_model(module, ending, shape, description, outputs)
    return Reading(model, shape, (), model.given == "logits", calls)


def _first_rescalings(
    shape: Shape, calls: Sequence[Made], arrays: Callable[[Step], list[Array]]
) -> list[tuple[Array, Array]]:
    """What the first, the first two, ... layers do to the inputs, where they only rescale them."""
    chain, signal = Chain(shape), INPUT
    rescaled: list[tuple[Array, Array]] = []
    for made in calls:
        step = made.call.step
        if made.call.given[:1] != (Signal(signal),) or step.kind not in (*TELLING, *AT_REST):
            break
        add_step(chain, step, arrays)
        if chain.rescaled is not None and step.kind in TELLING:
            rescaled.append(chain.rescaled)
        signal = made.call.gives
    return rescaled


def _read(
    config: dict[str, Any],
    arrays: Callable[[Step], list[Array]],
    told: dict[str, Any],
    notes: dict[str, Any] | None = None,
    outputs: str = "logits",
) -> Reading:
    steps, shape = steps_of(config), described_input(config)
    chain = Chain(shape)
    with np.errstate(all="ignore"):
        # Numbers that are not finite are refused at the end.
        twins, rescaled = _gathered(chain, steps, arrays)
    found = {
        "input_shape": image_shape(shape),
        "about": {"source": "Keras"},
    }
    description = settled(told, notes or found)
    if not notes and "scaling" not in description:
        whole = "uint8" if "int" in input_type(config) else "float32"
        description |= settled({"scaling": raw_scaling(rescaled, whole)})
    ends_in_scores = chain.answers_with is IDENTITY and outputs == "logits"
    network = chain.finish(outputs, **description)
    return Reading(network, shape, tuple(twins), ends_in_scores or _is_log(twins[-1]))


def _is_log(last: Twin) -> bool:
    return last.settings.get("activation") == LOG_SOFTMAX


def _gathered(
    chain: Chain, steps: list[Step], arrays: Callable[[Step], list[Array]]
) -> tuple[list[Twin], list[tuple[Array, Array]]]:
    """Every step handed to the chain: its twins, and what the first, the first two, ... do to the inputs."""
    twins: list[Twin] = []
    rescaled: list[tuple[Array, Array]] = []
    for step in steps:
        twins += add_step(chain, step, arrays)
        if chain.rescaled is not None and step.kind in TELLING:
            rescaled.append(chain.rescaled)
    return twins, rescaled


@contextmanager
def _opened(content: bytes) -> Iterator[h5py.File]:
    import h5py

    try:
        with h5py.File(BytesIO(content), "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"its numbers cannot be read: {error}") from None


def _file_arrays(file: h5py.File, size: int, step: Step) -> list[Array]:
    """A layer's numbers; folders are told by their place, as Keras does it."""
    group, place = file, ""
    for folder in step.folders:
        containers = [(name, member_at(group, name)) for name in CONTAINERS]
        container = next((name for name, held in containers if member_at(held, folder) is not None), CONTAINERS[0])
        place = f"{place}{container}/{folder}/"
        group = member_at(member_at(group, container), folder)
    found: list[Array] = []
    names = [name.rpartition("/")[::2] for name in arrays_of(step)]
    for part in dict.fromkeys(part for part, _ in names):
        within = f"{PARTS.get(part, f'{part}_dense')}/" if part else ""
        variables = member_at(member_at(group, within[:-1]) if part else group, "vars")
        if variables is None:
            raise ModelError(f"{WEIGHTS} in it has no {place}{within}vars")
        own = [name for whose, name in names if whose == part]
        if len(variables) != len(own):
            raise ModelError(f"it has {len(variables)} arrays of numbers, which its settings do not announce")
        found += [
            _variable(variables, number, f"{place}{within}vars", size)
            for number, name in enumerate(own)
            if name != COUNT
        ]
    return found


def _variable(variables: h5py.Group, number: int, place: str, size: int) -> Array:
    dataset = member_at(variables, str(number))
    if dataset is None:
        raise ModelError(f"{WEIGHTS} in it has no {place}/{number}")
    return numbers_in(dataset, f"{place}/{number}", size)


def _config(network: Network) -> dict[str, Any]:
    dtype, shape = network.dtype.name, network.input_shape
    layers = [_entry("InputLayer", "inputs", dtype, batch_shape=[None, *shape])]
    if len(shape) > 1:
        layers.append(_entry("Flatten", "flatten", dtype))
    for number, layer in enumerate(network.layers, start=1):
        leak = layer.activation.leak
        activation = "linear" if leak else theirs(layer.activation.name, NAMES, "Keras")
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
        for number, layer in enumerate(network.layers):
            folder = f"dense_{number}" if number else "dense"
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
