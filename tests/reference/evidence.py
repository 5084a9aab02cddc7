"""Evidence by the formulas, one number at a time: no Jacobians, no matrix products."""

from __future__ import annotations

from collections.abc import Callable
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


def agreement(
    sensitivities: list[list[float]], ink: list[list[float]], support: list[int], against: list[int]
) -> float:
    """The mean, over the claims of support and against, of net over total slope where the claim can be tried."""
    shares = []
    for pixels, sign in ((support, 1), (against, -1)):
        for can_be_tried in (lambda there: there <= 0.9, lambda there: there >= 0.1):
            slopes = [
                slope[pixel]
                for slope, there in zip(sensitivities, ink, strict=True)
                for pixel in pixels
                if can_be_tried(there[pixel])
            ]
            if any(slopes):
                shares.append(sign * sum(slopes) / sum(map(abs, slopes)))
    return sum(shares) / len(shares)


def effects(
    logits: Callable[[list[float]], float], images: list[list[float]], moved: list[list[bool]], groups: int
) -> list[list[float]]:
    """For each round of so many images, each pixel's slope in the one image in which it is moved."""
    rounds = []
    for first in range(0, len(images), groups):
        row = []
        for pixel in range(len(images[0])):
            (here,) = [k for k in range(first, first + groups) if moved[k][pixel]]
            more, less = list(images[here]), list(images[here])
            more[pixel] += 1e-5
            less[pixel] -= 1e-5
            row.append((logits(more) - logits(less)) / 2e-5)
        rounds.append(row)
    return rounds


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    mean = sum(values) / len(values)
    return mean, (sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)) ** 0.5


def slopes_on_the_way(
    logits: Callable[[list[float]], float],
    ink: list[list[float]],
    rounds: list[tuple[list[list[bool]], list[float]]],
    end: float,
) -> list[list[list[float]]]:
    """For each image and pixel its slopes, one for each round in which it is moved a share of the way to `end`."""
    found: list[list[list[float]]] = [[[] for _ in image] for image in ink]
    for moved, shares in rounds:
        for row, (image, which, share) in enumerate(zip(ink, moved, shares, strict=True)):
            changed = [x + share * (end - x) if goes else x for x, goes in zip(image, which, strict=True)]
            for pixel in range(len(image)):
                if which[pixel]:
                    more, less = list(changed), list(changed)
                    more[pixel] += 1e-4
                    less[pixel] -= 1e-4
                    found[row][pixel].append((logits(more) - logits(less)) / 2e-4)
    return found
