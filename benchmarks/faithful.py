"""Are the images read as asked? Eight networks, every method, both questions, and the controls."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from backquery import Network, Online, Scaling, evaluate, train
from backquery.errors import InversionError
from backquery.faithfulness import Judge, control_networks, convolutional_judge
from backquery.inversion import Targets, back_query, confidence, fit_statistics, typical
from backquery.model.aliases import Seed
from benchmarks import peers

Section = tuple[str, list[str], list[list[Any]]]

LABELS = np.arange(10)

ONLINE = Online(0.02, "cross-entropy", shuffle=True, decay="linear")

RECIPES: dict[str, tuple[list[int], list[str], bool, Online, int]] = {
    **{
        f"the book's, seed {seed}": ([784, 200, 10], ["sigmoid"] * 2, False, Online(0.1), seed)
        for seed in range(1, 6)
    },
    "tanh 784-100-50-10, sigmoid outputs": ([784, 100, 50, 10], ["tanh", "tanh", "sigmoid"], True, ONLINE, 1),
    "ReLU 784-200-10, softmax": ([784, 200, 10], ["relu", "softmax"], True, ONLINE, 1),
    "ReLU 784-200-100-10, softmax": ([784, 200, 100, 10], ["relu", "relu", "softmax"], True, ONLINE, 1),
}
"""Sizes, activations, biases, recipe and seed of each network; five epochs of MNIST each."""


@cache
def trained(name: str) -> Network:
    """The network of that name, with the statistics of its training images."""
    sizes, activations, biases, recipe, seed = RECIPES[name]
    data = peers.mnist()
    fresh = Network.create(
        sizes, activation=activations, biases=biases, rng=seed, input_shape=(28, 28), scaling=Scaling.book()
    )
    network, _ = train(fresh, data.train, recipe, epochs=5, rng=seed)
    return remembering(network)


@cache
def judge() -> Judge:
    """The convolutional judge, trained once."""
    return convolutional_judge(peers.mnist())


def trust() -> str:
    """How far to trust the judge, and what chance would do."""
    return f"the judge: {judge().trusted(0.1)} on real test images; chance 10%"


def remembering(network: Network) -> Network:
    """The network with the statistics of the training images."""
    from dataclasses import replace

    return replace(network, statistics=fit_statistics(network, peers.mnist().train))


def asked_of(
    network: Network, method: str, confidence: float | None = None, question: Targets | None = None
) -> dict[str, Any]:
    """The ten labels asked of a network: how many are read as asked, by it and by the convolutional judge."""
    labels = np.arange(network.outputs)
    asked = labels if question is None else question
    result = back_query(network, asked, method=method, confidence=confidence)
    assert network.scaling is not None
    judged = judge().ask(network.scaling.ink(result.images))
    return {
        "read": int(np.sum(result.read == labels)),
        "judge": int(np.sum(judged == labels)),
        "error": float(result.logit_error.max()),
        "steps": float(np.median(result.steps)),
        "outcomes": Counter(result.outcome),
        "result": result,
    }


ASKED: tuple[tuple[str, float | None], ...] = (
    ("transpose", None),
    ("ascent", None),
    ("gauss-newton", 0.99),
    ("gauss-newton", None),
)


def networks() -> Section:
    """Each network asked by each method."""
    rows = []
    for name in RECIPES:
        network = trained(name)
        performance = evaluate(network, peers.mnist().test).performance
        for method, p in ASKED:
            try:
                figures = asked_of(network, method, p)
            except InversionError:
                rows.append([name, f"{performance:.2%}", method, "0.99", "-", "-", "-", "-", "has no inverse"])
                continue
            question = "0.99" if p or method == "transpose" else "typical" if method != "ascent" else "-"
            rows.append([name, f"{performance:.2%}", *_cells(method, question, figures)])
    return f"Read as asked, ten labels each ({trust()})", _COLUMNS, rows


def controls(rng: Seed = 0) -> Section:
    """Networks of the book's shape that have learned nothing, or the wrong thing."""
    rows = []
    network = trained("the book's, seed 1")
    for name, control in control_networks(network, peers.mnist(), np.random.default_rng(rng)).items():
        performance = evaluate(control, peers.mnist().test).performance
        moved = name == "labels moved by one"
        for asked, question in (("0.99", confidence(control, LABELS)), ("typical", typical(control, LABELS))):
            figures = asked_of(control, "gauss-newton", question=question)
            if moved:
                judged = judge().ask(control.scaling.ink(figures["result"].images))  # type: ignore[union-attr]
                figures["judge"] = int(np.sum(judged == (LABELS - 1) % 10))
            title = "labels moved by one (judge: the moved digit)" if moved else name
            rows.append([title, f"{performance:.2%}", *_cells("gauss-newton", asked, figures)])
    return f"The same asked of controls ({trust()})", _COLUMNS, rows


_COLUMNS = ["network", "test set", "method", "asked", "read", "judge", "worst error", "steps", "outcomes"]


def _cells(method: str, question: str, figures: dict[str, Any]) -> list[str]:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in figures["outcomes"].items())
    return [
        method,
        question,
        f"{figures['read']}",
        f"{figures['judge']}",
        f"{figures['error']:.2g}",
        f"{figures['steps']:.0f}",
        outcomes,
    ]
