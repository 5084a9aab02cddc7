"""Training and querying 784-200-10 on MNIST."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from backquery import Network, Online, Scaling, train
from backquery.training import RECIPES
from benchmarks import peers

Section = tuple[str, list[str], list[list[Any]]]

UPDATES = 300_000
SAMPLE = 6_000
"""Slow peers take this many single updates; the five epochs are reckoned from them, and the table says so."""


def best(work: Any, repeats: int = 3) -> float:
    """The shortest of a few runs: what the machine can do when nobody disturbs it."""
    return min(work() for _ in range(repeats))


def backquery_network(dtype: str = "float32") -> Network:
    return Network.create([784, 200, 10], rng=1, dtype=dtype, input_shape=(28, 28), scaling=Scaling.book())


def _backquery_seconds(dtype: str, kernel: str = "auto") -> float:
    return train(backquery_network(dtype), peers.mnist().train, Online(0.1), epochs=5, kernel=kernel)[1].seconds


def single_steps() -> Section:
    """Five epochs: one image at a time, and each peer's best batch setting."""
    rows: list[tuple[str, float, str]] = []
    book = best(lambda: peers.book_updates(SAMPLE)) / SAMPLE * UPDATES
    rows.append(("the book's algorithm, NumPy, float64", book, "reckoned"))
    alone = best(lambda: peers.sklearn_updates(SAMPLE)) / SAMPLE * UPDATES
    rows.append(("scikit-learn, one image at a time", alone, "reckoned"))
    batched = best(lambda: peers.sklearn_epochs(peers.sklearn_network(200), 1)) * 5
    rows.append(("scikit-learn, Adam, batches of 200", batched, "5 x one epoch"))
    if peers.torch_available():
        alone = best(lambda: peers.TorchNetwork(1, "sgd", 0.01).train(SAMPLE)) / SAMPLE * UPDATES
        rows.append(("PyTorch, one image at a time", alone, "reckoned"))
        batched = best(lambda: peers.TorchNetwork(128).train(60_000)) * 5
        rows.append(("PyTorch, Adam, batches of 128", batched, "5 x one epoch"))
    rows.extend(
        (f"backquery, {who}, {dtype}", best(partial(_backquery_seconds, dtype, kernel)), "measured")
        for who, kernel in (("one image at a time, NumPy alone", "numpy"), ("one image at a time", "auto"))
        for dtype in ("float64", "float32")
    )
    return (
        "Five epochs of MNIST, 784-200-10, 300,000 images",
        ["who", "seconds", "microseconds an image", "times faster than the book", "how"],
        [[who, f"{s:.2f}", f"{s / UPDATES * 1e6:.1f}", f"{book / s:.1f}", how] for who, s, how in rows],
    )


def to_98_percent() -> Section:
    """Seconds of training until 98 % of the test images are read rightly, tested after every epoch."""
    _, _, test, labels = peers.inputs()
    rows: list[list[Any]] = []
    network = Network.create(
        [784, 200, 10], activation="relu", biases=True, rng=1, input_shape=(28, 28), scaling=Scaling.unit()
    )
    for epochs in (2, 3, 4):
        _, history = train(
            network, peers.mnist().train, RECIPES["online"], epochs=epochs, test=peers.mnist().test, rng=1
        )
        reached = history.epochs[-1].test_accuracy or 0.0
        if reached >= 0.98:
            break
    own = history.seconds
    rows.append(["backquery, one image at a time", epochs, f"{own:.2f}", f"{reached:.2%}", "1.0"])

    def until(name: str, epoch: Any, read: Any, most: int = 15) -> None:
        seconds, accuracy, count = 0.0, 0.0, 0
        while accuracy < 0.98 and count < most:
            seconds += epoch()
            count += 1
            accuracy = float(np.mean(read(test) == labels))
        ratio = f"{seconds / own:.1f}" if accuracy >= 0.98 else f"over {seconds / own:.1f}"
        rows.append([name, count, f"{seconds:.2f}", f"{accuracy:.2%}", ratio])

    for size in (64, 200):
        scikit = peers.sklearn_network(size)
        until(f"scikit-learn, Adam, batches of {size}", lambda: peers.sklearn_epochs(scikit, 1), scikit.predict)
    if peers.torch_available():
        for size, rate in ((64, 0.001), (128, 0.002)):
            torch = peers.TorchNetwork(size, rate=rate)
            until(
                f"PyTorch, Adam, batches of {size}",
                lambda: torch.train(60_000),
                lambda x: torch.query(x).argmax(axis=1),
            )
    return (
        "To 98 % of the MNIST test set, 784-200-10 with ReLU",
        ["who", "epochs", "seconds", "reached", "times backquery"],
        rows,
    )


def queries() -> Section:
    """One image at a time, and all 10,000 test images at once."""
    _, _, test, _ = peers.inputs()
    network = backquery_network()
    scikit = peers.sklearn_network(200)
    scikit.partial_fit(*[part[:1000] for part in peers.inputs()[:2]], classes=np.arange(10))
    askers = {"backquery": network.query, "scikit-learn": scikit.predict_proba}
    if peers.torch_available():
        askers["PyTorch"] = peers.TorchNetwork(128).query
    rows = []
    for name, ask in askers.items():
        one = best(lambda: _seconds(lambda: [ask(test[k : k + 1]) for k in range(500)]), 5) / 500
        many = best(lambda: _seconds(lambda: ask(test)), 5)
        rows.append([name, f"{one * 1e6:.0f}", f"{10_000 / many:,.0f}"])
    return "Query", ["who", "microseconds for one image", "images a second, 10,000 at once"], rows


def _seconds(work: Any) -> float:
    clock = perf_counter()
    work()
    return perf_counter() - clock


_CHILDREN = {
    "nothing but the data and NumPy": "from benchmarks import peers; peers.mnist()",
    "backquery, one image at a time": (
        "from benchmarks import peers, training; training._backquery_seconds('float32')"
    ),
    "the book's algorithm, NumPy": "from benchmarks import peers; peers.book_updates(100)",
    "scikit-learn, batches of 200": (
        "from benchmarks import peers; peers.sklearn_epochs(peers.sklearn_network(200), 1)"
    ),
    "PyTorch, batches of 128": "from benchmarks import peers; peers.TorchNetwork(128).train(60_000)",
}


def peak() -> int:
    """Bytes of this process's memory at its peak; what a parent process used before does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory() -> Section:
    """Peak resident memory of a process that trains on MNIST."""
    rows = []
    for name, code in _CHILDREN.items():
        if "PyTorch" in name and not peers.torch_available():
            continue
        command = [sys.executable, "-c", f"{code}\nfrom benchmarks.training import peak; print(peak())"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append([name, f"{int(done.stdout.splitlines()[-1]) / 2**20:,.0f}"])
    return "Memory at its peak, a process that trains on MNIST", ["who", "MiB"], rows
