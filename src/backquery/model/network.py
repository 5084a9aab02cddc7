"""Layers and networks as frozen values, and the questions that can be put to them forwards.

A network maps inputs of shape (n, inputs) to answers of shape (n, outputs), by
``z = h W' + b`` and ``h = f(z)`` for each layer, with W of shape (outputs, inputs) as in the book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from math import prod, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from backquery.errors import DataError, ModelError
from backquery.model.activations import SIGMOID, SOFTMAX, Activation, activation_named
from backquery.model.aliases import Array, Seed
from backquery.model.arguments import generator_of, whole
from backquery.model.brief import brief
from backquery.model.declared import declared, declared_value
from backquery.model.memory import SMALL, need
from backquery.model.reading import finite_answer
from backquery.model.scaling import (
    Scaling,
    all_finite,
    as_inputs,
    checked_finite,
    checked_inputs,
    refuse_raw,
    scaled_images,
)
from backquery.model.statistics import Statistics

MOST_NAMED = 12
"""Labels that are named where a network is shown in a line."""

ROWS = 1024
"""So many images are taken through all layers at a time: what one layer hands to the next stays in the cache."""


def _frozen(values: ArrayLike, dtype: DTypeLike) -> Array:
    array = np.array(values, dtype, order="C")
    array.setflags(write=False)
    return array


@declared_value(ModelError)
@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: `weights` of shape (outputs, inputs), `biases` of shape (outputs,) or None, an activation.

    The arrays are copied and made read-only, so that a network, once made, stays what it is. Those that do not fit
    together raise `ModelError`.
    """

    __repr__ = brief

    weights: Array
    biases: Array | None
    activation: Activation

    def __post_init__(self) -> None:
        given = np.asarray(self.weights)
        dtype = given.dtype if given.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        object.__setattr__(self, "weights", _frozen(self.weights, dtype))
        if self.weights.ndim != 2 or 0 in self.weights.shape:
            raise ModelError(
                f"weights must be a matrix (outputs x inputs) with at least one node; received {given.shape}"
            )
        if self.biases is not None:
            object.__setattr__(self, "biases", _frozen(self.biases, dtype))
            if self.biases.shape != self.weights.shape[:1]:
                raise ModelError(
                    f"biases must be a vector of {len(self.weights)} numbers, one for each node; "
                    f"received shape {self.biases.shape}"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, because a copied array forgets that it is read-only.
        return Layer, (self.weights, self.biases, self.activation)

    @property
    def inputs(self) -> int:
        """How many signals come in."""
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        """How many nodes the layer has."""
        return int(self.weights.shape[0])

    @property
    def shifts(self) -> Array:
        """The biases (outputs,), zeros where there are none."""
        return np.zeros(self.outputs, self.weights.dtype) if self.biases is None else self.biases

    def combine(self, signals: Array) -> Array:
        """Pre-activations z = h W' + b: signals h (n, inputs) to (n, outputs)."""
        sums = signals @ self.weights.T
        return sums if self.biases is None else sums + self.biases


@declared_value(ModelError)
@dataclass(frozen=True, eq=False)
class Network:
    """A chain of dense layers and what is needed to use it on real images.

    `input_shape` is the shape of one image, `classes` names the labels (one for each output), `scaling`
    turns raw pixels into inputs, `statistics` is what the network may remember of its training images, and
    `about` says how it came to be (recipe, epochs, performance), as plain JSON values. Parts that do not fit
    together raise `ModelError`.
    """

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    scaling: Scaling | None = None
    statistics: Statistics | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The network in a line: its nodes, activations and labels, and what it keeps."""
        activations = ", ".join(layer.activation.name for layer in self.layers)
        size = " x ".join(map(str, self.input_shape))
        labels = ", ".join(self.classes) if self.outputs <= MOST_NAMED else f"{self.outputs} labels"
        keeps = "" if self.statistics is None else "; keeps statistics"
        sizes = "-".join(map(str, self.sizes))
        return f"Network({sizes}, {activations}, {self.dtype}; {size} to {labels}{keeps})"

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        object.__setattr__(self, "layers", layers)
        if not layers:
            raise ModelError("a network needs at least one layer")
        if len({layer.weights.dtype for layer in layers}) > 1:
            raise ModelError("all layers of a network must have the same dtype, float32 or float64")
        for position, (before, after) in enumerate(pairwise(layers), start=1):
            if before.outputs != after.inputs:
                raise ModelError(
                    f"layer {position} gives {before.outputs} signals, but layer {position + 1} "
                    f"takes {after.inputs}"
                )
            if before.activation is SOFTMAX:
                raise ModelError("softmax is for the output layer only")
        object.__setattr__(self, "input_shape", tuple(self.input_shape) or (self.inputs,))
        object.__setattr__(self, "classes", tuple(self.classes) or tuple(str(k) for k in range(self.outputs)))
        if prod(self.input_shape) != self.inputs:
            raise ModelError(f"input shape {self.input_shape} does not make {self.inputs} inputs")
        if len(self.classes) != self.outputs:
            raise ModelError(f"{self.outputs} outputs need as many class names; received {len(self.classes)}")
        if len(set(self.classes)) != self.outputs:
            raise ModelError("the class names must differ from one another")
        if self.statistics is not None and len(self.statistics.mean) != self.inputs:
            raise ModelError("the statistics belong to images of another size")
        if self.scaling is not None:
            for part in (self.scaling.gain, self.scaling.offset):
                if np.ndim(part) and np.shape(part) != (self.inputs,):
                    raise ModelError("a scaling for each input needs as many numbers as there are inputs")

    @classmethod
    @declared(ModelError)
    def create(
        cls,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        biases: bool = False,
        init: str | None = None,
        rng: Seed = None,
        dtype: DTypeLike = np.float32,
        **description: Any,
    ) -> Self:
        """A network with random weights: ``Network.create([784, 200, 10], rng=1)`` is the book's.

        `activation` is one name for all layers (with ReLU and leaky ReLU the outputs become softmax), or one
        name for each. `init` is ``"book"`` (standard deviation nodes^-1/2 of the layer itself), ``"glorot"``
        (Glorot & Bengio 2010, uniform) or ``"he"`` (He et al. 2015, normal); by default ``"book"`` for
        sigmoid, ``"he"`` for the ReLUs and ``"glorot"`` for the rest. Biases start at zero. `description` goes
        to the network: `input_shape`, `classes`, `scaling`. Settings that make no network raise `ModelError`.
        """
        nodes = [whole(size, "each of the positive numbers of nodes", ModelError) for size in sizes]
        if len(nodes) < 2:
            raise ModelError(f"sizes must be two or more positive numbers of nodes; received {nodes}")
        names = [activation] * (len(sizes) - 1) if isinstance(activation, str) else list(activation)
        if isinstance(activation, str) and activation_named(activation).leak is not None:
            names[-1] = "softmax"
        if isinstance(activation, str) and activation == "softmax":
            raise ModelError("softmax is for the output layer only: name one activation for each layer")
        if len(names) != len(sizes) - 1:
            raise ModelError(f"{len(sizes) - 1} layers need as many activations; received {len(names)}")
        if init is not None and init not in INITS:
            raise ModelError(f"unknown init {init!r}; choose one of {', '.join(INITS)}")
        need(memory_of(nodes, dtype), f"a network of {'-'.join(map(str, nodes))}", "fewer nodes need less")
        generator = generator_of(rng)
        layers = []
        for inputs, outputs, name in zip(sizes[:-1], sizes[1:], names, strict=True):
            layer_activation = activation_named(name)
            draw = INITS[init or _usual_init(layer_activation)]
            weights = draw(outputs, inputs, generator).astype(dtype)
            zeros = np.zeros(outputs, dtype) if biases else None
            layers.append(Layer(weights, zeros, layer_activation))
        describing = [one.name for one in fields(cls) if one.name != "layers"]
        if unknown := sorted(set(description) - set(describing)):
            allowed = ", ".join(["activation", "biases", "init", "rng", "dtype", *describing])
            raise TypeError(f"Network.create() takes no {', '.join(unknown)}; choose from {allowed}")
        return cls(tuple(layers), **description)

    @property
    def inputs(self) -> int:
        """Number of input nodes."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of output nodes, one for each label."""
        return self.layers[-1].outputs

    @property
    def sizes(self) -> tuple[int, ...]:
        """Nodes of each layer, inputs first."""
        return (self.inputs, *(layer.outputs for layer in self.layers))

    @property
    def dtype(self) -> np.dtype[Any]:
        """What its numbers are: float32 or float64."""
        return self.layers[0].weights.dtype

    @property
    def output_activation(self) -> Activation:
        """The activation of the output layer, which says how answers and logits belong together."""
        return self.layers[-1].activation

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(
            layer.weights.size + (0 if layer.biases is None else layer.biases.size) for layer in self.layers
        )

    @declared(ModelError)
    def astype(self, dtype: DTypeLike) -> Network:
        """The same network in float32 or float64; any other `dtype` raises `ModelError`."""
        # A layer's biases take the dtype of its weights.
        layers = (replace(layer, weights=layer.weights.astype(dtype)) for layer in self.layers)
        return replace(self, layers=tuple(layers))

    @declared(ModelError)
    def without_nodes(self, nodes: ArrayLike, layer: int = 1) -> Network:
        """The network with these nodes of a hidden layer removed; hidden layers are counted from 1, nodes from 0.

        A removed node sends nothing on, forwards or backwards: its weights and its bias become zero, and so do the
        weights by which the next layer hears it, as a sigmoid node without inputs would still say 0.5. The shape
        stays, so that nodes keep their numbers and several removals can follow one another. `about` lists the
        nodes and no longer claims the performance. Raises `ModelError` for a layer or node that there is not.
        """
        hidden = len(self.layers) - 1
        if not 1 <= layer <= hidden:
            raise ModelError(f"this network's hidden layers are numbered 1 to {hidden}; received {layer}")
        before, after = self.layers[layer - 1 : layer + 1]
        places = np.atleast_1d(np.asarray(nodes))
        if not places.size:
            return self
        if places.dtype.kind not in "iu" or places.min() < 0 or places.max() >= before.outputs:
            raise ModelError(
                f"the nodes of layer {layer} are numbered 0 to {before.outputs - 1}; received {nodes!r}"
            )
        stays = np.ones(before.outputs, self.dtype)
        stays[places] = 0
        biases = None if before.biases is None else before.biases * stays
        layers = list(self.layers)
        layers[layer - 1] = replace(before, weights=before.weights * stays[:, None], biases=biases)
        layers[layer] = replace(after, weights=after.weights * stays)
        return replace(self, layers=tuple(layers), about=_with_removed(self.about, layer, places))

    def check_inputs(self, x: ArrayLike) -> Array:
        """`x` as finite numbers of the network's dtype, (n, inputs); anything else raises `DataError`."""
        return checked_inputs(x, self.input_shape, self.dtype)

    def signals(self, x: ArrayLike) -> list[Array]:
        """The signals of every layer for inputs x (n, inputs): the inputs themselves first, the answers last."""
        signals = [self.check_inputs(x)]
        for layer in self.layers:
            signals.append(layer.activation.function(layer.combine(signals[-1])))
        return signals

    def hidden_signals(self, x: ArrayLike) -> dict[str, Array]:
        """The signals (n, nodes) of the hidden layers for inputs x (n, inputs): ``"layer 1"`` is the first."""
        return {f"layer {k}": signals for k, signals in enumerate(self.signals(x)[1:-1], start=1)}

    def query(self, x: ArrayLike) -> Array:
        """The answers to x: one input vector (inputs,) or one image, or a batch (n, inputs), in input scale.

        `DataError` for raw pixels, which `query_images` takes; `ModelError` for a single one whose answers are not
        finite.
        """
        inputs = as_inputs(x, self.input_shape, self.dtype)
        refuse_raw(inputs, self.scaling)
        answers = self._in_parts(self._answers, inputs)
        single = len(inputs) == 1 and (np.ndim(x) == 1 or np.shape(x) == self.input_shape)
        return finite_answer(answers[0]) if single else answers

    def _in_parts(self, made_of: Callable[[Array], Array], inputs: Array) -> Array:
        if len(inputs) <= ROWS:
            return made_of(inputs)
        return np.concatenate([made_of(inputs[row : row + ROWS]) for row in range(0, len(inputs), ROWS)])

    def _answers(self, inputs: Array) -> Array:
        return self.output_activation.function(self._last_sums(inputs))

    def _last_sums(self, inputs: Array) -> Array:
        """The output layer's pre-activations z (n, outputs)."""
        z = self.layers[0].combine(inputs)
        # Inputs that are not finite leave no pre-activation finite, of which there are fewer to look at.
        if not all_finite(z):
            checked_finite(inputs)
        for before, layer in pairwise(self.layers):
            z = layer.combine(before.activation.function(z))
        return z

    def query_images(self, images: ArrayLike) -> Array:
        """The answers (n, outputs) to raw images (n, ...), 0 for paper and the scaling's maximum for ink."""
        return self.query(self.scale(images))

    def scale(self, images: ArrayLike) -> Array:
        """Raw images (n, ...) to inputs (n, inputs) by the network's scaling."""
        return scaled_images(images, self.scaling, self.input_shape, self.dtype)

    def logits(self, x: ArrayLike) -> Array:
        """The logits (n, outputs) of inputs x: the output layer's pre-activations, which never saturate.

        Of a sigmoid's answer p that is its log-odds, ln(p / (1 - p)). Of a softmax's answers p it is ln p less the
        mean of all ln p: only differences count, and single ones are no log-odds (`own_log_odds` gives these). Of
        tanh's answer y it is half the log-odds of (1 + y) / 2; of other outputs their raw score.
        """
        return self._centred(self._in_parts(self._last_sums, as_inputs(x, self.input_shape, self.dtype)))

    def logits_and_jacobian(self, x: ArrayLike) -> tuple[Array, Array]:
        """The logits (n, outputs) of inputs x, and their derivatives by these (n, outputs, inputs)."""
        signals = self.signals(x)
        z = self.layers[-1].combine(signals[-2])
        head = self.layers[-1].weights
        if self.output_activation is SOFTMAX:
            head = head - head.mean(axis=0)
        jacobian = np.broadcast_to(head, (len(z), *head.shape))
        for layer, h in zip(self.layers[-2::-1], signals[-2:0:-1], strict=True):
            jacobian = (jacobian * layer.activation.slope(h)[:, None, :]) @ layer.weights
        # With a single layer it is a read-only view, of which all images share the numbers.
        return self._centred(z), np.ascontiguousarray(jacobian)

    def _centred(self, z: Array) -> Array:
        return z - z.mean(axis=-1, keepdims=True) if self.output_activation is SOFTMAX else z

    def label(self, name: str | int) -> int:
        """The position of a label given by its class name or its number; `DataError` lists what there is."""
        if str(name) in self.classes:
            return self.classes.index(str(name))
        if isinstance(name, int | np.integer) and 0 <= name < self.outputs:
            return int(name)
        raise DataError(f"unknown label {name!r}; this network knows {', '.join(self.classes)}")


def _with_removed(about: Mapping[str, Any], layer: int, nodes: NDArray[Any]) -> dict[str, Any]:
    """What is told of a network, with these nodes among the removed, and without what was measured before."""
    kept = {name: value for name, value in about.items() if name not in ("performance", "test_images")}
    removed = dict(kept.get("removed_nodes", {}))
    removed[str(layer)] = sorted({*removed.get(str(layer), ()), *nodes.ravel().tolist()})
    return {**kept, "removed_nodes": removed}


def _book(outputs: int, inputs: int, rng: np.random.Generator) -> Array:
    return rng.normal(0.0, outputs**-0.5, (outputs, inputs))


def _glorot(outputs: int, inputs: int, rng: np.random.Generator) -> Array:
    bound = sqrt(6.0 / (inputs + outputs))
    return rng.uniform(-bound, bound, (outputs, inputs))


def _he(outputs: int, inputs: int, rng: np.random.Generator) -> Array:
    return rng.normal(0.0, sqrt(2.0 / inputs), (outputs, inputs))


def memory_of(sizes: Sequence[int], dtype: DTypeLike) -> int:
    """The bytes that making a network of so many nodes takes at most: random numbers are drawn in float64."""
    weights, width = [before * after for before, after in pairwise(sizes)], np.dtype(dtype).itemsize
    return width * sum(weights) + 8 * max(weights) + SMALL // 64


INITS = {"book": _book, "glorot": _glorot, "he": _he}


def _usual_init(activation: Activation) -> str:
    if activation.leak is not None:
        return "he"
    return "book" if activation is SIGMOID else "glorot"
