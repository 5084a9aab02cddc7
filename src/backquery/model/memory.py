"""How much memory there is: what does not fit is refused before it is begun, and what can be is made smaller.

Each large piece of work says beforehand what it will take at most, in a formula that stands beside it. What a
process may still take is the least of what the machine has free, of what the limits on its control groups leave
(those of containers and of clusters), and of what `ulimit -v` leaves; `BACKQUERY_MEMORY=4G` says that all of a
process is to take no more than that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from backquery.errors import ShortOfMemoryError

VARIABLE = "BACKQUERY_MEMORY"
"""The variable by which users say how much memory a process may take in all."""

SMALL = 2**24
"""So many bytes are always there: to ask the machine would take longer than to take them."""

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

PROCESS, MACHINE, GROUPS = Path("/proc/self"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def need(wanted: float, what: str, instead: str) -> None:
    """Raise `ShortOfMemoryError` where `what` would take more bytes than there are; `instead` takes fewer."""
    if wanted <= SMALL:
        return
    left = available()
    if left is not None and wanted > left:
        raise ShortOfMemoryError(
            f"{what} needs {in_words(wanted)} of memory, of which {in_words(left)} are free: {instead}"
        )


def as_many(most: int, each: float, share: float = 0.25) -> int:
    """How many things of so many bytes to have at once: `most`, or as many as a `share` of what is free holds.

    At least one, which may be too large all the same.
    """
    if most * each <= SMALL or (left := available()) is None:
        return most
    return max(1, min(most, int(share * left / each)))


def available() -> int | None:
    """How many bytes this process may still take; None where nothing tells."""
    known = [left for left in (_said(), _of_the_machine(), *_of_groups(), _of_addresses()) if left is not None]
    return max(0, min(known)) if known else None


def in_words(count: float) -> str:
    """A number of bytes for people: ``"640 MB"``, ``"4.6 GB"``."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e6:,.0f} MB"


def _said() -> int | None:
    """What `BACKQUERY_MEMORY` leaves."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if match is None:
        raise ShortOfMemoryError(f"{VARIABLE} is a number of bytes such as 4G or 512M; received {text[:40]!r}")
    return int(float(match[1]) * UNITS[match[2].upper()]) - _held()


def _held() -> int:
    """What this process holds in memory now; 0 where nothing tells."""
    pages = _numbers(PROCESS / "statm")
    return pages[1] * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0


def _of_the_machine() -> int | None:
    """What the machine can give without swapping or, where it does not tell, all that it has."""
    kibibytes = _named(MACHINE, ":").get("MemAvailable")
    if kibibytes is not None:
        return 1024 * kibibytes
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _of_windows()


def _of_windows() -> int | None:
    """What Windows can give: the physical memory that GlobalMemoryStatusEx calls available."""
    import ctypes

    windows = getattr(ctypes, "windll", None)
    if windows is None:
        return None
    # A length and a share in per cent, of 32 bits each, then totals and what is free of them, of 64 bits each.
    status = (ctypes.c_uint64 * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    return int(status[2]) if windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _of_groups() -> Iterator[int]:
    """What each limit on the control groups that this process is in leaves, of both versions of them."""
    for line in _lines(PROCESS / "cgroup"):
        _, controllers, place = line.split(":", 2)
        if not controllers:
            yield from _of_group(GROUPS, place, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _of_group(GROUPS / "memory", place, *names)


def _of_group(root: Path, place: str, limit: str, used: str, cached: str) -> Iterator[int]:
    # In a container the group's own path may not be seen, but its limits stand at the root.
    folder = root / place.lstrip("/")
    for group in (folder, *folder.parents):
        most, now = _numbers(group / limit), _numbers(group / used)
        if most and now:
            # Pages of files that nobody has read lately are given back when they are needed.
            yield most[0] - now[0] + _named(group / "memory.stat", " ").get(cached, 0)
        if group == root:
            return


def _of_addresses() -> int | None:
    """What the limit on addresses (`ulimit -v`) leaves."""
    try:
        import resource
    except ImportError:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _numbers(PROCESS / "statm")
    if most == resource.RLIM_INFINITY:
        return None
    return most - (pages[0] * os.sysconf("SC_PAGE_SIZE") if pages else 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _numbers(path: Path) -> list[int]:
    """The whole numbers of a file's first line; none where it cannot be read or says other things, as max."""
    words = " ".join(_lines(path)[:1]).split()
    return [int(word) for word in words] if all(word.isdigit() for word in words) else []


def _named(path: Path, after: str) -> dict[str, int]:
    """The numbers of a file that names one in each line."""
    found = (line.partition(after) for line in _lines(path))
    return {name: int(rest.split()[0]) for name, _, rest in found if rest.strip() and rest.split()[0].isdigit()}
