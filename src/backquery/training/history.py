"""What happened while a network learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from typing import Any

from backquery.model import Network, Tabular, brief

KEPT = 100
"""Epochs that a model file keeps."""


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. `loss` (mean over the images) and `train_accuracy` are those met on the way: each image is
    judged just before the step that learns from it. `test_accuracy` is measured after the epoch; `seconds` is the
    time of training alone, `learning_rate` what steps multiplied the slope by at its beginning."""

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float | None
    seconds: float
    learning_rate: float


@dataclass(frozen=True)
class History(Tabular):
    """All epochs of one training, and the kernel that did the work."""

    __repr__ = brief

    kernel: str
    epochs: tuple[EpochRecord, ...]
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """Time of training alone, without tests and callbacks."""
        return sum(record.seconds for record in self.epochs)

    def records(self) -> list[dict[str, Any]]:
        """A row of plain values for each epoch."""
        return [asdict(record) for record in self.epochs]

    def as_json(self) -> list[dict[str, Any]]:
        """The epochs as plain values, for JSON."""
        return self.records()

    def brief(self) -> list[dict[str, Any]]:
        """At most `KEPT` epochs, the last among them, without the clock: small enough for a model file."""
        step = -(-len(self.epochs) // KEPT)
        records = [asdict(record) for record in self.epochs[::-step][::-1]]
        return [{name: value for name, value in record.items() if name != "seconds"} for record in records]

    @classmethod
    def of_brief(cls, records: Any, kernel: str = "unknown") -> History | None:
        """The history that `brief` gave, without times; None where `records`, perhaps anybody's, hold none."""
        try:
            epochs = tuple(EpochRecord(**record, seconds=0.0) for record in records)
        except TypeError:
            return None
        return cls(kernel, epochs) if epochs and all(map(_is_sound, epochs)) else None


@dataclass(frozen=True)
class Moment:
    """What a callback sees after an epoch; `network` is made when it is asked for."""

    record: EpochRecord
    snapshot: Callable[[], Network]

    @property
    def epoch(self) -> int:
        """Number of the epoch that has just ended, from 1."""
        return self.record.epoch

    @cached_property
    def network(self) -> Network:
        """The network as it is now."""
        return self.snapshot()


def _is_sound(record: EpochRecord) -> bool:
    tested = () if record.test_accuracy is None else (record.test_accuracy,)
    numbers = (record.epoch, record.loss, record.train_accuracy, *tested, record.seconds, record.learning_rate)
    return all(isinstance(number, int | float) and isfinite(number) for number in numbers)
