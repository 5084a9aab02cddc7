"""Evidence by the formulas, one number at a time: no Jacobians, no matrix products."""

from __future__ import annotations

from math import exp, log


def label_log_odds(answers: list[float], label: int) -> float:
    """ln(p / (1 - p)) of one label's probability."""
    return log(answers[label]) - log(sum(answers) - answers[label])


def sigmoid_log_odds(answers: list[float], label: int) -> float:
    """ln(p / (1 - p)) of an answer that is a probability of its own."""
    return log(answers[label] / (1 - answers[label]))


def tanh_log_odds(answers: list[float], label: int) -> float:
    """The log-odds of p = (1 + y) / 2."""
    return log((1 + answers[label]) / (1 - answers[label]))


def softmax(logits: list[float]) -> list[float]:
    powers = [exp(value) for value in logits]
    return [power / sum(powers) for power in powers]


def benjamini_hochberg(p: list[float], rate: float) -> list[bool]:
    """Which hypotheses fall: the k smallest, for the largest k with p(k) <= k rate / m (1995, equation 1)."""
    order = sorted(range(len(p)), key=p.__getitem__)
    passed = [k for k, place in enumerate(order, start=1) if p[place] <= k * rate / len(p)]
    fallen = set(order[: max(passed, default=0)])
    return [place in fallen for place in range(len(p))]
