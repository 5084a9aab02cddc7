"""Every method against every score, with the controls in the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from backquery.datasets import Dataset
from backquery.errors import BackqueryError, InversionError, MissingExtraError, ModelError, TargetError
from backquery.faithfulness.controls import control_images, control_networks
from backquery.faithfulness.fooling import fooling_circuit
from backquery.faithfulness.judges import Judge, convolutional_judge, linear_judge, neighbour_judge
from backquery.faithfulness.obedience import Obedience, obedience
from backquery.faithfulness.passage import Passage, RealSignals
from backquery.faithfulness.real import Nearness, RealImages
from backquery.faithfulness.recognition import Recognition
from backquery.faithfulness.usual import TEST_IMAGES, RealDensities, Usualness, usual_density
from backquery.inversion import (
    METHODS,
    BackQuery,
    back_query,
    confidence,
    fit_statistics,
    typical,
)
from backquery.model import (
    SIGMOID,
    SOFTMAX,
    Array,
    LabelledImages,
    Labels,
    Layout,
    Model,
    Network,
    Progress,
    Seed,
    Tabular,
    brief,
    generator_of,
    ink_of,
    labels_read,
    name_read,
    typical_of,
)

Kind = Literal["method", "images", "network"]

MEANINGS = {
    "recognised": "by the judges together, less chance and their own mistakes (?: may be luck)",
    "worst error": "in logits, what outputs turn into answers: of sigmoids the log-odds",
    "typicality": "1 for the most usual image; plain: plainer than real images; strange: stranger than they are",
    "path": "how many real images have signals as unlike those of others read as the same label, in any layer; or "
    "the layer in which most images take another path",
    "nearest": "distance to the nearest real image, 0.5 as between real ones, 0 nearer than all, 1 farther",
}
"""What the scores under these names mean."""


@dataclass(frozen=True, eq=False)
class Row:
    """One image for each label, from one source, with every score.

    kind: ``"method"``, or the controls ``"images"`` and ``"network"``. ink: (n, inputs) from 0 to 1. asked: (n,);
    expected: (n,) what a judge should read (another label where the network was taught so); read: (n,) by the
    network itself. recognition: what the judges read. usualness, nearness: the images beside real ones. result:
    the back query, where there was one. passage: how signals pass through the network that was asked, where it has
    hidden layers.
    """

    __repr__ = brief

    name: str
    kind: Kind
    ink: Array
    asked: Labels
    expected: Labels
    read: Labels
    recognition: Recognition
    usualness: Usualness
    nearness: Nearness
    result: BackQuery | None = None
    obedience: Obedience | None = None
    passage: Passage | None = None

    @property
    def read_as_asked(self) -> int:
        """How many images the network itself reads as the label asked for."""
        return int(np.sum(self.read == self.asked))

    def agreement(self, judge: str) -> int:
        """How many images a judge reads as expected."""
        return self.recognition.agreement[judge]

    @property
    def worst_error(self) -> float | None:
        """The largest error in logits of all images, where something was asked for."""
        return None if self.result is None else float(self.result.logit_error.max())

    @property
    def told(self) -> dict[str, str]:
        """Every score in a few letters, in the order of a table's columns; judges under their names."""
        error = self.worst_error
        return {
            "read as asked": f"{self.read_as_asked} of {len(self.asked)}",
            **{name: f"{count}" for name, count in self.recognition.agreement.items()},
            "recognised": self.recognition.brief,
            "worst error": "" if error is None else f"{error:.1g}" if error < 0.01 else f"{error:.1f}",
            "typicality": self.usualness.brief,
            "path": "" if self.passage is None else self.passage.brief,
            "nearest": self.nearness.brief,
            "obeys": "" if self.obedience is None else f"{self.obedience.obeyed:.0%}",
        }

    def as_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Plain values; labels by their names."""
        outcome = None if self.result is None else list(self.result.outcome)
        return {
            "name": self.name,
            "kind": self.kind,
            "asked": [classes[k] for k in self.asked],
            "expected": [classes[k] for k in self.expected],
            "read": [name_read(classes, k) for k in self.read],
            "read_as_asked": self.read_as_asked,
            "worst_logit_error": self.worst_error,
            "outcomes": outcome,
            "judges": {
                name: [name_read(classes, k) for k in labels] for name, labels in self.recognition.read.items()
            },
            **self.recognition.as_json(),
            **self.usualness.as_json(),
            **({"path": None, "path_layer": None} if self.passage is None else self.passage.as_json()),
            **self.nearness.as_json(),
            "obeyed": None if self.obedience is None else self.obedience.obeyed,
        }


@dataclass(frozen=True, eq=False)
class Comparison(Tabular):
    """All rows, the judges with their performance on real images, and what was left out and why.

    nearest_ink: by the name of a row, the real images nearest to its own, (n, inputs), ink from 0 to 1.
    """

    __repr__ = brief

    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    judges: tuple[Judge, ...]
    left_out: tuple[str, ...] = ()
    nearest_ink: Mapping[str, Array] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def columns(self) -> list[str]:
        """The names of the scores that any row has, in the order of a table."""
        told = [row.told for row in self.rows]
        return [name for name in told[0] if any(scores[name] for scores in told)]

    @property
    def meanings(self) -> list[str]:
        """What the scores mean, each in a few words."""
        return [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in self.columns]

    @property
    def elsewhere(self) -> list[str]:
        """For each method whose images take another path than real ones, how many do, and where, in words."""
        methods = [row for row in self.rows if row.kind == "method"]
        return [f"{row.name}: {row.passage.told}" for row in methods if row.passage and row.passage.told]

    @property
    def chance(self) -> float:
        """How often a judge that guesses is right."""
        return 1 / len(self.classes)

    @property
    def trust(self) -> str:
        """Each judge with its performance on real test images, and chance: in one line."""
        judges = [f"{judge.name} {judge.trusted(self.chance)}" for judge in self.judges]
        return f"judges on real test images: {', '.join(judges)}; chance {self.chance:.0%}"

    def records(self) -> list[dict[str, Any]]:
        """The rows of plain values, labels by their names."""
        return [row.as_json(self.classes) for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """All that it holds as plain values, for JSON."""
        return {
            "rows": self.records(),
            "judges": {judge.name: judge.performance for judge in self.judges},
            "chance": self.chance,
            "no_better_than_chance": [judge.name for judge in self.judges if judge.worthless(self.chance)],
            "left_out": list(self.left_out),
        }


JUDGING = "asking the judges"


def usual_judges(dataset: Dataset, real: RealImages, tell: Progress) -> tuple[list[Judge], list[str]]:
    """Neighbours, linear and (where PyTorch is installed) convolutional; and a line for each that is missing."""
    tell(0, 3, "asking the nearest neighbours")
    judges = [neighbour_judge(real, dataset.test)]
    tell(1, 3, "training the linear judge")
    judges.append(linear_judge(dataset))

    def learned(done: float, total: float, _: str = "", /) -> None:
        tell(2 + done / total, 3, "training the convolutional judge")

    try:
        judges.append(convolutional_judge(dataset, progress=learned))
    except MissingExtraError as error:
        return judges, [str(error)]
    return judges, []


def compare_methods(
    model: Model,
    dataset: Dataset | LabelledImages,
    *,
    judges: Sequence[Judge] | None = None,
    controls: bool = True,
    confidences: bool = True,
    rng: Seed = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Every method, asked for every label, beside images and networks whose scores are known beforehand.

    `dataset` gives the judges, the real images and the controls; its classes are the model's. One half alone, such
    as a `Split`, will do, but without others to test on a judge's performance is not known. Without `judges`
    the usual three are trained on its training half. `controls` adds networks, which are trained too;
    `confidences` asks each method for several confidences, to see whether it obeys. `progress` is told (steps
    done, steps in all, what is being done). Data of other classes, or judges that are none, raise
    `BackqueryError`.
    """
    dataset = Dataset.of(dataset, model)
    if dataset.inputs != model.inputs or len(dataset.classes) != model.outputs:
        raise BackqueryError(
            f"the model takes {model.inputs} inputs and knows {model.outputs} labels, but {dataset.name} has "
            f"{dataset.inputs} pixels and {len(dataset.classes)} classes; use data like those it was trained on"
        )
    if strangers := [one for one in judges or () if not isinstance(one, Judge)]:
        made = "backquery.faithfulness.linear_judge(dataset) and its like"
        raise BackqueryError(f"judges are made by {made}; received {strangers[0]!r}")
    real = RealImages(dataset.train.images, dataset.train.labels, dataset.maximum)
    asks = _questions(model)
    steps = _Steps(progress, 2 + len(asks) + controls)
    generator, labels = generator_of(rng), np.arange(model.outputs)
    drafts: list[_Draft] = []
    steps.begin(JUDGING)
    chosen, left_out = usual_judges(dataset, real, steps.within) if judges is None else (judges, [])
    for name, ask in asks.items():
        steps.begin(f"back queries by {name}")
        try:
            result = ask(labels)
        except (InversionError, TargetError) as error:
            left_out.append(f"{name}: {error}")
            continue
        obeys = _obedience(model, labels, result) if confidences else None
        drafts.append(_Draft.of_result(name, model, result, obeys=obeys))
    shown = np.intersect1d(labels, dataset.train.labels)
    for name, images in control_images(dataset, shown, generator).items():
        drafts.append(_Draft.of_images(name, model, model.scale(images), shown))
    if unseen := [model.classes[label] for label in np.setdiff1d(labels, shown)]:
        left_out.append(f"real images of {', '.join(unseen)}: the data have none to train on")
    if controls:
        steps.begin("training the controls")
        drafts.extend(_of_networks(model, dataset, labels, generator, left_out))
        try:
            drafts.append(_fooling(model, dataset, labels, generator))
        except ModelError as error:
            left_out.append(f"fooling circuit: {error}")
    steps.begin("scoring all images")
    rows = _scored(drafts, model, dataset, real, chosen)
    layout = Layout.of(model.input_shape)
    nearest = {
        row.name: layout.undrawn(real.ink[row.nearness.nearest].reshape(-1, *layout.drawn_shape)) for row in rows
    }
    return Comparison(model.classes, model.input_shape, rows, tuple(chosen), tuple(left_out), nearest)


