"""Activation functions: function, derivative, inverse and range of each, side by side.

All of them work on arrays of any shape. All but softmax act on each element alone; softmax acts on the
last axis. The derivative is written as a function of the *output* ``h = f(z)``, because a forward pass
keeps the outputs and every derivative here can be read from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from backquery.errors import ModelError
from backquery.model.aliases import Array

LEAK = 0.01
"""Slope of the leaky ReLU below zero (Maas et al. 2013)."""


@dataclass(frozen=True)
class Activation:
    """One activation function and all that the rest of the package asks of it.

    `low` and `high` bound the open interval of the outputs, which is also the domain of the inverse.
    `slope(h)` is the derivative at the pre-activation whose output is ``h``; for softmax it is the diagonal
    of the Jacobian, whose whole is ``diag(h) - h h'``. `code` is the number that the kernels know it by.
    """

    name: str
    code: int
    function: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    inverse: Callable[[Array], Array] | None
    low: float = -inf
    high: float = inf

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
        """Whether every element of `y` is strictly inside the range, so that the inverse is finite."""
        return bool(np.all((y > self.low) & (y < self.high)))


def _sigmoid(z: Array) -> Array:
    from scipy.special import expit

    return expit(z)  # type: ignore[no-any-return]


def _logit(y: Array) -> Array:
    from scipy.special import logit

    return logit(y)  # type: ignore[no-any-return]


def _softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def _centred_log(p: Array) -> Array:
    """Of all logits with softmax `p` (they differ by a constant), the ones that add up to zero."""
    logarithms = np.log(p)
    return logarithms - logarithms.mean(axis=-1, keepdims=True)  # type: ignore[no-any-return]


SIGMOID = Activation("sigmoid", 0, _sigmoid, lambda h: h * (1 - h), _logit, 0.0, 1.0)
TANH = Activation("tanh", 1, np.tanh, lambda h: 1 - h * h, np.arctanh, -1.0, 1.0)
RELU = Activation("relu", 2, lambda z: np.maximum(z, 0), lambda h: (h > 0).astype(h.dtype), None, 0.0, inf)
LEAKY_RELU = Activation(
    "leaky-relu",
    3,
    lambda z: np.where(z > 0, z, LEAK * z),
    lambda h: np.where(h > 0, 1, LEAK).astype(h.dtype),
    lambda y: np.where(y > 0, y, y / LEAK),
)
IDENTITY = Activation("identity", 4, lambda z: z, np.ones_like, lambda y: y)
SOFTMAX = Activation("softmax", 5, _softmax, lambda h: h * (1 - h), _centred_log, 0.0, 1.0)

ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation for activation in (SIGMOID, TANH, RELU, LEAKY_RELU, IDENTITY, SOFTMAX)
}


def activation_named(name: str) -> Activation:
    """The activation of that name; `ModelError` lists the names there are."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ModelError(f"unknown activation {name!r}; choose one of {', '.join(ACTIVATIONS)}") from None
