"""What an inversion, a score or a measure of evidence needs of a classifier, and what follows from that alone."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from backquery.model.activations import Activation
from backquery.model.aliases import Array, Seed
from backquery.model.layout import Layout
from backquery.model.meaning import Ground, Meaning
from backquery.model.scaling import Scaling
from backquery.model.statistics import Statistics


@runtime_checkable
class Model(Protocol):
    """A differentiable classifier. `Network` is one; so can be a model of any other framework.

    Inputs are (n, inputs) in input scale, answers (n, outputs). Logits are the answers taken
    through the inverse of the output activation, computed so that they do not saturate; what they have to do with
    the log-odds ln(p / (1 - p)) of an answer p says `backquery.model.log_odds`.
    """

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image."""

    @property
    def inputs(self) -> int:
        """The number of inputs."""

    @property
    def outputs(self) -> int:
        """The number of outputs, one for each label."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels' names, one for each output."""

    @property
    def scaling(self) -> Scaling | None:
        """How raw pixels become inputs."""

    @property
    def statistics(self) -> Statistics | None:
        """What the model may remember of its training images."""

    @property
    def output_activation(self) -> Activation:
        """How logits become answers."""

    def scale(self, images: ArrayLike) -> Array:
        """Raw images (n, ...) to inputs (n, inputs); `ModelError` where there is no scaling."""

    def query(self, x: ArrayLike) -> Array:
        """Answers (n, outputs) to inputs x (n, inputs)."""

    def logits(self, x: ArrayLike) -> Array:
        """Logits (n, outputs) of inputs x (n, inputs)."""

    def logits_and_jacobian(self, x: ArrayLike) -> tuple[Array, Array]:
        """Logits (n, outputs) of inputs x (n, inputs), and their Jacobian (n, outputs, inputs)."""


@runtime_checkable
class Untaught(Protocol):
    """A model of which there are copies that have learned nothing: controls that say what a score is worth."""

    def untrained(self, rng: Seed = None) -> Model:
        """The same layers as they were before they learned; `ModelError` where nobody knows how that was."""

    def shuffled(self, rng: Seed = None) -> Model:
        """The same with weights each where another was."""


@runtime_checkable
class Pulling(Protocol):
    """A model that gives products with its Jacobian without the Jacobian, which many outputs make dear."""

    def logits_and_products(self, x: ArrayLike, vectors: ArrayLike) -> tuple[Array, Array]:
        """Logits (n, outputs), and ``v' J`` (n, k, inputs) for vectors v (n, k, outputs) of each input."""


@runtime_checkable
class Roughly(Protocol):
    """A model with a quicker twin of lower precision, to search with; what it finds, the model itself verifies."""

    @property
    def quick(self) -> Model:
        """The twin."""


@runtime_checkable
class Threaded(Protocol):
    """A model of a framework that may compute on threads of its own, beside those of BLAS."""

    @property
    def threaded(self) -> bool:
        """Whether it does."""


class LayerModel(Model, Protocol):
    """One layer of a model, as a model whose answers, and logits, are the layer's signals."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the signals for one image, such as (channels, rows, columns)."""


@runtime_checkable
class Layered(Protocol):
    """A model whose layers are found by their names."""

    def at(self, name: str) -> LayerModel:
        """The layer of this name; an error that lists the names where there is none."""


@runtime_checkable
class Signalling(Model, Protocol):
    """A model that shows the signals of its hidden layers."""

    def hidden_signals(self, x: ArrayLike) -> dict[str, Array]:
        """The signals (n, ...) of every layer before the last, by the layers' names, for inputs x (n, inputs)."""


def logits_and_products(model: Model, x: Array, vectors: Array) -> tuple[Array, Array]:
    """The logits (n, outputs) of inputs x, and ``v' J`` (n, k, inputs) for vectors v (n, k, outputs) of each."""
    if isinstance(model, Pulling):
        return model.logits_and_products(x, vectors)
    logits, jacobian = model.logits_and_jacobian(x)
    product: Array = vectors @ np.asarray(jacobian, np.float64)
    return logits, product


def quick_of(model: Model) -> Model:
    """The model to search with: a twin of lower precision where there is one."""
    return model.quick if isinstance(model, Roughly) else model


def threaded(model: Model) -> bool:
    """Whether a model computes on threads of its own, in whose way those of BLAS would stand."""
    return isinstance(model, Threaded) and model.threaded


def typical_of(model: Model) -> Array | None:
    """The typical logits (labels, outputs) that a model keeps, row k for label k; None where it keeps none."""
    return None if model.statistics is None else model.statistics.typical


def ends_of(model: Model) -> tuple[Array, Array]:
    """What blank paper and full ink are to a model, (inputs,) each in input scale; 0 and 1 without a scaling."""
    ends = (0.0, 1.0) if model.scaling is None else (model.scaling.low, model.scaling.high)
    paper, ink = (np.broadcast_to(np.asarray(end, np.float64), model.inputs) for end in ends)
    return paper, ink


def meaning_of(model: Model) -> Meaning:
    """What the numbers of the model's raw images stand for; where nobody said, nothing is known."""
    return Meaning() if model.scaling is None or model.scaling.meaning is None else model.scaling.meaning


def ground_of(model: Model) -> Ground | None:
    """On what ground the model's images stand; None where nobody said, and 0 is taken for paper."""
    return meaning_of(model).ground


def shades_of(model: Model, ink: Array) -> Array:
    """`ink` (...) from 0 to 1 as it is to be drawn, 0 for white; the other way round where raw 0 is black."""
    return 1 - ink if ground_of(model) == "none" else ink


def picture_of(model: Model, ink: Array) -> Array:
    """`ink` (..., inputs) from 0 to 1 as pictures, the one place where it is decided how inputs are drawn.

    Shades (..., rows, columns) from 0 for white to 1 for black, as `shades_of` has them; or colours (..., rows,
    columns, 3), red, green and blue from 0 for black, where the model's images have three channels.
    """
    layout = Layout.of(model.input_shape)
    return layout.drawn(ink if layout.coloured else shades_of(model, ink))


def ink_of(model: Model, images: ArrayLike) -> Array:
    """`images` (..., inputs) in a model's input scale as ink from 0 (paper) to 1."""
    return (Scaling(1.0, 0.0, 1.0) if model.scaling is None else model.scaling).ink(images)
