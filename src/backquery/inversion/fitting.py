"""What a model may remember of its training images, gone through in chunks, and a sample of them once more.

Up to `EXACT` pixels the covariance itself is summed and its leading directions are exact. Above, only what a few
random directions see of the images is looked at, and a covariance of low rank is recovered from that (Halko,
Martinsson & Tropp 2011), so that memory and time grow with pixels times rank. Of images in colour and of large
ones the power of their cosine coefficients is summed beside, ring of frequencies by ring, which says how the
variance lies that the leading directions leave. Whether several means and covariances say more than one, a sample
tells, projected on the leading directions (`mixture_fitting`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import DataError, assume
from backquery.inversion.mixture_fitting import (
    DIRECTIONS,
    IMAGES_EACH,
    PROVEN_ON,
    Components,
    fit_components,
    proven,
    worthwhile,
)
from backquery.inversion.priors import NOISE
from backquery.model import (
    Array,
    Data,
    Examples,
    Layout,
    Mixture,
    Model,
    Network,
    Spectrum,
    Statistics,
    ends_of,
    real,
    rings_of,
    whole,
)
from backquery.model.declared import declared
from backquery.model.layout import CHANNELS
from backquery.model.memory import need

RANK = 64
"""Directions kept by default. On MNIST they hold 86 % of the variance, and more change no scan to the eye."""

EXACT = 2048
"""The largest number of pixels for which the whole covariance is formed."""

CHUNK, CHUNK_BYTES = 4096, 2**26
"""Images at a time, and the memory that they may take as float64, whatever their size."""

WIDTH = 256
"""Leading directions within which a mixture describes the images."""

FEWEST_IMAGES = 2
"""Images for each component that is asked for, whatever held-out images say."""

SAMPLE = 20_000
"""Images that a mixture is fitted to."""

MOST_BYTES = 2**28
"""A mixture whose search would hold more than this in memory is not kept.

A sample of the images says what is typical where the answers to all would take more.
"""

FAINT = 0.01
"""The least that is taken for the variance left by the leading directions, in parts of the noise."""

FEWEST = 0.01
"""The share of all images that says what is typical of a label which is hardly ever read."""

EVEN_SHARE = 0.1
"""The same as a share of the images that each of the labels would have, if all were read alike; the less holds."""

CANDIDATES = 8
"""Images near the middle of a label's answers, one of which is its medoid."""

MOST_NAMED = 10
"""Labels that are named in a warning."""

MEDIAN_STEPS, CLOSE, TINY = 30, 0.01, 1e-12
"""Steps towards a geometric median at most, and how short one ends them, in units of the spread."""


@declared(DataError)
def fit_statistics(
    model: Model,
    data: Data,
    *,
    rank: int = RANK,
    noise: float = NOISE,
    components: int | None = None,
    moments: Moments | None = None,
) -> Statistics:
    """The mean and covariance of all images of `data`, and the model's typical logits for each label.

    Where things stand anywhere, one mean and covariance say little, and a `Mixture` of several is kept beside
    them: of so many `components`, by default as many as images that were held out say, which may be none.

    `data` are raw labelled images, or (inputs, labels) in input scale. The covariance keeps its `rank` leading
    directions, and `noise` on the diagonal, the variance that every pixel is granted alone, for ink between
    0 and 1. Row k of `typical` is what the model says of one real image, the most typical of those that it
    reads as label k, or of the hundredth of all images nearest to that where those are more: see
    `typical_images`. The data's own labels have no part in it: else the question itself would say what they
    look like, and even an untrained model would seem to know. `moments`: what `moments_of` gave for the same
    data and settings. Of images in colour, and of more than `EXACT` pixels, a `Spectrum` says how the variance
    that the directions leave is spread over frequencies and channels.

    This says something about the data: the mean and the leading directions are themselves blurred images, and the
    means of a mixture's components are less blurred, the more of them there are. Labels that the model reads in
    none of the images are warned of: nothing is typical of them. Data or settings that cannot be fitted raise
    `DataError`.
    """
    fitted = statistics_of(model, data, rank=rank, noise=noise, components=components, moments=moments)
    assert fitted.typical is not None
    unread = np.flatnonzero(fitted.typical.argmax(axis=1) != np.arange(model.outputs))
    if model.outputs > 1 and len(unread):
        named = ", ".join(model.classes[label] for label in unread[:MOST_NAMED])
        more = f" and {len(unread) - MOST_NAMED} more" if len(unread) > MOST_NAMED else ""
        assume(
            f"the model reads none of these images as {named}{more}: what is kept as typical of it is the nearest "
            "that it says, and names another label; ask for it with a confidence, such as 0.99"
        )
    return fitted


