"""The same sweep by one worker process and by two."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from time import perf_counter

from backquery.experiments.sweep import Cluster, Grid, run_sweep
from benchmarks.training import Section

GRID = Grid(hidden=[(100,), (200,)], learning_rates=[0.1, 0.2], seeds=10)


def workers() -> Section:
    """From the call to its return, with the workers' start and end; two should take at most 0.6 of one's time."""
    seconds = {count: _seconds(count) for count in (1, 2)}
    runs = len(GRID.plans())
    return (
        f"A sweep of {runs} networks, MNIST, 784-100-10 and 784-200-10, five epochs each",
        ["workers", "seconds", "of one worker's time"],
        [[count, f"{taken:.1f}", f"{taken / seconds[1]:.2f}"] for count, taken in seconds.items()],
    )


def _seconds(count: int) -> float:
    with TemporaryDirectory() as folder:
        clock = perf_counter()
        standing = run_sweep(GRID, "mnist", folder, cluster=Cluster(workers=count))
        taken = perf_counter() - clock
    assert standing.failed == 0
    return taken
