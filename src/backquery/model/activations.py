"""Activation functions: function, derivative, inverse and range of each, side by side.

All of them work on arrays of any shape. All but softmax act on each element alone; softmax acts on the
last axis. The derivative is written as a function of the *output* ``h = f(z)``, because a forward pass
keeps the outputs and every derivative here can be read from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from backquery.errors import ModelError
from backquery.model.aliases import Array

LEAK = 0.01
"""Slope of the leaky ReLU below zero (Maas et al. 2013), where none is said."""

SLOPED = "leaky-relu:"
"""What the name of a leaky ReLU with another slope begins with; the slope follows."""


@dataclass(frozen=True)
class Activation:
    """One activation function and all that the rest of the package asks of it.

    `low` and `high` bound the open interval of the outputs, which is also the domain of the inverse. `slope(h)` is
    the derivative at the pre-activation whose output is ``h``; for softmax it is the diagonal of the Jacobian,
    whose whole is ``diag(h) - h h'``. `code` is the number that the kernels know it by, None where they do not;
    with it goes `leak`, the slope below zero of the ReLUs, and None of all others. `function` (of
    pre-activations), `slope` and `inverse` (both of outputs) take and give arrays of any shape, (..., nodes) for
    softmax.
    """

    def __repr__(self) -> str:
        """Its name, by which `activation_named` finds it."""
        return f"<activation {self.name}>"

    name: str
    code: int | None
    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    inverse: Callable[[Array], Array] | None
    low: float = -inf
    high: float = inf
    leak: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a copy is the object itself, so that ``is SOFTMAX`` stays true of it.
        return activation_named, (self.name,)

    def derivative(self, z: Array) -> Array:
        """f'(z), of the same shape as `z`."""
        return self.slope(self.function(z))

    @property
    def bounded(self) -> bool:
        """Whether the outputs lie in a finite interval."""
        return self.low > -inf and self.high < inf

    def contains(self, y: Array) -> bool:
        """Whether all of `y`, of any shape, is strictly inside the range, so that the inverse is finite."""
        return bool(np.all((y > self.low) & (y < self.high)))


# Far below zero the exponential leaves the finite numbers, and its reciprocal is the right answer, 0.
@np.errstate(over="ignore")
def _sigmoid(z: Array) -> Array:
    """``1 / (1 + exp(-z))`` in the dtype of `z`: NumPy's exponential is a vectorised one."""
    h = np.exp(-z)
    h += 1
    return np.reciprocal(h, out=h)


def _logit(y: Array) -> Array:
    """``ln(y / (1 - y))``, infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return np.log(y) - np.log1p(-y)


def _softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def _centred_log(p: Array) -> Array:
    """Of all logits with softmax `p` (they differ by a constant), the ones that add up to zero."""
    logarithms = np.log(p)
    return logarithms - logarithms.mean(axis=-1, keepdims=True)  # type: ignore[no-any-return]


SIGMOID = Activation("sigmoid", 0, _sigmoid, lambda h: h * (1 - h), _logit, 0.0, 1.0)
TANH = Activation("tanh", 1, np.tanh, lambda h: 1 - h * h, np.arctanh, -1.0, 1.0)
RELU = Activation("relu", 2, lambda z: np.maximum(z, 0), lambda h: (h > 0).astype(h.dtype), None, 0.0, inf, 0.0)
"""The usual functions; a ReLU has no inverse."""


def _sloped(name: str, leak: float) -> Activation:
    return Activation(
        name,
        3,
        lambda z: np.where(z > 0, z, leak * z),
        lambda h: np.where(h > 0, 1, leak).astype(h.dtype),
        lambda y: np.where(y > 0, y, y / leak),
        leak=leak,
    )


LEAKY_RELU = _sloped("leaky-relu", LEAK)
IDENTITY = Activation("identity", 4, lambda z: z, np.ones_like, lambda y: y)
SOFTMAX = Activation("softmax", 5, _softmax, lambda h: h * (1 - h), _centred_log, 0.0, 1.0)
"""The two whose inverse takes any number, and the one that is of a whole layer."""

ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation for activation in (SIGMOID, TANH, RELU, LEAKY_RELU, IDENTITY, SOFTMAX)
}
"""Every activation by its name; `activation_named` knows leaky ReLUs of other slopes besides."""

_SLOPED: dict[float, Activation] = {0.0: RELU, LEAK: LEAKY_RELU}


def leaky_relu(slope: float) -> Activation:
    """The leaky ReLU (Maas et al. 2013): what is below zero times `slope`, of at least 0; always the same object.

    A slope of 0 is `RELU`, and 0.01 is `LEAKY_RELU`. A negative one raises `ModelError`: its derivative could not
    be read from the output.
    """
    if not (isfinite(slope) and slope >= 0):
        raise ModelError(f"a leaky ReLU needs a slope of 0 or more; received {slope}")
    slope = float(slope)
    # In one step, so that two threads are given one object.
    return _SLOPED.get(slope) or _SLOPED.setdefault(slope, _sloped(f"{SLOPED}{slope!r}", slope))


def rounded_slope(slope: float) -> float:
    """The shortest number that a file can have meant by `slope`, where it was rounded to float32."""
    return float(str(np.float32(slope))) if float(np.float32(slope)) == slope else slope


def activation_named(name: str) -> Activation:
    """The activation of that name, such as ``"relu"`` or ``"leaky-relu:0.2"``; `ModelError` lists the names."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    try:
        slope = float(name.removeprefix(SLOPED)) if name.startswith(SLOPED) else None
    except ValueError:
        slope = None
    if slope is None:
        known = ", ".join(ACTIVATIONS)
        raise ModelError(f"unknown activation {name!r}; choose one of {known}, or one such as {SLOPED}0.2")
    return leaky_relu(slope)
