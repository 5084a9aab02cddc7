"""The search behind the faithful back query, one image at a time: `inversion.search` compiled, for dense networks.

The steps, the rules and their order are those of `inversion.search` and `inversion.linearised`, which say why;
what takes their place here are loops over one image's numbers instead of NumPy's calls for a batch. All is in
whitened coordinates and float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

_SIGMOID, _TANH, _RELU, _LEAKY_RELU = range(4)

# Reordered sums are never wanted (they would differ between machines); fusing multiply and add is.
_fast = njit(fastmath={"contract"}, nogil=True)
_kept = njit(fastmath={"contract"}, nogil=True, cache=True)


class Chain(NamedTuple):
    """What a question reads from a network, with h(0) the image: ``c = head h + offset`` after the hidden layers.

    first: (nodes, inputs), the first layer's weights; base: (nodes,), what it adds to them;
    codes, leaks, sizes: (layers,), the hidden layers' activations, their slopes below zero and their nodes;
    weights, biases: those of the hidden layers after the first, one after the other; head: (k, nodes);
    offset: (k,).
    """

    first: Any
    base: Any
    codes: Any
    leaks: Any
    sizes: Any
    weights: Any
    biases: Any
    head: Any
    offset: Any


class Rules(NamedTuple):
    """The constants of `inversion.search` and `inversion.linearised`, and the effort of one search."""

    slack: float
    price: float
    stretch: int
    patience: int
    damping: float
    doubt: float
    turning: float
    nearer: float
    rounding: float
    flat: float
    tolerance: float
    optimality: float
    steps: int
    trusting: bool
    corrections: int
    halvings: int


@_kept
def search(chain, factor, inner, asked, low, high, start, rules, used):
    """The image (inputs,) found, its constraints (k,) and cost, the steps used, and whether it was trapped."""
    k, rank = len(asked), factor.shape[1]
    y = _boxed(start, low, high)
    signals = np.empty(chain.sizes.sum())
    c = _look(chain, y, signals)
    cost, u = _cost(factor, inner, y)
    multipliers, unknown = np.zeros(k), rules.trusting
    free, sums = np.ones(len(y), np.bool_), np.eye(rank)
    damping, gained_before = rules.damping, np.inf
    restoring = trapped = False
    refused = since = 0
    mark = 0.0
    steps = used
    finished = _largest(asked - c) < rules.tolerance and cost <= 0.0
    while not finished and steps < rules.steps:
        residual = asked - c
        held = _largest(residual) < rules.tolerance
        jacobian = _jacobian(chain, signals)
        if unknown:
            multipliers = _estimate(factor, jacobian, y, u, low, high, rules)
            unknown = False
        if restoring:
            multipliers[:] = 0.0
            pull = _released(factor, jacobian, residual, y, low, high)
            here, misfit = y, np.zeros(rank)
        else:
            likeliest = np.dot(factor, u)
            pull = likeliest + np.dot(multipliers, jacobian)
            here = _boxed(pull, low, high)
            misfit = u - np.dot(here - likeliest, factor)
        _bind(factor, free, sums, pull, low, high)

        inside = _inside(jacobian, free)
        sides = np.empty((rank, k + 1))
        mixed = np.dot(inside, factor)
        sides[:, :k], sides[:, k] = mixed.T, misfit
        _solve(sums.copy(), sides)
        response, shift = sides[:, :k].copy(), sides[:, k].copy()
        gain = np.dot(inside, inside.T) + np.dot(mixed, response)
        lift = rules.rounding if held else damping + rules.rounding
        lift *= max(np.trace(gain) / k, rules.flat)
        for i in range(k):
            gain[i, i] += lift
        inverse = np.eye(k)
        _solve(gain, inverse)

        lacking = residual - np.dot(jacobian, here - y)
        if not held:
            lacking -= lift * multipliers
            if not restoring:
                lacking += lift * np.dot(inverse, np.dot(inside, y))
        step = np.dot(inverse, lacking + np.dot(mixed, shift))
        change = np.dot(factor, np.dot(response, step) - shift) + np.dot(step, jacobian)
        target = _boxed(y + change * free if restoring else pull + change, low, high)
        wanted = multipliers + step

        steps += 1
        size = _length(residual)
        since = 0 if held else since + 1
        if since <= 1:
            mark = size
        if since > rules.stretch:
            if size > 0.5 * mark:
                finished = trapped = True
            else:
                since = 0
        promised = size
        if restoring:
            promised -= _length(residual - np.dot(jacobian, target - y))

        share, accepted, turned = 1.0, False, False
        for _ in range(rules.halvings):
            trial = _boxed(y + share * (target - y), low, high)
            trial_signals = np.empty_like(signals)
            trial_c = _look(chain, trial, trial_signals)
            error = asked - trial_c
            for _ in range(rules.corrections):
                if _largest(error) <= rules.slack * rules.tolerance:
                    break
                extra = np.dot(inverse, error)
                correction = np.dot(factor, np.dot(response, extra)) * free + np.dot(extra, inside)
                corrected = _boxed(trial + correction, low, high)
                corrected_signals = np.empty_like(signals)
                corrected_c = _look(chain, corrected, corrected_signals)
                if _length(asked - corrected_c) >= rules.nearer * _length(error):
                    break
                trial, trial_c, trial_signals = corrected, corrected_c, corrected_signals
                error = asked - trial_c
            trial_cost, trial_u = _cost(factor, inner, trial)
            holds = _largest(error) < rules.tolerance
            if held:
                paid = trial_cost + rules.price * _length(wanted) * _length(error)
                accepted = (holds and trial_cost < cost) or paid < (1 - rules.slack * share) * cost
            else:
                accepted = holds or _length(error) < size - rules.slack * share * promised
            if accepted:
                break
            share /= 2
            if share < rules.turning and not held and not restoring:
                restoring = turned = True
                break
        if accepted:
            gained = cost - trial_cost
            y, c, signals, cost, u = trial, trial_c, trial_signals, trial_cost, trial_u
            restoring = restoring and not holds
            multipliers = np.zeros(k) if restoring else multipliers + share * step
            damping *= 0.1 if share == 1 else 10.0 if share < 0.5 else 1.0
            damping = min(max(damping, 1e-10), 1.0)
            refused = 0
            rate = min(max(gained / gained_before, 0.0), 0.9)
            expected = gained * max(rate / (1 - rate), 1.0)
            gained_before = gained if held else np.inf
            finished = finished or (held and holds and expected < rules.optimality * cost)
        elif not turned:
            refused += 1
            finished = refused >= rules.patience
            trapped = finished and not held
            damping = min(damping * 10, 1.0)
            multipliers = np.zeros(k) if restoring else wanted
    return y, c, cost, steps, trapped


@_fast
def _look(chain, y, signals):
    """The constraints at an image; the hidden layers' signals are written to `signals`."""
    z = np.dot(chain.first, y) + chain.base
    layers = len(chain.sizes)
    if not layers:
        return np.dot(chain.head, z) + chain.offset
    begin = weight = bias = 0
    for layer in range(layers):
        size = chain.sizes[layer]
        h = signals[begin : begin + size]
        for node in range(size):
            h[node] = _activation(chain.codes[layer], chain.leaks[layer], z[node])
        begin += size
        if layer + 1 < layers:
            above = chain.sizes[layer + 1]
            matrix = chain.weights[weight : weight + above * size].reshape(above, size)
            z = np.dot(matrix, h) + chain.biases[bias : bias + above]
            weight += above * size
            bias += above
    return np.dot(chain.head, signals[begin - chain.sizes[-1] :]) + chain.offset


