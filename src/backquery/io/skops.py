"""scikit-learn's classifiers from ``.skops`` files, which hold no pickles.

Such a file names the types that it is made of. Only those on a fixed list, which the classifiers understood here
need, are ever built; the names are compared before anything is.
"""

from __future__ import annotations

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
from backquery.model import Network, image_shape

SCHEMA = "schema.json"

CLASSIFIERS = frozenset(
    {
        "sklearn.pipeline.Pipeline",
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.MaxAbsScaler",
    }
)

PARTS = frozenset(
    {
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "numpy.random.mtrand.RandomState",
        "numpy.ndarray",
        "numpy.dtype",
        *(f"numpy.{name}" for name in ("bool", "bool_", "int32", "int64", "float32", "float64", "str_")),
        *(
            f"builtins.{name}"
            for name in ("dict", "list", "tuple", "set", "str", "int", "float", "bool", "NoneType")
        ),
    }
)

ALLOWED = CLASSIFIERS | PARTS
"""Every type that may be built."""


LOADERS = frozenset(
    f"{name}Node" for name in ("Object", "NdArray", "Dict", "List", "Tuple", "Set", "Json", "Type", "RandomState")
)
"""The ways in which skops may build them; functions, methods and operators are not among them."""


def load_skops(path: str | os.PathLike[str], **description: Any) -> Network:
    """The classifier in a ``.skops`` file as a `Network`; `description` as for `network_from_sklearn`.

    A number of inputs that is a square is taken for a square image, unless ``input_shape`` is given. A file that
    names any type that is not in `ALLOWED` raises `ModelError` before any of it is built.
    """
    from backquery.io.sklearn import network_from_sklearn

    with reading(path, "skops", "skops"), _fitting_together():
        network = network_from_sklearn(_build(read_bytes(path)), **description)
    told = description.get("input_shape")
    return network if told else replace(network, input_shape=image_shape((network.inputs,)))


def save_skops(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the network as an `MLPClassifier` in a ``.skops`` file; see `network_to_sklearn` for what can be one.

    Class names are kept. scikit-learn has no place for an image's shape, the scaling, statistics and history.
    """
    from backquery.io.sklearn import network_to_sklearn

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
        _check_types(parse_json(member(archive, SCHEMA, TEXT_LIMIT), SCHEMA))
        for entry in archive.infolist():
            if entry.filename != SCHEMA:
                _check_array(archive, entry)
    try:
        # From the bytes that were checked: the file may be another one by now.
        return io.load(BytesIO(content), trusted=sorted(ALLOWED))
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


def _check_types(schema: dict[str, Any]) -> None:
    named = list(_nodes(schema))
    others = sorted({name for name, _ in named} - ALLOWED)
    if others:
        raise ModelError(
            f"it is made of {', '.join(others[:3])}, and only MLPClassifier, LogisticRegression and Pipelines of "
            "them after StandardScaler, MinMaxScaler or MaxAbsScaler are built; in the program that made it, "
            "build a Network from its weights and write that with backquery.io.save_model"
        )
    loaders = sorted({loader for _, loader in named} - LOADERS)
    if loaders:
        raise ModelError(f"it asks for {', '.join(loaders[:3])}, which a classifier of numbers has no use for")


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """The full name and the loader of everything that the schema has built."""
    if isinstance(schema, dict):
        if not schema.keys().isdisjoint(("__class__", "__module__", "__loader__")):
            yield f"{schema.get('__module__')}.{schema.get('__class__')}", str(schema.get("__loader__"))
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
    if dtype.hasobject or prod(shape) * dtype.itemsize > entry.file_size:
        raise ModelError(f"{entry.filename} in it promises more numbers than it holds")
