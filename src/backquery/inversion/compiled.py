"""The search of `inversion.search` by compiled code, one question after another: for few that are asked often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery import kernels
from backquery.inversion import linearised, search
from backquery.inversion.readouts import ChainReadout
from backquery.inversion.search import Effort, Images
from backquery.model.aliases import Array


@dataclass(frozen=True)
class Compiled:
    """What the compiled searches came to; the names are those of `search.Search`."""

    images: Images
    cost: Array
    error: Array
    holds: NDArray[np.bool_]
    steps: NDArray[np.int64]
    trapped: NDArray[np.bool_]


def search_each(
    readout: ChainReadout,
    asked: Array,
    factor: Array,
    inner: Array,
    low: Array,
    high: Array,
    start: Array,
    effort: Effort,
    used: NDArray[np.int64] | int = 0,
) -> Compiled:
    """Search for all questions; the arguments are those of `search.Search`."""
    kernel = kernels.load("search")
    rules = _rules(kernel, effort)
    # Copies with rows of their own, because compiled code is made for each layout of its arguments.
    boxes = [np.array(np.broadcast_to(bound, start.shape), order="C") for bound in (low, high, start)]
    gone = np.broadcast_to(used, len(asked)).tolist()
    found = [
        kernel.search(
            kernel.Chain(*readout.plain(row)), factor, inner, np.array(asked[row]), *box, rules, gone[row]
        )
        for row, box in enumerate(zip(*boxes, strict=True))
    ]
    y, c, cost, steps, trapped = (np.array(part) for part in zip(*found, strict=True))
    error = np.abs(asked - c).max(axis=1)
    return Compiled(Images(y, c, []), cost, error, error < effort.tolerance, steps, trapped)


def _rules(kernel: Any, effort: Effort) -> Any:
    return kernel.Rules(
        slack=search.SLACK,
        price=search.PRICE,
        nearer=search.NEARER,
        stretch=search.STRETCH,
        patience=search.PATIENCE,
        damping=search.WARM if effort.trusting else search.COLD,
        doubt=search.DOUBT,
        turning=search.TURNING,
        rounding=linearised.ROUNDING,
        flat=linearised.FLAT,
        tolerance=float(effort.tolerance),
        optimality=float(effort.optimality),
        steps=int(effort.steps),
        trusting=effort.trusting,
        corrections=effort.corrections,
        halvings=effort.halvings,
    )
