"""Small regions of an image, what is written into them, and which of them promise to change an answer most."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.model import Array, Layout, Model, ends_of

Positions = NDArray[np.intp]

LARGEST = 0.05
"""The share of an image that a region may cover."""

FEWEST = 4
"""Pixels that a region may always have, however small the image is."""

CANDIDATES = 3
"""Regions of one kind that are tried for each label."""

STEP = 1.25
"""From one side of a region to the next longer one: 1 to 7 pixels, then 9, 12, 15 and so on."""


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def shared(self, other: Box) -> int:
        """How many pixels lie in both."""
        rows = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        columns = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        return max(rows, 0) * max(columns, 0)

    @property
    def area(self) -> int:
        """How many pixels it has."""
        return self.height * self.width


@dataclass(frozen=True, eq=False)
class Region:
    """Some pixels of an image, and whether each of their inputs is to be ink or paper; its length: pixels.

    inputs: (m,) positions among the inputs, those of a pixel after one another; ink: (m,) True for full
    ink and False for blank paper.
    """

    inputs: Positions
    ink: NDArray[np.bool_]
    channels: int = 1

    def __len__(self) -> int:
        return len(self.inputs) // self.channels

    def select(self, which: NDArray[Any]) -> Region:
        """Those of its pixels (k,) that `which` picks, a mask or positions, each with all of its channels."""
        inputs, ink = (every.reshape(-1, self.channels)[which].ravel() for every in (self.inputs, self.ink))
        return Region(inputs, ink, self.channels)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Where a model's inputs lie on the image, (height, width, colours), and what paper and ink are to it.

    cells: the position among the inputs of each pixel and colour; paper, ink: (inputs,) in input scale.
    """

    cells: Positions
    paper: Array
    ink: Array

    @classmethod
    def of(cls, model: Model) -> Sheet:
        """The sheet that `model` reads; `ModelError` where it does not say how its inputs lie on it."""
        layout = Layout.of(model.input_shape)
        if not layout.known:
            raise ModelError(
                f"an audit must know where the pixels lie, but the model's images have shape {model.input_shape}; "
                "give the model an input shape such as (28, 28)"
            )
        return cls(layout.cells, *ends_of(model))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width, _ = self.cells.shape
        return height, width

    @property
    def sizes(self) -> tuple[int, ...]:
        """The most pixels of a region of each size, each half of the one before: 39, 19, 9, 4, 2 and 1."""
        largest = max(int(LARGEST * prod(self.shape)), min(FEWEST, prod(self.shape)))
        return tuple(largest // 2**step for step in range(largest.bit_length()))

    def inputs_of(self, box: Box) -> Positions:
        """All inputs in a rectangle."""
        return self.cells[box.top : box.top + box.height, box.left : box.left + box.width].ravel()

    def region(self, box: Box, ink: NDArray[np.bool_]) -> Region:
        """A rectangle whose inputs are filled as `ink` (inputs,) says."""
        inputs = self.inputs_of(box)
        return Region(inputs, ink[inputs], self.cells.shape[2])

    def content(self, region: Region) -> Array:
        """What the region's inputs (m,) are set to, in input scale."""
        return np.where(region.ink, self.ink[region.inputs], self.paper[region.inputs])

    def box_of(self, region: Region) -> Box:
        """The smallest rectangle around a region."""
        rows, columns, _ = self._coordinates(region.inputs)
        top, left = int(rows.min()), int(columns.min())
        return Box(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)

    def elsewhere(self, region: Region, count: int, rng: np.random.Generator) -> tuple[Positions, Array]:
        """The region moved to `count` random places that share no pixel with its own, where there are such.

        Returns inputs (count, m) and their content (count, m).
        """
        box = self.box_of(region)
        places = [
            Box(top, left, box.height, box.width)
            for top in range(self.shape[0] - box.height + 1)
            for left in range(self.shape[1] - box.width + 1)
        ]
        others = [place for place in places if not place.shared(box)] or places
        chosen = np.array([others[k][:2] for k in rng.integers(len(others), size=count)])
        rows, columns, colours = self._coordinates(region.inputs)
        down, right = (chosen - (box.top, box.left)).T[:, :, None]
        inputs = self.cells[rows + down, columns + right, colours]
        return inputs, np.where(region.ink, self.ink[inputs], self.paper[inputs])

    def _coordinates(self, inputs: Positions) -> tuple[Positions, ...]:
        """Row, column and colour of inputs."""
        # Sorting a permutation's positions inverts it.
        order = np.argsort(self.cells, axis=None)
        return np.unravel_index(order[inputs], self.cells.shape)


class Kind(NamedTuple):
    """What regions are compared with: others of the same size (the most pixels that such have) and filling."""

    size: int
    filling: str


def promising(sheet: Sheet, to_ink: Array, to_paper: Array) -> dict[Kind, list[Region]]:
    """The rectangles of each kind that gain most: with ink and paper as each gains more, or with one alone.

    to_ink, to_paper: (inputs,) what making each input ink, or paper, gains. Those of one kind differ: none has
    more than half of its pixels in another one.
    """
    every = np.ones(len(to_ink), bool)
    fillings = {
        "ink and paper": (np.maximum(to_ink, to_paper), to_ink > to_paper),
        "ink": (to_ink, every),
        "paper": (to_paper, ~every),
    }
    return {
        Kind(size, filling): [sheet.region(box, ink) for box in boxes]
        for filling, (gain, ink) in fillings.items()
        for size, boxes in _best_boxes(sheet, gain).items()
    }


def _best_boxes(sheet: Sheet, gain: Array) -> dict[int, list[Box]]:
    """The rectangles of each size whose inputs gain most, the best first."""
    # A summed-area table (Crow 1984): any rectangle costs four look-ups.
    sums = np.pad(gain[sheet.cells].sum(axis=2).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    places: dict[int, list[tuple[float, Box]]] = {size: [] for size in sheet.sizes}
    for height, width in _shapes(sheet):
        size = min(size for size in places if size >= height * width)
        places[size] += _best_places(sums, height, width)
    return {size: _apart([box for _, box in sorted(found, reverse=True)]) for size, found in places.items()}


def _apart(boxes: list[Box]) -> list[Box]:
    """The first few that do not share more than half of their pixels."""
    chosen: list[Box] = []
    for box in boxes:
        if all(2 * box.shared(other) <= min(box.area, other.area) for other in chosen):
            chosen.append(box)
        if len(chosen) == CANDIDATES:
            break
    return chosen


def _shapes(sheet: Sheet) -> list[tuple[int, int]]:
    """Heights and widths of the rectangles to look at."""
    largest = sheet.sizes[0]
    sides: set[int] = set()
    side = 1.0
    while side <= largest:
        sides.add(round(side))
        side *= STEP
    height, width = sheet.shape
    return [(a, b) for a in sides for b in sides if a <= height and b <= width and a * b <= largest]


def _best_places(sums: Array, height: int, width: int) -> list[tuple[float, Box]]:
    """The places where rectangles of one shape gain most, from the sums over all rows above and columns before."""
    gains = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    best = np.argsort(-gains, axis=None, kind="stable")[:CANDIDATES]
    places = zip(*np.unravel_index(best, gains.shape), strict=True)
    return [(float(gains[top, left]), Box(int(top), int(left), height, width)) for top, left in places]
