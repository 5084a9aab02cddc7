"""What is said of a model, once for all who say it: as plain values, and in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from backquery.model.network import Network
from backquery.model.protocol import Model, meaning_of
from backquery.model.scaling import Scaling
from backquery.model.statistics import Statistics

MOST_ENTRIES = 6
"""Longer lists are counted, not told."""


def plain_facts(model: Model) -> dict[str, Any]:
    """A model without its weights, as plain JSON values; of a chain of dense layers its layers as well."""
    scaling, statistics = model.scaling, model.statistics
    return {
        **(_plain_layers(model) if isinstance(model, Network) else {}),
        "input_shape": list(model.input_shape),
        "classes": list(model.classes),
        "scaling": scaling and plain_scaling(scaling),
        "statistics": statistics and _plain_statistics(statistics),
    }


def _plain_statistics(statistics: Statistics) -> dict[str, Any]:
    components = 1 if statistics.mixture is None else len(statistics.mixture)
    return {"rank": statistics.rank, "typical": statistics.typical is not None, "components": components}


def plain_scaling(scaling: Scaling) -> dict[str, Any]:
    """A scaling as plain JSON values; `meaning` is null where nobody said what the pixels mean."""
    numbers = {part: np.asarray(getattr(scaling, part), np.float64).tolist() for part in ("gain", "offset")}
    meaning = None if scaling.meaning is None else asdict(scaling.meaning)
    return {**numbers, "maximum": float(scaling.maximum), "meaning": meaning}


def _plain_layers(network: Network) -> dict[str, Any]:
    return {
        "sizes": list(network.sizes),
        "activations": [layer.activation.name for layer in network.layers],
        "biases": [layer.biases is not None for layer in network.layers],
        "parameters": network.parameters,
        "dtype": network.dtype.name,
        "about": dict(network.about),
    }


def facts_in_words(model: Model) -> dict[str, str]:
    """The same by name, each in a few words; how a model came to be is told by `about_in_words`."""
    return {
        **_layers_in_words(model),
        "input": " x ".join(map(str, model.input_shape)),
        "labels": ", ".join(model.classes),
        "scaling": _scaling_in_words(model),
        "pixels": _meaning_in_words(model),
        "remembers": _statistics_in_words(model),
    }


def about_in_words(model: Model) -> dict[str, str]:
    """What `Network.about` tells, each thing in a few words; it may be anybody's. Other models tell nothing."""
    about = model.about if isinstance(model, Network) else {}
    return {str(name).replace("_", " "): _in_words(str(name), value) for name, value in about.items()}


def _layers_in_words(model: Model) -> dict[str, str]:
    if not isinstance(model, Network):
        layers = f"those of another program's model ({type(model).__name__}), which are not shown"
        return {"layers": layers, "outputs": model.output_activation.name}
    biased = any(layer.biases is not None for layer in model.layers)
    return {
        "layers": "-".join(map(str, model.sizes)),
        "activations": ", ".join(layer.activation.name for layer in model.layers),
        "parameters": f"{model.parameters:,} {model.dtype.name}, {'with' if biased else 'without'} biases",
    }


def _scaling_in_words(model: Model) -> str:
    scaling = model.scaling
    if scaling is None:
        return "unknown; raw images are taken to be scaled as in the book"
    if not scaling.uniform:
        return f"each pixel, from 0 to {scaling.maximum:g}, has a scale of its own (standardised)"
    low, high = float(scaling.low), float(scaling.high)
    return f"pixels {meaning_of(model).range_in_words(scaling.maximum)} become {low:g} to {high:g}"


def _meaning_in_words(model: Model) -> str:
    """How it is known what the pixels mean."""
    if model.scaling is None or model.scaling.meaning is None:
        return "nobody said; 0 is taken for paper"
    decided = "; ".join(model.scaling.meaning.decided)
    return decided or "0 is the ground of every image"


def _statistics_in_words(model: Model) -> str:
    if model.statistics is None:
        return "nothing of its training images"
    typical = "" if model.statistics.typical is None else ", and its usual answers to each label"
    rank = model.statistics.rank
    mixture = model.statistics.mixture
    several = "" if mixture is None else f", a mixture of {len(mixture)} components"
    kept = f"mean and covariance (rank {rank}) of its training images{several}{typical}"
    return f"{kept}: they say something about the images"


def reveals(statistics: Statistics) -> str:
    """What statistics tell to whoever has the file that keeps them."""
    mixture = statistics.mixture
    groups = (
        ""
        if mixture is None
        else f"; the same for each of {len(mixture)} groups of them, which comes nearer to single pictures"
    )
    return (
        "the model file now holds the mean of these images and the leading directions in which they vary, which "
        f"are blurred pictures of them{groups}; and the usual answers to each label: do not share it if the "
        "images are private"
    )


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and name.endswith("images"):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{part} {_in_words(str(part), item)}" for part, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        long = len(value) > MOST_ENTRIES or any(isinstance(item, Mapping) for item in value)
        return f"{len(value)} entries" if long else ", ".join(_in_words(name, item) for item in value)
    return str(value)
