"""One image at a time by the compiled kernel: which one to use, and its driver."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery import kernels
from backquery.errors import TrainingError
from backquery.model import Array, Examples, Network
from backquery.training.gradients import with_parameters
from backquery.training.recipes import LOSSES, Loss

KERNELS = ("auto", "sparse", "dense", "numpy")

_BLANK_SHARE = 0.3
"""From this share of background pixels on, leaving them out pays."""


def choose_kernel(asked: str, examples: Examples) -> str:
    """The kernel to use: as asked, or what fits the data and this machine."""
    if asked not in KERNELS:
        raise TrainingError(f"unknown kernel {asked!r}; choose one of {', '.join(KERNELS)}")
    if asked == "auto":
        if not kernels.available():
            return "numpy"
        return "sparse" if _background(examples)[1] >= _BLANK_SHARE else "dense"
    if asked != "numpy" and not kernels.available():
        raise TrainingError(f"kernel {asked!r} needs Numba; install it, or use kernel='numpy'")
    return asked


def _background(examples: Examples) -> tuple[float, float]:
    """The most common input value of the first images, and its share."""
    scaling = examples.model.scaling
    if examples.pixels is not None and scaling is not None and scaling.uniform:
        return float(scaling.offset), float(np.mean(examples.pixels[:1000] == 0))
    sample = examples.first(1000).inputs()
    values, counts = np.unique(sample, return_counts=True)
    return float(values[counts.argmax()]), float(counts.max() / sample.size)


class CompiledOnline:
    """The weights as the kernel keeps them, and the images as sparse rows."""

    def __init__(self, network: Network, examples: Examples, loss: Loss, targets: Array, sparse: bool) -> None:
        self.network = network
        self.kernel: Any = kernels.load()
        self.targets = targets
        self.labels = examples.labels
        self.loss = LOSSES.index(loss)
        lanes = self.kernel.LINE // network.dtype.itemsize
        self.sizes = np.array(network.sizes, np.int64)
        # Whole cache lines, so that every row begins at one.
        self.padded = -(-self.sizes[1:] // lanes) * lanes
        self.codes = np.array([layer.activation.code for layer in network.layers])
        self.leaks = np.array([layer.activation.leak or 0.0 for layer in network.layers], network.dtype)
        self.biased = np.array([layer.biases is not None for layer in network.layers])
        self.totals = np.zeros(2)
        self._read_weights()
        # A first call without images compiles, so that the time of training is the time of training.
        empty = np.zeros(0, np.int64)
        self.background = 0.0
        self.starts, self.places = np.zeros(1, np.int64), np.zeros(0, np.uint32)
        self.values = np.zeros(0, network.dtype)
        self.run(empty, 0.0, 0.0)
        self._examples, self._sparse = examples, sparse

    def prepare(self) -> None:
        """Turn the images into rows; part of the time of training."""
        if self._sparse:
            self._sparse_rows(self._examples)
        else:
            self._dense_rows(self._examples)

    def run(self, order: NDArray[np.int64], rate: float, rate_after: float) -> int:
        """Steps for the images of `order`; the position where it diverged, or -1."""
        place: int = self.kernel.train_online(
            order, self.starts, self.places, self.values, self.background, self.labels, self.targets,
            self.sizes, self.codes, self.leaks, self.biased, self.loss, np.array([rate, rate_after]),
            self.first, self.shared, self.later, self.biases, self.totals,
        )  # fmt: skip
        self._fold()
        return place

    def _fold(self) -> None:
        """Bring u back to zero, so that rounding does not gather in it."""
        self.first.reshape(len(self.first) // len(self.shared), -1)[:] += self.shared
        self.shared[:] = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes from run to run, by name; writing into these arrays restores it. u is zero then."""
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
        self.first = _aligned(first.reshape(-1))
        self.shared = _aligned(np.zeros(self.padded[0], dtype))
        self.later = _aligned(np.concatenate([m.reshape(-1) for m in later] or [np.zeros(0, dtype)]))
        biases = [np.zeros(n, dtype) if b is None else b for n, b in zip(self.sizes[1:], given, strict=True)]
        wide = [np.pad(b, (0, width - len(b))) for b, width in zip(biases, self.padded, strict=True)]
        self.biases = _aligned(np.concatenate(wide))

    def _sparse_rows(self, examples: Examples) -> None:
        self.background, _ = _background(examples)
        scaling = examples.model.scaling
        dtype = self.network.dtype
        self.starts = np.zeros(len(examples) + 1, np.int64)
        if examples.pixels is not None and scaling is not None and scaling.uniform:
            used = int(np.count_nonzero(examples.pixels))
            self.places, self.values = np.empty(used, np.uint32), np.empty(used, dtype)
            self.kernel.compress_pixels(
                examples.pixels, float(scaling.gain), self.starts, self.places, self.values
            )
        else:
            inputs = examples.inputs().astype(self.network.dtype, copy=False)
            # Rounded as the inputs are, or no input might equal it.
            background = dtype.type(self.background)
            used = int(np.count_nonzero(inputs != background))
            self.places, self.values = np.empty(used, np.uint32), np.empty(used, dtype)
            self.kernel.compress(inputs, background, self.starts, self.places, self.values)

    def _dense_rows(self, examples: Examples) -> None:
        inputs = examples.inputs().astype(self.network.dtype, copy=False)
        count, width = inputs.shape
        # With a background of zero every input counts as ink, and the same kernel does.
        self.background = 0.0
        self.starts = np.arange(count + 1, dtype=np.int64) * width
        self.places = np.tile(np.arange(width, dtype=np.uint32), count)
        self.values = np.ascontiguousarray(inputs).reshape(-1)


def _aligned(values: Array) -> Array:
    """A copy that begins at a cache line."""
    room = np.empty(values.size + 64 // values.itemsize, values.dtype)
    skip = -room.ctypes.data % 64 // values.itemsize
    room[skip : skip + values.size] = values
    return room[skip : skip + values.size]
