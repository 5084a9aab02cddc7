"""The search of `inversion.search` by compiled code, one question after another: for few that are asked often."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from backquery import kernels
from backquery.inversion import linearised, search
from backquery.inversion.readouts import ChainReadout
from backquery.inversion.search import Effort, Ended, Task


def search_each(task: Task) -> Ended:
    """What `search.Search` does, for a task whose readout is a `ChainReadout`."""
    kernel, readout = kernels.load("search"), cast(ChainReadout, task.readout)
    rules = _rules(kernel, task.effort)
    # Copies with rows of their own, because compiled code is made for each layout of its arguments.
    bounds = (task.low, task.high, task.start)
    boxes = [np.array(np.broadcast_to(bound, task.start.shape), order="C") for bound in bounds]
    gone = np.broadcast_to(task.used, len(task.asked)).tolist()
    found = [
        kernel.search(
            kernel.Chain(*readout.plain(row)), task.factor, task.inner, np.array(asked), *box, rules, gone[row]
        )
        for row, (asked, *box) in enumerate(zip(task.asked, *boxes, strict=True))
    ]
    return Ended(*map(np.array, zip(*found, strict=True)))


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
