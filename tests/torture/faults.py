"""Each call of the system that a command's writing takes, refused once: a full disk, an I/O error, a short write.

The calls of an undisturbed run are counted, and then there is one run for each of them and each kind of fault. A
command whose writing was refused says so in one line, and the old file is still there; one that only lost what
saves time gives the same answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.torture.children import Action, Ended, run
from tests.torture.kills import Trial, trials
from tests.torture.works import SAID, contents, is_unfinished

KINDS = {
    Action.FAULT: "mwfr",
    Action.FULL: "mw",
    Action.CUT: "w",
    Action.SHORT: "w",
    Action.PROTECTED: "mwr",
    Action.KILL: "mwfru",
}
"""The calls at which each fault begins, as letters of `interposer.c`."""

WORDS = {
    Action.FAULT: "an I/O error",
    Action.FULL: "a full disk",
    Action.CUT: "a disk that is full in the middle of a write",
    Action.SHORT: "a short write",
    Action.PROTECTED: "a file system that has become read-only",
    Action.KILL: "a kill",
}


@dataclass
class Found:
    """How many faults there were, and what was wrong afterwards."""

    faults: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def harmless(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in self.faults.items())
        return "\n".join([f"{sum(self.faults.values())} faults ({kinds}): {len(self.wrong)} wrong", *self.wrong])


def inject(found: Found, trial: Trial, action: Action, at: int) -> None:
    """Do the work with a fault at the call numbered `at`, and judge what becomes of it."""
    trial.begin()
    ended = run(trial.act, trial.into, action, at)
    found.faults[WORDS[action]] = found.faults.get(WORDS[action], 0) + 1
    where = f"{WORDS[action]} at call {at} of {len(trial.clean.calls)} ({trial.clean.calls[at - 1]})"
    found.wrong += [f"{where}: {what}" for what in _wrong(trial, action, at, ended)]


def _wrong(trial: Trial, action: Action, at: int, ended: Ended) -> Iterator[str]:
    yield from trial.unreadable()
    if action is Action.KILL:
        if not ended.killed:
            yield f"{trial.name}: was not killed"
        return
    if not ended.calls[at - 1 : at].isupper():
        yield f"{trial.name}: met no fault"
    left = [path.name for path in trial.into.rglob("*") if is_unfinished(path)]
    if left and action is not Action.PROTECTED and not _is_listed(trial):
        yield f"{trial.name}: leaves {left}"
    if ended.code == 0:
        if _untimed(ended.out) != _untimed(trial.clean.out):
            yield f"{trial.name}: says something else: {ended.out!r}"
        if not trial.work.cached and contents(trial.into) != trial.new:
            yield f"{trial.name}: says that all is well, and the files are not the new ones"
    elif ended.code != 1 or trial.work.cached or action is Action.SHORT:
        yield f"{trial.name}: ends with {ended.code}: {ended.err[-500:]}"
    elif not _is_one_line(ended.err, trial.clean.err):
        yield f"{trial.name}: is not one line: {ended.err[-500:]}"


def _is_listed(trial: Trial) -> bool:
    """Whether the new text weights count already, from where they lie: then they are left there."""
    sums = trial.into / "weights" / "SHA256SUMS"
    return sums.is_file() and sums.read_bytes() == trial.new["weights/SHA256SUMS"]


def _untimed(said: str) -> str:
    return re.sub(r"[\d.]+ s\b", "", said)


def _is_one_line(said: str, usually: str) -> bool:
    """Whether all that a run said beyond what it says without a fault is one error."""
    more = [line for line in said.splitlines() if line not in usually.splitlines()]
    return len(more) == 1 and more[0].startswith(SAID)


def main(count: int, seed: int, swift: bool) -> Found:
    """At most `count` faults of each kind for each work, drawn where there are more calls."""
    found, rng = Found(), random.Random(seed)
    with trials(swift) as ready:
        for trial in ready:
            for action, kinds in KINDS.items():
                places = [at for at, kind in enumerate(trial.clean.calls, start=1) if kind in kinds]
                for at in sorted(rng.sample(places, min(count, len(places)))):
                    inject(found, trial, action, at)
    return found
