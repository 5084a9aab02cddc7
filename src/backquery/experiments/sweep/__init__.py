"""Many networks trained by the dozen, on one machine or a cluster; see `run_sweep`. Needs the extra ``sweep``."""

from backquery.experiments.sweep.cluster import Cluster
from backquery.experiments.sweep.curves import Family, Point, Reached, families
from backquery.experiments.sweep.grid import Grid
from backquery.experiments.sweep.lead import Standing, run_sweep
from backquery.experiments.sweep.runs import Run, Runs, Setting

__all__ = [
    "Cluster", "Family", "Grid", "Point", "Reached", "Run", "Runs", "Setting", "Standing", "families", "run_sweep",
]  # fmt: skip
