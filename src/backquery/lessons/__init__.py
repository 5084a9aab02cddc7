"""The lessons on the way to a neural network, each a small experiment whose numbers and picture one can keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from backquery.lessons.back_propagation import BackPropagationLesson, back_propagation_lesson
from backquery.lessons.descent import DescentLesson, descent_lesson
from backquery.lessons.forward import ForwardLesson, forward_lesson
from backquery.lessons.one_hot import OneHotLesson, one_hot, one_hot_lesson
from backquery.lessons.sigmoid import SigmoidLesson, sigmoid_lesson

__all__ = [
    "LESSONS", "BackPropagationLesson", "DescentLesson", "ForwardLesson", "Lesson", "OneHotLesson",
    "SigmoidLesson", "Told", "back_propagation_lesson", "descent_lesson", "forward_lesson", "one_hot",
    "one_hot_lesson", "sigmoid_lesson",
]  # fmt: skip


class Told(Protocol):
    """What every lesson gives."""

    def told(self) -> list[str]:
        """What was found, in sentences."""

    def as_json(self) -> dict[str, Any]:
        """What was found, as plain values."""


@dataclass(frozen=True)
class Lesson:
    """A lesson's name, what it is about, and the function that gives it; each has a notebook in examples/.

    Whatever the function takes has a default.
    """

    name: str
    summary: str
    give: Callable[..., Told]


LESSONS: dict[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        Lesson("sigmoid", "how a weight changes the slope of the sigmoid, and a bias moves it", sigmoid_lesson),
        Lesson("descent", "gradient descent on x^4 - 3 x^3 + 2, with its path", descent_lesson),
        Lesson("forward", "the forward pass by loops and by matrices, timed", forward_lesson),
        Lesson("one-hot", "labels as vectors", one_hot_lesson),
        Lesson("back-propagation", "one update of a tiny network, every number shown", back_propagation_lesson),
    )
}
"""Every lesson by its name: the command line and the tests read this."""
