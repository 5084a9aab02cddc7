"""Damage: what is left of a network that loses nodes or weights, or whose weights become noisy.

*Make Your Own Neural Network* (Rashid 2016) says that learning is spread over the weights, so that a network
survives the loss of some of them. Here that is counted: performance, and the reading of scans, against what was
lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.datasets import Dataset
from backquery.deprecation import renamed
from backquery.errors import ExperimentError, ModelError
from backquery.experiments.bulk import Bulk, strengths_from, strongest
from backquery.experiments.endurance import ORDERS, Counts, Endurance
from backquery.inversion import BackQuery, back_query, fit_statistics
from backquery.inversion.fitting import with_typical
from backquery.model import (
    Array,
    Examples,
    LabelledImages,
    Model,
    Network,
    Progress,
    Seed,
    brief,
    ends_of,
    generator_of,
    labels_read,
)
from backquery.model.declared import declared
from backquery.model.memory import need

WHAT = ("nodes", "weights", "noise")
"""What can be damaged."""

SHARES = {
    "random": np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
    "heaviest": np.array([0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]),
}
"""The shares of all weights that are removed, in each order."""

NOISE = np.array([0, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3])
"""The noise's standard deviations, as shares of the standard deviation of each layer's own weights."""

STAGES = (0.0, 0.25, 0.5, 0.75, 0.9)
"""The shares of the first hidden layer's nodes at which the damaged network's own scans are made by default."""

MOST_COUNTS = 256
"""A layer of more nodes loses several at a time, so that there are about so many amounts."""

TRAINING_IMAGES = 10_000
"""Training images, at most, that say which nodes carry the evidence and which answers are typical."""

CHUNK = 1024

Reads = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stage:
    """A network without `removed` nodes of its first hidden layer, its own `scans`, its `performance`.

    read_by_intact: (labels,) what the intact network reads in these scans.
    """

    removed: int
    performance: float
    scans: BackQuery
    read_by_intact: Counts


@dataclass(frozen=True, eq=False)
class Damage:
    """All that was done to `network`: one `Endurance` for each kind of damage, and scans at some stages."""

    __repr__ = brief

    network: Network
    scans: BackQuery
    endurances: tuple[Endurance, ...]
    stages: tuple[Stage, ...]

    @property
    def performance(self) -> float:
        """The intact network's share of right answers."""
        return self.endurances[0].intact

    def of(self, what: str, layer: int | None = None) -> tuple[Endurance, ...]:
        """What was done to the nodes of a hidden layer (counted from 1), to the weights, or by noise."""
        return tuple(one for one in self.endurances if (one.what, one.layer) == (what, layer))

    def as_json(self) -> dict[str, Any]:
        """Everything but the images as plain values."""
        return {
            "performance": self.performance,
            "classes": list(self.network.classes),
            "test_images": int(self.endurances[0].images.sum()),
            "scans": len(self.scans),
            "damages": [one.as_json() for one in self.endurances],
            "stages": [
                {
                    "removed": stage.removed,
                    "performance": stage.performance,
                    "read_as_asked": int(stage.scans.read_as_asked.sum()),
                    "read_as_asked_by_the_intact": int(np.sum(stage.read_by_intact == stage.scans.labels)),
                    "outcomes": list(stage.scans.outcome),
                }
                for stage in self.stages
            ],
        }


