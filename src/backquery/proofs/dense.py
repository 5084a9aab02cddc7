"""Bounds for a dense network: what no linear form of its output layer's sums falls below, for all images of a box.

Forwards, intervals give every layer's ends. Backwards, the form is carried from layer to layer as a linear bound,
an activation being replaced by the line above or below it (CROWN, Zhang et al. 2018); at each layer the ends known
there close it, and of all layers the best is taken: at the last hidden layer that is interval arithmetic itself.

Each bound holds for the network in exact arithmetic and for a program of a given dtype alike. What such a program
may be off by in a sum or an activation is added where it arises, and carried backwards with the form; so is what
the bound's own arithmetic in float64 may be off by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from backquery.model import IDENTITY, SOFTMAX, Array, Layer
from backquery.proofs.curves import Curve, Lines, curve_of
from backquery.proofs.rounding import FEW, SPARE, error_of_sums, gamma, unit


@dataclass(frozen=True, eq=False)
class Ends:
    """Between what a layer's signals lie: `low` and `high`, (n, nodes)."""

    low: Array
    high: Array

    @cached_property
    def middle(self) -> Array:
        """Halfway."""
        return (self.low + self.high) / 2

    @cached_property
    def reach(self) -> Array:
        """How far from the middle the ends are, at most."""
        return np.maximum(self.high - self.middle, self.middle - self.low)

    @cached_property
    def size(self) -> Array:
        """How large a signal may be."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def wider(self, by: Array) -> Ends:
        """With so much added on either side."""
        return Ends(self.low - by, self.high + by)

    def within(self, other: Ends) -> Ends:
        """What both allow."""
        return Ends(np.maximum(self.low, other.low), np.minimum(self.high, other.high))


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer of a network over some boxes.

    given: what comes in; error: what a program's sums may be off by; sums: their ends; curve: what follows, and
    loose: what a program may be off by there, (n, nodes).
    """

    weights: Array
    biases: Array
    given: Ends
    error: Array
    sums: Ends
    curve: Curve
    dtype: DTypeLike

    @cached_property
    def lines(self) -> Lines:
        """Lines around the activation, between the ends of the sums."""
        return self.curve.lines(self.sums.low, self.sums.high)

    @cached_property
    def exactly(self) -> Ends:
        """The ends of the signals, but for rounding."""
        return Ends(*self.curve.ends(self.sums.low, self.sums.high))

    @cached_property
    def loose(self) -> Array:
        """What a program's signals, and the lines, may be off by."""
        return self.curve.loose(np.maximum(self.sums.size, self.exactly.size), self.dtype)

    @property
    def signals(self) -> Ends:
        """The ends of the signals."""
        return self.exactly.wider(self.loose)


@dataclass(frozen=True, eq=False)
class Carried:
    """Linear forms on their way back: each is at least ``form @ signals + known - lost``, but for rounding.

    form: (n, k, nodes); known, lost: (n, k); bulk: (n, k), the sizes of all that was summed up in them.
    """

    form: Array
    known: Array
    lost: Array
    bulk: Array

    def plus(self, form: Array, known: Array, lost: Array, bulk: Array) -> Carried:
        """The next form, and what is added."""
        return Carried(form, self.known + known, self.lost + lost, self.bulk + bulk + lost)

    def through_sums(self, stage: Stage) -> Carried:
        """From a layer's sums to what comes in."""
        size = np.abs(self.form)
        return self.plus(
            self.form @ stage.weights,
            _times(self.form, stage.biases),
            _times(size, stage.error),
            _times(size, np.abs(stage.biases)),
        )

    def through_curve(self, stage: Stage) -> Carried:
        """From a layer's signals to its sums."""
        lines, up, size = stage.lines, self.form >= 0, np.abs(self.form)
        moved = np.where(up, lines.least[:, None], lines.most[:, None])
        form = self.form * np.where(up, lines.under[:, None], lines.over[:, None])
        lost = _times(size, stage.loose) + _times(np.abs(form), stage.sums.size) * FEW * unit(np.float64)
        return self.plus(form, (self.form * moved).sum(axis=2), lost, (size * np.abs(moved)).sum(axis=2))

    def pulled(self, pull: Array, ends: Ends) -> Carried:
        """Without so much (n, k, nodes) of the sums, for which their ends stand in."""
        end = np.where(pull > 0, ends.low[:, None], ends.high[:, None])
        lost = _times(np.abs(pull), ends.size) * FEW * unit(np.float64)
        return self.plus(self.form - pull, (pull * end).sum(axis=2), lost, np.abs(pull * end).sum(axis=2))

    def closed(self, ends: Ends) -> Array:
        """What the forms are at least, (n, k), where the signals lie between these ends."""
        size = np.abs(self.form)
        reach = _times(size, ends.reach)
        terms = 2 * self.form.shape[2] + SPARE
        bulk = _times(size, ends.size) + reach + self.bulk
        rounding = gamma(2 * terms, unit(np.float64)) * bulk
        return _times(self.form, ends.middle) + self.known - self.lost - reach - rounding


class Dense:
    """Layers whose bounds, of the last one's sums, hold for a program of this dtype too."""

    def __init__(self, layers: Sequence[Layer], dtype: DTypeLike) -> None:
        self.dtype = dtype
        self.layers = [_Layer.of(layer) for layer in layers]

    def over(self, low: Array, high: Array, splits: Ends | None = None) -> Boxes:
        """Bounds for all images between `low` and `high` (n, inputs); see `Boxes`."""
        return Boxes(self, low, high, splits)


