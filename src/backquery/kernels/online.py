"""Training one image at a time, in blocks: the arithmetic of single steps at the memory traffic of a batch.

The first layer is by far the largest. Over a block of images its weights change by ``sum_j g_j x_j'`` (g_j the
learning rate times the layer's delta for image j), so the pre-activations of image i need only the weights W as
they stood when the block began:

    a_i = W x_i + sum over j < i of (x_j . x_i) g_j

Hence a block reads W once, works through its images in their order with the Gram matrix of the inputs, and
writes W once: exactly the weights of one step after another, up to rounding. Inputs that are mostly one
background value c are written ``x = c 1 + s`` with s sparse, and the weights ``W' = V + 1 u'`` with the column
sums S of V, so that pixels without ink are never visited:

    W x_i = sum_k s_ik V_k + c S + (n c + sum_k s_ik) u

All later layers are dense and change after every image. Rows are padded with zeros to whole lines (see `tiles`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from backquery.kernels.tiles import (
    LINE,
    add_product,
    add_scaled,
    at,
    exponential,
    load,
    logistic,
    put,
    scaled,
    store,
    total_of,
    zeros,
)

BLOCK = 16
"""Images a block. Larger blocks read the weights less often, but the pixels that any image inks grow."""

GROUP = 8
"""Accumulators that a loop keeps in registers."""

BOOK, SQUARED, CROSS_ENTROPY = 0, 1, 2
_SIGMOID, _TANH, _RELU, _LEAKY_RELU, _IDENTITY, _SOFTMAX = range(6)

# Reordered sums are never wanted (they would differ between machines); fusing multiply and add is.
_fast = njit(fastmath={"contract"}, nogil=True)


def _microkernels(count):
    """The two loops where the time goes, for tiles of `count` lines."""

    @_fast
    def forward(weights, column, stride, panel, pixels, used, sums, first):
        """Rows `first` to `first + 7` of ``panel' weights[pixels]``, one tile wide."""
        a = zeros(weights, count)
        b = zeros(weights, count)
        c = zeros(weights, count)
        d = zeros(weights, count)
        e = zeros(weights, count)
        f = zeros(weights, count)
        g = zeros(weights, count)
        h = zeros(weights, count)
        for k in range(used):
            w = load(weights, at(pixels, k) * stride + column, count)
            s = k * BLOCK + first
            a = add_scaled(a, at(panel, s), w)
            b = add_scaled(b, at(panel, s + 1), w)
            c = add_scaled(c, at(panel, s + 2), w)
            d = add_scaled(d, at(panel, s + 3), w)
            e = add_scaled(e, at(panel, s + 4), w)
            f = add_scaled(f, at(panel, s + 5), w)
            g = add_scaled(g, at(panel, s + 6), w)
            h = add_scaled(h, at(panel, s + 7), w)
        row = first * stride + column
        store(sums, row, a)
        store(sums, row + stride, b)
        store(sums, row + 2 * stride, c)
        store(sums, row + 3 * stride, d)
        store(sums, row + 4 * stride, e)
        store(sums, row + 5 * stride, f)
        store(sums, row + 6 * stride, g)
        store(sums, row + 7 * stride, h)

    @_fast
    def update(weights, column, stride, panel, pixels, used, steps):
        """``weights[pixels] += panel steps``, one tile wide; `used` is a multiple of eight."""
        for k in range(0, used, GROUP):
            p = at(pixels, k) * stride + column
            q = at(pixels, k + 1) * stride + column
            r = at(pixels, k + 2) * stride + column
            s = at(pixels, k + 3) * stride + column
            t = at(pixels, k + 4) * stride + column
            u = at(pixels, k + 5) * stride + column
            v = at(pixels, k + 6) * stride + column
            w = at(pixels, k + 7) * stride + column
            a = load(weights, p, count)
            b = load(weights, q, count)
            c = load(weights, r, count)
            d = load(weights, s, count)
            e = load(weights, t, count)
            f = load(weights, u, count)
            g = load(weights, v, count)
            h = load(weights, w, count)
            for i in range(BLOCK):
                step = load(steps, i * stride + column, count)
                n = k * BLOCK + i
                a = add_scaled(a, at(panel, n), step)
                b = add_scaled(b, at(panel, n + BLOCK), step)
                c = add_scaled(c, at(panel, n + 2 * BLOCK), step)
                d = add_scaled(d, at(panel, n + 3 * BLOCK), step)
                e = add_scaled(e, at(panel, n + 4 * BLOCK), step)
                f = add_scaled(f, at(panel, n + 5 * BLOCK), step)
                g = add_scaled(g, at(panel, n + 6 * BLOCK), step)
                h = add_scaled(h, at(panel, n + 7 * BLOCK), step)
            # Padding pixels repeat the first pixel with zero ink: storing backwards keeps its real update.
            store(weights, w, h)
            store(weights, v, g)
            store(weights, u, f)
            store(weights, t, e)
            store(weights, s, d)
            store(weights, r, c)
            store(weights, q, b)
            store(weights, p, a)

    return forward, update


