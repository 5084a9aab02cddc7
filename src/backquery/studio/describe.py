"""What the page is told of the model, the data and the limits."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np

from backquery.inversion import METHODS, usable_methods, usual_method
from backquery.model import SOFTMAX, Model, Network, ground_of, plain_facts
from backquery.studio.engine import MOST_NODES, MOST_PICTURE_PIXELS, MOST_SAMPLES
from backquery.studio.learning import MOST_EPOCHS, MOST_HIDDEN
from backquery.studio.opened import Opened, Subject
from backquery.studio.protocol import FRAME_LIMIT

LIMITS = {
    "file_bytes": FRAME_LIMIT // 4 * 3 - 1024,
    "picture_pixels": MOST_PICTURE_PIXELS,
    "hidden": MOST_HIDDEN,
    "epochs": MOST_EPOCHS,
    "samples": MOST_SAMPLES,
    "nodes": MOST_NODES,
}

MARGIN = 0.01
"""How far inside the range of an output activation the page's sliders stay, as the book does."""


def describe(subject: Subject, opened: Opened) -> dict[str, Any]:
    """The answer to hello."""
    model = subject.model
    told = plain_facts(model)
    return {
        "name": subject.name,
        **{name: told[name] for name in ("classes", "sizes", "activations") if name in told},
        "digest": digest(subject.whole),
        "shape": list(subject.shape),
        "black": subject.layout.coloured or ground_of(model) == "none",
        **(_layers(subject.whole) if isinstance(subject.whole, Network) else {}),
        "methods": _methods(subject.whole),
        "method": usual_method(model),
        "typical": told["statistics"] is not None and told["statistics"]["typical"],
        "answers": _answers(model),
        "off": {str(layer): nodes for layer, nodes in subject.off.items()},
        "performance": subject.performance,
        **news(subject, opened),
        "limits": LIMITS,
    }


def news(subject: Subject, opened: Opened) -> dict[str, Any]:
    """What may become known, or change, while the page is open."""
    data, lesson, jury = opened.data_for(subject.model), opened.data_to_learn(), opened.jury_for(subject.model)
    return {
        "performance": subject.performance,
        "data": data and {"name": data.name, "training": len(data.train), "test": len(data.test or ())},
        "training": lesson and {"name": lesson.name, "images": len(lesson.train)},
        "judges": [] if jury is None else [judge.name for judge in jury.judges],
    }


def _layers(network: Network) -> dict[str, Any]:
    hidden = network.layers[:-1]
    return {
        "layers": [
            {"layer": k, "nodes": layer.outputs, "bounded": layer.activation.bounded}
            for k, layer in enumerate(hidden, start=1)
        ],
    }


def digest(model: Model) -> str | None:
    """The same for the same weights and biases, and for no others, by which a link knows its model again.

    None for a model that shows no weights.
    """
    content, shown = sha256(), _weights_of(model)
    if shown is None:
        return None
    for values in shown:
        content.update(values)
    return content.hexdigest()[:16]


def _weights_of(model: Model) -> Iterator[bytes] | None:
    if isinstance(model, Network):
        both = (values for layer in model.layers for values in (layer.weights, layer.biases))
        return (b"" if values is None else values.tobytes() for values in both)
    module = getattr(model, "module", None)  # of PyTorch, which may not be there
    if module is None:
        return None
    return (tensor.detach().cpu().numpy().tobytes() for _, tensor in sorted(module.state_dict().items()))


def _methods(model: Model) -> list[dict[str, Any]]:
    reasons = usable_methods(model)
    return [
        {"name": name, "summary": method.summary, "usable": reasons[name] is None}
        for name, method in METHODS.items()
    ]


def _answers(model: Model) -> dict[str, Any]:
    """What may be asked of an output, and whether answers are proportions that add up to one."""
    activation = model.output_activation
    low = activation.low + MARGIN if np.isfinite(activation.low) else 0.0
    high = activation.high - MARGIN if np.isfinite(activation.high) else 1.0
    return {"low": low, "high": high, "proportions": activation is SOFTMAX}
