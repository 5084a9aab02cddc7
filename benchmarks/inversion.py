"""Back queries of the bundled network, beside activation maximisation in PyTorch as Lucent does it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from backquery import Online, Scaling, datasets, fit_statistics, load_model, train
from backquery.datasets import Dataset
from backquery.inversion import GaussNewton, Targets, back_query, confidence
from backquery.inversion.fitting import components_gain
from backquery.model import MIXTURE_PARTS
from backquery.model.network import Network
from benchmarks import faithful, peers
from benchmarks.animals import animals
from benchmarks.training import Section

LABELS = np.arange(10)
LUCENT_STEPS = 512
MOVES = 2_000


def speed() -> Section:
    """Milliseconds after the first call, the round trip and the judge."""
    network = load_model("mnist")
    start = back_query(network, [3], confidence=0.9).images
    work = {
        "transpose, ten images": lambda: back_query(network, LABELS, method="transpose"),
        "gauss-newton, ten images, typical": lambda: back_query(network, LABELS),
        "gauss-newton, ten images, 0.99": lambda: back_query(network, LABELS, confidence=0.99),
        "gauss-newton, one image": lambda: back_query(network, [3], confidence=0.92),
        "gauss-newton, one image, warm": lambda: back_query(network, [3], confidence=0.92, start=start),
        "gauss-newton, 1,000 images": lambda: back_query(network, np.tile(LABELS, 100)),
        "ascent (NumPy), ten images": lambda: back_query(network, LABELS, method="ascent"),
    }
    judge = faithful.judge()
    rows = []
    for name, ask in work.items():
        result = ask()
        seconds = _best(ask, 2 if "1,000" in name or "ascent" in name else 20)
        count = len(result.images)
        judged = judge.ask(network.scaling.ink(result.images))  # type: ignore[union-attr]
        rows.append(
            [
                name,
                f"{seconds * 1e3:.1f}",
                f"{seconds * 1e3 / count:.2f}",
                f"{int(np.sum(result.read == result.labels))} of {count}",
                f"{int(np.sum(judged == result.labels))}",
                f"{result.logit_error.max():.1g}",
            ]
        )
    if peers.torch_available():
        clock = perf_counter()
        images = torch_ascent(network)
        seconds = perf_counter() - clock
        read = network.query(images).argmax(axis=1)
        judged = judge.ask(network.scaling.ink(images))  # type: ignore[union-attr]
        agreed = [f"{int(np.sum(read == LABELS))} of 10", f"{int(np.sum(judged == LABELS))}"]
        name = f"ascent (PyTorch), {LUCENT_STEPS} Adam steps, ten images"
        rows.append([name, f"{seconds * 1e3:.1f}", f"{seconds * 1e2:.2f}", *agreed, "-"])
    columns = ["what", "milliseconds", "an image", "read as asked", "judge", "worst error"]
    return f"Back queries of the bundled network, one thread ({faithful.trust()})", columns, rows


def sliders(moves: int = MOVES) -> Section:
    """Milliseconds of one move after another, each begun where the last one ended.

    A label's log-odds take a random walk (steps of standard deviation 0.5) between 0.01 and 0.99, and every
    25th move changes the label; or every move asks for another label at another confidence.
    """
    network = load_model("mnist")
    methods = {"as usual": GaussNewton(), "as the studio asks": GaussNewton(steps=15, confirming=False)}
    rows = []
    for kind, questions in {"walk": _walk(network, moves, 25), "jumps": _walk(network, moves, 1)}.items():
        for name, method in methods.items():
            image = back_query(network, questions[0], method=method).images
            seconds, read, converged = [], 0, 0
            for question in questions:
                clock = perf_counter()
                result = back_query(network, question, method=method, start=image)
                seconds.append(perf_counter() - clock)
                image = result.images
                read += int(result.read_as_asked[0])
                converged += int(result.converged[0])
            times = [f"{1e3 * part:.1f}" for part in np.percentile(seconds, [50, 95, 99, 100])]
            rows.append([f"{kind}, {name}", *times, f"{read} of {moves}", f"{converged} of {moves}"])
    columns = ["moves", "median", "95 %", "99 %", "slowest", "read as asked", "converged"]
    return "Milliseconds from a slider's move to its image, one thread", columns, rows


FITTED: dict[str, int | None] = {
    "mnist": None,
    "mnist, 40 asked for": 40,
    "wandering-mnist": None,
    "shapes": None,
    "animals": None,
}
"""Data sets, each with the number of components asked for, or None where held-out images decide."""


def mixtures() -> Section:
    """What a mixture costs beside one Gaussian: fitting it, in the file, and asking for every label."""
    rows = []
    for name, components in FITTED.items():
        data = animals() if name == "animals" else datasets.load(name.partition(",")[0])
        if data is None:
            continue
        network = _taught(data)
        fit_one, fit = (
            partial(fit_statistics, network, data.train, components=count) for count in (1, components)
        )
        statistics = fit()
        mixture = statistics.mixture
        fitting = [_best(work, 2) for work in (fit_one, fit)]
        memory = [_peak(work) for work in (fit_one, fit)]
        kept = 0 if mixture is None else sum(getattr(mixture, part).nbytes for part in MIXTURE_PARTS)
        network = replace(network, statistics=statistics)
        asking = [
            _best(partial(back_query, network, range(network.outputs), prior=prior), 10)
            for prior in (("data", "data") if mixture is None else ("data", "mixture"))
        ]
        rows.append(
            [
                f"{name}, {len(data.train):,} images", f"{components_gain(network, data.train):.3f}",
                1 if mixture is None else len(mixture),
                *(f"{seconds:.2f}" for seconds in fitting), f"{fitting[1] / fitting[0]:.1f}",
                *(f"{size / 2**20:.0f}" for size in memory), f"{kept / 1e6:.1f}",
                *(f"{1e3 * seconds:.0f}" for seconds in asking), f"{asking[1] / asking[0]:.1f}",
            ]
        )  # fmt: skip
    columns = [
        "data", "gain, nats a pixel", "components", "fit one, s", "fit, s", "ratio", "one, MiB", "MiB", "kept, MB",
        "labels of one, ms", "ms", "ratio",
    ]  # fmt: skip
    return (
        "What a mixture costs beside one Gaussian; a network of 200 hidden nodes, all labels, one thread",
        columns,
        rows,
    )


def _taught(data: Dataset) -> Network:
    """A network of the book's size that has seen the images once."""
    fresh = Network.create(
        [data.inputs, 200, len(data.classes)], rng=0, input_shape=data.input_shape,
        scaling=Scaling.book(data.maximum),
    )  # fmt: skip
    return train(fresh, data.train, Online(0.05), epochs=1, rng=0)[0]


