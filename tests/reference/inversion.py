"""Back queries written slowly, from the formulas: loops for the book's, dense matrices for the faithful one."""

from __future__ import annotations

import itertools
import math

import numpy as np

INVERSES = {
    "sigmoid": lambda y: math.log(y / (1 - y)),
    "tanh": lambda y: 0.5 * math.log((1 + y) / (1 - y)),
    "leaky-relu": lambda y: y if y > 0 else y / 0.01,
    "identity": lambda y: y,
}
SIGNAL_RANGES = {"sigmoid": (0.01, 0.99), "tanh": (-0.99, 0.99)}


def rescale(values: list[float], low: float, high: float) -> list[float]:
    smallest, largest = min(values), max(values)
    return [(value - smallest) / (largest - smallest) * (high - low) + low for value in values]


def transpose(network, answers, low: float = 0.01, high: float = 0.99) -> np.ndarray:
    """One image from one vector of answers, element by element."""
    signals = [float(answer) for answer in answers]
    for position in reversed(range(len(network.layers))):
        layer = network.layers[position]
        name = layer.activation.name
        if name == "softmax":
            mean = sum(math.log(answer) for answer in signals) / len(signals)
            sums = [math.log(answer) - mean for answer in signals]
        else:
            sums = [INVERSES[name](signal) for signal in signals]
        if layer.biases is not None:
            sums = [z - float(bias) for z, bias in zip(sums, layer.biases, strict=True)]
        weights = layer.weights.astype(float)
        signals = [
            sum(weights[output][source] * sums[output] for output in range(len(sums)))
            for source in range(weights.shape[1])
        ]
        if position == 0:
            return np.array(rescale(signals, low, high))
        below = network.layers[position - 1].activation.name
        if below in SIGNAL_RANGES:
            signals = rescale(signals, *SIGNAL_RANGES[below])
    raise AssertionError("a network has at least one layer")


def covariance(prior) -> np.ndarray:
    """C = F F' + diag(d), whole."""
    return prior.factor @ prior.factor.T + np.diag(prior.diagonal)


