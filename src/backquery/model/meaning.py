"""What raw pixels mean, beside their range: decided once for a data set, kept by the model, asked ever after.

Raw pixels always run from 0 to a maximum, upright, rows first. Where all images stand on one ground, as ink stands
on paper, 0 is that ground and the maximum full ink. Where they do not, as in photographs, 0 is black.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ground = Literal["one", "none"]
GROUNDS: tuple[Ground, ...] = ("one", "none")
"""Whether images stand on one ground, such as paper, or on none, as photographs."""


@dataclass(frozen=True)
class Meaning:
    """What the numbers of raw images stand for.

    ground: ``"one"`` where 0 is the ground of every image, so that others are turned to it; ``"none"`` where 0 is
    black and nothing may be turned; None where nobody said, and 0 is taken for paper.
    centred: whether the ink's centre of mass lies in the middle of every image, as in MNIST; None where nobody
    said.
    decided: how this and the range came to be known, a sentence for each thing.
    """

    ground: Ground | None = None
    centred: bool | None = None
    decided: tuple[str, ...] = ()

    @property
    def to_centre(self) -> bool:
        """Whether pictures are moved into the middle first: not where images are known to stand anywhere."""
        return self.ground != "none" and self.centred is not False

    def range_in_words(self, maximum: float) -> str:
        """What a pixel of 0 and one of `maximum` stand for, for a person."""
        zero, full = ("black", "white") if self.ground == "none" else ("paper", "ink")
        return f"0 ({zero}) to {maximum:g} ({full})"


INK_ON_PAPER = Meaning("one")
"""0 is the ground on which every image stands; nothing more is known."""

IN_COLOUR = Meaning("none", False, ("the numbers are colours: red, green and blue, 0 for none of it",))
"""Pixels of colour images; 0 is black, and nothing is turned over."""