@_fast
def _jacobian(chain, signals):
    """The constraints' derivatives (k, inputs), from the signals of the hidden layers."""
    gradients = chain.head.copy()
    end, weight = len(signals), len(chain.weights)
    for layer in range(len(chain.sizes) - 1, -1, -1):
        size = chain.sizes[layer]
        for node in range(size):
            slope = _slope(chain.codes[layer], chain.leaks[layer], signals[end - size + node])
            for row in range(len(gradients)):
                gradients[row, node] *= slope
        end -= size
        if layer:
            below = chain.sizes[layer - 1]
            matrix = chain.weights[weight - size * below : weight].reshape(size, below)
            gradients = np.dot(gradients, matrix)
            weight -= size * below
    return np.dot(gradients, chain.first)


@_fast
def _activation(code, leak, z):
    if code == _SIGMOID:
        return 1.0 / (1.0 + np.exp(-z))
    if code == _TANH:
        return np.tanh(z)
    if code == _RELU:
        return max(z, 0.0)
    if code == _LEAKY_RELU:
        return z if z > 0 else leak * z
    return z


@_fast
def _slope(code, leak, h):
    if code == _SIGMOID:
        return h * (1 - h)
    if code == _TANH:
        return 1 - h * h
    if code == _RELU:
        return 1.0 if h > 0 else 0.0
    if code == _LEAKY_RELU:
        return 1.0 if h > 0 else leak
    return 1.0


