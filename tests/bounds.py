"""What reading one input may cost, whatever it holds, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import process_time

MOST_SECONDS, MOST_BYTES = 2.0, 256 * 2**20
"""Of this process's own time; the readers take milliseconds. And of memory above what the process holds."""

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def cost(act: Callable[[], object]) -> tuple[float, int]:
    """Seconds of processors, and bytes by which the memory held grew at most; 0 where the system does not tell."""
    forget = PEAK.exists()
    if forget:
        PEAK.write_text("5")  # the peak is forgotten: proc_pid_clear_refs(5)
    before, begin = _held("VmRSS") if forget else 0, process_time()
    act()
    return process_time() - begin, (_held("VmHWM") if forget else 0) - before


def excess_of(act: Callable[[], object]) -> str:
    """What an act takes too much of, twice, as packages may be loaded the first time; "" where it keeps within."""
    excess = ""
    for _ in range(2):
        seconds, held = cost(act)
        if seconds <= MOST_SECONDS and held <= MOST_BYTES:
            return ""
        excess = f"takes {seconds:.1f} s, {held >> 20} MiB"
    return excess


def _held(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
