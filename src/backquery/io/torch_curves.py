"""PyTorch's activations as curves of one number: the function in NumPy, and what is known of its shape."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from backquery.errors import ProofError
from backquery.model import RELU, SIGMOID, TANH
from backquery.proofs.curves import Curve, curve_of

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

LOOSE = 64
"""Units of roundoff for functions that PyTorch puts together of several others."""


def curve_named(name: str, *args: Any, **kwargs: Any) -> Curve:
    """The curve of one of PyTorch's functions, with its settings; `ProofError` for one that is not known."""
    if name not in CURVES:
        raise ProofError(f"the operation {name}")
    return CURVES[name](*args, **kwargs)


def _leaky(negative_slope: float = 0.01) -> Curve:
    if not 0 <= negative_slope <= 1:
        raise ProofError(f"a leaky ReLU of slope {negative_slope}")
    return Curve(lambda z: np.where(z > 0, z, negative_slope * z), 0.0, (0.0,), (negative_slope, 1.0), roundings=1)


def _elu(alpha: float = 1.0, scale: float = 1.0) -> Curve:
    if alpha < 0:
        raise ProofError(f"an ELU of alpha {alpha}")
    return Curve(
        lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        scale * alpha,
        (0.0,),
        roundings=LOOSE * max(1, int(np.ceil(scale * alpha))),
    )


def _celu(alpha: float = 1.0) -> Curve:
    if alpha <= 0:
        raise ProofError(f"a CELU of alpha {alpha}")
    return Curve(
        lambda z: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha)),
        1 / alpha,
        (0.0,),
        roundings=LOOSE * max(1, int(np.ceil(alpha))),
    )


def _gelu(approximate: str = "none") -> Curve:
    from scipy.special import ndtr

    if approximate != "none":
        raise ProofError("a GELU by tanh")
    # f'' = phi(z) (2 - z^2), largest at 0; lowest at -0.7518.
    return Curve(lambda z: z * ndtr(z), 0.79789, rising=False, roundings=LOOSE)


def _silu() -> Curve:
    return Curve(lambda z: z * SIGMOID.function(z), 0.5001, rising=False, roundings=LOOSE)


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Curve:
    if beta != 1 or threshold != 20:
        raise ProofError("a softplus with settings of its own")
    # Above 20 PyTorch gives the number itself, which is 2.1e-9 less.
    return Curve(lambda z: np.logaddexp(0, z), 0.2501, roundings=LOOSE, astray=2.1e-9)


def _between(low: float | None, high: float | None) -> Curve:
    least, most = -inf if low is None else low, inf if high is None else high
    ends = tuple(float(end) for end in (least, most) if np.isfinite(end))
    return Curve(lambda z: np.clip(z, least, most), 0.0, ends, (1.0,), roundings=0)


def _hardswish() -> Curve:
    return Curve(lambda z: z * np.clip(z + 3, 0, 6) / 6, 0.3334, (-3.0, 3.0), rising=False, roundings=LOOSE)


def _hardsigmoid() -> Curve:
    return Curve(lambda z: np.clip(z + 3, 0, 6) / 6, 0.0, (-3.0, 3.0), (1 / 6,))


CURVES: dict[str, Callable[..., Curve]] = {
    "relu": lambda: curve_of(RELU),
    "sigmoid": lambda: curve_of(SIGMOID),
    "tanh": lambda: curve_of(TANH),
    "leaky_relu": _leaky,
    "elu": _elu,
    "selu": lambda: _elu(SELU_ALPHA, SELU_SCALE),
    "celu": _celu,
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _softplus,
    "hardtanh": lambda min_val=-1.0, max_val=1.0: _between(min_val, max_val),
    "relu6": lambda: _between(0.0, 6.0),
    "clamp": lambda min=None, max=None: _between(min, max),
    "clamp_min": lambda min: _between(min, None),
    "hardswish": _hardswish,
    "hardsigmoid": _hardsigmoid,
    "log_sigmoid": lambda: Curve(lambda z: -np.logaddexp(0, -z), 0.2501, roundings=LOOSE),
    "softsign": lambda: Curve(lambda z: z / (1 + np.abs(z)), 2.0),
    "log": lambda: Curve(np.log, inf, roundings=LOOSE),
    "abs": lambda: Curve(np.abs, 0.0, (0.0,), (-1.0, 1.0), rising=False, roundings=0),
}
"""By the names of PyTorch's functions."""
