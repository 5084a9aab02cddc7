"""The types that many modules name, each with one name and one meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Real numbers of either precision."""

Labels = NDArray[np.int64]
"""One label for each image (n,): its position among the classes."""

Pixels = NDArray[np.uint8 | np.floating[Any]]
"""Raw pixels as a file has them, before any scaling."""

Shape = tuple[int, ...]

Seed = int | np.random.Generator | None
"""What decides the random numbers: a whole number, a generator to go on with, or None for ever new ones."""

Progress = Callable[[int, int], None]
"""Told how far long work has come: steps done, and steps in all."""
