"""What Keras calls the numbers of its layers, in its own order."""

from __future__ import annotations

from collections.abc import Callable

from backquery.io.keras_config import Entry, Step

COUNT = "count"
"""What a Normalization layer keeps beside its numbers: of how many images they are."""

EITHER = "|"
"""Between two names of the same numbers, the older one first."""

Names = tuple[str, ...]


def arrays_of(step: Step) -> Names:
    """The names of a layer's numbers; behind a slash within the part of it that has them."""
    return ARRAYS[step.kind](step.settings) if step.kind in ARRAYS else ()


def _with_bias(*names: str) -> Callable[[Entry], Names]:
    return lambda settings: (*names, "bias") if settings.get("use_bias", True) else names


def _scaled_and_centred(*more: str) -> Callable[[Entry], Names]:
    def names(settings: Entry) -> Names:
        chosen = [name for name, by in (("gamma", "scale"), ("beta", "center")) if settings.get(by, True)]
        return (*chosen, *more)

    return names


def _layer_normalization(settings: Entry) -> Names:
    rms_alone = settings.get("rms_scaling", False)
    return ("gamma",) if rms_alone else _scaled_and_centred()(settings)


def _attention(settings: Entry) -> Names:
    parts = ("query", "key", "value", "attention_output")
    numbers = ("kernel", "bias") if settings.get("use_bias", True) else ("kernel",)
    return tuple(f"{part}/{name}" for part in parts for name in numbers)


def _normalization(settings: Entry) -> Names:
    return ("mean", "variance", COUNT) if settings.get("mean") is None else ()


ARRAYS: dict[str, Callable[[Entry], Names]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _with_bias("kernel")),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _with_bias("kernel")),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _with_bias(f"depthwise_kernel{EITHER}kernel")),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _with_bias("depthwise_kernel", "pointwise_kernel")),
    "BatchNormalization": _scaled_and_centred("moving_mean", "moving_variance"),
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _scaled_and_centred(),
    "RMSNormalization": lambda settings: ("scale",),
    "PReLU": lambda settings: ("alpha",),
    "MultiHeadAttention": _attention,
    "Normalization": _normalization,
}
"""By the layer's class; others have none."""