@_fast
def _estimate(factor, jacobian, y, u, low, high, rules):
    """The multipliers that come nearest to explaining a trusted start, which no step has led to."""
    inside = _inside(jacobian, (y > low) & (y < high))
    gain = np.dot(inside, inside.T)
    lift = rules.doubt * max(np.trace(gain) / len(gain), rules.flat)
    for i in range(len(gain)):
        gain[i, i] += lift
    wish = np.dot(inside, y - np.dot(factor, u)).reshape(-1, 1)
    _solve(gain, wish)
    return wish[:, 0].copy()


@_fast
def _released(factor, jacobian, residual, y, low, high):
    """The image, with the pixels at a bound that cannot help to make up for the residual moved beyond it."""
    wish = np.dot(residual, jacobian)
    wish += np.dot(factor, np.dot(wish, factor))
    released = y.copy()
    for pixel in range(len(y)):
        if (y[pixel] <= low[pixel] and wish[pixel] < 0) or (y[pixel] >= high[pixel] and wish[pixel] > 0):
            released[pixel] += wish[pixel]
    return released


@_fast
def _bind(factor, free, sums, pull, low, high):
    """Bring `free` (inputs,) and ``sums = I + F_B' F_B`` up to date: which pixels lie between their bounds."""
    changed, signed, count = np.empty_like(factor), np.empty_like(factor), 0
    for pixel in range(len(pull)):
        now = low[pixel] <= pull[pixel] <= high[pixel]
        if now != free[pixel]:
            free[pixel] = now
            changed[count] = factor[pixel]
            signed[count] = -factor[pixel] if now else factor[pixel]
            count += 1
    if count:
        sums += np.dot(signed[:count].T, changed[:count])


@_fast
def _inside(jacobian, free):
    """The Jacobian of the free pixels alone."""
    inside = np.zeros_like(jacobian)
    for row in range(len(jacobian)):
        for pixel in range(len(free)):
            if free[pixel]:
                inside[row, pixel] = jacobian[row, pixel]
    return inside


@_fast
def _solve(matrix, sides):
    """Turn `sides` (n, m) into ``A^-1 sides`` for a positive definite A, which is overwritten.

    Elimination without pivots, which such matrices do not need.
    """
    n = len(matrix)
    for row in range(n):
        for below in range(row + 1, n):
            share = matrix[row, below] / matrix[row, row]
            _add(matrix[below, below:], -share, matrix[row, below:])
            _add(sides[below], -share, sides[row])
    for row in range(n - 1, -1, -1):
        for above in range(row + 1, n):
            _add(sides[row], -matrix[row, above], sides[above])
        for side in range(sides.shape[1]):
            sides[row, side] /= matrix[row, row]


@_fast
def _add(vector, scale, other):
    for place in range(len(vector)):
        vector[place] += scale * other[place]


@_fast
def _cost(factor, inner, y):
    """Half the squared Mahalanobis distance of an image, and the directions u that explain it best."""
    scores = np.dot(y, factor)
    u = np.dot(inner, scores)
    return 0.5 * (np.dot(y, y) - np.dot(scores, u)), u


@_fast
def _boxed(y, low, high):
    boxed = np.empty_like(y)
    for pixel in range(len(y)):
        boxed[pixel] = min(max(y[pixel], low[pixel]), high[pixel])
    return boxed


@_fast
def _largest(vector):
    return np.abs(vector).max()


@_fast
def _length(vector):
    return np.sqrt(np.dot(vector, vector))
