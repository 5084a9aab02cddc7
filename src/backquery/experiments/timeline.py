"""A timeline: what a network sees when it says each label, at moments while it learns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import floor, log10, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import Dataset
from backquery.datasets.npz import stored_in
from backquery.deprecation import renamed
from backquery.errors import DataError, ExperimentError
from backquery.files import save_arrays
from backquery.inversion import METHODS, back_query
from backquery.inversion.fitting import statistics_of, with_typical
from backquery.model import UNREAD, Array, LabelledImages, Network, Progress, brief, evaluate, ink_of, name_read
from backquery.model.declared import declared
from backquery.training import TrainingRun

COUNT = 30
"""Frames by default."""

MOST = 10_000
"""Frames at most: each holds an image of every label."""

METHOD = "gauss-newton"

TRAINING_IMAGES = 10_000
"""Training images, at most, that say which answers are typical at each moment."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A network after so many updates, `epochs` rounds through the images.

    performance: the share of right answers on the test half. ink: (labels, inputs), a scan for each label, 0 for
    paper and 1 for full ink. read: (labels,), the label that the network reads in each scan, `UNREAD` where it
    reads none; answers: (labels,), how surely.
    """

    __repr__ = brief

    updates: int
    epochs: float
    performance: float
    ink: Array
    read: NDArray[np.int64]
    answers: Array

    @property
    def read_as_asked(self) -> NDArray[np.bool_]:
        """Whether the network reads in each scan the label asked for, (labels,)."""
        return np.asarray(self.read == np.arange(len(self.read)))


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of one training, the first moment first, and what they have in common."""

    __repr__ = brief

    frames: tuple[Frame, ...]
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    method: str
    data: str

    def __len__(self) -> int:
        return len(self.frames)

    def as_json(self) -> dict[str, Any]:
        """Everything but the images as plain values."""
        return {
            "data": self.data,
            "method": self.method,
            "frames": [
                {
                    "updates": frame.updates,
                    "epochs": frame.epochs,
                    "performance": frame.performance,
                    "read_as_asked": int(frame.read_as_asked.sum()),
                    "read": [name_read(self.classes, label) for label in frame.read],
                    "answers": frame.answers.tolist(),
                }
                for frame in self.frames
            ],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as arrays to an .npz file, for `load_timeline`."""
        arrays: dict[str, Any] = {
            name: np.array([getattr(frame, name) for frame in self.frames]) for name in _KINDS
        }
        arrays["ink"] = arrays["ink"].astype(np.float32)
        arrays |= {name: np.array(getattr(self, name)) for name in _COMMON}
        save_arrays(path, **arrays)


_KINDS = {"updates": "i", "epochs": "f", "performance": "f", "ink": "f", "read": "i", "answers": "f"}
"""The fields of a frame, and the kind of number in each."""

_COMMON = {"classes": "U", "image_shape": "i", "method": "U", "data": "U"}
"""The same for what the frames have in common."""


def load_timeline(path: str | os.PathLike[str]) -> Timeline:
    """A timeline that was saved; `DataError` for a file that does not hold one. Nothing in it can run."""
    try:
        stored = stored_in(Path(path))
        arrays = {name: stored[name].read() for name in (*_KINDS, *_COMMON)}
    except (KeyError, DataError) as error:
        if isinstance(error.__cause__, OSError):
            raise DataError(f"cannot read the timeline {path}: {error.__cause__.strerror or error}") from None
        raise DataError(f"{path} holds no timeline; `backquery timeline --arrays` writes such files") from None
    _check(path, arrays)
    numbers = (arrays[name].tolist() for name in ("updates", "epochs", "performance"))
    frames = zip(*numbers, *(arrays[name] for name in ("ink", "read", "answers")), strict=True)
    return Timeline(
        tuple(Frame(*values) for values in frames),
        tuple(map(str, arrays["classes"])),
        tuple(map(int, arrays["image_shape"])),
        str(arrays["method"]),
        str(arrays["data"]),
    )


def _check(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse arrays of other kinds and shapes than `save` writes."""
    count, labels = arrays["updates"].size, arrays["classes"].size
    inputs = prod(arrays["image_shape"].ravel().tolist()) if arrays["image_shape"].dtype.kind == "i" else 0
    images = {"ink": (count, labels, inputs), "read": (count, labels), "answers": (count, labels)}
    common = {"classes": (labels,), "image_shape": (arrays["image_shape"].size,), "method": (), "data": ()}
    for name, kind in {**_KINDS, **_COMMON}.items():
        values, shape = arrays[name], {**images, **common}.get(name, (count,))
        usable = values.dtype.kind == kind and values.shape == shape and values.size
        if not usable or (kind in "if" and not np.all(np.isfinite(values))):
            raise DataError(f"{path} holds no timeline: its {name} is {values.dtype} of shape {values.shape}")
    if np.any(arrays["read"] < UNREAD) or np.any(arrays["read"] >= labels):
        raise DataError(f"{path} holds no timeline: it reads labels that there are not")


def log_spaced(updates: int, count: int = COUNT) -> tuple[int, ...]:
    """At most `count` moments from 0 to `updates`, evenly spaced on a logarithmic scale, in round numbers.

    A network changes most in the first updates, so that is where one looks most often.
    """
    if updates < 1 or not 2 <= count <= MOST:
        raise ExperimentError(
            f"a timeline needs an update and from 2 to {MOST:,} frames; received {updates:,} and {count:,}"
        )
    spaced = map(round, np.geomspace(1, updates, max(count - 1, 2))[: count - 2].tolist())
    rounded = {round(update, 1 - floor(log10(update))) for update in spaced}
    return (0, *sorted(update for update in rounded if update < updates), updates)


@declared(ExperimentError)
def watch_training(
    run: TrainingRun,
    dataset: Dataset | LabelledImages,
    *,
    at: Iterable[int] | None = None,
    method: str = METHOD,
    progress: Progress | None = None,
) -> Timeline:
    """Watch a network learn: stop its training after the updates `at`, test it, and ask it for every label.

    `run` is a training on the training half of `dataset` that has not begun, such as
    ``TrainingRun(network, dataset.train, epochs=5, rng=1)``. Looking changes nothing: where the last moment is the
    end, ``run.snapshot()`` is afterwards what `train` returns. The moments are `log_spaced` by default.
    Gauss-newton asks each time for the answers that are typical by then, under one prior for all times. `progress`
    is told (frames done, frames in all). A run that has begun, or moments that it does not have, raise
    `ExperimentError`.
    """
    dataset = Dataset.of(dataset, run.network)
    moments = log_spaced(run.updates) if at is None else check_moments(run, at)
    found = []
    for frame in frames(run, dataset, at=moments, method=method):
        found.append(frame)
        if progress is not None:
            progress(len(found), len(moments))
    return Timeline(tuple(found), run.network.classes, run.network.input_shape, method, dataset.name)


def frames(run: TrainingRun, dataset: Dataset, *, at: Iterable[int], method: str = METHOD) -> Iterator[Frame]:
    """The frames of a `Timeline`, each when the training has come so far."""
    if method not in METHODS:
        raise ExperimentError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}")
    statistics = run.network.statistics
    if METHODS[method].usual_question == "typical" and statistics is None:
        statistics = statistics_of(run.network, dataset.train)
    for updates in check_moments(run, at):
        network = replace(run.after(updates), statistics=statistics)
        if statistics is not None:
            network = with_typical(network, network.scale(dataset.train.images[:TRAINING_IMAGES]))
        yield _frame(network, updates, run, dataset, method)


def check_moments(run: TrainingRun, at: Iterable[int]) -> tuple[int, ...]:
    """The moments in their order, each once; `ExperimentError` for those that the training does not come to."""
    moments = tuple(sorted({int(update) for update in at}))
    outside = [update for update in moments if not run.done <= update <= run.updates]
    if outside or not moments:
        raise ExperimentError(
            f"a timeline of this training looks at updates from {run.done:,} to {run.updates:,}; "
            f"received {', '.join(f'{update:,}' for update in outside) or 'none'}"
        )
    return moments


def _frame(network: Network, updates: int, run: TrainingRun, dataset: Dataset, method: str) -> Frame:
    scans = back_query(network, range(network.outputs), method=method)
    performance = evaluate(network, dataset.to_test_on).performance
    epochs = updates / run.updates_per_epoch
    return Frame(
        updates, epochs, performance, ink_of(network, scans.images), scans.read, scans.answers.max(axis=1)
    )


__getattr__ = renamed(__name__, {"timeline": "watch_training"})
