"""What a sweep found: performance against learning rate, epochs and hidden nodes, in intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from backquery.errors import DataError
from backquery.experiments.sweep.grid import HIDDEN
from backquery.experiments.sweep.runs import Run, Setting
from backquery.intervals import Interval, mean_interval
from backquery.training import RECIPES

AXES = ("learning_rate", "epochs", "hidden")


class Point(NamedTuple):
    """A learning rate, epochs and hidden nodes, written ``100-50``, that networks by several seeds had."""

    learning_rate: float
    epochs: int
    hidden: str


class Reached(NamedTuple):
    """The mean performance at a point, a share, and its bounds `low` and `high`, None where there is one seed."""

    point: Point
    performance: float
    low: float | None
    high: float | None
    seeds: int

    def as_json(self) -> dict[str, Any]:
        """All of it in one plain dictionary."""
        plain = self._asdict()
        return {**plain.pop("point")._asdict(), **plain}


@dataclass(frozen=True)
class Family:
    """Runs on the same data that differ in hidden nodes, learning rate, epochs and seed only."""

    runs: tuple[Run, ...]

    @property
    def common(self) -> Setting:
        """What all runs share, in the setting of one of them."""
        return self.runs[0].setting

    @cached_property
    def performances(self) -> dict[Point, dict[int, float]]:
        """The performance by each seed at each point.

        Where the rate does not fall, a run also tells what a shorter one would have reached: the points are then
        as many as epochs.
        """
        found: dict[Point, dict[int, float]] = {}
        steady = RECIPES[self.common.recipe].is_steady
        for run in self.runs:
            setting = run.setting
            tested = run.history["test_accuracy"]
            for epoch in range(1 if steady else setting.epochs, setting.epochs + 1):
                point = Point(setting.learning_rate, epoch, setting.hidden)
                found.setdefault(point, {})[setting.seed] = tested[epoch - 1]
        return found

    def reached(self, point: Point) -> Reached:
        """The mean over the seeds at a point, in Student's interval of 95 %, which ends at 0 and 1."""
        values = list(self.performances[point].values())
        mean = mean_interval(values) if len(values) > 1 else Interval(values[0], None, None)
        low, high = (None if bound is None else min(max(float(bound), 0.0), 1.0) for bound in mean[1:])
        return Reached(point, float(mean.value), low, high, len(values))

    def settings(self, epochs: int | None = None) -> list[Reached]:
        """What was reached at each setting that was asked for, or at each rate and layer after so many epochs."""
        asked = {_point(run.setting) for run in self.runs}
        if epochs is not None:
            asked = {point._replace(epochs=epochs) for point in asked} & self.performances.keys()
        return [self.reached(point) for point in sorted(asked, key=_order)]

    def best(self, epochs: int | None = None) -> Reached:
        """The setting with the highest mean. It was chosen on the images it was tested on, which flatters it."""
        return max(self.settings(epochs), key=lambda reached: reached.performance)

    def base(self, epochs: int | None = None) -> Point:
        """The point that curves go through: the most usual one, then that with most beside it, then the best."""
        recipe = RECIPES[self.common.recipe]
        usual = Point(recipe.learning_rate, recipe.usual.epochs, "-".join(map(str, HIDDEN)))
        settings = self.settings(epochs)

        def rank(reached: Reached) -> tuple[int, int, float]:
            beside = sum(len(_changes(reached.point, other.point)) == 1 for other in settings)
            return -len(_changes(reached.point, usual)), beside, reached.performance

        return max(settings, key=rank).point

    def curve(self, axis: str, through: Point) -> list[Reached]:
        """What was reached along one of `AXES` through a point."""
        on_line = [point for point in self.performances if set(_changes(point, through)) <= {axis}]
        return [self.reached(point) for point in sorted(on_line, key=_order)]

    def curves(self, axis: str, through: Point) -> list[list[Reached]]:
        """All lines of two points or more along an axis that differ from the one `through` a point otherwise.

        Lines along the rate and the layers are those after as many epochs.
        """
        starts = {
            point._replace(**{axis: getattr(through, axis)})
            for point in self.performances
            if axis == "epochs" or point.epochs == through.epochs
        }
        lines = (self.curve(axis, start) for start in sorted(starts - {through}, key=_order))
        return [line for line in lines if len(line) > 1]

    def as_json(self, epochs: int | None = None) -> dict[str, Any]:
        """What the runs share, each setting, and the curves through the base, as plain values."""
        base = self.base(epochs)
        shared = ("data", "recipe", "loss", "activations", "biases", "dtype")
        return {
            **{name: getattr(self.common, name) for name in shared},
            "base": base._asdict(),
            "settings": [reached.as_json() for reached in self.settings(epochs)],
            "curves": {axis: [reached.as_json() for reached in self.curve(axis, base)] for axis in AXES},
        }


def families(runs: Iterable[Run]) -> list[Family]:
    """The runs that ended well, sorted into families, the largest first."""
    found: dict[Setting, list[Run]] = {}
    for run in runs:
        if run.error is None:
            found.setdefault(_common(run.setting), []).append(run)
    return [Family(tuple(members)) for members in sorted(found.values(), key=len, reverse=True)]


def comparable(runs: Iterable[Run], epochs: int | None = None) -> list[Family]:
    """The families with anything to compare after so many epochs, the largest first."""
    return [family for family in families(runs) if family.settings(epochs)]


def largest_family(runs: Iterable[Run], epochs: int | None = None) -> Family:
    """The family of most runs with anything to compare after so many epochs; `DataError` where there is none."""
    if found := comparable(runs, epochs):
        return found[0]
    raise DataError("no run has ended well so far, so there is nothing to draw; look again later")


def _common(setting: Setting) -> Setting:
    """The setting without what may differ in a family; activations are those before the answers and of them."""
    *inner, answers = setting.activations.split(",")
    activations = ",".join([*dict.fromkeys(inner), answers])
    return replace(setting, hidden="", learning_rate=0.0, epochs=0, seed=0, activations=activations)


def _point(setting: Setting) -> Point:
    return Point(setting.learning_rate, setting.epochs, setting.hidden)


def _changes(point: Point, other: Point) -> list[str]:
    return [axis for axis in AXES if getattr(point, axis) != getattr(other, axis)]


def _order(point: Point) -> tuple[list[int], float, int]:
    return [int(nodes) for nodes in point.hidden.split("-")], point.learning_rate, point.epochs