class _Steps:
    """So many steps, of which `progress` is told the names as they begin, and how much of one is done."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress, self._steps, self._begun = progress, steps, 0

    def begin(self, what: str) -> None:
        """The next step."""
        self._begun += 1
        self.within(0, 1, what)

    def within(self, done: float, total: float, what: str = "", /) -> None:
        """How much of the present step is done."""
        if self._progress is not None:
            self._progress(self._begun - 1 + done / total, self._steps, what)


def _questions(model: Model) -> dict[str, Callable[[Labels], BackQuery]]:
    """Each method with its usual question; gauss-newton with both that are worth asking."""
    asks: dict[str, Callable[[Labels], BackQuery]] = {}
    for name in METHODS:
        asks[name] = lambda labels, name=name: back_query(model, labels, method=name)  # type: ignore[misc]
    if typical_of(model) is not None and "gauss-newton" in asks:
        usual = asks.pop("gauss-newton")
        asks["gauss-newton, typical"] = usual
        asks["gauss-newton, 0.99"] = lambda labels: back_query(
            model, labels, method="gauss-newton", confidence=0.99
        )
    return asks


def _obedience(model: Model, labels: Labels, result: BackQuery) -> Obedience | None:
    if model.output_activation not in (SIGMOID, SOFTMAX):
        return None
    return obedience(model, labels, result.method, known=result)


def _of_networks(
    model: Model, dataset: Dataset, labels: Labels, rng: np.random.Generator, left_out: list[str]
) -> list[_Draft]:
    """The faithful back query of networks that have learned nothing, or the wrong thing, with both questions.

    Neither question knows the data's labels: typical answers are given by one of the images that the network
    itself reads as a label, and the book's 0.99 at the label and 0.01 elsewhere are the same for all.
    """
    drafts = []
    for name, control in control_networks(model, dataset, rng, left_out=left_out).items():
        expected = (labels - 1) % len(labels) if name == "labels moved by one" else labels
        for question, asked in (("typical", typical(control, labels)), ("0.99", confidence(control, labels))):
            result = back_query(control, asked, method="gauss-newton")
            drafts.append(
                _Draft.of_result(f"{name}, {question}", control, result, kind="network", expected=expected)
            )
    return drafts


def _fooling(network: Model, dataset: Dataset, labels: Labels, rng: np.random.Generator) -> _Draft:
    """The typical question to the network itself with a fooling circuit, under the prior that it is made for."""
    if not isinstance(network, Network):
        raise ModelError("it is made for dense networks")
    control = fooling_circuit(network, dataset.train, rng)
    result = back_query(control, typical(control, labels), method="gauss-newton", prior="data")
    return _Draft.of_result("fooling circuit, typical", control, result, kind="network")


@dataclass(frozen=True, eq=False)
class _Draft:
    """A row before its scores: its images (n, inputs) in input scale, who reads them, and what else is known."""

    inputs: Array
    model: Model
    known: dict[str, Any]

    @classmethod
    def of_result(
        cls,
        name: str,
        model: Model,
        result: BackQuery,
        *,
        kind: Kind = "method",
        expected: Labels | None = None,
        obeys: Obedience | None = None,
    ) -> _Draft:
        """Of a back query to `model`; `read` is what it reads itself."""
        known = {"name": name, "kind": kind, "asked": result.labels, "read": result.read, "result": result}
        return cls(
            result.images,
            model,
            {**known, "expected": result.labels if expected is None else expected, "obedience": obeys},
        )

    @classmethod
    def of_images(cls, name: str, model: Model, inputs: Array, labels: Labels) -> _Draft:
        """Of images that nobody asked a network for."""
        read = labels_read(model, inputs)
        return cls(
            inputs, model, {"name": name, "kind": "images", "asked": labels, "expected": labels, "read": read}
        )


def _scored(
    drafts: Sequence[_Draft], model: Model, dataset: Dataset, real: RealImages, judges: Sequence[Judge]
) -> tuple[Row, ...]:
    """The rows with what can be said of their images whoever made them: all images are judged at once."""
    inputs = np.concatenate([draft.inputs for draft in drafts])
    ink = ink_of(model, inputs)
    by_name = {judge.name: judge for judge in judges}
    # Judges and real images know the pixels as the data have them, colours last.
    shown = Layout.of(model.input_shape).drawn(ink).reshape(len(ink), -1)
    read = {judge.name: judge.ask(shown) for judge in judges}
    density = usual_density(model.statistics or fit_statistics(model, dataset.train))
    usual = RealDensities(density, model.scale(dataset.to_test_on.images[:TEST_IMAGES])).usualness(inputs)
    near = real.nearness(shown, dataset.test)
    asked = dict.fromkeys(draft.model for draft in drafts)
    signals = {one: RealSignals.of(one, dataset) for one in asked}
    rows, begin = [], 0
    for draft in drafts:
        part = slice(begin, begin := begin + len(draft.inputs))
        real_signals = signals[draft.model]
        said = {name: labels[part] for name, labels in read.items()}
        scores: dict[str, Any] = {
            "ink": ink[part],
            "recognition": Recognition(by_name, said, draft.known["expected"], 1 / len(dataset.classes)),
            "usualness": Usualness(usual.percentile[part]),
            "nearness": Nearness(near.distance[part], near.nearest[part], near.usual),
            "passage": None if real_signals is None else real_signals.passage(draft.inputs),
        }
        rows.append(Row(**draft.known, **scores))
    return tuple(rows)
