"""The types that many modules name, each with one name and one meaning."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Real numbers of either precision."""

Labels = NDArray[np.int64]
"""One label for each image (n,): its position among the classes."""

Pixels = NDArray[np.uint8 | np.floating[Any]]
"""Raw pixels as a file has them, before any scaling."""

Shape = tuple[int, ...]
"""The size of one image along each axis, such as (rows, columns)."""

Seed = int | np.random.Generator | None
"""What decides the random numbers: a whole number, a generator to go on with, or None for ever new ones."""


class Progress(Protocol):
    """Told how far long work has come."""

    def __call__(self, done: float, total: float, what: str = "", /) -> None:
        """So many steps are done, of so many in all; where steps have names, what is being done now."""
