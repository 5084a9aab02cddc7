"""What all visitors of a studio share: the model as it was opened, and data that fit it.

Data are opened, and judges trained, in the background: a model can be asked before they are there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock, Thread

from backquery.datasets import Dataset, catalogue, load, needs_fetching, open_data
from backquery.errors import BackqueryError
from backquery.faithfulness import Judge, RealImages, linear_judge, neighbour_judge
from backquery.model import Layout, Model, Network
from backquery.notes import Notes
from backquery.studio.exam import Exam

logger = logging.getLogger(__name__)

BUNDLED = "digits"
"""The data that always are at hand, to watch a network learn them."""


@dataclass(frozen=True, eq=False)
class Jury:
    """Who gives an opinion of pictures, and the real images to lay beside them."""

    real: RealImages
    judges: tuple[Judge, ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """The model that is asked, at one moment: as it is whole, and with the nodes that are switched off.

    off: numbers of nodes by hidden layer; version: another one for every change.
    """

    name: str
    whole: Model
    model: Model
    version: int
    off: dict[int, list[int]]
    performance: float | None = None

    @classmethod
    def of(cls, name: str, model: Model, version: int, performance: float | None = None) -> Subject:
        """A model with all its nodes."""
        return cls(name, model, model, version, {}, performance)

    def without(self, off: dict[int, list[int]], version: int) -> Subject:
        """The same with exactly these nodes switched off."""
        model = self.whole
        for layer, nodes in off.items():
            assert isinstance(model, Network)
            model = model.without_nodes(nodes, layer)
        return replace(self, model=model, off=off, version=version, performance=None)

    @property
    def file_name(self) -> str:
        """What the file is called that the page saves it in."""
        return f"{self.name.removesuffix('.safetensors')}.safetensors"

    @property
    def layout(self) -> Layout:
        """How inputs lie as an image."""
        return Layout.of(self.model.input_shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image on the page: (rows, columns), or (rows, columns, 3) in colour."""
        return self.layout.drawn_shape


class Opened:
    """The model and the data of one studio; `changed` is called for whoever listens when more has become known.

    notes: makes new ones of how to have the model in Python; by default it is taken for granted as `network`.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        open_data: Callable[[], Dataset | None],
        notes: Callable[[], Notes] | None = None,
    ) -> None:
        self.subject = Subject.of(name, model, 0)
        self.notes = notes or (lambda: _taken_for_granted(model))
        self.exam: Exam | None = None
        self._open_data = open_data
        self._sets: tuple[Dataset, ...] = ()
        self._juries: dict[str, Jury] = {}
        self._listeners: set[Callable[[], object]] = set()
        self._lock = Lock()

    def prepare(self) -> Thread:
        """Begin to open the data and to make the judges ready."""
        thread = Thread(target=self._prepare, name="backquery-data", daemon=True)
        thread.start()
        return thread

    def listen(self, changed: Callable[[], object]) -> Callable[[], None]:
        """Call `changed` from now on; returns how to stop that."""
        with self._lock:
            self._listeners.add(changed)
        return lambda: self._listeners.discard(changed)

    def data_for(self, model: Model) -> Dataset | None:
        """Data on which this model can be tried."""
        return next((dataset for dataset in self._sets if fits(model, dataset)), None)

    def data_to_learn(self) -> Dataset | None:
        """Data from which a new network can learn."""
        return next(iter(self._sets), None)

    def jury_for(self, model: Model) -> Jury | None:
        """The judges of such images, if they are ready."""
        dataset = self.data_for(model)
        return None if dataset is None else self._juries.get(dataset.name)

    def _prepare(self) -> None:
        try:
            steps = (
                self._open,
                self._test,
                self._bring_digits,
                self._seat_neighbours,
                self._seat_linear,
            )
            for step in steps:
                step()
                self._tell()
        except BackqueryError as error:
            logger.warning("the studio does without data: %s", error)

    def _open(self) -> None:
        dataset = self._open_data()
        self._sets = () if dataset is None else (dataset,)

    def _bring_digits(self) -> None:
        if all(dataset.name != BUNDLED for dataset in self._sets):
            self._sets = (*self._sets, load(BUNDLED))

    def _test(self) -> None:
        dataset = self.data_for(self.subject.model)
        if dataset is not None:
            self.exam = Exam(self.subject.model, dataset)
            self.subject = replace(self.subject, performance=self.exam.performance(self.subject.model))

    def _seat_neighbours(self) -> None:
        """The judges that need no training are there first."""
        for dataset in self._sets:
            if fits(self.subject.model, dataset):
                real = RealImages(dataset.train.images, dataset.train.labels, dataset.maximum)
                self._juries[dataset.name] = Jury(real, (neighbour_judge(real, dataset.test),))

    def _seat_linear(self) -> None:
        """Judges that are trained."""
        for dataset in self._sets:
            if jury := self._juries.get(dataset.name):
                self._juries[dataset.name] = replace(jury, judges=(*jury.judges, linear_judge(dataset)))

    def _tell(self) -> None:
        with self._lock:
            # A copy, because pages come and go while it is gone through.
            listeners = tuple(self._listeners)
        for changed in listeners:
            changed()


def _taken_for_granted(model: Model) -> Notes:
    notes = Notes()
    notes.stands_for(model, "network")
    return notes


def usual_data(model: Model) -> Dataset | None:
    """The data that a model says it was trained on, if they are at hand."""
    name = str(getattr(model, "about", {}).get("data", ""))
    if name not in catalogue() or needs_fetching(name):
        return None
    return open_data(name, model=model)


def fits(model: Model, dataset: Dataset) -> bool:
    """Whether the model can be tried on these data: as many pixels on the same scale, the same labels."""
    same_scale = model.scaling is not None and model.scaling.maximum == dataset.maximum
    return same_scale and dataset.inputs == model.inputs and dataset.classes == model.classes
