"""Whole commands from outside: what they take beyond their own work, each as a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks.training import Section

RUNS = 5

EMPTY = "NumPy, Matplotlib and ten empty panels"
PANELS = """
import numpy
from matplotlib.figure import Figure
figure = Figure(figsize=(8, 5))
for panel in range(10):
    figure.add_subplot(2, 5, panel + 1)
figure.savefig({picture!r}, dpi=160)
"""


def wall_times() -> Section:
    """Seconds of wall time, in turn, so that a change of the machine's speed meets all of them alike."""
    with tempfile.TemporaryDirectory() as folder:
        model, picture, panels = (str(Path(folder) / name) for name in ("m.safetensors", "s.png", "p.png"))
        work: dict[str, Callable[[], float]] = {
            "train mnist, beyond the training that it tells": lambda: _beyond_training(model),
            "scan mnist": lambda: _seconds("-m", "backquery", "scan", "mnist", "-o", picture),
            EMPTY: lambda: _seconds("-c", PANELS.format(picture=panels)),
            "import backquery": lambda: _seconds("-c", "import backquery"),
            "nothing but Python": lambda: _seconds("-c", "pass"),
            "--help": lambda: _seconds("-m", "backquery", "--help"),
        }
        for measure in work.values():
            measure()
        rounds = [{name: measure() for name, measure in work.items()} for _ in range(RUNS)]
    for times in rounds:
        times["scan mnist, beyond the ten panels"] = times["scan mnist"] - times[EMPTY]
        times["import backquery, beyond Python"] = times["import backquery"] - times["nothing but Python"]
    rows = [[name, *_middle_and_ends([times[name] for times in rounds])] for name in rounds[0]]
    return f"Whole commands, {RUNS} runs in turn", ["what", "seconds (median)", "least", "most"], rows


def _beyond_training(model: str) -> float:
    clock = perf_counter()
    told = _output("-m", "backquery", "train", "mnist", "--seed", "1", "-o", model, "--json")
    return perf_counter() - clock - float(json.loads(told)["seconds"])


def _seconds(*words: str) -> float:
    clock = perf_counter()
    _output(*words)
    return perf_counter() - clock


def _output(*words: str) -> str:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout


def _middle_and_ends(times: list[float]) -> list[str]:
    return [f"{seconds:.3f}" for seconds in (statistics.median(times), min(times), max(times))]
