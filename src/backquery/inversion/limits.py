"""Questions that leave room: at least so sure, no other above, between two answers, as sure as can be.

Every limit is one-sided, ``c(x) >= bound``, with c a linear map of the log-odds: an output's, the same turned
round, or by how much the label's are ahead of another's. Of a softmax each output's own log-odds are meant,
``ln(p / (1 - p))``, so that a limit on one answer says nothing of how the others share the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import TargetError
from backquery.inversion.targets import LabelNames, Targets, as_answers, label_positions
from backquery.model import SIGMOID, SOFTMAX, Array, Labels, Model, brief, own_log_odds, real
from backquery.model.declared import declared

SAID = 0.5
"""From this confidence on a label is said, where no other is named."""

AHEAD = 0.01
"""By so much, in log-odds, the label is ahead of every other where it has to be read."""

Range = tuple[float | None, float | None]
"""The least and the most that is asked of an output; None where there is no end."""


@dataclass(frozen=True, eq=False)
class Limits:
    """n questions of one kind, each with limits on the log-odds, within which the likeliest image is sought.

    low, high: (n, outputs), between which each output's log-odds are to lie, infinite where there is no end.
    ahead: (n, outputs), by how much the label's are to exceed each other's, minus infinity where that is open.
    labels: (n,), -1 where a question names none. own: whether each output's own log-odds are meant. farthest: of
    a question for the surest image, its squared distance from the prior's mean at most. from_paper: whether the
    image nearest to blank paper is sought, pixel by pixel, instead of the likeliest.
    """

    __repr__ = brief

    question: str
    low: Array
    high: Array
    ahead: Array
    labels: Labels
    own: bool
    farthest: float | None = None
    from_paper: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.intp]) -> Limits:
        """Only the questions `rows`."""
        parts = {name: getattr(self, name)[rows] for name in ("low", "high", "ahead", "labels")}
        return replace(self, **parts)

    @property
    def bounds(self) -> Array:
        """The bounds (n, 3 outputs) of all limits, those from below first; minus infinity where there is none."""
        return np.concatenate([self.low, -self.high, self.ahead], axis=1)

    def lacking(self, logits: Array) -> Array:
        """What logits (n, outputs) lack of each limit, (n, 3 outputs): what is kept lacks less than nothing."""
        each = own_log_odds(logits) if self.own else logits
        # Where a question names no label nothing is to be ahead.
        label = np.take_along_axis(each, np.maximum(self.labels, 0)[:, None], axis=1)
        return np.asarray(self.bounds - np.concatenate([each, -each, label - each], axis=1))

    def as_equalities(self, active: NDArray[np.bool_]) -> Targets:
        """The limits that are `active` (n, 3 outputs), as many for each question, asked for exactly."""
        outputs, (rows, places) = self.low.shape[1], np.nonzero(active)
        kind, output = np.divmod(places, outputs)
        maps = np.zeros((len(places), outputs))
        each = np.arange(len(places))
        maps[each, output] = np.where(kind == 0, 1.0, -1.0)
        ahead = np.flatnonzero(kind == 2)
        maps[ahead, self.labels[rows[ahead]]] = 1.0
        shape = (len(self), -1)
        values = self.bounds[active].reshape(shape)
        return Targets(self.question, maps.reshape(*shape, outputs), values, self.labels, own=self.own)

    def at_least(self, log_odds: Array) -> Limits:
        """The same with the labels' own limits from below at `log_odds` (n,)."""
        low = self.low.copy()
        low[np.arange(len(self)), self.labels] = log_odds
        return replace(self, low=low)

    def words(self, model: Model, row: int, limit: int) -> str:
        """One limit in words: ``3 at least 0.8``, ``8 at most 0.1``, ``3 ahead of 8``, ``3 at log-odds 9.2``."""
        kind, output = divmod(limit, model.outputs)
        if kind == 2:
            return f"{model.classes[self.labels[row]]} ahead of {model.classes[output]}"
        end = (self.low, self.high)[kind][row, output]
        if self.farthest is not None:
            return f"{model.classes[output]} at log-odds {end:.1f}"
        (answer,) = (SIGMOID if self.own else model.output_activation).function(np.array([end]))
        return f"{model.classes[output]} at {('least', 'most')[kind]} {answer:.6g}"


@declared(TargetError)
def at_least(model: Model, labels: LabelNames, p: float = SAID, others_at_most: float | None = None) -> Limits:
    """Each label at least with confidence `p`, read as it, and no other above `others_at_most` where it is given.

    Confidences are as in `confidence`; of what is not limited the likeliest is taken. What cannot be had raises
    `TargetError`.
    """
    places, p = label_positions(model, labels), real(p, "a confidence", TargetError)
    others = {} if others_at_most is None else dict.fromkeys(range(model.outputs), (None, others_at_most))
    asked = within(model, [{**others, int(place): (p, None)} for place in places])
    more = "" if others_at_most is None else f", others at most {others_at_most:g}"
    return _read(replace(asked, question=f"at least {p:g}{more}", labels=places))


