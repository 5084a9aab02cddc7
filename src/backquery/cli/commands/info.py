"""``backquery info``: what a model is, where it comes from, and what can be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import pairs, print_json, show

if TYPE_CHECKING:
    from backquery.model.network import Network
    from backquery.model.protocol import Model as AnyModel

KINDS = {
    ".safetensors": "a model file of backquery",
    ".onnx": "an ONNX model",
    ".keras": "a Keras model",
    ".skops": "a scikit-learn classifier, by skops",
    "a folder": "text files with thresholds",
}


def info(model: Model, /, *, as_json: AsJson = False) -> None:
    """Say what a model is: its layers, what it takes and answers, how it came to be, how it can be asked.

    With --json: kind (what the file is), input_shape, classes, scaling (null, or gain, offset, maximum),
    statistics (null, or rank and typical), methods (for each, null if it can be used, or why not), method (the
    one used by default); and for a chain of dense layers sizes (nodes of each layer, inputs first), activations,
    biases (true or false, for each layer), parameters, dtype and about (how it was trained, if known).
    """
    from backquery.cli.source import open_model

    opened = open_model(model)
    if as_json:
        print_json({"kind": kind_of(model), **describe(opened)})
        return
    show(pairs([("model", kind_of(model)), *_rows(opened)]))


def kind_of(source: str) -> str:
    """What MODEL is, in words."""
    from pathlib import Path

    from backquery.io.formats import format_of
    from backquery.io.models import bundled

    if source in bundled():
        return "a model that comes with backquery"
    if not Path(source).exists():
        return "what your own function returned"
    kind = format_of(source)
    return KINDS[".safetensors" if kind is None else kind.suffix]


def describe(model: AnyModel) -> dict[str, Any]:
    """The model without its weights, as plain JSON values."""
    from backquery.inversion import usable_methods, usual_method
    from backquery.model.network import Network

    scaling, statistics, methods = model.scaling, model.statistics, usable_methods(model)
    return {
        **(_describe_layers(model) if isinstance(model, Network) else {}),
        "input_shape": list(model.input_shape),
        "classes": list(model.classes),
        "scaling": scaling
        and {"gain": _plain(scaling.gain), "offset": _plain(scaling.offset), "maximum": scaling.maximum},
        "statistics": statistics
        and {"rank": int(statistics.factor.shape[1]), "typical": statistics.typical is not None},
        "methods": methods,
        "method": usual_method(model),
    }


def _describe_layers(network: Network) -> dict[str, Any]:
    return {
        "sizes": list(network.sizes),
        "activations": [layer.activation.name for layer in network.layers],
        "biases": [layer.biases is not None for layer in network.layers],
        "parameters": network.parameters,
        "dtype": network.dtype.name,
        "about": dict(network.about),
    }


def _plain(number: Any) -> Any:
    return number if isinstance(number, float) else number.tolist()


def _rows(model: AnyModel) -> list[tuple[str, str]]:
    from backquery.model.network import Network, about_in_words

    network = model if isinstance(model, Network) else None
    about = {} if network is None else about_in_words(network)
    return [
        *([("layers", "those of a " + type(model).__name__)] if network is None else _rows_of_layers(network)),
        ("input", " x ".join(map(str, model.input_shape))),
        ("labels", ", ".join(model.classes)),
        ("scaling", _scaling(model)),
        ("remembers", _statistics(model)),
        *about.items(),
        *_rows_of_methods(model),
    ]


def _rows_of_layers(network: Network) -> list[tuple[str, str]]:
    biased = any(layer.biases is not None for layer in network.layers)
    return [
        ("layers", "-".join(map(str, network.sizes))),
        ("activations", ", ".join(layer.activation.name for layer in network.layers)),
        ("parameters", f"{network.parameters:,} {network.dtype.name}, {'with' if biased else 'without'} biases"),
    ]


def _rows_of_methods(model: AnyModel) -> list[tuple[str, str]]:
    from backquery.inversion import usable_methods, usual_method

    usual = usual_method(model)
    return [
        (name, f"no: {reason}" if reason else "can be used" + (", and is by default" if name == usual else ""))
        for name, reason in usable_methods(model).items()
    ]


def _scaling(model: AnyModel) -> str:
    scaling = model.scaling
    if scaling is None:
        return "unknown; raw images are taken to be scaled as in the book"
    if not scaling.uniform:
        return f"each pixel, from 0 to {scaling.maximum:g}, has a scale of its own (standardised)"
    low, high = float(scaling.low), float(scaling.high)
    return f"pixels 0 (paper) to {scaling.maximum:g} (ink) become {low:g} to {high:g}"


def _statistics(model: AnyModel) -> str:
    if model.statistics is None:
        return "nothing of its training images"
    rank = model.statistics.factor.shape[1]
    typical = "" if model.statistics.typical is None else ", its usual answers to each label"
    return f"mean and covariance (rank {rank}) of its training images{typical}"
