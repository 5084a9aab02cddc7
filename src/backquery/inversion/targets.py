"""What can be asked of a model backwards, as linear constraints on its logits or on a layer's signals.

Questions are built by the functions here; `back_query` also takes plain labels, or arrays of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backquery.errors import TargetError
from backquery.inversion.linearised import times
from backquery.inversion.readouts import layer_named
from backquery.model import (
    RELU,
    SOFTMAX,
    TANH,
    Activation,
    Array,
    Labels,
    Model,
    Network,
    brief,
    own_log_odds,
    real,
    reals,
    typical_of,
)
from backquery.model.declared import declared

Label = int | str
LabelNames = Label | Sequence[Label] | NDArray[np.integer[Any]]
"""One label or several, each by its class name or its position."""

BOOK_CONFIDENCE = 0.99
"""What the book asks for at the label; elsewhere, it asks for what is left of 1."""

MANY = 64
"""Of a softmax with more outputs not all are asked for, since each costs a row of the Jacobian."""

LARGEST_SHARE = 0.98
"""What several labels may have together of a softmax's answers, in what is proposed: the others need some, too."""

MOST_SHOWN = 10
"""Answers that are named in a message."""

ROUNDED = 0.01
"""By how much the answers asked of a softmax may miss their sum of 1, as three times 0.33 does."""

STRONGEST = 10
"""How many of them are: the label and its rivals."""

ALIKE = 1e-9
"""Answers that differ by less were asked for alike, and only rounding parts them."""

TYPICAL = "typical"
"""What the question for a model's usual answers is called."""