@declared(TargetError)
def within(model: Model, ranges: Mapping[Any, Range] | Sequence[Mapping[Any, Range]]) -> Limits:
    """Outputs between two confidences each: ``within(model, {"4": (0.8, None), "9": (0.2, 0.4)})``.

    None stands for no end. Confidences are as in `confidence`. `TargetError` says what no answers can be.
    """
    listed = [ranges] if isinstance(ranges, Mapping) else list(ranges)
    if not listed or not all(listed):
        raise TargetError("give at least one output a range, as in {'4': (0.8, None), '9': (None, 0.1)}")
    low, high = (np.full((len(listed), model.outputs), end) for end in (-np.inf, np.inf))
    for row, wanted in enumerate(listed):
        for label, ends in wanted.items():
            if not isinstance(ends, Sequence) or len(ends) != 2:
                raise TargetError(f"a range is two confidences, such as (0.8, None); received {ends!r}")
            least, most = ends
            place = int(label_positions(model, [label])[0])
            low[row, place] = -np.inf if least is None else _log_odds(model, least)
            high[row, place] = np.inf if most is None else _log_odds(model, most)
    _check_possible(model, low, high)
    nothing, none = np.full_like(low, -np.inf), np.full(len(low), -1)
    return Limits("answers within limits", low, high, nothing, none, model.output_activation is SOFTMAX)


@declared(TargetError)
def read_as(model: Model, labels: LabelNames) -> Limits:
    """Each label as little as will do: no output's answer is above its own. `TargetError` for no such label."""
    places = label_positions(model, labels)
    low, high = (np.full((len(places), model.outputs), end) for end in (-np.inf, np.inf))
    own = model.output_activation is SOFTMAX
    return _read(Limits("being read as the label at all", low, high, low, places, own))


@declared(TargetError)
def emptiest(model: Model, labels: LabelNames) -> Limits:
    """Each label with the least ink: of the images that are read as it, the one nearest to blank paper.

    What is smallest is the sum of the squared differences from paper, whatever the model keeps of its images. A
    label that there is not raises `TargetError`.
    """
    return replace(read_as(model, labels), question="the least ink that is read so", from_paper=True)


@declared(TargetError)
def most_sure(model: Model, labels: LabelNames, squared_distance: float | None = None) -> Limits:
    """Each label as surely as an image can say it that is as usual as real ones.

    Its squared distance from the prior's mean (Mahalanobis) is no more than `squared_distance`, by default what
    images drawn from the prior have on average: the number of inputs. One that is not above zero, or a label that
    there is not, raises `TargetError`.
    """
    farthest = float(model.inputs) if squared_distance is None else float(squared_distance)
    if not 0 < farthest < np.inf:
        raise TargetError(f"the squared distance must be above zero and finite; received {farthest:g}")
    return replace(read_as(model, labels), question=f"most sure at a distance² of {farthest:g}", farthest=farthest)


def _read(limits: Limits) -> Limits:
    """The same, each label being read."""
    ahead = np.full_like(limits.low, AHEAD)
    ahead[np.arange(len(limits)), limits.labels] = -np.inf
    return replace(limits, ahead=ahead)


def _log_odds(model: Model, p: float) -> float:
    activation, p = model.output_activation, real(p, "a confidence", TargetError)
    if activation.bounded and not 0 < p < 1:
        raise TargetError(f"a confidence lies between 0 and 1, both excluded; received {p:g}")
    inverse = SIGMOID.inverse if activation is SOFTMAX else activation.inverse
    answer = as_answers(model, p)
    return float(answer if inverse is None else inverse(answer))


def _check_possible(model: Model, low: Array, high: Array) -> None:
    """`TargetError` for limits that contradict each other."""
    if np.any(low > high):
        raise TargetError("an output cannot be asked for at least more than it is asked for at most")
    if model.output_activation is not SOFTMAX:
        return
    least, most = (float(f(SIGMOID.function(ends).sum(axis=1))) for f, ends in ((np.max, low), (np.min, high)))
    if least > 1 + 1e-9:
        count = int(np.isfinite(low).sum(axis=1).max())
        raise TargetError(
            f"softmax answers add up to 1, but those asked for are at least {least:.4g} together: "
            f"{count} labels can be at least {1 / count:.4g} each"
        )
    if most < 1 - 1e-9:
        raise TargetError(
            f"softmax answers add up to 1, but those asked for are at most {most:.4g} together: "
            f"all {model.outputs} can be at most {1 / model.outputs:.4g} each, or one of them more"
        )
