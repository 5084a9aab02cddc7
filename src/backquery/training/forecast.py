"""What a training will take, known before it begins: how much memory at most, and about how long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from backquery.training.recipes import Recipe

COPIES = {"compiled": 3.7, "numpy": 2.5, "batch": 7.1}
"""How many times the weights' own memory each way of training holds beside the network itself: the weights in an
order of its own, in batches means, squares and gradients, and a copy whenever the network is looked at."""

INKED = {"auto": 1.5, "sparse": 2.0}
"""How much more than all inputs the inked ones take, with their places: where blank ones are left out because they
are many, and at most."""

OTHERS = 2e6
"""Bytes for all that does not grow."""

QUICK, SLOW, CACHE = 1e10, 2.5e9, 2**25
"""Weights in float32 that a second brings up to date, where they stay in a processor's cache of so many bytes and
where they have to be fetched each time; in float64 half as many."""


class Forecast(NamedTuple):
    """`memory`: bytes at most, beside the data and the network themselves; `seconds`: about how many."""

    memory: float
    seconds: float


def forecast(
    sizes: Sequence[int], images: int, epochs: int, recipe: Recipe, dtype: DTypeLike, kernel: str = "auto"
) -> Forecast:
    """The forecast of a training of dense layers with so many nodes, inputs first, on so many images."""
    weights, width = sum(before * after for before, after in pairwise(sizes)), np.dtype(dtype).itemsize
    way = "batch" if not recipe.one_by_one else "numpy" if kernel == "numpy" else "compiled"
    at_once = recipe.images_an_update(images) if way == "batch" else 0
    inputs = images * sizes[0] * (INKED.get(kernel, 1.0) if way == "compiled" else 1.0)
    memory = width * (COPIES[way] * weights + 1.1 * inputs + 4.0 * at_once * sum(sizes[1:])) + OTHERS
    pace = (QUICK if weights * width <= CACHE else SLOW) * 4 / width
    return Forecast(memory, epochs * images * weights / pace)


def training_in_words(sizes: Sequence[int]) -> str:
    """What is trained: ``"training 784-200-10"``."""
    return f"training {'-'.join(map(str, sizes))}"


LESS = "fewer hidden nodes, fewer images or float32 need less"
"""What to do about a training that does not fit."""