@dataclass(frozen=True, eq=False)
class Targets:
    """n questions of one kind: ``maps @ z = values``, with z the logits, or a layer's pre-activations.

    maps: (k, nodes), the same for all questions, or (n, k, nodes); values: (n, k).
    layer: None for the logits, the number of a hidden layer, counted from 1, or the name of a module's layer,
    whose output z is then.
    labels: (n,), the positions of the labels asked for, -1 where a question names none.
    answers, logits: (n, outputs), where all answers are asked for.
    own: whether z are each answer's own log-odds, ``ln(p / (1 - p))``, as where a softmax has so many outputs that
    only some are asked for; `answers` are known all the same.
    """

    __repr__ = brief

    question: str
    maps: Array
    values: Array
    labels: Labels
    answers: Array | None = None
    logits: Array | None = None
    layer: int | str | None = None
    own: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: NDArray[np.intp]) -> Targets:
        """Only the questions `rows`."""
        return replace(
            self,
            maps=self.maps if self.maps.ndim == 2 else self.maps[rows],
            values=self.values[rows],
            labels=self.labels[rows],
            answers=None if self.answers is None else self.answers[rows],
            logits=None if self.logits is None else self.logits[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence[Targets]) -> Targets:
        """Questions of one kind about the same nodes, one after another, under the name of the first."""

        def every(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else np.concatenate(values)

        maps = parts[0].maps if parts[0].maps.ndim == 2 else every("maps")
        joined = {name: every(name) for name in ("values", "labels", "answers", "logits")}
        return replace(parts[0], maps=maps, **joined)

    def tolerance(self, logits: float) -> float:
        """How far each constraint may be off so that no logits are off by more than `logits`."""
        whole = self.logits is None or self.maps.shape[0] == self.maps.shape[1]
        # The maps are orthonormal: no logits are off by more than the length of the k errors, at most k^0.5
        # times the largest.
        return logits if whole else logits / self.maps.shape[0] ** 0.5

    def of_logits(self, logits: ArrayLike) -> Array:
        """The constraint values (n, k) of logits (n, outputs)."""
        vectors = np.asarray(logits, np.float64)
        return times(self.maps, own_log_odds(vectors) if self.own else vectors)

    def exceeding(self, logits: Array, tolerance: float) -> Array:
        """By how much outputs (n, outputs) that were not asked for are above their answers and all that were.

        Those that are not by more than `tolerance` (in logits), and those that were asked for, exceed by minus
        infinity.
        """
        assert self.own and self.answers is not None
        wanted = _own(self.answers)
        above = own_log_odds(logits) - np.maximum(wanted, self.values.min(axis=1, keepdims=True)) - tolerance
        return np.where((above > 0) & ~self.maps.any(axis=1), above, -np.inf)

    def asking_more(self, outputs: NDArray[np.intp]) -> Targets:
        """These questions, that ask each for some `outputs` (n, more) more."""
        assert self.own and self.answers is not None
        maps = np.concatenate([self.maps, np.eye(self.maps.shape[2])[outputs]], axis=1)
        return replace(self, maps=maps, values=times(maps, _own(self.answers)))


@declared(TargetError)
def typical(model: Model, labels: LabelNames) -> Targets:
    """Each label as the model usually says it: as it says it of the most typical image that it reads as that.

    `TargetError` where the model keeps no statistics, or never reads the label.
    """
    positions = label_positions(model, labels)
    kept = typical_of(model)
    if kept is None:
        raise TargetError(
            "this model does not keep its typical answers; fit them with fit_statistics(model, data), "
            "or ask for a confidence, such as confidence=0.99"
        )
    _need_a_choice(model)
    logits = np.asarray(kept, np.float64)[positions]
    answers = model.output_activation.function(logits)
    return _all_answers(model, answers, logits, positions, TYPICAL)


@declared(TargetError)
def confidence(
    model: Model,
    labels: LabelNames,
    p: float = BOOK_CONFIDENCE,
    others: float | Literal["typical"] | None = None,
) -> Targets:
    """Each label with confidence `p`.

    Sigmoid outputs are asked for `p` at the label and for `others` elsewhere, by default the book's 0.01, or
    1 - p where that is less. Softmax outputs share 1 - p evenly among the other labels. Tanh outputs stand for
    2 p - 1; other outputs are asked for the numbers `p` and `others` themselves, as one-hot regression has them.

    With ``others="typical"``, the other labels are asked for what the model usually says of them when it says
    this one (softmax outputs share 1 - p in the usual proportions): few networks can give nine answers of
    exactly 0.01 at once. Where the label is usually said more surely than that, other outputs are asked for
    logits that lie as far on the way from the mean of all labels' typical ones to its own.

    The label stays the one asked for where `p` is no more than what another label is asked for, as with a softmax
    it is below one over their number. An image that gives such answers is not read as that label, and counts as
    "not found". `TargetError` for a confidence that the outputs cannot have.
    """
    positions, p = label_positions(model, labels), real(p, "a confidence", TargetError)
    if others != "typical":
        wanted: list[dict[Label, float]] = [{int(position): p} for position in positions]
        return several(model, wanted, others, question=f"confidence {p:g}")
    table, own = np.array(typical(model, positions).answers), (np.arange(len(positions)), positions)
    _check_confidences(model, np.array([p]))
    if model.output_activation is SOFTMAX:
        table[own] = 0.0
        table *= (1 - p) / table.sum(axis=1, keepdims=True)
    else:
        table = model.output_activation.function(_on_the_way(model, positions, as_answers(model, p)))
    table[own] = as_answers(model, p)
    return replace(answers(model, table, question=f"confidence {p:g}"), labels=positions)


def _on_the_way(model: Model, positions: Labels, answer: Array) -> Array:
    """Logits (n, outputs) from the mean of all typical ones towards each label's, its own being `answer`.

    No image says one thing less surely and all others as surely as ever.
    """
    known = np.asarray(typical_of(model), np.float64)
    middle, whole, rows = known.mean(axis=0), known[positions], np.arange(len(positions))
    inverse = model.output_activation.inverse
    wanted = answer if inverse is None else inverse(answer)
    way = whole[rows, positions] - middle[positions]
    share = (wanted - middle[positions]) / np.where(way > 0, way, 1.0)
    share = np.where((way > 0) & (share > 0) & (share < 1), share, 1.0)
    return np.asarray(middle + share[:, None] * (whole - middle))


@declared(TargetError)
def several(
    model: Model,
    confidences: Mapping[Label, float] | Sequence[Mapping[Label, float]],
    others: float | None = None,
    *,
    question: str = "several labels",
) -> Targets:
    """Several labels at once, each with a confidence of its own: ``several(model, {"4": 0.9, "9": 0.9})``.

    `confidences` give each label's, between 0 and 1; `others` is what all labels not named are asked for, by
    default as in `confidence`. Softmax answers are shares of one whole: theirs must add up to less than 1, as in
    ``several(model, {"4": 0.49, "9": 0.49})``. `TargetError` for what cannot be had.
    """
    wanted = [confidences] if not isinstance(confidences, Sequence) else list(confidences)
    if not wanted or not all(isinstance(each, Mapping) and each for each in wanted):
        raise TargetError("ask for at least one label, as in {'4': 0.9, '9': 0.9}")
    places = [
        {_position(model, label): real(p, f"the confidence of {label!r}", TargetError) for label, p in row.items()}
        for row in wanted
    ]
    asked = answers(model, np.array([_row(model, row, others) for row in places]), question=question)
    # A label that is named alone is what was asked for, even where another one is asked for more.
    named = [next(iter(row)) if len(row) == 1 else label for row, label in zip(places, asked.labels, strict=True)]
    return replace(asked, labels=np.array(named, np.int64))


@declared(TargetError)
def answers(model: Model, answers: ArrayLike, *, question: str = "answers") -> Targets:
    """All answers of each question as they are, (n, outputs) or one vector (outputs,).

    They must lie inside the range of the output activation, and those of a softmax add up to 1 but for `ROUNDED`;
    else `TargetError`.
    """
    wanted = np.atleast_2d(reals(answers, "answers", TargetError))
    if wanted.ndim != 2 or wanted.shape[1] != model.outputs or not len(wanted):
        raise TargetError(
            f"answers must have {model.outputs} numbers each, one for each output; "
            f"received shape {np.shape(answers)}"
        )
    _need_a_choice(model)
    _check_inside(wanted, model.output_activation)
    if model.output_activation is SOFTMAX:
        wanted = _shares(wanted)
    best = wanted.max(axis=1, keepdims=True)
    # Answers asked for alike may differ by rounding, which must not choose a label.
    alone = np.isclose(wanted, best, rtol=0, atol=ALIKE).sum(axis=1) == 1
    positions = np.where(alone, wanted.argmax(axis=1), -1)
    inverse = model.output_activation.inverse
    return _all_answers(model, wanted, wanted if inverse is None else inverse(wanted), positions, question)


@declared(TargetError)
def difference(
    model: Model, pairs: tuple[Label, Label] | Sequence[tuple[Label, Label]], logits: float | None = None
) -> Targets:
    """What separates one label from another: a logit of the first that exceeds the second's by `logits`.

    Of sigmoids that is the difference of their log-odds, of a softmax ln(p / q), p and q being the answers.

    Nothing is asked of the other labels. The default is what is typical of the first label where the model
    keeps statistics, and 2 logit(0.99) where not. What is no pair of two labels raises `TargetError`.
    """
    if not isinstance(pairs, Sequence) or isinstance(pairs, str):
        raise TargetError(f"a difference is between two labels, such as ('4', '9'); received {pairs!r}")
    listed: list[Any] = [pairs] if _is_pair(pairs) else list(pairs)
    places = np.array([[_position(model, label) for label in pair] for pair in listed], np.int64)
    if places.ndim != 2 or places.shape[1] != 2 or np.any(places[:, 0] == places[:, 1]):
        raise TargetError(f"a difference is between two labels, such as ('4', '9'); received {pairs!r}")
    rows = np.arange(len(places))
    maps = np.zeros((len(places), 1, model.outputs))
    maps[rows, 0, places[:, 0]], maps[rows, 0, places[:, 1]] = 1.0, -1.0
    if logits is not None:
        values = np.full((len(places), 1), real(logits, "a difference of logits", TargetError))
        if not np.isfinite(logits):
            raise TargetError(f"the difference asked for must be finite; received {logits}")
    elif (kept := typical_of(model)) is not None:
        values = times(maps, kept[places[:, 0]])
    else:
        values = np.full((len(places), 1), 2 * np.log(BOOK_CONFIDENCE / (1 - BOOK_CONFIDENCE)))
    names = ", ".join(f"{model.classes[a]} against {model.classes[b]}" for a, b in places)
    return Targets(f"difference: {names}", maps, values, places[:, 0])


@declared(TargetError)
def hidden_node(
    model: Model, layer: int | str, nodes: int | Sequence[int], value: float | Sequence[float]
) -> Targets:
    """One hidden node at a time: the signal `value` for each of `nodes` in a `layer`.

    A `Network`'s layers are numbered from 1, and the signal is the pre-activation; those of a model of
    `from_torch` have the module's names, and the signal is the layer's output, in which a node's place is that
    among all of them in a row. Nothing is asked of the other nodes. A layer or node that there is not raises
    `TargetError`.
    """
    count = layer_named(model, layer).outputs if isinstance(layer, str) else nodes_of_hidden(model, layer)
    places = _places(nodes, count, f"the nodes of layer {layer}")
    return _of_layer(f"hidden nodes of layer {layer}", layer, _units(places, count), value)


@declared(TargetError)
def channel(
    model: Model,
    layer: str,
    channels: int | Sequence[int],
    value: float | Sequence[float],
    *,
    place: tuple[int, int] | None = None,
) -> Targets:
    """One channel of a convolution at a time: the signal `value` for each of `channels` in the `layer` so named.

    It is asked for at one `place` (row, column) of the layer's map, or without one as the mean over all places.
    Nothing is asked of other channels or places. ``model.at(layer).signals(x)`` are those of images x.
    `TargetError` for a layer, channel or place that there is not.
    """
    shape = layer_named(model, layer).shape
    if len(shape) != 3:
        raise TargetError(
            f"only a layer of (channels, rows, columns) has channels; {layer!r} gives {shape} for an image: "
            "ask for its hidden_node"
        )
    chosen = _places(channels, shape[0], f"the channels of layer {layer!r}")
    maps = np.zeros((len(chosen), *shape))
    rows = np.arange(len(chosen))
    if place is None:
        maps[rows, chosen] = 1 / (shape[1] * shape[2])
    else:
        row = _places(place[0], shape[1], f"the rows of layer {layer!r}")[0]
        column = _places(place[1], shape[2], f"the columns of layer {layer!r}")[0]
        maps[rows, chosen, row, column] = 1.0
    where = "everywhere" if place is None else f"at {place}"
    return _of_layer(f"channels of layer {layer} {where}", layer, maps.reshape(len(chosen), -1), value)


def _of_layer(question: str, layer: int | str, maps: Array, value: float | Sequence[float]) -> Targets:
    """One question for each of the maps (n, nodes)."""
    signals = reals(value, "signals", TargetError)
    if signals.shape not in ((), (1,), (len(maps),)) or not np.all(np.isfinite(signals)):
        raise TargetError(
            f"the signal asked for must be finite, one number or {len(maps)} of them; received {value}"
        )
    values = np.broadcast_to(signals, len(maps))[:, None].copy()
    return Targets(question, maps[:, None, :], values, np.full(len(maps), -1), layer=layer)


def nodes_of_hidden(model: Model, layer: int) -> int:
    """How many nodes a `Network`'s hidden layer has; `TargetError` where there is no such layer."""
    if not isinstance(model, Network):
        raise TargetError(
            f"only a Network's layers are numbered, and {type(model).__name__} is not one; those of a model of "
            "from_torch have names"
        )
    hidden = len(model.layers) - 1
    if not 1 <= layer <= hidden:
        raise TargetError(f"this network's hidden layers are numbered 1 to {hidden}; received {layer}")
    return model.layers[layer - 1].outputs


def _places(given: int | Sequence[int], count: int, what: str) -> NDArray[np.intp]:
    places = np.atleast_1d(np.asarray(given))
    if not np.issubdtype(places.dtype, np.integer) or np.any((places < 0) | (places >= count)):
        raise TargetError(f"{what} are numbered 0 to {count - 1}; received {given!r}")
    return places


def _units(places: NDArray[np.intp], count: int) -> Array:
    """Rows (n, count) with a 1 at each place; of a large layer no whole identity fits in memory."""
    rows = np.zeros((len(places), count))
    rows[np.arange(len(places)), places] = 1.0
    return rows


def label_positions(model: Model, labels: LabelNames) -> Labels:
    """Positions (n,) of labels: whole numbers are positions, words are class names."""
    listed: list[Any] = [labels] if isinstance(labels, str) or np.ndim(labels) == 0 else list(labels)  # type: ignore[arg-type]
    if not listed:
        raise TargetError("ask for at least one label")
    return np.array([_position(model, label) for label in listed], np.int64)


def _position(model: Model, label: Label) -> int:
    if isinstance(label, str) and label in model.classes:
        return model.classes.index(label)
    whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
    if whole and 0 <= int(label) < model.outputs:
        return int(label)
    raise TargetError(
        f"unknown label {label!r}; choose from {', '.join(model.classes)}, or positions 0 to {model.outputs - 1}"
    )


def _is_pair(pairs: Any) -> bool:
    return len(pairs) == 2 and all(isinstance(label, str | int | np.integer) for label in pairs)


def _need_a_choice(model: Model) -> None:
    if model.output_activation is SOFTMAX and model.outputs == 1:
        raise TargetError(
            "a softmax of a single output answers 1 to every image, so that there is nothing to ask it"
        )


def _row(model: Model, wanted: dict[int, float], others: float | None) -> Array:
    """The answers (outputs,) that give each position its confidence and all others the rest."""
    _need_a_choice(model)
    activation = model.output_activation
    given = np.array(list(wanted.values()), np.float64)
    _check_confidences(model, given)
    if activation is SOFTMAX:
        rest = _softmax_rest(model, wanted, others)
    else:
        rest = min(1 - BOOK_CONFIDENCE, 1 - float(given.max())) if others is None else others
        if activation.bounded and not 0 < rest < 1:
            raise TargetError(f"others must lie between 0 and 1, both excluded; received {others}")
    row = np.full(model.outputs, rest)
    row[list(wanted)] = given
    return as_answers(model, row)


def _check_confidences(model: Model, given: Array) -> None:
    if model.output_activation.bounded and not np.all((given > 0) & (given < 1)):
        raise TargetError(f"a confidence lies between 0 and 1, both excluded; received {given.tolist()}")


def as_answers(model: Model, confidences: ArrayLike) -> Array:
    """Confidences as the model's answers: tanh outputs run from -1 to 1, and stand for confidences from 0 to 1."""
    values = np.asarray(confidences, np.float64)
    return 2 * values - 1 if model.output_activation is TANH else values


def _softmax_rest(model: Model, wanted: dict[int, float], others: float | None) -> float:
    left, unnamed = 1 - sum(wanted.values()), model.outputs - len(wanted)
    if others is not None:
        raise TargetError("softmax answers add up to 1, so that the other labels share what is left: omit others")
    if unnamed and left <= 0:
        possible = {model.classes[label]: _down(p / (1 - left) * LARGEST_SHARE) for label, p in wanted.items()}
        raise TargetError(
            f"softmax answers add up to 1, but the confidences asked for already make {1 - left:.4g}; possible, "
            f"in the same proportions, is {possible}; at least so much of one label is asked for with at_least"
        )
    # Where all labels are named, nobody gets this.
    return left / unnamed if unnamed else 0.5


def _shares(wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Answers (n, outputs) that add up to 1, or so nearly that they were rounded; `TargetError` for others."""
    sums = wanted.sum(axis=1, keepdims=True)
    if np.any(off := np.abs(sums[:, 0] - 1) > ROUNDED):
        first = int(np.flatnonzero(off)[0])
        shares = ", ".join(f"{share:.3f}" for share in (wanted[first] / sums[first])[:MOST_SHOWN])
        more = ", ..." if wanted.shape[1] > MOST_SHOWN else ""
        raise TargetError(
            f"softmax answers add up to 1, but those asked for to {sums[first, 0]:.4g}; possible, in the same "
            f"proportions, is [{shares}{more}]"
        )
    return np.asarray(wanted / sums, np.float64)


def _down(p: float) -> float:
    """Rounded down to two digits, or as it is where nothing would be left."""
    return float(np.floor(100 * p) / 100) or p


def _check_inside(wanted: Array, activation: Activation) -> None:
    low, high = activation.low, activation.high
    if not np.all(np.isfinite(wanted)) or not activation.contains(wanted):
        outside = wanted[~((wanted > low) & (wanted < high))]
        shown = outside.flat[0] if outside.size else "NaN or infinity"
        advice = "such as 0.01 and 0.99" if low == 0 and activation is not RELU else "strictly inside"
        raise TargetError(
            f"{activation.name} outputs give answers between {low:g} and {high:g}, both excluded, so "
            f"{shown} cannot be asked for; choose answers {advice}"
        )


def _all_answers(model: Model, wanted: Array, logits: Array, positions: Labels, question: str) -> Targets:
    if model.output_activation is SOFTMAX and model.outputs > MANY:
        return _strongest_answers(wanted, positions, question)
    if model.output_activation is SOFTMAX:
        logits = logits - logits.mean(axis=1, keepdims=True)
        maps = contrasts(model.outputs)
    else:
        maps = np.eye(model.outputs)
    return Targets(question, maps, logits @ maps.T, positions, wanted, logits)


def _strongest_answers(wanted: Array, positions: Labels, question: str) -> Targets:
    """Of many answers the strongest: as many as stand out from those that are asked for alike."""
    order = np.argsort(-wanted, axis=1, kind="stable")[:, : STRONGEST + 1]
    strongest = np.take_along_axis(wanted, order, axis=1)
    apart = strongest[:, :-1] - strongest[:, -1:] > 1e-9
    count = max(1, int(apart.sum(axis=1).max()))
    maps = np.eye(wanted.shape[1])[order[:, :count]]
    values = times(maps, _own(wanted))
    return Targets(question, maps, values, positions, wanted, own=True)


def _own(answers: Array) -> Array:
    """The log-odds of each of a softmax's answers (n, outputs) against all others together."""
    return own_log_odds(np.log(np.maximum(answers, np.finfo(float).tiny)))


def contrasts(count: int) -> Array:
    """An orthonormal basis (count - 1, count) of the vectors that add up to zero.

    Softmax answers fix the logits up to a constant; these are all their differences, each once.
    """
    basis = np.zeros((count - 1, count))
    for row in range(1, count):
        basis[row - 1, :row] = 1 / np.sqrt(row * (row + 1))
        basis[row - 1, row] = -row / np.sqrt(row * (row + 1))
    return basis
