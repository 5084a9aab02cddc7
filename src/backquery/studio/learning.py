"""A network that learns before the visitor's eyes, in a thread of its own, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import monotonic, perf_counter

import numpy as np

from backquery.datasets import Dataset
from backquery.errors import BackqueryError
from backquery.inversion import METHODS, Transpose, back_query, fit_statistics
from backquery.inversion.fitting import statistics_of, with_typical
from backquery.model import Array, Network, Statistics, evaluated
from backquery.studio import engine
from backquery.studio import fields as read
from backquery.studio.fields import Fields
from backquery.studio.opened import Subject
from backquery.studio.protocol import Answer, refusal
from backquery.training import TrainingRun
from backquery.training.plan import Plan, about, begin
from backquery.training.run import CHUNK

MOST_HIDDEN, MOST_EPOCHS = 500, 20
FRAMES = 60
"""Looks at the network while it learns: often at first, when most happens."""

LONGEST_PACE = 2.0
QUICK_TEST = 2000
"""Test images that a frame's performance is measured on; the last one's on all of them."""

PRIOR_IMAGES = 5000
"""Training images that tell what images are like, and what the network usually answers at each look: what it
never says yet is not asked of it."""


@dataclass(frozen=True)
class Lesson:
    """What the visitor asked for, every default settled."""

    hidden: int
    rate: float
    epochs: int
    images: int
    seed: int
    method: str
    pace: float

    @classmethod
    def of(cls, fields: Fields, dataset: Dataset) -> Lesson:
        """Read a request; `RequestError` for what is out of bounds."""
        return cls(
            hidden=read.whole(fields, "hidden", 1, MOST_HIDDEN, 50),
            rate=read.number(fields, "rate", 1e-5, 10.0, 0.1),
            epochs=read.whole(fields, "epochs", 1, MOST_EPOCHS, 1),
            images=read.whole(fields, "images", 1, len(dataset.train), len(dataset.train)),
            seed=read.whole(fields, "seed", 0, 2**53, 1),
            method=read.choice(fields, "method", tuple(METHODS), Transpose.name),
            pace=read.number(fields, "pace", 0.0, LONGEST_PACE, 0.1),
        )

    @property
    def plan(self) -> Plan:
        """The training, as the book has it."""
        return Plan.settled((self.hidden,), learning_rate=self.rate, epochs=self.epochs, seed=self.seed)


class Learning:
    """One training. `send` takes its frames; `network` is None until it has ended well or was stopped."""

    def __init__(self, lesson: Lesson, dataset: Dataset, send: Callable[[Answer], None]) -> None:
        self.lesson, self.dataset = lesson, dataset
        self._method = engine.method_of(lesson.method, hurried=True)
        self.network: Network | None = None
        self._send = send
        self._stopped, self._going = Event(), Event()
        self._going.set()
        self._thread = Thread(target=self._run, name="backquery-learning", daemon=True)

    @property
    def state(self) -> str:
        """``"learning"``, ``"paused"``, ``"stopped"`` or ``"done"``."""
        if self._stopped.is_set():
            return "stopped"
        if not self._thread.is_alive():
            return "done"
        return "learning" if self._going.is_set() else "paused"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def pause(self) -> None:
        """Wait before the next frame."""
        self._going.clear()

    def go_on(self) -> None:
        """Wait no longer."""
        self._going.set()

    def stop(self) -> None:
        """End it where it stands."""
        # Both, because one that is paused has to wake up to see that it is stopped.
        self._stopped.set()
        self._going.set()

    def wait(self) -> None:
        """Until it has ended, so that no two of them take memory at once."""
        if self._thread.ident is not None:
            self._thread.join()

    def adopted(self) -> Network | None:
        """The network that was learned, with statistics of what it learned from; None if there is none yet."""
        if self.network is None:
            return None
        return replace(self.network, statistics=fit_statistics(self.network, self._given().train))

    def _given(self) -> Dataset:
        """The data with so many images to learn from as were asked for."""
        return replace(self.dataset, train=self.dataset.train.select(slice(self.lesson.images)))

    def _run(self) -> None:
        try:
            self._learn()
        except BackqueryError as error:
            self._send(refusal(error))

    def _learn(self) -> None:
        lesson, clock = self.lesson, perf_counter()
        if self._stopped.is_set():
            return
        run = begin(lesson.plan, self._given())
        some = self.dataset.train.select(slice(PRIOR_IMAGES))
        statistics, self._usual = statistics_of(run.network, some), run.network.scale(some.images)
        moments, images = frame_moments(run.updates), None
        for frame, moment in enumerate(moments):
            due = monotonic() + lesson.pace
            if not self._advance(run, moment):
                break
            images = self._show(run, statistics, images, frame, len(moments))
            self._stopped.wait(max(0.0, due - monotonic()))
        self.network = replace(run.snapshot(), about=self._about(run))
        ended = {"state": self.state if self._stopped.is_set() else "done", "updates": run.done}
        performance = self.network.about["performance"]
        self._send(Answer({**ended, "performance": performance, "seconds": perf_counter() - clock}))

    def _advance(self, run: TrainingRun, moment: int) -> bool:
        """Learn up to a moment, chunk by chunk; False if the visitor has ended it."""
        while run.done < moment:
            self._going.wait()
            if self._stopped.is_set():
                return False
            run.advance(min(moment, run.done + CHUNK))
        return True

    def _show(
        self, run: TrainingRun, statistics: Statistics, start: Array | None, frame: int, frames: int
    ) -> Array:
        """One frame, whose searches begin at the images of the one before; returns its own."""
        network = with_typical(replace(run.snapshot(), statistics=statistics), self._usual)
        subject = Subject.of("learning", network, frame)
        result = back_query(network, list(range(network.outputs)), method=self._method, start=start)
        scans = engine.scans_of(subject, result)
        told = {
            "state": "learning",
            "frame": frame,
            "frames": frames,
            "updates": run.done,
            "epoch": run.done / run.updates_per_epoch,
            "performance": self._performance(network, QUICK_TEST),
            "shape": list(subject.shape),
        }
        self._send(Answer({**scans.fields, **told}, scans.arrays))
        return result.images

    def _performance(self, network: Network, images: int) -> float:
        test = self.dataset.to_test_on
        chosen = np.random.default_rng(0).permutation(len(test))[:images]
        return evaluated(network, test.select(chosen)).performance

    def _about(self, run: TrainingRun) -> dict[str, object]:
        images = len(self.dataset.to_test_on)
        found = {"performance": self._performance(run.snapshot(), images), "test_images": images}
        return about(self.lesson.plan, self._given(), {"updates": run.done}, found)


def frame_moments(updates: int) -> list[int]:
    """After how many updates to look: before the first, then ever more rarely, and after the last."""
    return sorted({round(updates * share**3) for share in np.linspace(0, 1, FRAMES)})