@dataclass(frozen=True, eq=False)
class _Layer:
    """What of a layer is the same for all boxes, in float64."""

    weights: Array
    sizes: Array
    biases: Array
    curve: Curve

    @classmethod
    def of(cls, layer: Layer) -> _Layer:
        weights = layer.weights.astype(np.float64)
        curve = curve_of(IDENTITY if layer.activation is SOFTMAX else layer.activation)
        return cls(weights, np.abs(weights), layer.shifts.astype(np.float64), curve)

    def stage(self, given: Ends, dtype: DTypeLike) -> Stage:
        """The layer over what comes in."""
        outputs, inputs = self.weights.shape
        error = error_of_sums(given.size @ self.sizes.T + np.abs(self.biases), inputs + 2, dtype, inputs + outputs)
        middle, reach = given.middle @ self.weights.T + self.biases, given.reach @ self.sizes.T
        sums = Ends(middle - reach, middle + reach).wider(error)
        return Stage(self.weights, self.biases, given, error, sums, self.curve, dtype)


class Boxes:
    """A network over n boxes of images: all between `low` and `high` (n, inputs).

    splits: ends that the first layer's sums are known to lie between, where only such images are meant.
    """

    def __init__(self, dense: Dense, low: Array, high: Array, splits: Ends | None = None) -> None:
        images = Ends(np.asarray(low, np.float64), np.asarray(high, np.float64))
        # A program takes the image into its own dtype first.
        given = images.wider(images.size * 2 * unit(dense.dtype))
        self.stages: list[Stage] = []
        with np.errstate(over="ignore", invalid="ignore"):
            self._forwards(dense, given, splits)

    def _forwards(self, dense: Dense, given: Ends, splits: Ends | None) -> None:
        for layer in dense.layers:
            stage = layer.stage(given, dense.dtype)
            if splits is not None and not self.stages:
                stage = replace(stage, sums=stage.sums.within(splits))
            elif layer is not dense.layers[-1]:
                stage = self._tightened(stage)
            self.stages.append(stage)
            given = stage.signals

    def _tightened(self, stage: Stage) -> Stage:
        """With the sums' ends as linear bounds give them, where those are closer than the intervals'."""
        if not self.stages:
            return stage
        rows = np.eye(len(stage.biases))[None]
        stages = [*self.stages, stage]
        tight = Ends(_lowest(stages, rows), -_lowest(stages, -rows))
        return replace(stage, sums=stage.sums.within(tight))

    def lowest(self, forms: Array, pull: Array | None = None) -> Array:
        """What linear forms (n or 1, k, outputs) of the last layer's sums are at least, (n, k).

        pull: (n, k, nodes), how much of the first layer's sums is taken off a form, their ends standing in for it:
        any is right, and where sums are split some make the bound closer.
        """
        return _lowest(self.stages, forms, pull)

    def at_the_images(self, forms: Array, pull: Array | None = None) -> Carried:
        """The forms as linear bounds of the images."""
        return list(_back(self.stages, forms, pull))[-1][1]

    def sums_at_the_lowest(self, forms: Array, pull: Array) -> tuple[Array, Array]:
        """The first and the last layer's sums, (n, nodes), where the linear bound of one form each is lowest.

        Behind the first they are what the lines make of them, those above or below as the form takes them.
        """
        steps = list(_back(self.stages, forms, pull))
        images = self.stages[0].given
        sums = np.where(steps[-1][1].form[:, 0] > 0, images.low, images.high)
        first = sums = sums @ self.stages[0].weights.T + self.stages[0].biases
        for before, (stage, carried) in zip(self.stages, steps[-2::-1], strict=False):
            lines, up = before.lines, carried.form[:, 0] >= 0
            signals = np.where(up, lines.under * sums + lines.least, lines.over * sums + lines.most)
            sums = signals @ stage.weights.T + stage.biases
        return first, sums

    def behind_the_first(self, forms: Array) -> Carried:
        """The forms as linear bounds of the first layer's signals."""
        return next(carried for stage, carried in _back(self.stages, forms) if stage is self.stages[1])


def _lowest(stages: list[Stage], forms: Array, pull: Array | None = None) -> Array:
    # Where sums may overflow, nothing is known: neither number nor infinity is left then.
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.fmax.reduce([carried.closed(stage.given) for stage, carried in _back(stages, forms, pull)])
    return np.where(np.isnan(found), -np.inf, found)


def _back(stages: list[Stage], forms: Array, pull: Array | None = None) -> Iterator[tuple[Stage, Carried]]:
    """The forms as linear bounds of what comes into each layer, the last one first."""
    last = stages[-1]
    form = np.broadcast_to(forms, (len(last.error), *forms.shape[1:]))
    # The form's own coefficients may be off by a few roundings.
    lost = _times(np.abs(form), last.sums.size) * FEW * unit(np.float64)
    carried = Carried(form, np.zeros_like(lost), lost, lost)
    for place in range(len(stages) - 1, -1, -1):
        stage = stages[place]
        if stage is not last:
            carried = carried.through_curve(stage)
        if pull is not None and not place:
            carried = carried.pulled(pull, stage.sums)
        carried = carried.through_sums(stage)
        yield stage, carried


def _times(form: Array, values: Array) -> Array:
    """Forms (n, k, nodes) of values (nodes,) or (n, nodes): (n, k)."""
    product: Array = (form @ (values if values.ndim == 1 else values[..., None])).reshape(form.shape[:2])
    return product