def _peak(work: Callable[[], object]) -> int:
    """Bytes that NumPy and Python held at most, beyond what they held before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _walk(network: Network, moves: int, stay: int, limit: float = 4.595) -> list[Targets]:
    """Questions whose confidence wanders between 0.01 and 0.99 in log-odds; `stay` moves a label."""
    rng = np.random.default_rng(0)
    questions, logits, label = [], 0.0, 3
    for move in range(moves):
        if move % stay == stay - 1:
            label = int(rng.integers(10))
        wander = rng.uniform(-limit, limit) if stay == 1 else logits + rng.normal(0, 0.5)
        logits = float(np.clip(wander, -limit, limit))
        questions.append(confidence(network, [label], 1 / (1 + np.exp(-logits)), "typical"))
    return questions


def torch_ascent(network: Network, steps: int = LUCENT_STEPS) -> Any:
    """Activation maximisation by autodiff: Adam at 0.05, total variation, L2 and jitter, on the log-odds."""
    import torch

    torch.manual_seed(0)
    first, second = (torch.from_numpy(np.array(layer.weights)) for layer in network.layers)
    low, high = float(network.scaling.low), float(network.scaling.high)  # type: ignore[union-attr, arg-type]
    hidden = (0.01 * torch.randn(10, 28, 28)).requires_grad_()
    optimizer = torch.optim.Adam([hidden], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        images = low + (high - low) * torch.sigmoid(hidden)
        shift = torch.randint(-2, 3, (2,)).tolist()
        moved = torch.roll(images, shift, (1, 2))
        logits = torch.sigmoid(moved.reshape(10, -1) @ first.T) @ second.T
        variation = (images.diff(dim=1).abs().sum() + images.diff(dim=2).abs().sum()) / 100
        loss = -logits.diagonal().sum() + variation + 0.01 * (images**2).sum()
        loss.backward()
        optimizer.step()
    return (low + (high - low) * torch.sigmoid(hidden)).detach().reshape(10, -1).numpy()


def _best(ask: Any, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        clock = perf_counter()
        ask()
        seconds.append(perf_counter() - clock)
    return min(seconds)
