"""Whether the signals inside a network pass as those of real images do, or by another path.

A network may answer real images by one path and made ones by another: then its back queries say nothing of how it
reads real images (Geirhos et al. 2023, "Don't trust your eyes"). In each layer the signals of real images that the
network reads as a label are described by their mean, and by one covariance for all labels (Lee et al. 2018, "A
simple unified framework for detecting out-of-distribution samples and adversarial attacks"). How far an image is
from those read as the same label,

    (s - mean)' (covariance + ridge)^-1 (s - mean),

is compared with how far real images are that were held out. What counts is the layer in which the fewest of these
are as far, and how many real images are as far in any layer of their own. Nearer than real images is no fault: the
likeliest image that gives an answer is plainer than they are, in every layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.datasets import Dataset
from backquery.model import Array, Labels, Model, Signalling, labels_read, quick_of

FITTED, HELD_OUT = 3000, 1000
"""Real images that the layers' means and covariances are fitted to, and others that an image is compared with."""

MOST = 512
"""Signals of a layer that are looked at, where it has more."""

RIDGE = 1e-2
"""What the covariance is granted on its diagonal, in parts of the mean variance: nodes may be silent."""

ROUNDING = 1e-5
"""Distances that differ by no more than this share are equal: below it, machines round differently."""

AT_ONCE, PIXELS_AT_ONCE = 256, 2**20
"""Images whose signals are held in full at once, and their inputs where images are large."""

ANOTHER = 0.01
"""Where fewer real images than this are as far, the signals took another path; so do those of one real image in a
hundred. `python -m measurements path` chose it."""


@dataclass(frozen=True, eq=False)
class Passage:
    """How the signals of n images pass through a network.

    share: (n,) the share of held-out real images that are as far, in any layer, from those that the network reads
    as the same label; layer: for each image the name of the layer in which its signals are the least like theirs;
    real: how many real images were held out.
    """

    share: Array
    layer: tuple[str, ...]
    real: int

    @property
    def another(self) -> NDArray[np.bool_]:
        """(n,): whether the signals took a path that those of hardly any real image take."""
        return np.asarray(self.share < ANOTHER)

    @property
    def brief(self) -> str:
        """The median share or, where most images took another path, the layer that most of them show it in."""
        where = [layer for layer, other in zip(self.layer, self.another, strict=True) if other]
        most = 2 * len(where) > len(self.layer)
        return Counter(where).most_common(1)[0][0] if most else f"{np.median(self.share):.2f}"

    @property
    def told(self) -> str:
        """In words, how many images took another path, and where that shows most; nothing where none did."""
        others = [layer for layer, other in zip(self.layer, self.another, strict=True) if other]
        if not others:
            return ""
        where, most = Counter(others).most_common(1)[0][0], round(self.share[self.another].max() * self.real)
        real = f"at most {most} of {self.real:,} real ones are" if most else f"none of {self.real:,} real ones is"
        return (
            f"in {len(others)} of {len(self.layer)} images the signals, most of all in {where}, are unlike those "
            f"of real images: {real} as far"
        )

    def as_json(self) -> dict[str, Any]:
        """All that it holds as plain values, for JSON."""
        return {"path": [round(float(v), 4) for v in self.share], "path_layer": list(self.layer)}


