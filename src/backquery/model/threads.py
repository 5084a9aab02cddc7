"""How many threads compute: decided once, for BLAS and for PyTorch, whose pools would stand in each other's way.

A pool waits for its other threads spinning. Where two of them are awake at once, or another program keeps one
processor busy, each small product waits for the other's turn, and takes many times the processor's time that one
thread takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from backquery.model.protocol import Model, threaded

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

NAMES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""The variables by which users say how many threads there may be; PyTorch's is the last."""

LARGE = 2**14
"""Inputs of images that are worth all processors: two ask a ResNet of 3 x 224 x 224 1.7 times as fast as one."""


def usual_threads() -> int | None:
    """Half of the processors, mostly the same cores seen twice; None where the user has told PyTorch how many."""
    return None if NAMES[-1] in os.environ else max(1, (os.cpu_count() or 1) // 2)


@contextmanager
def sized(torch: Any, inputs: int = 0) -> Iterator[None]:
    """Leave PyTorch no more threads than are usual, and afterwards as many as it had.

    Where images have many inputs, threads that wait cost little beside those that work: all may.
    """
    most, given = usual_threads(), torch.get_num_threads()
    if most is None or given <= most or inputs > LARGE:
        yield
        return
    torch.set_num_threads(most)
    try:
        yield
    finally:
        torch.set_num_threads(given)


@contextmanager
def one_pool(model: Model) -> Iterator[None]:
    """Where a model brings threads of its own, BLAS has one: its others would wait in their way."""
    if not threaded(model):
        yield
        return
    with blas().limit(limits=1, user_api="blas"):
        yield


@cache
def blas() -> ThreadpoolController:
    """All BLAS that a search or a training calls; to look for them takes longer than a step of a small network."""
    import scipy.linalg.lapack  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
