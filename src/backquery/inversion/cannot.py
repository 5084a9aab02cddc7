"""Questions that no image can answer: where a search has failed, whether that can be proved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backquery.inversion.problem import Problem
from backquery.inversion.targets import Targets
from backquery.model import Array
from backquery.proofs import Constraints, proved_impossible


def cannot_be(
    problem: Problem, rows: NDArray[np.intp], reached: Array, tolerance: float, *, thorough: bool
) -> NDArray[np.bool_]:
    """Of which questions `rows` it is proved that no image of the problem's box meets them, (len(rows),).

    reached: (n, k), the nearest values of the constraints that a search found; thorough: see `proved_impossible`.
    Of each answer's own log-odds, which are no linear form of all, nothing is proved.
    """
    asked = problem.asked
    if asked.own or not rows.size:
        return np.zeros(len(rows), bool)
    questions = [Constraints(_maps(asked, row), asked.values[row], reached[row], tolerance) for row in rows]
    return proved_impossible(problem.model, asked.layer, questions, problem.low, problem.high, thorough)


def _maps(asked: Targets, row: int) -> Array:
    return asked.maps if asked.maps.ndim == 2 else np.asarray(asked.maps[row])
