"""What a back query constrains: linear maps of a model's logits, or of one layer's pre-activations.

Everything here lives in whitened coordinates: an image is ``x = origin + deviation * y``, where `deviation`
is the square root of the prior's diagonal, and derivatives are taken by y. The dense chain of a `Network` is
kept in float64, with the deviation already multiplied into its first layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backquery.errors import InversionError
from backquery.inversion.linearised import matrix_product, of_rows, times
from backquery.inversion.log_odds import own_log_odds_pulled
from backquery.inversion.remembered import Remembered
from backquery.model import Array, Layered, LayerModel, Model, Network, logits_and_products, own_log_odds

Rows = NDArray[np.intp]


AT_ONCE = 2**22
"""Weights of a layer that are worked on at a time, so that memory stays small."""


class Readout(Protocol):
    """Constraint functions c(y) and their derivatives, for a batch of questions: `rows`, each once, in order."""

    def values(self, y: Array, rows: Rows) -> tuple[Array, list[Array]]:
        """Constraints c (n, k) of whitened images (n, inputs) for the questions `rows`, and what to keep."""

    def jacobian(self, kept: list[Array], rows: Rows) -> Array:
        """The derivatives (n, k, inputs) at the images that `values` kept something of."""

    def slopes(self, y: Array, rows: Rows) -> Array:
        """The derivatives (n, k, inputs) at whitened images whose constraints nobody asks for."""

    def limits(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Bounds, (n, k) or (1, k), that c cannot leave while y stays between `low` and `high`."""


