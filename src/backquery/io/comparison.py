"""No converted model is used before it was asked the same as its original.

The questions are blank paper, full ink, and noise of several strengths, which keeps answers from saturating. What
decides is the largest difference between answers; a network that differs by more than rounding is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backquery.errors import ModelError, assume
from backquery.model import SIGMOID, Array, Model, ends_of

PROBES = 32
"""Noise images asked about, a quarter of them at each strength."""

LARGE = 2**15
"""Inputs from which on a quarter of them is asked about: large models take their time."""

STRENGTHS = (1.0, 0.3, 0.1, 0.01)

TOLERANCES = {"float64": 1e-7, "float32": 1e-4, "float16": 0.02, "bfloat16": 0.1}
"""By how much answers may differ where the coarser of the two computes so, the finest first."""

EASY, HARD = 10.0, 1000.0
"""Up to the first logit rounding stays below the tolerance; from there to the second both grow with it."""


def probes(model: Model) -> Array:
    """Inputs (n, inputs) to ask a model and its original about: paper, ink, and noise on paper."""
    paper, ink = ends_of(model)
    count = PROBES if model.inputs < LARGE else PROBES // 4
    strengths = np.resize(STRENGTHS, count)[:, None]
    noise = np.random.default_rng(0).uniform(size=(count, model.inputs)) * strengths
    return np.concatenate([paper[None], ink[None], paper + noise * (ink - paper)])


def compare(
    network: Model,
    original: Callable[[Array], Array],
    what: str,
    *,
    raw: bool,
    precision: str = "float32",
    whole: bool = False,
) -> None:
    """Raise `ModelError` unless `network` and its `original` answer alike.

    original: inputs (n, inputs) float64 to what the framework itself gives, (n, outputs), or (n,) or (n, 1) for a
    single one. `raw` says that it ends in scores, or log-probabilities, where the network ends in softmax or
    sigmoid. `what` names it in the message; `precision` is the coarsest dtype that it computes in, and `whole`
    says that it takes whole numbers only.
    """
    dtype = np.dtype(getattr(network, "dtype", np.float64))
    questions = probes(network).astype(dtype)
    questions = np.rint(questions) if whole else questions
    # What is not finite is told below.
    with np.errstate(all="ignore"):
        expected = _answers(network, np.asarray(original(questions.astype(np.float64)), np.float64), raw)
        answers, logits = network.query(questions), network.logits(questions)
    if expected.shape != answers.shape:
        raise ModelError(
            f"{what} gives {expected.shape[1:]} answers for an image, the network made of it {answers.shape[1:]}"
        )
    agree(answers, expected, what, allowed(logits, precision, dtype.name))


def allowed(logits: Array, *precisions: str) -> float:
    """By how much answers of these logits may differ between models that compute in these dtypes."""
    coarsest = max(precisions, key=list(TOLERANCES).index)
    largest = np.abs(logits[np.isfinite(logits)]).max(initial=EASY)
    return TOLERANCES[coarsest] * min(float(largest), HARD) / EASY


def agree(answers: Array, expected: Array, what: str, most: float) -> None:
    """Raise `ModelError` unless answers differ by at most `most`; neither may be finite where the other is not.

    `ModelError` as well where none of the answers are finite.
    """
    neither = ~np.isfinite(answers).all(axis=1) & ~np.isfinite(expected).all(axis=1)
    if neither.all():
        raise ModelError(f"{what} gives no answers that are finite: its numbers are too large, or none")
    # Scores of any size are rounded by a share of their size.
    with np.errstate(invalid="ignore"):
        differences = np.abs(answers - expected) / np.maximum(np.abs(expected), 1)
    difference = float(differences[~neither].max(initial=0.0))
    if np.isnan(difference):
        raise ModelError(
            f"{what} has finite answers where the network made of it has none, or none where that has"
        )
    if not difference <= most:
        raise ModelError(
            f"{what} does not answer as the network made of it does: answers differ by up to {difference:.2g}, "
            f"and {most:.2g} is allowed"
        )


def not_compared(what: str, package: str, extra: str) -> None:
    """Say that the original could not be asked, and what it would take."""
    assume(f"{what} was not compared with its original, which takes {package}: pip install 'backquery[{extra}]'")


def _answers(network: Model, given: Array, raw: bool) -> Array:
    """What a framework gives as answers of the network's kind."""
    columns = given.reshape(len(given), -1)
    if columns.shape[1] == 1 and network.outputs == 2:
        second = SIGMOID.function(columns) if raw else columns
        return np.concatenate([1 - second, second], axis=1)
    return network.output_activation.function(columns) if raw else columns
