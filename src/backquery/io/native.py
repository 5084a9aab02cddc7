"""The package's own model files: safetensors, with the network's whole description in the metadata.

The description is JSON under the metadata key ``backquery``. From it follows which tensors the file must
hold, and a file is loaded only when its header says exactly that. Nothing in such a file can run.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from backquery.errors import ModelError
from backquery.files import replacing
from backquery.io.description import Fields, description_text, expected_tensors, read_meaning
from backquery.model import (
    MIXTURE_PARTS,
    SPECTRUM_PARTS,
    Array,
    Layer,
    Mixture,
    Network,
    Scaling,
    Spectrum,
    Statistics,
    activation_named,
    plain_scaling,
)

KEY = "backquery"
VERSION = 3
"""Of the format. Files without a spectrum say 2, without a mixture too 1: older readers know all of it."""
HEADER_LIMIT = 16 * 2**20
"""More bytes of description than any network has; a longer header is a broken or hostile file."""

BYTES = {"F32": 4, "F64": 8}
STATISTICS = ("mean", "factor", "diagonal", "typical")

Tensors = dict[str, Array]


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network`, with everything it carries, to the safetensors file `path`.

    The file appears whole or not at all, and an older one stays until then. `OutputError` says what kept it
    from being written, `ModelError` what cannot be described in JSON.
    """
    content = to_bytes(network)
    with replacing(path) as stream:
        stream.write(content)


def to_bytes(network: Network) -> bytes:
    """The content of a file that holds `network`; the same network gives the same bytes."""
    from safetensors.numpy import save as serialise

    content: bytes = serialise(_tensors(network), metadata={KEY: _description(network)})
    return content