class ChainReadout:
    """``maps @ z`` for the pre-activations z of a network's layer: of the last one, these are the logits.

    maps: (k, nodes), the same for all questions, or (n, k, nodes), one for each.
    origin: (inputs,) or (n, inputs).
    """

    def __init__(self, chain: Chain, layer: int, maps: Array, origin: Array) -> None:
        self._chain = chain
        self._depth = layer - 1
        self._shared = maps.ndim == 2
        origin, maps = (np.asarray(part, chain.first.dtype) for part in (origin, maps))
        self._base: Array = np.atleast_2d(origin) @ chain.weights[0].T + chain.biases[0]
        self._head: Array = maps
        self._offset: Array = np.zeros(maps.shape[:-1], maps.dtype)
        if self._depth:
            self._head = maps @ chain.weights[self._depth]
            self._offset = maps @ chain.biases[self._depth]

    @property
    def first(self) -> Array:
        """The first layer's weights (nodes, inputs), by whitened coordinates."""
        first: Array = self._chain.first
        return first

    def values(self, y: Array, rows: Rows) -> tuple[Array, list[Array]]:
        """See `Readout`."""
        return self.values_of_sums(y @ self._chain.first.T, rows)

    def values_of_sums(self, sums: Array, rows: Rows) -> tuple[Array, list[Array]]:
        """What `values` gives, from what the image adds to the first layer's pre-activations, (n, nodes)."""
        chain = self._chain
        z = sums + of_rows(self._base, rows)
        signals = []
        for layer in range(self._depth):
            signals.append(chain.functions[layer](z))
            if layer + 1 < self._depth:
                z = signals[-1] @ chain.weights[layer + 1].T + chain.biases[layer + 1]
        last = signals[-1] if signals else z
        if self._shared:
            return last @ self._head.T + self._offset, signals
        return times(of_rows(self._head, rows), last) + of_rows(self._offset, rows), signals

    def jacobian(self, kept: list[Array], rows: Rows) -> Array:
        """See `Readout`."""
        return matrix_product(self.jacobian_by_sums(kept, rows), self._chain.first)

    def jacobian_by_sums(self, kept: list[Array], rows: Rows) -> Array:
        """The derivatives (n, k, nodes) by the first layer's pre-activations."""
        chain = self._chain
        head = self._head[None] if self._shared else of_rows(self._head, rows)
        gradients: Array = np.broadcast_to(head, (len(rows), *head.shape[1:]))
        # From the few constraints back to the pixels: the other way, every layer would carry all pixels.
        for layer in range(self._depth - 1, -1, -1):
            gradients = gradients * chain.slopes[layer](kept[layer])[:, None, :]
            if layer:
                gradients = matrix_product(gradients, chain.weights[layer])
        return gradients

    def slopes(self, y: Array, rows: Rows) -> Array:
        """See `Readout`."""
        return self.jacobian(self.values(y, rows)[1], rows)

    def limits(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Interval arithmetic, layer by layer: rigorous, and rarely tight."""
        chain = self._chain
        lowest, highest = _interval(chain.first, np.atleast_2d(low), np.atleast_2d(high), self._base)
        for layer in range(self._depth):
            lowest, highest = chain.functions[layer](lowest), chain.functions[layer](highest)
            if layer + 1 < self._depth:
                lowest, highest = _interval(chain.weights[layer + 1], lowest, highest, chain.biases[layer + 1])
        return _interval(self._head, lowest, highest, self._offset)


class Chain:
    """A network's layers in one precision, the first one also with the whitening multiplied in."""

    def __init__(self, network: Network, deviation: Array, dtype: DTypeLike = np.float64) -> None:
        layers = network.layers
        self.weights = [layer.weights.astype(dtype) for layer in layers]
        self.biases = [layer.shifts.astype(dtype) for layer in layers]
        self.functions: list[Callable[[Array], Array]] = [layer.activation.function for layer in layers]
        self.slopes: list[Callable[[Array], Array]] = [layer.activation.slope for layer in layers]
        # Not twice, where nothing is multiplied in: it is as large as all images of its nodes.
        self.first = self.weights[0] if np.all(deviation == 1) else self.weights[0] * deviation.astype(dtype)


class ModelReadout:
    """``maps @ logits`` of any model that can differentiate itself.

    own: whether each output's own log-odds, against all others together, are meant, instead of those with mean
    zero.
    """

    def __init__(self, model: Model, maps: Array, origin: Array, deviation: Array, own: bool = False) -> None:
        self._model = model
        self._maps = maps
        self._origin = np.atleast_2d(origin)
        self._deviation = deviation
        self._own = own

    def values(self, y: Array, rows: Rows) -> tuple[Array, list[Array]]:
        """See `Readout`."""
        images = self._images(y, rows)
        logits = np.asarray(self._model.logits(images), np.float64)
        read = own_log_odds(logits) if self._own else logits
        return times(self._maps_of(rows), read), [images, logits]

    def jacobian(self, kept: list[Array], rows: Rows) -> Array:
        """See `Readout`."""
        images, logits = kept
        maps = self._maps_of(rows)
        return self._pulled(images, own_log_odds_pulled(logits, maps) if self._own else maps)

    def slopes(self, y: Array, rows: Rows) -> Array:
        """See `Readout`."""
        if self._own:
            return self.jacobian(self.values(y, rows)[1], rows)
        # The model runs forwards on its way to the derivatives anyway.
        return self._pulled(self._images(y, rows), self._maps_of(rows))

    def limits(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Nothing is known of a model that does not show its layers."""
        anything = np.full((1, self._maps.shape[-2]), np.inf)
        return -anything, anything

    def _images(self, y: Array, rows: Rows) -> Array:
        return of_rows(self._origin, rows) + y * self._deviation

    def _pulled(self, images: Array, vectors: Array) -> Array:
        _, products = logits_and_products(self._model, images, vectors if vectors.ndim == 3 else vectors[None])
        return np.asarray(products, np.float64) * self._deviation

    def _maps_of(self, rows: Rows) -> Array:
        return self._maps if self._maps.ndim == 2 else of_rows(self._maps, rows)


def readout_for(
    model: Model,
    layer: int | str | None,
    maps: Array,
    origin: Array,
    deviation: Array,
    own: bool = False,
    dtype: DTypeLike = np.float64,
) -> ChainReadout | ModelReadout:
    """The fastest readout there is for a model; `layer` None means the logits, or each output's `own` log-odds.

    A network's chain computes in `dtype`: logits are asked for more finely than float32 can promise.
    """
    if isinstance(layer, str):
        return ModelReadout(layer_named(model, layer), maps, origin, deviation)
    if isinstance(model, Network) and not own:
        return ChainReadout(_chain_of(model, deviation, dtype), layer or len(model.layers), maps, origin)
    nodes_of(model, layer)
    return ModelReadout(model, maps, origin, deviation, own)


def nodes_of(model: Model, layer: int | str | None) -> int:
    """How many signals there are to read: the outputs, or the nodes of a layer."""
    if layer is None:
        return model.outputs
    if isinstance(layer, str):
        return layer_named(model, layer).outputs
    if isinstance(model, Network):
        return model.layers[layer - 1].outputs
    raise InversionError(
        f"only a Network's hidden layers are numbered; {type(model).__name__} is not one, and layers of a model "
        "of from_torch have names"
    )


def layer_named(model: Model, name: str) -> LayerModel:
    """The layer of this name; `InversionError` for a model that shows none by names."""
    if isinstance(model, Layered):
        return model.at(name)
    hidden = len(model.layers) - 1 if isinstance(model, Network) else 0
    instead = f"its hidden layers are numbered 1 to {hidden}" if hidden else "a model of from_torch has"
    raise InversionError(f"{type(model).__name__} has no layers with names such as {name!r}; {instead}")


CHAINS = 4
"""How many chains of a network are remembered: those of a prior and of none, in two precisions."""

_chains: Remembered[dict[bytes, Chain]] = Remembered(dict)


def _chain_of(network: Network, deviation: Array, dtype: DTypeLike) -> Chain:
    """The chain, remembered for the deviations that were asked for last: it is a copy of all weights."""
    known, key = _chains.of(network), np.dtype(dtype).char.encode() + deviation.tobytes()
    if key not in known:
        while len(known) >= CHAINS:
            del known[next(iter(known))]
        known[key] = Chain(network, deviation, dtype)
    return known[key]


def _interval(weights: Array, low: Array, high: Array, offset: Array) -> tuple[Array, Array]:
    """Where ``weights @ h + offset`` lies for all h between `low` and `high`, both (n, nodes) or (1, nodes)."""
    middle, reach = (low + high)[..., None] / 2, (high - low)[..., None] / 2
    centre = (weights @ middle)[..., 0] + offset
    at_once = max(1, AT_ONCE // weights.shape[1])
    parts = (weights[row : row + at_once] for row in range(0, len(weights), at_once))
    spread = np.concatenate([(np.abs(part) @ reach)[..., 0] for part in parts], axis=-1)
    return centre - spread, centre + spread