def posterior(prior, weights, biases, asked) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of x ~ N(m, C), given that ``weights @ x + biases`` is `asked`."""
    C = covariance(prior)
    gain = C @ weights.T @ np.linalg.inv(weights @ C @ weights.T)
    return prior.mean + gain @ (asked - biases - weights @ prior.mean), C - gain @ weights @ C


def gauss_newton_step(x, values, jacobian, asked, mean, C, damping: float = 0.0) -> np.ndarray:
    """x+ = m + C J' (J C J' + l I)^-1 (a - g(x) + J (x - m))."""
    gain = jacobian @ C @ jacobian.T + damping * np.eye(len(asked))
    return mean + C @ jacobian.T @ np.linalg.solve(gain, asked - values + jacobian @ (x - mean))


def likeliest_in_box(mean, C, jacobian, wanted, low, high) -> np.ndarray:
    """The minimum of (x - m)' C^-1 (x - m) with J x = b and low <= x <= high, by trying every set of bounds.

    Each pixel is at its lower bound, at its upper bound or between them: 3^n sets, so only for a few pixels.
    """
    precision = np.linalg.inv(C)
    best, best_cost = None, np.inf
    for places in itertools.product((-1, 0, 1), repeat=len(mean)):
        fixed = np.array(places)
        free = fixed == 0
        x = np.where(fixed < 0, low, np.where(fixed > 0, high, 0.0))
        count, k = int(free.sum()), len(wanted)
        system = np.zeros((count + k, count + k))
        system[:count, :count] = precision[np.ix_(free, free)]
        system[:count, count:] = -jacobian[:, free].T
        system[count:, :count] = jacobian[:, free]
        pull = precision[np.ix_(free, free)] @ mean[free]
        pull -= precision[np.ix_(free, ~free)] @ (x[~free] - mean[~free])
        sides = np.concatenate([pull, wanted - jacobian[:, ~free] @ x[~free]])
        solution, *_ = np.linalg.lstsq(system, sides, rcond=None)
        x[free] = solution[:count]
        feasible = np.allclose(jacobian @ x, wanted, atol=1e-9) and np.all(
            (x >= low - 1e-12) & (x <= high + 1e-12)
        )
        cost = (x - mean) @ precision @ (x - mean)
        if feasible and cost < best_cost:
            best, best_cost = x, cost
    assert best is not None, "no image within the box meets the constraints"
    return best


def finite_differences(function, x, step: float = 1e-6) -> np.ndarray:
    """The Jacobian of a function of one vector, by central differences.

    With 64-bit numbers the error is about step^2 from the curvature and 1e-16 / step from rounding, so about
    1e-10 at this step.
    """
    columns = []
    for place in range(len(x)):
        ahead, behind = x.copy(), x.copy()
        ahead[place] += step
        behind[place] -= step
        columns.append((function(ahead) - function(behind)) / (2 * step))
    return np.stack(columns, axis=-1)


def total_variation(image: np.ndarray, softness: float = 0.01) -> float:
    """The sum of sqrt(d^2 + softness^2) over the differences d of neighbours, pixel by pixel."""
    height, width = image.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            if row + 1 < height:
                total += math.hypot(image[row + 1, column] - image[row, column], softness)
            if column + 1 < width:
                total += math.hypot(image[row, column + 1] - image[row, column], softness)
    return total


def ledoit_wolf(rows) -> np.ndarray:
    """The covariance of rows shrunk towards equal variances, from the sums of Ledoit & Wolf (2004), section 3."""
    count, width = rows.shape
    centred = rows - rows.mean(axis=0)
    covariance = sum(np.outer(row, row) for row in centred) / count
    equal = np.trace(covariance) / width * np.eye(width)
    apart = np.sum((covariance - equal) ** 2) / width
    sampling = sum(np.sum((np.outer(row, row) - covariance) ** 2) for row in centred) / count**2 / width
    share = min(sampling, apart) / apart if apart else 0.0
    return share * equal + (1 - share) * covariance


def medoid(rows) -> int:
    """The row from which the Mahalanobis distances to all others, one by one, add up to the least."""
    inverse = np.linalg.inv(ledoit_wolf(rows))
    sums = [sum(math.sqrt((a - b) @ inverse @ (a - b)) for b in rows) for a in rows]
    return int(np.argmin(sums))


def cosines(length: int) -> np.ndarray:
    """The orthonormal discrete cosine transform (DCT-II): row k is wave k."""
    waves = [[math.cos(math.pi * k * (2 * n + 1) / (2 * length)) for n in range(length)] for k in range(length)]
    return np.array(
        [[value / math.sqrt(length / (1 if k == 0 else 2)) for value in w] for k, w in enumerate(waves)]
    )


def power_left(images, factor) -> dict[int, np.ndarray]:
    """Of images (n, rows, columns, channels), and a factor of their covariance as images (rank, rows, ...).

    For each ring of frequency the mean covariance (channels, channels) of the coefficients, less the factor's.
    """
    count, rows, columns, channels = images.shape
    down, across = cosines(rows), cosines(columns)
    centred = images - images.mean(axis=0)
    found = {}
    for row, column in itertools.product(range(rows), range(columns)):
        ring = round(math.hypot(row * max(rows, columns) / rows, column * max(rows, columns) / columns))
        wave = np.outer(down[row], across[column])
        of_images = np.array([[np.sum(wave * image[..., c]) for c in range(channels)] for image in centred])
        of_factor = np.array([[np.sum(wave * image[..., c]) for c in range(channels)] for image in factor])
        found.setdefault(ring, []).append(of_images.T @ of_images / count - of_factor.T @ of_factor)
    return {ring: np.mean(parts, axis=0) for ring, parts in found.items()}