@declared(ExperimentError)
def measure_damage(
    model: Model,
    dataset: Dataset | LabelledImages,
    *,
    what: Sequence[str] = WHAT,
    repeats: int = 20,
    stages: Sequence[float] = STAGES,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> Damage:
    """Damage a network in several ways, more and more, and count what it still reads rightly.

    `what` names the ways. Nodes of each hidden layer are removed at random, `repeats` times, and once in each
    order of `node_order`; single weights of all layers at random, and once the largest first; noise is added to
    all weights.
    Performance is counted on the test half of `dataset`, or the training half where there is no other. Beside it
    stands the round trip: how many of the intact network's own scans the damaged one still reads as asked.
    `stages` are the shares of the first hidden layer's nodes, from 0 to 1, at which its own scans are made too.

    `progress` is told (curves done, curves in all). A network without statistics is given those of the training
    half, for its scans. Models that do not show their weights raise `ModelError`, and settings that make no sense
    `ExperimentError`.
    """
    if not isinstance(model, Network):
        raise ModelError(
            "damage is done to the weights of a chain of dense layers, which this model does not show; "
            f"it is a {type(model).__name__}"
        )
    if not what or set(what) - set(WHAT):
        raise ExperimentError(
            f"choose what to damage from {', '.join(WHAT)}; received {', '.join(what) or 'nothing'}"
        )
    if repeats < 2:
        raise ExperimentError(f"an interval needs at least 2 repeats; received {repeats}")
    if set(what) == {"nodes"} and len(model.layers) < 2:
        raise ModelError("there are no nodes to remove: this network has no hidden layer")
    if not all(0 <= share <= 1 for share in stages):
        raise ExperimentError(f"stages are shares of nodes from 0 to 1; received {list(stages)}")
    network, dataset = model, Dataset.of(dataset, model)
    need(
        memory_of_damage(network, len(dataset.to_test_on)),
        f"damaging a network that reads {len(dataset.to_test_on):,} images of {network.inputs:,} inputs",
        "fewer or smaller images, or a smaller network, need less",
    )
    if network.statistics is None:
        network = replace(network, statistics=fit_statistics(network, dataset.train))
    scans = back_query(network, range(network.outputs))
    trial = Trial.of(network, dataset, scans)
    ways = [way for name in WHAT if name in what for way in _ways(network, name)]
    curves = [way for way in ways for _ in range(repeats if way.order == "random" else 1)]
    generator = generator_of(rng)
    scores: dict[Way, list[tuple[Counts, Counts]]] = {way: [] for way in ways}
    for done, way in enumerate(curves, start=1):
        scores[way].append(trial.score(_reads(trial, way, dataset, generator)))
        if progress is not None:
            progress(done, len(curves))
    endurances = tuple(trial.endurance(way, scores[way]) for way in ways)
    drawn = stages if "nodes" in what and len(network.layers) > 1 else ()
    return Damage(network, scans, endurances, _stages(trial, dataset, drawn, generator))


def memory_of_damage(network: Network, images: int) -> float:
    """The bytes that damaging takes at most: images twice, their signals, and all weights several times."""
    pixels, signals = images * network.inputs, images * sum(network.sizes[1:])
    return (2 * network.dtype.itemsize + 6) * pixels + 16 * signals + 48 * network.parameters


def node_order(network: Network, dataset: Dataset, layer: int, order: str, rng: Seed = None) -> NDArray[np.intp]:
    """The nodes (nodes,) of a hidden layer, counted from 1, in the order in which they are to be lost.

    ``"random"``; ``"heaviest"``: first the largest Euclidean norm of the weights to the next layer;
    ``"evidence"``: first those that most favour the right label. With m the margin, the logit of the right
    label less those of its strongest rival, that is the mean of ``h dm/dh`` over training images: by how much, to
    first order, the margin falls without the node (Molchanov et al. 2017, *Pruning convolutional neural networks
    for resource efficient inference*, here with the margin for the loss, and its sign kept).
    """
    if order == "random":
        return generator_of(rng).permutation(network.sizes[layer])
    if order == "heaviest":
        worth = np.linalg.norm(network.layers[layer].weights.astype(np.float64), axis=0)
    else:
        worth = _evidence(network, dataset, layer)
    return np.argsort(-worth, kind="stable")


def without_weights(network: Network, places: ArrayLike) -> Network:
    """The network with single weights set to zero; `places` count through the weights of all layers in turn."""
    values = _all_weights(network)
    values[np.asarray(places, np.intp)] = 0
    return _with_weights(network, values)


def with_noise(network: Network, spread: float, rng: Seed = None) -> Network:
    """The network with Gaussian noise on its weights: `spread` times the standard deviation of its layer's own."""
    return _with_weights(network, _all_weights(network) + spread * _noise(network, generator_of(rng)))


@dataclass(frozen=True)
class Way:
    """A way of damaging: what, in which order, in which hidden layer, and how many can be lost."""

    what: str
    order: str
    layer: int | None
    total: int

    @property
    def amounts(self) -> Array:
        """The amounts (k,) that are tried, from 0 to the total."""
        if self.what == "noise":
            return NOISE
        if self.what == "weights":
            return np.unique(np.round(SHARES[self.order] * self.total))
        return np.unique(np.linspace(0, self.total, min(self.total, MOST_COUNTS) + 1).round())


def _ways(network: Network, what: str) -> list[Way]:
    if what == "nodes":
        hidden = range(1, len(network.layers))
        return [Way(what, order, layer, network.sizes[layer]) for layer in hidden for order in ORDERS]
    if what == "weights":
        total = len(_all_weights(network))
        return [Way(what, order, None, total) for order in SHARES]
    return [Way(what, "random", None, 1)]


@dataclass(frozen=True, eq=False)
class Trial:
    """What every damaged network is asked: `inputs` (n, inputs) with their `labels` (n,).

    The last `scans` of them are the intact network's scans; those before are test images.
    """

    network: Network
    inputs: Array
    labels: Counts
    scans: int

    @classmethod
    def of(cls, network: Network, dataset: Dataset, scans: BackQuery) -> Trial:
        """The test half of a data set, or its training half, with the scans of the intact network."""
        examples = Examples.of(network, dataset.to_test_on)
        inputs = np.concatenate([examples.inputs(), scans.images], dtype=network.dtype, casting="same_kind")
        return cls(network, inputs, np.concatenate([examples.labels, scans.labels]), len(scans))

    @cached_property
    def signals(self) -> list[Array]:
        """The intact network's signals (nodes, n) of each layer, the inputs' place left empty."""
        empty = np.zeros((0, len(self.inputs)))
        return [empty, *(h.T.astype(np.float64) for h in self.network.signals(self.inputs)[1:])]

    @cached_property
    def bulk(self) -> Bulk:
        """The inputs, ready to be read by many networks."""
        return Bulk.of(self.inputs, ends_of(self.network)[0])

    @cached_property
    def sums(self) -> list[Array]:
        """What the intact network's first layer makes of the inputs, for each part of `bulk`."""
        return list(self.bulk.sums(self.network.layers[0].weights))

    @cached_property
    def intact(self) -> Reads:
        """The labels (n,) that the intact network reads."""
        return self.bulk.read(self.network.layers, self.sums)

    def read(self, network: Network) -> Reads:
        """The labels (n,) that a network reads."""
        return self.bulk.read(network.layers)

    def score(self, reads: Reads) -> tuple[Counts, Counts]:
        """Of labels read (k, n), how many are right: (k, labels) of the images, (k,) of the scans."""
        right = reads == self.labels
        images = len(self.labels) - self.scans
        by_label = right[:, :images] @ np.eye(self.network.outputs)[self.labels[:images]]
        return by_label.astype(np.int64), right[:, images:].sum(axis=1)

    def endurance(self, way: Way, scores: Sequence[tuple[Counts, Counts]]) -> Endurance:
        """The scores of each repeat, with what is needed to read them."""
        images = np.bincount(self.labels[: len(self.labels) - self.scans], minlength=self.network.outputs)
        right, scans_read = (np.stack(counts) for counts in zip(*scores, strict=True))
        return Endurance(
            way.what, way.order, way.layer, way.amounts, way.total, right, images, scans_read, self.scans
        )


def _reads(trial: Trial, way: Way, dataset: Dataset, rng: np.random.Generator) -> Reads:
    """The labels (k, n) that the network reads at each amount of a damage that grows from none."""
    network = trial.network
    if way.what == "noise":
        return _reads_in_noise(trial, _noise(network, rng), way.amounts)
    counts = way.amounts.astype(np.intp)
    if way.what == "weights":
        order = rng.permutation(way.total) if way.order == "random" else np.argsort(-np.abs(_all_weights(network)))
        fewer = [trial.read(without_weights(network, order[:count])) for count in counts[1:]]
        return np.stack([trial.intact, *fewer])
    assert way.layer is not None
    order = node_order(network, dataset, way.layer, way.order, rng)
    return _reads_without_nodes(trial, way.layer, order, counts)


def _reads_in_noise(trial: Trial, noise: Array, spreads: Array) -> Reads:
    """The labels (k, n) read with the same noise at every spread: along a curve damage grows and does not change.

    The first layer's sums grow with the spread as the noise does, so that the noise meets the images only once.
    """
    network, found = trial.network, [trial.intact]
    first = network.layers[0].weights
    loud = list(trial.bulk.sums(noise[: first.size].reshape(first.shape).astype(network.dtype)))
    for spread in spreads[1:]:
        noisy = _with_weights(network, _all_weights(network) + spread * noise)
        sums = (plain + float(spread) * more for plain, more in zip(trial.sums, loud, strict=True))
        found.append(trial.bulk.read(noisy.layers, sums))
    return np.stack(found)


def _reads_without_nodes(trial: Trial, layer: int, order: NDArray[np.intp], counts: NDArray[np.intp]) -> Reads:
    """The labels (k, n) read without the first of `order`, for each of the rising counts.

    Nothing changes before the layer's nodes, and what they send on is a sum: it is made once from the last count
    down to the first, as nodes are put back, so that nothing is left over where all are gone.
    """
    from scipy.linalg.blas import dger

    upper = trial.network.astype(np.float64).layers[layer:]
    signals = trial.signals[layer]
    sums = np.zeros((upper[0].outputs, signals.shape[1]))
    reads = np.empty((len(counts), signals.shape[1]), np.int64)
    gone = len(order)
    for place in range(len(counts) - 1, -1, -1):
        for node in order[counts[place] : gone]:
            # A product of two vectors, added where the sums stand: BLAS goes over them once.
            dger(1.0, signals[node], upper[0].weights[:, node], a=sums.T, overwrite_a=True)
        gone = counts[place]
        reads[place] = strongest(strengths_from(sums, upper))
    return reads


def _training(network: Network, dataset: Dataset) -> Examples:
    """Training images from the whole of the file, which may be sorted by label."""
    step = -(-len(dataset.train) // TRAINING_IMAGES)
    return Examples.of(network, dataset.train.select(slice(None, None, step)))


def _evidence(network: Network, dataset: Dataset, layer: int) -> Array:
    """How much each node (nodes,) of a hidden layer favours the right label, over training images."""
    examples = _training(network, dataset)
    upper = Network(network.layers[layer:])
    favour = np.zeros(network.sizes[layer])
    for part in examples.parts(CHUNK):
        h = network.signals(part.inputs())[layer]
        z, jacobian = upper.logits_and_jacobian(h)
        rows = np.arange(len(h))
        z[rows, part.labels] = -np.inf
        margin = jacobian[rows, part.labels] - jacobian[rows, z.argmax(axis=1)]
        favour += (h * margin).sum(axis=0)
    return favour / len(examples)


def _stages(
    trial: Trial, dataset: Dataset, shares: Sequence[float], rng: np.random.Generator
) -> tuple[Stage, ...]:
    """The scans of the network itself as it loses nodes of its first hidden layer at random."""
    if not shares:
        return ()
    order = rng.permutation(trial.network.sizes[1])
    training = _training(trial.network, dataset).inputs()
    return tuple(_stage(trial, training, order[: round(share * len(order))]) for share in shares)


def _stage(trial: Trial, training: Array, gone: NDArray[np.intp]) -> Stage:
    """The damaged network is asked for what has become typical of it: it may no longer reach its old answers."""
    network = with_typical(trial.network.without_nodes(gone), training)
    right, _ = trial.score(trial.read(network)[None])
    scans = back_query(network, range(network.outputs))
    performance = float(right.sum() / (len(trial.labels) - trial.scans))
    return Stage(len(gone), performance, scans, labels_read(trial.network, scans.images))


def _all_weights(network: Network) -> Array:
    """The weights of all layers in turn, without the biases."""
    return np.concatenate([layer.weights.ravel() for layer in network.layers])


def _with_weights(network: Network, values: Array) -> Network:
    sizes = np.cumsum([layer.weights.size for layer in network.layers])[:-1]
    parts = zip(network.layers, np.split(values.astype(network.dtype), sizes), strict=True)
    layers = tuple(replace(layer, weights=part.reshape(layer.weights.shape)) for layer, part in parts)
    return replace(network, layers=layers)


def _noise(network: Network, rng: np.random.Generator) -> Array:
    """Noise for the weights of all layers, each layer's as wide as its own weights."""
    weights = [layer.weights.astype(np.float64) for layer in network.layers]
    return np.concatenate([rng.normal(0.0, one.std(), one.size) for one in weights])


__getattr__ = renamed(__name__, {"damage": "measure_damage"})
