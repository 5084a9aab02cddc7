"""What a report is about: a model, data, and how thoroughly it is to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from backquery.datasets import Dataset, Split
from backquery.experiments.timeline import Timeline
from backquery.model import Array, Evaluation, Layout, Model, Network, Progress, evaluate, picture_of
from backquery.notes import Notes
from backquery.plots.evidence import ink_word
from backquery.report.markup import Html, reading
from backquery.report.words import ENGLISH, Words

MOST_IMAGES = 10_000
"""Test images, at most, that confusions are counted on."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and the data that it is tried on.

    source: what the model is called. dataset: with a test half. held_out: whether that half was taken from data
    that had none, so that the model may have been trained on it. quick: fewer images and repeats, and no training
    of judges and controls. seed decides what is drawn; timeline: scans made while a network learned. notes: how to
    have the model and the data in Python. words: the language that it is told in.
    """

    source: str
    model: Model
    dataset: Dataset
    held_out: bool = False
    quick: bool = False
    seed: int = 0
    timeline: Timeline | None = None
    notes: Notes = field(default_factory=Notes)
    words: Words = ENGLISH

    def say(self, key: str, **values: Any) -> str:
        """A sentence of the report in its language."""
        return self.words.say(key, **values)

    def reading(self, key: str, *parts: Any, **values: Any) -> Html:
        """The body of the section `key`, and under it what it shows, and what it does not."""
        told = [(name, self.say(f"{key}.{name}", **values)) for name in ("shows", "hides")]
        return reading(*parts, told=[(self.say(name), sentence) for name, sentence in told])

    def noted(self) -> Notes:
        """Notes for a picture, that begin with how to have the model as `network` and the data as `data`."""
        notes = self.notes.continued()
        for value, name in ((self.model, "network"), (self.dataset, "data"), (self.dataset.train, "data.train")):
            notes.stands_for(value, name)
        return notes

    @property
    def network(self) -> Network | None:
        """The model, if it is a chain of dense layers."""
        return self.model if isinstance(self.model, Network) else None

    @property
    def test(self) -> Split:
        """The test half."""
        assert self.dataset.test is not None
        return self.dataset.test

    @cached_property
    def evaluation(self) -> Evaluation:
        """How well the model reads the test half, or the first ten thousand images of it."""
        return evaluate(self.model, self.test.select(slice(MOST_IMAGES)))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels' names."""
        return tuple(self.model.classes)

    def picture(self, ink: Array) -> Array:
        """Ink (inputs,) as it is drawn, in shades or in colours: see `picture_of`."""
        return picture_of(self.model, np.asarray(ink))

    @property
    def coloured(self) -> bool:
        """Whether the model's images are in colour."""
        return Layout.of(self.model.input_shape).coloured

    @property
    def ink(self) -> str:
        """What a pixel has more or less of, in a word."""
        return self.words.phrase(ink_word(self.model.input_shape))


Step = Progress
