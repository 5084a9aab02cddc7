"""What the training kernel moves through the caches, beside what this machine's caches can move."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from backquery.kernels.online import BLOCK
from benchmarks import peers
from benchmarks.training import Section, backquery_network, best


def traffic() -> Section:
    """Bytes an image of the first layer's weights, plain and in blocks, against measured cache bandwidth."""
    from numba import njit

    from backquery import Online, train
    from backquery.kernels.tiles import add_scaled, load, store

    @njit(nogil=True)
    def update(values: Any, count: int, repeats: int) -> None:
        tile = load(values, 0, 1)
        lanes = 64 // values.itemsize
        for _ in range(repeats):
            for k in range(0, count, lanes):
                store(values, k, add_scaled(load(values, k, 1), values.dtype.type(0), tile))

    def speed(kilobytes: int) -> float:
        room = np.ones(kilobytes * 256 + 16, np.float32)
        values = room[-room.ctypes.data % 64 // 4 :][: kilobytes * 256]
        repeats = max(1, 200_000_000 // values.nbytes)
        update(values, values.size, 1)

        def once() -> float:
            clock = perf_counter()
            update(values, values.size, repeats)
            return perf_counter() - clock

        return 2 * values.nbytes * repeats / best(once, 5) / 1e9

    data = peers.mnist()
    ink = data.train.images.reshape(-1, 784)[:9600] > 0
    inked = ink.sum(axis=1).mean()
    used = ink.reshape(-1, BLOCK, 784).any(axis=1).sum(axis=1).mean()
    row = 208 * 4
    # A block reads each row once for every half of its images, then reads and writes it once.
    plain, blocked = 3 * 784 * row, used * row * (2 + 2) / BLOCK
    seconds = train(backquery_network(), data.train, Online(0.1), epochs=2)[1].epochs[-1].seconds / 60_000
    operations = used * row / 4 * 2 * 2 + 2 * 3 * 2000
    rows = [
        ["pixels in all", 784, ""],
        ["inked pixels of an image", f"{inked:.0f}", ""],
        [f"pixels inked in any of {BLOCK} images", f"{used:.0f}", ""],
        ["weights moved for an image, dense step by step", f"{plain / 1e3:,.0f}", "kB"],
        ["weights moved for an image, sparse step by step", f"{3 * inked * row / 1e3:,.0f}", "kB"],
        ["weights moved for an image, in blocks", f"{blocked / 1e3:,.0f}", "kB"],
        ["read and write bandwidth at 16 kB", f"{speed(16):.0f}", "GB/s"],
        ["read and write bandwidth at 650 kB (the weights' size)", f"{speed(650):.0f}", "GB/s"],
        ["an image takes", f"{seconds * 1e6:.2f}", "microseconds"],
        ["the kernel moves weights at", f"{blocked / seconds / 1e9:.0f}", "GB/s"],
        ["and computes at", f"{operations / seconds / 1e9:.0f}", "GFLOP/s"],
    ]
    return "The kernel's traffic, float32", ["what", "how much", "unit"], rows