def statistics_of(
    model: Model,
    data: Data,
    *,
    rank: int = RANK,
    noise: float = NOISE,
    components: int | None = None,
    moments: Moments | None = None,
) -> Statistics:
    """`fit_statistics` without its warning, for models that are not expected to read all labels."""
    whole(rank, "the rank, above zero,", DataError)
    if components is not None and whole(components, "the number of components", DataError, 0) < 1:
        raise DataError(f"components must be above zero; received {components}")
    if not real(noise, "the noise", DataError) > 0:
        raise DataError(f"the noise must be above zero; received {noise}")
    moments = moments or moments_of(model, data, rank, noise=noise, components=components)
    given = _answers(model, Examples.of(model, data))
    return Statistics(
        mean=moments.mean,
        factor=_factor(moments),
        diagonal=noise * moments.span**2,
        typical=typical_logits(given[np.isfinite(given).all(axis=1)]),
        mixture=moments.mixture,
        spectrum=moments.spectrum,
    )


def images_at_once(inputs: int) -> int:
    """How many images of so many inputs are taken at a time."""
    return max(1, min(CHUNK, CHUNK_BYTES // (8 * inputs)))


def _answers(model: Model, examples: Examples) -> Array:
    """The model's logits for all images, or for as many as memory allows, (n, outputs)."""
    most = max(1, MOST_BYTES // (8 * model.outputs))
    if len(examples) > most:
        examples = examples.at(np.sort(np.random.default_rng(0).choice(len(examples), most, replace=False)))
    parts = examples.parts(images_at_once(model.inputs))
    return np.concatenate([np.asarray(model.logits(part.inputs()), np.float64) for part in parts])


@dataclass(frozen=True, eq=False)
class Moments:
    """What is known of images whatever a network has learned of them, in its input scale.

    mean: (inputs,); variances: (rank,), the largest first; directions: (inputs, rank), orthonormal; span:
    (inputs,), the distance from paper to full ink or, without a scaling, from the smallest input to the largest;
    mixture: several means and covariances, where they say more than one; spectrum: how the variance lies that the
    directions leave, for images in colour or large ones.
    """

    mean: Array
    variances: Array
    directions: Array
    span: Array
    mixture: Mixture | None = None
    spectrum: Spectrum | None = None


def moments_of(
    model: Model, data: Data, rank: int = RANK, *, noise: float = NOISE, components: int | None = None
) -> Moments:
    """The moments of all images of `data` in the scale of `model`, of which nothing else matters.

    A training may thus be running meanwhile.
    """
    examples = Examples.of(model, data)
    need(
        memory_of_fit(model.inputs, len(examples), rank),
        f"what {len(examples):,} images of {model.inputs:,} inputs are like",
        "a lower rank, fewer or smaller images need less; --no-keep-prior leaves it out",
    )
    sums = _sums(model, examples, rank)
    wide = _wide_moments(model, examples, sums, rank)
    moments = replace(wide, variances=wide.variances[:rank], directions=wide.directions[:, :rank])
    if sums.power is not None:
        factor, least = (
            moments.directions * _deviations(moments),
            FAINT * noise * float(np.mean(wide.span**2)),
        )
        moments = replace(moments, spectrum=sums.power.left_by(factor, sums.shift * sums.gain, sums.count, least))
    if components == 1:
        return moments
    return replace(moments, mixture=_mixture(examples, wide, rank, noise, components))


def memory_of_fit(inputs: int, images: int, rank: int) -> float:
    """The bytes that fitting statistics takes at most, beside the images themselves."""
    probes = min(2 * rank + 16, inputs)
    # A covariance, what it is made of and its eigenvectors; or the directions twice, and what they are sought by.
    shape = 5 * 8 * inputs**2 if inputs <= EXACT else inputs * 8 * rank + 3 * 8 * images * probes
    chunk = min(CHUNK_BYTES, 8 * inputs * min(images, CHUNK))
    sample = min(images, SAMPLE) * min(WIDTH, inputs) * 8
    return shape + 3 * chunk + 8 * 8 * inputs + sample


def _factor(moments: Moments) -> Array:
    """The leading directions, each as long as its deviation, (inputs, rank)."""
    return np.asarray(moments.directions * _deviations(moments), np.float32)


def _deviations(moments: Moments) -> Array:
    """How far images deviate along each direction, (rank,), as precisely as the directions are known."""
    return np.sqrt(moments.variances).astype(moments.directions.dtype)


def components_gain(model: Model, data: Data, *, rank: int = RANK, noise: float = NOISE) -> float:
    """What components add to the log density of held-out images, in nats for each pixel: see `PAYS`."""
    examples = Examples.of(model, data)
    wide = _wide_moments(model, examples, _sums(model, examples, rank), rank)
    noise *= float(np.mean(wide.span**2))
    return proven(_scores(examples, wide, PROVEN_ON), noise, _one(wide, rank)) / model.inputs


def _sums(model: Model, examples: Examples, rank: int) -> _Exact | _Sketch:
    """What is summed over all examples, in one pass."""
    scaling = model.scaling if examples.pixels is not None else None
    gain, layout = 1.0 if scaling is None else scaling.gain, Layout.of(model.input_shape)
    coloured = 1 < layout.channels <= CHANNELS or (model.inputs > EXACT and layout.channels == 1)
    power = _Power(layout, gain) if layout.known and coloured else None
    exact = model.inputs <= EXACT
    sums = _Exact(model.inputs, gain, power) if exact else _Sketch(examples, model.inputs, gain, power, rank)
    for part in examples.parts(images_at_once(model.inputs)):
        sums.add(part.inputs() if part.pixels is None else part.pixels)
    return sums


def _wide_moments(model: Model, examples: Examples, sums: _Exact | _Sketch, rank: int) -> Moments:
    """The moments along all directions that a mixture may use."""
    offset = 0.0 if model.scaling is None or examples.pixels is None else model.scaling.offset
    variances, directions = sums.directions(max(rank, WIDTH) if isinstance(sums, _Exact) else rank)
    return Moments(sums.mean * sums.gain + offset, variances, directions, _span(model, examples))


def _mixture(
    examples: Examples, moments: Moments, rank: int, noise: float, components: int | None
) -> Mixture | None:
    """A mixture of so many components, or where None are asked for as many as pay, along all of the directions."""
    inputs, width = moments.directions.shape
    each = IMAGES_EACH if components is None else FEWEST_IMAGES
    most = min(MOST_BYTES // (3 * 8 * inputs * DIRECTIONS), min(len(examples), SAMPLE) // each)
    if components is not None and components > most:
        raise DataError(
            f"{components} components are too many: {len(examples)} images of {inputs} pixels allow {max(most, 1)}"
        )
    if most < 2 or not width:
        return None
    noise *= float(np.mean(moments.span**2))
    if components is None:
        components = worthwhile(_scores(examples, moments, PROVEN_ON), noise, _one(moments, rank), inputs, most)
    if components is None:
        return None
    found = fit_components(_scores(examples, moments), noise, components)
    axes = found.axes * np.sqrt(found.variances)[:, None, :]
    parts = (found.weights, moments.directions, found.centres, axes)
    return Mixture(*(np.asarray(part, np.float32) for part in parts))


def _one(moments: Moments, rank: int) -> Components:
    """The one Gaussian that is kept in any case, over scores."""
    width = len(moments.variances)
    leading = np.eye(width)[None, :, :rank]
    return Components(np.ones(1), np.zeros((1, width)), moments.variances[None, :rank], leading)


def _scores(examples: Examples, moments: Moments, most: int = SAMPLE) -> Array:
    """A sample of the images, `most` at most, along the directions from the mean, (n, width), in random order.

    Labels may come in turns, and every tenth image may be of the same.
    """
    drawn = np.random.default_rng(0).choice(len(examples), min(most, len(examples)), replace=False)
    mean, directions = moments.mean.astype(np.float32), moments.directions.astype(np.float32)
    size = images_at_once(len(mean))
    inputs = (examples.at(drawn[begin : begin + size]).inputs() for begin in range(0, len(drawn), size))
    return np.concatenate([(part - mean).astype(np.float32, copy=False) @ directions for part in inputs])


class _Sums:
    """The mean of rows that come in chunks; sums are kept about the first chunk's mean, for their accuracy.

    The rows are pixels as they are stored, which `gain` takes to input scale: bytes are whole numbers, and so is
    what is taken from them, so that float32 adds them up without rounding.
    """

    def __init__(self, inputs: int, gain: float | Array, power: _Power | None) -> None:
        self.count, self.gain, self.power = 0, gain, power
        self._origin: Array | None = None
        self._sum = np.zeros(inputs)

    @property
    def mean(self) -> Array:
        """The mean of all rows so far, (inputs,)."""
        assert self._origin is not None
        return self._origin + self.shift

    @property
    def shift(self) -> Array:
        """How far the mean is from the origin that is taken off all rows, (inputs,)."""
        return self._sum / self.count

    def _shifted(self, rows: NDArray[Any]) -> Array:
        whole = rows.dtype == np.uint8
        shifted = rows.astype(np.float32) if whole else np.array(rows, np.result_type(rows, np.float32))
        if self._origin is None:
            origin = shifted.mean(axis=0)
            self._origin = np.rint(origin) if whole else origin
        shifted -= self._origin
        self.count += len(rows)
        self._sum += shifted.sum(axis=0, dtype=None if whole else np.float64)
        if self.power is not None:
            self.power.add(shifted)
        return shifted


class _Exact(_Sums):
    """The whole covariance."""

    def __init__(self, inputs: int, gain: float | Array, power: _Power | None) -> None:
        super().__init__(inputs, gain, power)
        self._squares = np.zeros((inputs, inputs))

    def add(self, rows: NDArray[Any]) -> None:
        """Take in rows (n, inputs)."""
        shifted = self._shifted(rows)
        self._squares += shifted.T @ shifted

    def directions(self, rank: int) -> tuple[Array, Array]:
        """The leading variances (rank,) and their directions (inputs, rank)."""
        covariance = self._squares / self.count - np.outer(self.shift, self.shift)
        gains = np.broadcast_to(self.gain, len(covariance))
        variances, vectors = np.linalg.eigh(covariance * np.outer(gains, gains))
        return _leading(variances[::-1], vectors[:, ::-1], rank)


class _Sketch(_Sums):
    """The leading directions alone, from the part of all rows that a few random directions see.

    Of rows A about their mean and random directions, `A probes` spans nearly what A does: with Q an orthonormal
    basis of it, A' Q Q' A is the covariance of low rank (Halko, Martinsson & Tropp 2011, algorithm 5.1). The rows
    are gone through three times, block of columns by block, so that of arrays as long as an image only the
    directions are held.
    """

    def __init__(
        self, examples: Examples, inputs: int, gain: float | Array, power: _Power | None, rank: int
    ) -> None:
        super().__init__(inputs, gain, power)
        self._examples = examples
        # More probes than directions, because the last ones are recovered badly.
        self._probes = min(2 * rank + 16, inputs)

    def add(self, rows: NDArray[Any]) -> None:
        """Take in rows (n, inputs)."""
        self._shifted(rows)

    def directions(self, rank: int) -> tuple[Array, Array]:
        """The leading variances (rank,) and their directions (inputs, rank)."""
        # Fixed, so that the same data give the same prior.
        rng, seen = np.random.default_rng(0), np.zeros((self.count, self._probes))
        for _, columns in self._columns():
            seen += columns @ rng.normal(size=(columns.shape[1], self._probes))
        basis = np.linalg.qr(seen)[0]
        core = np.zeros((basis.shape[1],) * 2)
        for _, columns in self._columns():
            part = basis.T @ columns
            core += part @ part.T
        squares, turned = np.linalg.eigh(core / self.count)
        variances, kept = _leading(squares[::-1], turned[:, ::-1], rank)
        along = basis @ (kept / np.sqrt(variances * self.count))
        directions = np.empty((len(self._sum), len(variances)), np.float32)
        for place, columns in self._columns():
            directions[place] = columns.T @ along
        return variances, directions

    def _columns(self) -> Iterator[tuple[slice, Array]]:
        """The rows about their mean, in input scale, some columns at a time: (n, columns)."""
        rows = self._examples.given if self._examples.pixels is None else self._examples.pixels
        assert rows is not None
        mean, gains = self.mean, np.broadcast_to(self.gain, len(self._sum))
        at_once = max(1, CHUNK_BYTES // (8 * max(len(rows), self._probes)))
        for begin in range(0, len(mean), at_once):
            place = slice(begin, begin + at_once)
            columns = rows[:, place] - mean[place]
            columns *= gains[place]
            yield place, columns


class _Power:
    """The products of the channels of each cosine coefficient, summed over rows and over rings of frequency."""

    def __init__(self, layout: Layout, gain: float | Array) -> None:
        self._layout, self._gain = layout, np.asarray(gain, np.float32)
        self._rings = rings_of(layout.rows, layout.columns).ravel()
        self._sums: Array = np.zeros((int(self._rings.max()) + 1, layout.channels, layout.channels))

    def add(self, shifted: Array) -> None:
        """Take in rows (n, inputs), pixels as they are stored."""
        self._sums += self._of(shifted * self._gain)

    def left_by(self, factor: Array, shift: Array, count: int, least: float) -> Spectrum:
        """The spectrum of the rows about their mean, of which the factor (inputs, rank) takes its share."""
        whole = self._sums / count - self._of(shift[None])
        axes = np.linalg.eigh(whole.sum(axis=0))[1][:, ::-1]
        for begin in range(0, factor.shape[1], at_once := images_at_once(len(factor))):
            whole -= self._of(factor.T[begin : begin + at_once])
        left = np.einsum("ca,rcd,da->ra", axes, whole, axes)
        coefficients = np.bincount(self._rings, minlength=len(left))[:, None]
        return Spectrum(np.maximum(left / np.maximum(coefficients, 1), least), np.ascontiguousarray(axes))

    def _of(self, rows: Array) -> Array:
        """The sums for rows (n, inputs) in input scale, (rings, channels, channels)."""
        from scipy.fft import dctn

        images = np.moveaxis(self._layout.grid(rows), -1, 0)
        channels = dctn(images, axes=(2, 3), norm="ortho").reshape(len(images), len(rows), -1)
        sums = np.zeros_like(self._sums)
        for first, second in combinations_with_replacement(range(len(channels)), 2):
            products = np.einsum("np,np->p", channels[first], channels[second])
            sums[:, first, second] = np.bincount(self._rings, products, len(sums))
            sums[:, second, first] = sums[:, first, second]
        return sums


def _leading(variances: Array, vectors: Array, rank: int) -> tuple[Array, Array]:
    # What is left below is rounding, and may be negative, where a factor needs square roots.
    kept = np.flatnonzero(variances[:rank] > 1e-7 * max(variances[0], 0.0))
    return variances[kept], vectors[:, kept]


def _span(model: Model, examples: Examples) -> Array:
    if model.scaling is None:
        assert examples.given is not None
        span = np.full(model.inputs, np.ptp(examples.given))
    else:
        paper, ink = ends_of(model)
        span = np.abs(ink - paper)
    return np.where(span > 0, span, 1.0)


def with_typical(network: Network, inputs: Array) -> Network:
    """The network, remembering what is typical of it now, by its answers to these inputs (n, inputs)."""
    assert network.statistics is not None
    usual = typical_logits(network.logits(inputs).astype(np.float64))
    return replace(network, statistics=replace(network.statistics, typical=usual))


def typical_logits(logits: Array) -> Array:
    """Row k: the logits, of all (n, outputs), that are typical of output k; one image gave them."""
    return np.asarray(logits[typical_images(logits)])


def typical_images(logits: Array) -> NDArray[np.intp]:
    """For each output the position of the image whose logits, of all (n, outputs), are most typical of it.

    It is the medoid of the images in which that output leads most clearly, as many as it leads in, but at least a
    hundredth of all: the distances from it to the others, in units of their own spread, add up to the least.
    """
    return np.array([chosen[medoid(logits.take(chosen, axis=0))] for chosen in images_read(logits)])


def images_read(logits: Array) -> Iterator[NDArray[np.intp]]:
    """For each output the positions of the images that say what is typical of it, given logits (n, outputs)."""
    count, outputs = logits.shape
    least = ceil(count * min(FEWEST, EVEN_SHARE / outputs))
    # Column by column, which are few and long.
    columns = np.ascontiguousarray(logits.T)
    best, second = _best_two(columns)
    for column in columns:
        read = np.flatnonzero(column > second)
        if len(read) < least:
            lead = column - np.where(column == best, second, best)
            read = np.argsort(-lead, kind="stable")[:least]
        yield read


def _best_two(columns: Array) -> tuple[Array, Array]:
    """The largest and the second largest of each image's logits; of a single output it and 0, even odds."""
    if len(columns) == 1:
        return columns[0], np.zeros_like(columns[0])
    best = second = np.full(columns.shape[1], -np.inf)
    for column in columns:
        second, best = np.maximum(second, np.minimum(best, column)), np.maximum(best, column)
    return best, second


def medoid(values: Array) -> int:
    """The position of that row (n, k) from which the distances to all others add up to the least.

    They are Mahalanobis distances by the rows' own covariance. All n x n of them would take seconds: they are
    summed for those rows only that lie nearest to the geometric median, the point with the least sum. For 80
    labels of eight networks, 6,000 images each, the true medoid was the nearest or the next.
    """
    rows = _in_units_of_spread(values)
    few = min(CANDIDATES, len(rows))
    near = np.sort(np.argpartition(_distances(rows, _geometric_median(rows)[None])[0], few - 1)[:few])
    return int(near[np.argmin(_distances(rows, rows[near]).sum(axis=1))])


def _geometric_median(rows: Array) -> Array:
    """The point (k,) of the least sum of distances to rows (n, k) about zero, by Weiszfeld's steps (1937)."""
    point = np.zeros(rows.shape[1])
    for _ in range(MEDIAN_STEPS):
        weights = 1 / np.maximum(_distances(rows, point[None])[0], CLOSE)
        before, point = point, weights @ rows / weights.sum()
        if np.linalg.norm(point - before) < CLOSE:
            break
    return point


def _distances(rows: Array, points: Array) -> Array:
    """From each of the points (m, k) to each row (n, k): (m, n)."""
    found = points @ rows.T
    found *= -2
    found += np.einsum("ij,ij->i", rows, rows)
    found += np.einsum("ij,ij->i", points, points)[:, None]
    return np.asarray(np.sqrt(np.maximum(found, 0, out=found), out=found))


def _in_units_of_spread(values: Array) -> Array:
    """Rows (n, k) turned and scaled, so that lengths are Mahalanobis lengths by their covariance.

    The covariance is shrunk towards equal variances (Ledoit & Wolf 2004), since there may be fewer rows than
    numbers in each; it is then formed among the rows, n x n.
    """
    count, width = values.shape
    rows = values - np.full(count, 1 / count) @ values
    if count < width:
        rows = np.asarray(np.linalg.qr(rows.T, mode="r")).T
    variances, axes = np.linalg.eigh(rows.T @ rows / count)
    mean = variances.sum() / width
    fourth = np.mean(np.einsum("ij,ij->i", rows, rows) ** 2)
    sampling, apart = (fourth - variances @ variances) / count, variances @ variances - width * mean**2
    share = min(max(sampling / apart, 0.0), 1.0) if apart > 0 else 1.0
    # Rounding must not be taken for a direction: two rows have a variance along one only.
    least = TINY * variances[-1] if variances[-1] > 0 else 1.0
    deviations = np.sqrt(np.maximum((1 - share) * variances + share * mean, least))
    return np.asarray(rows @ (axes / deviations))
