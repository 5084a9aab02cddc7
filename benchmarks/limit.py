"""What the training kernel computes and moves, beside what this machine can."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from backquery import Online, train
from benchmarks import peers
from benchmarks.training import Section, backquery_network, best

BLOCK, GROUP = 32, 2
"""Those of `kernels/online.c`."""

ROW = 208
"""Numbers of a row of 200 nodes, padded to whole lines."""


def limit() -> Section:
    """Operations and weights of an image of MNIST, 784-200-10 in float32, and the machine's own pace."""
    data = peers.mnist()
    inks = data.train.images.reshape(-1, BLOCK, 784)[: 9600 // BLOCK] > 0
    # Within a block the images are sorted by their labels.
    places = np.argsort(data.train.labels.reshape(-1, BLOCK)[: len(inks)], axis=1, kind="stable")
    ink = np.take_along_axis(inks, places[:, :, None], axis=1)
    inked = ink.sum(axis=-1).mean()
    groups, blocks = (ink.reshape(-1, size, 784).any(axis=1).sum(axis=1).mean() for size in (GROUP, BLOCK))
    useful = 2 * inked * ROW * 2
    forwards = groups * (ROW + BLOCK) * 2
    backwards = (inked * ROW + BLOCK / 2 * ROW) * 2
    later = 3 * 2000 * 2
    trained = [train(backquery_network(), data.train, Online(0.1), epochs=3)[1] for _ in range(3)]
    # After the first epoch, to which the time of turning images into rows counts.
    seconds = min(epoch.seconds for history in trained for epoch in history.epochs[1:]) / 60_000
    rows: list[list[Any]] = [
        ["inked pixels of an image, of 784", f"{inked:.0f}", ""],
        [f"pixels inked in any of {GROUP} images", f"{groups:.0f}", ""],
        [f"pixels inked in any of {BLOCK} images", f"{blocks:.0f}", ""],
        ["useful operations of the first layer, an image", f"{useful / 1e3:.0f}", "kFLOP"],
        ["executed in all, an image", f"{(forwards + backwards + later) / 1e3:.0f}", "kFLOP"],
        ["weights read for an image, beyond the nearest cache", f"{2 * blocks / BLOCK * ROW * 4 / 1e3:.0f}", "kB"],
        ["weights read for an image in all", f"{(groups / GROUP + blocks / BLOCK) * ROW * 4 / 1e3:.0f}", "kB"],
        ["weights written for an image", f"{blocks / BLOCK * ROW * 4 / 1e3:.0f}", "kB"],
        ["an image takes", f"{seconds * 1e6:.2f}", "microseconds"],
        ["which is", f"{(forwards + backwards + later) / seconds / 1e9:.0f}", "GFLOP/s"],
        ["a product of two large matrices by BLAS", f"{_product():.0f}", "GFLOP/s"],
        ["reading the weights (650 kB) alone", f"{_reading():.0f}", "GB/s"],
    ]
    return "The training kernel and the machine, float32, one core", ["what", "how much", "unit"], rows


def _product(side: int = 1024) -> float:
    """Billions of operations a second of a product of matrices."""
    left, right = np.ones((2, side, side), np.float32)
    return 2 * side**3 / best(lambda: _seconds(lambda: left @ right), 5) / 1e9


def _reading(count: int = 784 * ROW, repeats: int = 100) -> float:
    """Billions of bytes a second of a product of the weights, taken as a matrix, with a vector."""
    matrix, vector = np.ones((count // ROW, ROW), np.float32), np.ones(ROW, np.float32)
    out = np.empty(len(matrix), np.float32)
    work = best(lambda: _seconds(lambda: [np.dot(matrix, vector, out=out) for _ in range(repeats)]), 5)
    return matrix.nbytes * repeats / work / 1e9


def _seconds(work: Any) -> float:
    clock = perf_counter()
    work()
    return perf_counter() - clock