_forward, _update = _microkernels(1)
_forward_wide, _update_wide = _microkernels(2)


@_fast
def _lines(count, like):
    """`count` zeros that begin at a line: a load across two lines costs two."""
    room = np.zeros(count + LINE // like.itemsize, like.dtype)
    skip = -room.ctypes.data % LINE // like.itemsize
    return room[skip : skip + count]


@_fast
def _pack(panel, pixels, slots, order, begin, end, starts, places, values):
    """The block's ink as a panel (used pixels x BLOCK), pixels in the order in which they are met."""
    used = 0
    blank = zeros(panel, 1)
    lanes = LINE // panel.itemsize
    for i in range(begin, end):
        image = at(order, i)
        for n in range(at(starts, image), at(starts, image + 1)):
            place = at(places, n)
            slot = at(slots, place)
            if slot < 0:
                slot = used
                put(slots, place, slot)
                pixels[np.uint64(used)] = place
                for column in range(0, BLOCK, lanes):
                    store(panel, used * BLOCK + column, blank)
                used += 1
            put(panel, slot * BLOCK + i - begin, at(values, n))
    for k in range(used):
        put(slots, at(pixels, k), -1)
    while used % GROUP:
        pixels[used] = pixels[0]
        for column in range(0, BLOCK, lanes):
            store(panel, used * BLOCK + column, blank)
        used += 1
    return used


@_fast
def _activate(code, leak, signals, begin, size, padded):
    """Turn the pre-activations at signals[begin:begin + size] into outputs; the padding becomes zero."""
    lanes = LINE // signals.itemsize
    unit = signals.dtype.type(1)
    if code == _SIGMOID:
        for k in range(begin, begin + padded, lanes):
            store(signals, k, logistic(exponential(scaled(-unit, load(signals, k, 1)))))
    elif code == _TANH:
        for k in range(begin, begin + padded, lanes):
            store(signals, k, logistic(exponential(scaled(-unit - unit, load(signals, k, 1)))))
        for k in range(begin, begin + size):
            signals[k] = signals[k] + signals[k] - unit
    elif code == _RELU:
        for k in range(begin, begin + size):
            signals[k] = max(signals[k], signals.dtype.type(0))
    elif code == _LEAKY_RELU:
        for k in range(begin, begin + size):
            signals[k] = signals[k] if signals[k] > 0 else leak * signals[k]
    elif code == _SOFTMAX:
        largest = signals[begin]
        for k in range(begin, begin + size):
            largest = max(largest, signals[k])
        for k in range(begin, begin + size):
            signals[k] -= largest
        for k in range(begin, begin + padded, lanes):
            store(signals, k, exponential(load(signals, k, 1)))
        total = signals.dtype.type(0)
        for k in range(begin, begin + size):
            total += signals[k]
        for k in range(begin, begin + size):
            signals[k] /= total
    for k in range(begin + size, begin + padded):
        signals[k] = 0


@_fast
def _times_slope(code, leak, signals, errors, deltas, begin, size):
    """Deltas = errors * f'(z), with f' read from the outputs."""
    unit = signals.dtype.type(1)
    zero = signals.dtype.type(0)
    h = signals[begin : begin + size]
    e = errors[begin : begin + size]
    d = deltas[begin : begin + size]
    if code in (_SIGMOID, _SOFTMAX):
        for k in range(size):
            d[k] = e[k] * (h[k] - h[k] * h[k])
    elif code == _TANH:
        for k in range(size):
            d[k] = e[k] * (unit - h[k] * h[k])
    elif code == _IDENTITY:
        for k in range(size):
            d[k] = e[k]
    else:
        for k in range(size):
            d[k] = e[k] * (unit if h[k] > zero else leak)


@_fast
def _output_deltas(code, leak, loss, signals, target, errors, deltas, begin, size):
    """Errors and deltas of the output layer for one image, and its loss."""
    lost = 0.0
    for k in range(size):
        error = target[k] - signals[begin + k]
        errors[begin + k] = error
        lost += 0.5 * error * error
    if loss == CROSS_ENTROPY:
        lost = 0.0
        share = signals.dtype.type(0)
        tiny = 1e-30
        for k in range(size):
            share += target[k]
            lost -= target[k] * np.log(max(np.float64(signals[begin + k]), tiny))
            if code == _SIGMOID:
                lost -= (1.0 - target[k]) * np.log(max(1.0 - np.float64(signals[begin + k]), tiny))
        for k in range(size):
            output = signals[begin + k] * share if code == _SOFTMAX else signals[begin + k]
            deltas[begin + k] = target[k] - output
    elif loss == SQUARED and code == _SOFTMAX:
        mean = signals.dtype.type(0)
        for k in range(begin, begin + size):
            mean += signals[k] * errors[k]
        for k in range(begin, begin + size):
            deltas[k] = signals[k] * (errors[k] - mean)
    else:
        _times_slope(code, leak, signals, errors, deltas, begin, size)
    return lost


@_fast
def _combine(weights, row, signals, begin, padded, bias):
    """One node's pre-activation: weights[row] . signals + bias."""
    lanes = LINE // signals.itemsize
    total = zeros(signals, 1)
    for k in range(0, padded, lanes):
        total = add_product(total, load(weights, row + k, 1), load(signals, begin + k, 1))
    return total_of(total) + bias


@_fast
def _send_back(weights, row, size, padded, signals, below, sent, above, deltas, rate, errors):
    """Errors = W' sent with the weights as they are, then ``W += rate deltas signals'``, in one pass over W."""
    lanes = LINE // signals.itemsize
    for k in range(0, padded, lanes):
        h = load(signals, below + k, 1)
        error = zeros(signals, 1)
        for n in range(size):
            w = load(weights, row + n * padded + k, 1)
            error = add_scaled(error, at(sent, above + n), w)
            store(weights, row + n * padded + k, add_scaled(w, rate * at(deltas, above + n), h))
        store(errors, below + k, error)


@njit(fastmath={"contract"}, nogil=True, cache=True)
def train_online(
    order,
    starts,
    places,
    values,
    background,
    labels,
    targets,
    sizes,
    codes,
    leaks,
    biased,
    loss,
    rates,
    first,
    shared,
    later,
    biases,
    totals,
):
    """One step for each image of `order`, in place; the position of the first image that diverged, or -1.

    order: (n,) image numbers. starts, places, values: the ink s as compressed sparse rows.
    background: c. labels: (images,); targets: (labels, outputs) the answers to learn.
    sizes: (layers + 1,) nodes; codes, leaks: (layers,) activations and their slopes
    below zero, in the dtype of the weights; biased: (layers,) whether there are biases.
    rates: (2,) the learning rate before the first and after the last of these images (linear between).
    first: V, (inputs x padded nodes) flat; shared: u; later: the other layers' weights (nodes x padded inputs)
    one after the other, flat; biases: all layers' biases, each padded.
    totals: (2,) sum of the losses and number of right answers, added to; each image is judged before its step.
    """
    dtype = first.dtype
    lanes = LINE // first.itemsize
    layers = len(codes)
    inputs = sizes[0]
    padded = np.empty(layers, np.int64)
    offsets = np.zeros(layers + 1, np.int64)
    rows = np.zeros(layers + 1, np.int64)
    for n in range(layers):
        padded[n] = (sizes[n + 1] + lanes - 1) // lanes * lanes
        offsets[n + 1] = offsets[n] + padded[n]
        if n:
            rows[n + 1] = rows[n] + sizes[n + 1] * padded[n - 1]
    width = padded[0]
    outputs = offsets[layers - 1]

    panel = _lines((inputs + GROUP) * BLOCK, first)
    pixels = np.zeros(inputs + GROUP, np.uint32)
    identity = np.arange(inputs + GROUP).astype(np.uint32)
    slots = np.full(inputs, -1, np.int32)
    sums = _lines(BLOCK * width, first)
    steps = _lines(BLOCK * width, first)
    gram = _lines(BLOCK * BLOCK, first)
    ink = _lines(BLOCK, first)
    signals = _lines(offsets[layers], first)
    errors = _lines(offsets[layers], first)
    deltas = _lines(offsets[layers], first)
    column_sums = _lines(width, first)
    for k in range(inputs):
        for n in range(width):
            column_sums[n] += first[k * width + n]
    unit = dtype.type(1)
    c = dtype.type(background)
    area = dtype.type(inputs * background)
    span = max(len(order), 1)

    for begin in range(0, len(order), BLOCK):
        end = min(begin + BLOCK, len(order))
        used = _pack(panel, pixels, slots, order, begin, end, starts, places, values)

        column = 0
        while column + 2 * lanes <= width:
            _forward_wide(first, column, width, panel, pixels, used, sums, 0)
            _forward_wide(first, column, width, panel, pixels, used, sums, GROUP)
            column += 2 * lanes
        if column < width:
            _forward(first, column, width, panel, pixels, used, sums, 0)
            _forward(first, column, width, panel, pixels, used, sums, GROUP)
        for column in range(0, BLOCK, lanes):
            _forward(panel, column, BLOCK, panel, identity, used, gram, 0)
            _forward(panel, column, BLOCK, panel, identity, used, gram, GROUP)
        steps[:] = 0
        for column in range(0, BLOCK, lanes):
            inked = zeros(panel, 1)
            for k in range(used):
                inked = add_scaled(inked, unit, load(panel, k * BLOCK + column, 1))
            store(ink, column, inked)

        for i in range(end - begin):
            image = at(order, begin + i)
            rate = dtype.type(rates[0] + (rates[1] - rates[0]) * (begin + i) / span)
            healthy = zeros(signals, 1)
            for k in range(0, width, lanes):
                a = load(sums, i * width + k, 1)
                a = add_scaled(a, c, load(column_sums, k, 1))
                a = add_scaled(a, area + ink[i], load(shared, k, 1))
                for j in range(i):
                    product = gram[i * BLOCK + j] + c * (ink[i] + ink[j] + area)
                    a = add_scaled(a, product, load(steps, j * width + k, 1))
                if biased[0]:
                    a = add_scaled(a, unit, load(biases, k, 1))
                healthy = add_scaled(healthy, unit, a)
                store(signals, k, a)
            check = total_of(healthy)
            _activate(codes[0], leaks[0], signals, 0, sizes[1], width)

            for n in range(1, layers):
                for node in range(sizes[n + 1]):
                    place = offsets[n] + node
                    row = rows[n] + node * padded[n - 1]
                    signals[place] = _combine(later, row, signals, offsets[n - 1], padded[n - 1], biases[place])
                    check += signals[place]
                _activate(codes[n], leaks[n], signals, offsets[n], sizes[n + 1], padded[n])

            if not np.isfinite(check):
                return begin + i
            label = labels[image]
            best = 0
            for k in range(1, sizes[layers]):
                if signals[outputs + k] > signals[outputs + best]:
                    best = k
            totals[1] += best == label
            totals[0] += _output_deltas(
                codes[layers - 1], leaks[layers - 1], loss,
                signals, targets[label], errors, deltas, outputs, sizes[layers],
            )  # fmt: skip

            for n in range(layers - 1, 0, -1):
                below, above = offsets[n - 1], offsets[n]
                sent = errors if loss == BOOK else deltas
                _send_back(
                    later, rows[n], sizes[n + 1], padded[n - 1],
                    signals, below, sent, above, deltas, rate, errors,
                )  # fmt: skip
                if biased[n]:
                    for k in range(above, above + sizes[n + 1]):
                        biases[k] += rate * deltas[k]
                _times_slope(codes[n - 1], leaks[n - 1], signals, errors, deltas, below, sizes[n])
            for k in range(0, width, lanes):
                step = scaled(rate, load(deltas, k, 1))
                store(steps, i * width + k, step)
                if biased[0]:
                    store(biases, k, add_scaled(step, unit, load(biases, k, 1)))

        column = 0
        while column + 2 * lanes <= width:
            _update_wide(first, column, width, panel, pixels, used, steps)
            column += 2 * lanes
        if column < width:
            _update(first, column, width, panel, pixels, used, steps)
        for k in range(0, width, lanes):
            u = load(shared, k, 1)
            sums_of_columns = load(column_sums, k, 1)
            for i in range(end - begin):
                step = load(steps, i * width + k, 1)
                u = add_scaled(u, c, step)
                sums_of_columns = add_scaled(sums_of_columns, ink[i], step)
            store(shared, k, u)
            store(column_sums, k, sums_of_columns)
    return -1


@njit(nogil=True, cache=True)
def compress(inputs, background, starts, places, values):
    """The elements of `inputs` (n, pixels) that differ from `background`, less it, as sparse rows, in place."""
    used = 0
    for i in range(inputs.shape[0]):
        starts[i] = used
        for k in range(inputs.shape[1]):
            if inputs[i, k] != background:
                places[used] = k
                values[used] = inputs[i, k] - background
                used += 1
    starts[inputs.shape[0]] = used


@njit(nogil=True, cache=True)
def compress_pixels(images, gain, starts, places, values):
    """The inked pixels of raw `images` (n, pixels), times `gain`, as sparse rows, in place."""
    used = 0
    for i in range(images.shape[0]):
        starts[i] = used
        for k in range(images.shape[1]):
            if images[i, k] != 0:
                places[used] = k
                values[used] = images[i, k] * gain
                used += 1
    starts[images.shape[0]] = used
