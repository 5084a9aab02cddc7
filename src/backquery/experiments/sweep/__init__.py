"""Many networks trained by the dozen, on one machine or a cluster; see `run_sweep`. Needs the extra ``sweep``."""

from backquery.experiments.sweep.cluster import Cluster
from backquery.experiments.sweep.curves import Family, Point, Reached, comparable, families, largest_family
from backquery.experiments.sweep.grid import Grid
from backquery.experiments.sweep.lead import Standing, run_sweep
from backquery.experiments.sweep.runs import Run, Runs, Setting, read_runs

__all__ = [
    "Cluster", "Family", "Grid", "Point", "Reached", "Run", "Runs", "Setting", "Standing",
    "comparable", "families", "largest_family", "read_runs", "run_sweep",
]  # fmt: skip
