"""``backquery info``: what a model file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import pairs, print_json, show

if TYPE_CHECKING:
    from backquery.network import Network


def info(model: Model, /, *, as_json: AsJson = False) -> None:
    """Say what a model is: its layers, what it takes and answers, and how it came to be.

    With --json: sizes (nodes of each layer, inputs first), activations, biases (true or false, for each
    layer), parameters, dtype, input_shape, classes, scaling (null, or gain, offset, maximum), statistics
    (null, or rank and typical) and about.
    """
    from backquery.io import load_model

    network = load_model(model)
    if as_json:
        print_json(describe(network))
        return
    show(pairs(_rows(network)))


def describe(network: Network) -> dict[str, Any]:
    """The network without its weights, as plain JSON values."""
    scaling, statistics = network.scaling, network.statistics
    return {
        "sizes": list(network.sizes),
        "activations": [layer.activation.name for layer in network.layers],
        "biases": [layer.biases is not None for layer in network.layers],
        "parameters": network.parameters,
        "dtype": network.dtype.name,
        "input_shape": list(network.input_shape),
        "classes": list(network.classes),
        "scaling": scaling
        and {"gain": _plain(scaling.gain), "offset": _plain(scaling.offset), "maximum": scaling.maximum},
        "statistics": statistics
        and {"rank": int(statistics.factor.shape[1]), "typical": statistics.typical is not None},
        "about": dict(network.about),
    }


def _plain(number: Any) -> Any:
    return number if isinstance(number, float) else number.tolist()


def _rows(network: Network) -> list[tuple[str, str]]:
    biased = any(layer.biases is not None for layer in network.layers)
    return [
        ("layers", "-".join(map(str, network.sizes))),
        ("activations", ", ".join(layer.activation.name for layer in network.layers)),
        ("parameters", f"{network.parameters:,} {network.dtype.name}, {'with' if biased else 'without'} biases"),
        ("input", " x ".join(map(str, network.input_shape))),
        ("labels", ", ".join(network.classes)),
        ("scaling", _scaling(network)),
        ("remembers", _statistics(network)),
        *((name, _short(value)) for name, value in network.about.items()),
    ]


def _scaling(network: Network) -> str:
    scaling = network.scaling
    if scaling is None:
        return "unknown; raw images cannot be put to this model"
    if not scaling.uniform:
        return f"each pixel, from 0 to {scaling.maximum:g}, has a scale of its own (standardised)"
    low, high = float(scaling.low), float(scaling.high)
    return f"pixels 0 (paper) to {scaling.maximum:g} (ink) become {low:g} to {high:g}"


def _statistics(network: Network) -> str:
    if network.statistics is None:
        return "nothing of its training images"
    rank = network.statistics.factor.shape[1]
    typical = "" if network.statistics.typical is None else ", its usual answers to each label"
    return f"mean and covariance (rank {rank}) of its training images{typical}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return f"{len(value)} entries" if len(value) > 6 else ", ".join(map(_short, value))
    return str(value)
