"""One image at a time by the compiled kernel: which one to use, and its driver."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery import kernels
from backquery.errors import TrainingError
from backquery.kernels import aligned
from backquery.model import Array, Examples, Network
from backquery.training.gradients import with_parameters
from backquery.training.recipes import LOSSES, Loss

KERNELS = ("auto", "sparse", "dense", "numpy")
"""What computes the steps of one image at a time; ``"auto"`` is the fastest of the others that is there."""

_BLANK_SHARE = 0.3
"""From this share of background pixels on, leaving them out pays."""


def choose_kernel(asked: str, network: Network, examples: Examples) -> str:
    """The kernel to use: as asked, or what fits the data and this machine."""
    if asked not in KERNELS:
        raise TrainingError(f"unknown kernel {asked!r}; choose one of {', '.join(KERNELS)}")
    unknown = {layer.activation.name for layer in network.layers if layer.activation.code is None}
    if asked == "auto":
        if unknown or not kernels.available():
            return "numpy"
        return "sparse" if _background(examples)[1] >= _BLANK_SHARE else "dense"
    if asked != "numpy" and not kernels.available():
        raise TrainingError(
            f"kernel {asked!r} needs the compiled kernels, which this installation lacks; use kernel='numpy'"
        )
    if asked != "numpy" and unknown:
        raise TrainingError(f"kernel {asked!r} does not know {', '.join(unknown)}; use kernel='numpy'")
    return asked


def _background(examples: Examples) -> tuple[float, float]:
    """The most common input value of the first images, and its share."""
    scaling = examples.model.scaling
    if examples.pixels is not None and scaling is not None and scaling.uniform:
        return float(scaling.offset), float(np.mean(examples.pixels[:1000] == 0))
    sample = examples.first(1000).inputs()
    values, counts = np.unique(sample, return_counts=True)
    return float(values[counts.argmax()]), float(counts.max() / sample.size)


def vectors_in_use() -> str | None:
    """The vectors that the compiled kernels use here, such as "avx2"; None where NumPy does the work."""
    return kernels.width() or None


def kernel_in_words() -> str:
    """What single steps are trained with here."""
    if vectors_in_use():
        return f"by compiled kernels, with vectors of {vectors_in_use()}"
    return "by NumPy alone: this installation has no compiled kernels, which are several times as fast"


class CompiledOnline:
    """The weights as the kernel keeps them, and the images as sparse rows."""

    def __init__(self, network: Network, examples: Examples, loss: Loss, targets: Array, sparse: bool) -> None:
        self.network = network
        self._examples, self._targets, self._loss, self._sparse = examples, targets, loss, sparse
        lanes = kernels.LINE // network.dtype.itemsize
        self.sizes = np.array(network.sizes, np.int64)
        # Whole cache lines, so that every row begins at one.
        self.padded = -(-self.sizes[1:] // lanes) * lanes
        self.totals = np.zeros(2)
        self._read_weights()

    def prepare(self) -> None:
        """Turn the images into rows; part of the time of training."""
        layers, dtype = self.network.layers, self.network.dtype
        background, starts, places, values = self._sparse_rows() if self._sparse else self._dense_rows()
        self._kernel = kernels.OnlineTraining(
            dtype,
            LOSSES.index(self._loss),
            background,
            sizes=self.sizes,
            codes=np.array([layer.activation.code for layer in layers], np.int32),
            leaks=np.array([layer.activation.leak or 0.0 for layer in layers], dtype),
            biased=np.array([layer.biases is not None for layer in layers], np.uint8),
            starts=starts,
            places=places,
            values=values,
            labels=np.ascontiguousarray(self._examples.labels, np.int64),
            targets=np.ascontiguousarray(self._targets, dtype),
            first=self.first,
            later=self.later,
            biases=self.biases,
            totals=self.totals,
        )

    def run(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int:
        """Steps for the images of `order`; the position where it diverged, or -1."""
        return self._kernel.train(order, rate, rate_after)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from run to run, by name; writing into these arrays restores it."""
        return {"first": self.first, "later": self.later, "biases": self.biases, "totals": self.totals}

    def snapshot(self) -> Network:
        """The network as it is now."""
        first = self.first.reshape(self.sizes[0], -1)[:, : self.sizes[1]].T
        matrices = [first]
        ends = np.cumsum(self.sizes[2:] * self.padded[:-1])
        # Not strict, because without later layers split still gives one piece, an empty one.
        for flat, nodes, inputs in zip(
            np.split(self.later, ends[:-1]), self.sizes[2:], self.sizes[1:-1], strict=False
        ):
            matrices.append(flat.reshape(nodes, -1)[:, :inputs])
        biases = np.split(self.biases, np.cumsum(self.padded)[:-1])
        return with_parameters(
            self.network, matrices, [b[:n] for b, n in zip(biases, self.sizes[1:], strict=True)]
        )

    def _read_weights(self) -> None:
        dtype = self.network.dtype
        matrices = [layer.weights for layer in self.network.layers]
        given = [layer.biases for layer in self.network.layers]
        first = np.zeros((self.sizes[0], self.padded[0]), dtype)
        # Inputs by nodes, so that the weights of an inked pixel lie together.
        first[:, : self.sizes[1]] = matrices[0].T
        later = [
            np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))
            for matrix, width in zip(matrices[1:], self.padded[:-1], strict=True)
        ]
        self.first = aligned(first.reshape(-1))
        self.later = aligned(np.concatenate([m.reshape(-1) for m in later] or [np.zeros(0, dtype)]))
        biases = [np.zeros(n, dtype) if b is None else b for n, b in zip(self.sizes[1:], given, strict=True)]
        wide = [np.pad(b, (0, width - len(b))) for b, width in zip(biases, self.padded, strict=True)]
        self.biases = aligned(np.concatenate(wide))

    def _sparse_rows(self) -> tuple[float, Array, Array, Array]:
        examples, dtype = self._examples, self.network.dtype
        background, _ = _background(examples)
        scaling = examples.model.scaling
        if examples.pixels is not None and scaling is not None and scaling.uniform:
            return background, *kernels.compress_pixels(examples.pixels, float(scaling.gain), dtype)
        return background, *kernels.compress(examples.inputs().astype(dtype, copy=False), background)

    def _dense_rows(self) -> tuple[float, None, None, Array]:
        inputs = self._examples.inputs().astype(self.network.dtype, copy=False)
        # With a background of zero every input counts as ink, and the same kernel does.
        return 0.0, None, None, np.ascontiguousarray(inputs)