def load(path: str | os.PathLike[str]) -> Network:
    """The network in the safetensors file `path`, equal to the one that was saved.

    Before any memory is taken for the tensors, the header's length, the description, and the name, dtype,
    shape and place of every tensor are checked against one another and against the file's size. Whatever
    does not fit raises `ModelError` naming the file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        header, content_size = _read_header(Path(path))
        fields = _read_description(header)
        _compare(header, expected_tensors(fields), content_size)
        return _network(fields, load_file(path))
    except ModelError as error:
        raise ModelError(f"{path} is not a network that can be used: {error}") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _tensors(network: Network) -> Tensors:
    return {name: np.ascontiguousarray(values) for name, values in named_arrays(network)}


def named_arrays(network: Network) -> Iterator[tuple[str, Array]]:
    """All numbers of a network, by the names that they have in a file."""
    for number, layer in enumerate(network.layers):
        yield f"layers.{number}.weights", layer.weights
        if layer.biases is not None:
            yield f"layers.{number}.biases", layer.biases
    if network.scaling is not None:
        for part in _vectors(network.scaling):
            yield f"scaling.{part}", np.asarray(getattr(network.scaling, part), np.float64)
    if network.statistics is not None:
        for part in STATISTICS:
            values = getattr(network.statistics, part)
            if values is not None:
                yield f"statistics.{part}", _floating(values)
        if network.statistics.mixture is not None:
            for part in MIXTURE_PARTS:
                yield (
                    f"statistics.mixture.{part}",
                    np.asarray(getattr(network.statistics.mixture, part), np.float32),
                )
        if network.statistics.spectrum is not None:
            for part in SPECTRUM_PARTS:
                values = getattr(network.statistics.spectrum, part)
                yield f"statistics.spectrum.{part}", np.asarray(values, np.float64)


def _version(statistics: Statistics | None) -> int:
    """The oldest format that knows all that is kept."""
    if statistics is None:
        return 1
    return VERSION if statistics.spectrum is not None else 1 if statistics.mixture is None else 2


def _vectors(scaling: Scaling) -> list[str]:
    """The parts that are a tensor of their own, one number for each input."""
    return [part for part in ("gain", "offset") if np.ndim(getattr(scaling, part))]


def _floating(values: Array) -> Array:
    return np.asarray(values, np.float32 if values.dtype == np.float32 else np.float64)


def _description(network: Network) -> str:
    scaling, statistics = network.scaling, network.statistics
    description: dict[str, Any] = {
        "version": _version(statistics),
        "dtype": network.dtype.name,
        "layers": [
            {
                "inputs": layer.inputs,
                "outputs": layer.outputs,
                "activation": layer.activation.name,
                "biases": layer.biases is not None,
            }
            for layer in network.layers
        ],
        "input_shape": [int(length) for length in network.input_shape],
        "classes": list(network.classes),
        "scaling": scaling and {**plain_scaling(scaling), **dict.fromkeys(_vectors(scaling))},
        "statistics": statistics
        and {
            "rank": statistics.factor.shape[1],
            "dtypes": {
                part: _floating(values).dtype.name
                for part in STATISTICS
                if (values := getattr(statistics, part)) is not None
            },
            **({} if statistics.mixture is None else {"mixture": _mixture_sizes(statistics.mixture)}),
            **({} if statistics.spectrum is None else {"spectrum": _spectrum_sizes(statistics.spectrum)}),
        },
        "about": dict(network.about),
    }
    return description_text(description)


def _mixture_sizes(mixture: Mixture) -> dict[str, int]:
    width = mixture.basis.shape[1]
    return {"components": len(mixture), "width": width, "rank": mixture.rank}


def _spectrum_sizes(spectrum: Spectrum) -> dict[str, int]:
    rings, channels = spectrum.powers.shape
    return {"rings": rings, "channels": channels}


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The safetensors header of `path` and how many bytes of tensors follow it."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= size - 8:
            raise ModelError(f"it is no safetensors file, or was cut short ({size} bytes)")
        if length > HEADER_LIMIT:
            raise ModelError(f"its header of {length} bytes is longer than any network needs")
        try:
            header = json.loads(stream.read(length))
        except (ValueError, RecursionError):
            raise ModelError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ModelError("its header is not a JSON object")
    return header, size - 8 - length


def _read_description(header: dict[str, Any]) -> Fields:
    metadata = header.pop("__metadata__", None)
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelError(
            "it was not written by backquery, and bare tensors do not say how they belong together; give "
            "module:function@FILE on the command line, with a function of yours that returns their PyTorch "
            "module, or build Network((Layer(weights, biases, activation), ...)) from them in Python and save that"
        )
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError("its description is not JSON") from None
    fields = Fields(description)
    version = fields.count("version")
    if version > VERSION:
        raise ModelError(f"it was written by a newer backquery (format {version}); upgrade this one")
    return fields


def _compare(header: Mapping[str, Any], expected: dict[str, tuple[str, tuple[int, ...]]], size: int) -> None:
    """Refuse a header that does not promise exactly the expected tensors, end to end in `size` bytes."""
    if header.keys() != expected.keys():
        odd = sorted(header.keys() ^ expected.keys())
        raise ModelError(f"its description and its tensors disagree about {', '.join(odd[:3])}")
    for name, (dtype, shape) in expected.items():
        entry = header[name]
        found = isinstance(entry, dict) and (entry.get("dtype"), entry.get("shape"))
        if found != (dtype, list(shape)):
            raise ModelError(f"{name} should be {dtype} of shape {list(shape)}; its header says {found}")
    # In Python's whole numbers: a hostile shape would make NumPy's wrap round.
    promised = sum(BYTES[dtype] * prod(shape) for dtype, shape in expected.values())
    if promised != size:
        raise ModelError(f"its tensors take {promised} bytes, but the file holds {size}")


def _network(fields: Fields, tensors: Tensors) -> Network:
    for name, values in tensors.items():
        if not np.all(np.isfinite(values)):
            raise ModelError(f"{name} holds numbers that are not finite")
    layers = tuple(
        Layer(
            tensors[f"layers.{number}.weights"],
            tensors.get(f"layers.{number}.biases"),
            activation_named(layer.text("activation")),
        )
        for number, layer in enumerate(fields.objects("layers"))
    )
    statistics = fields.optional("statistics")
    kept: Any = {part: tensors.get(f"statistics.{part}") for part in STATISTICS}
    if statistics is not None and statistics.has("mixture"):
        kept["mixture"] = Mixture(*(tensors[f"statistics.mixture.{part}"] for part in MIXTURE_PARTS))
    if statistics is not None and statistics.has("spectrum"):
        kept["spectrum"] = Spectrum(*(tensors[f"statistics.spectrum.{part}"] for part in SPECTRUM_PARTS))
    return Network(
        layers,
        input_shape=fields.counts("input_shape"),
        classes=fields.texts("classes"),
        scaling=_scaling(fields.optional("scaling"), tensors),
        statistics=None if statistics is None else Statistics(**kept),
        about=fields.mapping("about"),
    )


def _scaling(fields: Fields | None, tensors: Tensors) -> Scaling | None:
    if fields is None:
        return None
    vectors = {part: tensors.get(f"scaling.{part}") for part in ("gain", "offset")}
    gain, offset = (fields.number(name) if vector is None else vector for name, vector in vectors.items())
    return Scaling(gain, offset, fields.number("maximum"), read_meaning(fields))
