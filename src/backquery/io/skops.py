"""scikit-learn's classifiers from ``.skops`` files, which hold no pickles.

Such a file names the types that it is made of. Only those on a fixed list, which the classifiers understood here
need, are ever built; the names are compared before anything is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from math import prod
from tokenize import TokenError
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from backquery.errors import BackqueryError, MissingExtraError, ModelError
from backquery.files import replacing
from backquery.io.foreign import TEXT_LIMIT, bounded_zip, member, parse_json, read_bytes, reading
from backquery.io.sklearn import network_from_sklearn, network_to_sklearn
from backquery.io.sklearn_layers import CLASSIFIERS, REASONS, UNDERSTOOD
from backquery.io.sklearn_steps import NOT_REFIT, SEARCHES, TRANSFORMERS
from backquery.model import Network, image_shape

SCHEMA = "schema.json"

ESTIMATORS = frozenset({*TRANSFORMERS, *CLASSIFIERS})

PARTS = frozenset(
    {
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "numpy.random.mtrand.RandomState",
        "numpy.ndarray",
        "numpy.dtype",
        "builtins.slice",
        *(f"numpy.{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *(f"numpy.{name}" for name in ("bool", "bool_", "float32", "float64", "str_")),
        *(
            f"builtins.{name}"
            for name in ("dict", "list", "tuple", "set", "str", "int", "float", "bool", "NoneType")
        ),
    }
)

ALLOWED = ESTIMATORS | PARTS
"""Every type that may be built."""

LOADERS = frozenset(
    f"{name}Node"
    for name in ("Object", "NdArray", "Dict", "List", "Tuple", "Set", "Slice", "Json", "Type", "RandomState")
)
"""The ways in which skops may build them; functions, methods and operators are not among them."""

ONLY_FOR_TRAINING = frozenset(
    {"cv", "loss_function_", "_loss_function_", "n_jobs", "score_func", "scorer_", "scoring"}
)
"""Attributes, functions among them, that no answer depends on: they are left out unread."""

NOTHING = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null"}
"""None, as skops writes it."""


def load_skops(path: str | os.PathLike[str], **description: Any) -> Network:
    """The classifier in a ``.skops`` file as a `Network`; `description` as for `network_from_sklearn`.

    A number of inputs that is a square is taken for a square image, unless ``input_shape`` is given. A file that
    names any type that is not in `ALLOWED` raises `ModelError` before any of it is built.
    """
    with reading(path, "skops", "skops"), _fitting_together():
        network = network_from_sklearn(_build(read_bytes(path)), **description)
    told = description.get("input_shape")
    return network if told else replace(network, input_shape=image_shape((network.inputs,)))


def save_skops(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the network as an `MLPClassifier` in a ``.skops`` file; see `network_to_sklearn` for what can be one.

    Class names are kept. scikit-learn has no place for an image's shape, the scaling, statistics and history.
    """
    try:
        from skops import io
    except ModuleNotFoundError:
        raise MissingExtraError("writing a .skops file", "skops", "skops") from None
    with replacing(path) as stream:
        stream.write(io.dumps(network_to_sklearn(network)))


def _build(content: bytes) -> Any:
    """The estimator, once every type and every array in the file is known to be allowed."""
    from skops import io
    from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

    with bounded_zip(BytesIO(content)) as archive:
        whole = parse_json(member(archive, SCHEMA, TEXT_LIMIT), SCHEMA)
        schema = whole | _answering(whole)
        _check_types(schema)
        for entry in archive.infolist():
            if entry.filename != SCHEMA:
                _check_array(archive, entry)
        checked = _repacked(archive, schema)
    try:
        # From the bytes that were checked: the file may be another one by now.
        return io.load(checked, trusted=sorted(ALLOWED))
    except (UntrustedTypesFoundException, UnsupportedTypeException) as error:
        raise ModelError(str(error)) from None


@contextmanager
def _fitting_together() -> Iterator[None]:
    """Parts that are allowed one by one may still not make a classifier."""
    try:
        yield
    except BackqueryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(f"its parts do not fit together: {type(error).__name__}: {error}") from None


def _answering(schema: Any) -> Any:
    """What a schema's answers come from: of searches the best estimator, and nothing that is only for training."""
    if isinstance(schema, list):
        return [_answering(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if _full_name(schema) in SEARCHES:
        return _answering(_best(schema))
    if schema.get("__loader__") == "ObjectNode":
        schema = _without_training(schema)
    return {name: _answering(part) for name, part in schema.items()}


def _without_training(node: dict[str, Any]) -> dict[str, Any]:
    state = node.get("content")
    attributes = state.get("content") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(attributes, dict):
        return node
    left_out = dict.fromkeys(ONLY_FOR_TRAINING & attributes.keys(), NOTHING)
    return node | {"content": state | {"content": attributes | left_out}}


def _best(search: dict[str, Any]) -> Any:
    attributes = search["content"]["content"]
    if "best_estimator_" not in attributes:
        raise ModelError(f"{search['__class__']} cannot be converted: {NOT_REFIT}")
    return attributes["best_estimator_"]


def _repacked(archive: ZipFile, schema: dict[str, Any]) -> BytesIO:
    """The archive with `schema` in place of its own."""
    content = BytesIO()
    with ZipFile(content, "w") as packed:
        packed.writestr(SCHEMA, json.dumps(schema))
        for name in sorted(set(archive.namelist()) - {SCHEMA}):
            packed.writestr(name, member(archive, name))
    content.seek(0)
    return content


def _full_name(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _check_types(schema: dict[str, Any]) -> None:
    named = list(_nodes(schema))
    others = sorted({name for name, _ in named} - ALLOWED)
    if others:
        name = others[0].rpartition(".")[2]
        why = REASONS.get(name)
        raise ModelError(
            f"it is made of {', '.join(others[:3])}, which is none of the types that are built"
            + (f" ({name}: {why})" if why else "")
            + f"; write {UNDERSTOOD}"
        )
    loaders = sorted({loader for _, loader in named} - LOADERS)
    if loaders:
        raise ModelError(f"it asks for {', '.join(loaders[:3])}, which a classifier of numbers has no use for")


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """The full name and the loader of everything that the schema has built."""
    if isinstance(schema, dict):
        if not schema.keys().isdisjoint(("__class__", "__module__", "__loader__")):
            yield _full_name(schema), str(schema.get("__loader__"))
        for part in schema.values():
            yield from _nodes(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _nodes(part)


def _check_array(archive: ZipFile, entry: ZipInfo) -> None:
    """NumPy takes the memory that an array's header asks for, so it may not ask for more than there is."""
    reader = np.lib.format
    try:
        with archive.open(entry) as stream:
            version = reader.read_magic(stream)
            read = reader.read_array_header_1_0 if version == (1, 0) else reader.read_array_header_2_0
            shape, _, dtype = read(stream)
    except (ValueError, SyntaxError, TokenError) as error:
        raise ModelError(f"{entry.filename} in it is no array: {error}") from None
    if dtype.hasobject or not dtype.itemsize or prod(shape) * dtype.itemsize > entry.file_size:
        raise ModelError(f"{entry.filename} in it promises more numbers than it holds")