class RealSignals:
    """The signals of real images in each layer of a model, ready to be compared with those of others.

    `fitted` and `held_out` are inputs (m, inputs) of real images; none may be in both. `layers` are the names of
    those that are looked at, by default all hidden ones.
    """

    def __init__(
        self, model: Signalling, fitted: ArrayLike, held_out: ArrayLike, layers: Collection[str] | None = None
    ) -> None:
        self._model = model
        signals, read = self._signals(fitted)
        names = [name for name in signals if layers is None or name in layers]
        self._layers = {name: _Layer.of(signals[name], read, model.outputs) for name in names}
        self._usual = {name: np.sort(values) for name, values in self._distances(held_out).items()}
        self._worst = np.sort(self._shares(self._distances(held_out)).min(axis=0))

    @classmethod
    def of(cls, model: Model, dataset: Dataset, layers: Collection[str] | None = None) -> RealSignals | None:
        """Fitted to training images, beside test images; None for a model that shows no signals of hidden layers.

        Without a test half every second one of the training images is held out.
        """
        quick = quick_of(model)
        if not isinstance(quick, Signalling) or not quick.hidden_signals(model.scale(dataset.train.images[:2])):
            return None
        halves = (dataset.train.images, dataset.to_test_on.images)
        if dataset.test is None:
            halves = (halves[0][::2], halves[0][1::2])
        fitted, held_out = (
            model.scale(_spread(half, most)) for half, most in zip(halves, (FITTED, HELD_OUT), strict=True)
        )
        return cls(quick, fitted, held_out, layers)

    def passage(self, images: ArrayLike) -> Passage:
        """How images (n, inputs), in input scale, pass through the model beside the real ones held out."""
        distances = self._distances(images)
        shares, names = self._shares(distances), list(self._layers)
        # Where no real image is as far in several layers, the one that is farthest beside the usual is meant.
        excess = np.stack([distances[name] / max(self._usual[name][-1], 1e-300) for name in names])
        weakest = np.lexsort((-excess, shares), axis=0)[0]
        worst = shares.min(axis=0)
        share = np.searchsorted(self._worst, worst, side="right") / len(self._worst)
        return Passage(np.asarray(share), tuple(names[k] for k in weakest), len(self._worst))

    def _shares(self, distances: Mapping[str, Array]) -> Array:
        """For each layer and image (layers, n) the share of held-out real images that are as far or farther."""
        at_least = {name: far * (1 - ROUNDING) for name, far in distances.items()}
        nearer = [np.searchsorted(usual, at_least[name], side="left") for name, usual in self._usual.items()]
        return 1 - np.stack(nearer) / len(next(iter(self._usual.values())))

    def _distances(self, images: ArrayLike) -> dict[str, Array]:
        signals, read = self._signals(images)
        return {name: layer.distances(signals[name], read) for name, layer in self._layers.items()}

    def _signals(self, images: ArrayLike) -> tuple[dict[str, Array], Labels]:
        """The signals of each layer, as few numbers (n, at most `MOST`), and what the model reads (n,)."""
        inputs = np.asarray(images)
        # A module may drop axes of length one, and is therefore never shown one image alone.
        shown = np.repeat(inputs, 2, axis=0) if len(inputs) == 1 else inputs
        parts = np.array_split(shown, -(-len(shown) // max(2, min(AT_ONCE, PIXELS_AT_ONCE // shown.shape[1]))))
        found = [{name: few(v) for name, v in self._model.hidden_signals(part).items()} for part in parts]
        read = np.concatenate([labels_read(self._model, part) for part in parts])[: len(inputs)]
        names = [name for name in found[0] if all(name in part for part in found)]
        return {name: np.concatenate([part[name] for part in found])[: len(inputs)] for name in names}, read


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's signals of real images: means (labels, m), and a root of the inverse covariance (m, m)."""

    means: Array
    root: Array

    @classmethod
    def of(cls, signals: Array, read: Labels, labels: int) -> _Layer:
        """Of signals (n, m) of images read as these labels; one never read is given the mean of all images."""
        whole = np.isfinite(signals).all(axis=1) & (read >= 0)
        signals, read = signals[whole], read[whole]
        known = {label: signals[read == label].mean(axis=0) for label in np.unique(read)}
        means = np.stack([known.get(label, signals.mean(axis=0)) for label in range(labels)])
        apart = signals - means[read]
        covariance = apart.T @ apart / len(signals)
        ridge = RIDGE * float(np.trace(covariance)) / len(covariance) or 1.0
        lower = np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))
        return cls(means, np.linalg.inv(lower))

    def distances(self, signals: Array, read: Labels) -> Array:
        """How far signals (n, m) are from those of images read as the same label, (n,)."""
        whitened = (signals - self.means[read]) @ self.root.T
        return np.asarray(np.einsum("ij,ij->i", whitened, whitened))


def few(signals: ArrayLike) -> Array:
    """At most `MOST` of the signals (n, ...) of a layer, (n, m), always the same ones, drawn from all places."""
    flat = np.asarray(signals).reshape(len(np.asarray(signals)), -1)
    if flat.shape[1] > MOST:
        flat = flat[:, np.sort(np.random.default_rng(0).choice(flat.shape[1], MOST, replace=False))]
    return np.asarray(flat, np.float64)


def _spread(images: NDArray[Any], most: int) -> NDArray[Any]:
    """So many of the images at most, from all parts of them: they may lie in the order of their labels."""
    chosen: NDArray[Any] = images[np.unique(np.linspace(0, len(images) - 1, most).astype(int))]
    return chosen
