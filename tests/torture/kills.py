"""SIGKILL at moments that a seed draws: what is found under a final name is the old file or the new one, whole.

Half of the moments are times, half are calls of the system: in the middle of a write, before a move, after it.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain, cycle
from pathlib import Path
from time import monotonic, sleep

from tests.torture.children import PATIENCE, ROOT, Action, Ended, run
from tests.torture.works import WORKS, Work, command, contents, prepare, read

RESUMES = 5
"""Kills of one training before it may end."""


@dataclass
class Found:
    """What kills did; each line says which file or run of what."""

    kills: int = 0
    unreadable: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)

    @property
    def harmless(self) -> bool:
        return not (self.unreadable or self.lost or self.differing)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(lines)} {name}" for name, lines in asdict(self).items() if name != "kills")
        return "\n".join([f"{self.kills} kills: {counts}", *self.unreadable, *self.lost, *self.differing])


@dataclass(frozen=True)
class Trial:
    """A work and all that is known of it: the files before and after, and a run that nothing disturbed."""

    name: str
    work: Work
    given: Path
    into: Path
    old: dict[str, bytes]
    new: dict[str, bytes]
    clean: Ended

    def act(self) -> int:
        return self.work.act(self.given, self.into, 2)

    def begin(self) -> None:
        """Lay the old files where the new ones are to be written."""
        lay(self.into, self.old)

    def unreadable(self) -> Iterator[str]:
        """What lies there now and is neither the old file nor the new one, whole."""
        found = contents(self.into)
        for name in self.old.keys() & self.new.keys() - found.keys():
            yield f"{self.name}: {name} is gone"
        for name, content in found.items():
            known = [tree[name] for tree in (self.old, self.new) if name in tree]
            if "weights" in Path(name).parts:
                continue
            if known and content not in known:
                yield f"{self.name}: {name} is neither the old file nor the new one"
            elif not known and (error := _error(self.into / name)):
                yield f"{self.name}: {name}: {error}"
        yield from self._mixed()

    def _mixed(self) -> Iterator[str]:
        """Text weights are one thing in several files."""
        if (folder := self.into / "weights").is_dir():
            try:
                loaded = _numbers(folder)
            except Exception as error:
                yield f"{self.name}: {error}"
                return
            if loaded not in [_numbers_of(tree) for tree in (self.old, self.new)]:
                yield f"{self.name}: a mixture of two networks"


def _numbers(folder: Path) -> list[bytes]:
    from backquery.io import load_text

    return [part.tobytes() for layer in load_text(folder).layers for part in (layer.weights, layer.biases)]


def _numbers_of(tree: dict[str, bytes]) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in tree.items():
            (Path(folder) / Path(name).name).write_bytes(content)
        return _numbers(Path(folder))


def _error(path: Path) -> str:
    try:
        read(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def trials(swift: bool) -> Iterator[list[Trial]]:
    """Each work that is possible here, done once for the old files, and twice for the new ones."""
    with tempfile.TemporaryDirectory() as root:
        given = Path(root) / "given"
        given.mkdir()
        _quietly(lambda: prepare(given))
        works = {name: work for name, work in WORKS.items() if work.is_possible and not (swift and work.slow)}
        yield [_trial(name, work, given, Path(root) / "into") for name, work in works.items()]


def _trial(name: str, work: Work, given: Path, into: Path) -> Trial:
    """The old files, the new ones where there were none, and over the old ones, as every trial begins."""
    if not work.cached:  # whatever is loaded now need not be loaded by every process
        lay(into, {})
        _quietly(lambda: work.act(given, into, 1))
    trees: list[dict[str, bytes]] = []
    for number, before in ((1, None), (2, None), (2, 0)):
        kept = {} if before is None or work.cached else trees[before]
        lay(into, kept)
        ended = run(lambda number=number: work.act(given, into, number), into)
        if ended.code:
            raise RuntimeError(f"{name} ended with {ended.code}:\n{ended.err}")
        trees.append(contents(into))
        for path in into.rglob("*"):
            if path.is_file():
                read(path)
    old, new, once_more = trees
    names = [name for name in new if Path(name).suffix != ".known"]  # which are named by a file's times
    if any(new[name] != once_more[name] for name in names):
        raise RuntimeError(f"{name}: the same twice gives two files")
    return Trial(name, work, given, into, {} if work.cached else old, new, ended)


def lay(folder: Path, tree: dict[str, bytes]) -> None:
    """Make the folder anew, with these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _quietly(act: Callable[[], object]) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        act()


def kill_writers(found: Found, count: int, seed: int, swift: bool) -> None:
    """Kill commands that write, each over the file of an earlier one, and do the last of each again to the end."""
    rng = random.Random(seed)
    with trials(swift) as ready:
        longest = sum(trial.clean.seconds for trial in ready)
        # All once, and then what is short more often.
        weights = [longest / trial.clean.seconds for trial in ready]
        drawn = chain(rng.sample(ready, len(ready)), (rng.choices(ready, weights)[0] for _ in cycle([0])))
        end = found.kills + count
        while found.kills < end:
            trial = next(drawn)
            trial.begin()
            ended = _killed(trial.act, trial.into, trial.clean, rng)
            if not ended.killed:
                continue
            found.kills += 1
            found.unreadable += trial.unreadable()
            _check_again(found, trial)


def _check_again(found: Found, trial: Trial) -> None:
    """The same command after a kill: it ends well, and in the same files."""
    ended = run(trial.act, trial.into)
    if "checkpoints" in trial.name and "go on from it with --resume" in ended.err:
        (trial.into / "b.checkpoint").unlink()
        ended = run(trial.act, trial.into)
    if ended.code or (trial.work.cached and ended.out != trial.clean.out):
        found.lost.append(f"{trial.name}: afterwards the same command says {ended.err.splitlines()[-1:]}")
    elif not trial.work.cached and contents(trial.into) != trial.new:
        found.differing.append(f"{trial.name}: after a kill, the same command writes other files")


def _killed(act: Callable[[], int], into: Path, clean: Ended, rng: random.Random) -> Ended:
    if rng.random() < 0.5:
        return run(act, into, Action.KILL, rng.randint(1, len(clean.calls)))
    return run(act, into, kill_after=rng.uniform(0, clean.seconds))


TRAININGS = {
    "compiled": ["--recipe", "book", "--epochs", "9", "--checkpoint-every", "0.3"],
    "numpy": ["--recipe", "online", "--kernel", "numpy", "--epochs", "2", "--checkpoint-every", "0.3"],
    "minibatch": ["--recipe", "minibatch", "--epochs", "6", "--checkpoint-every", "0.3"],
    "batch": ["--recipe", "batch", "--epochs", "60", "--checkpoint-every", "2"],
}


def kill_trainings(found: Found, count: int, seed: int) -> None:
    """Kill trainings again and again, each going on from its checkpoint, and compare what they end in."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        given, into = Path(root) / "given", Path(root) / "into"
        given.mkdir()
        _quietly(lambda: prepare(given))
        for name in cycle(TRAININGS):
            if count <= 0:
                return
            count -= _kill_training(found, name, given / "many.npz", into, rng, min(count, RESUMES))


def _kill_training(found: Found, name: str, data: Path, into: Path, rng: random.Random, most: int) -> int:
    """How often one training was killed."""
    output, kept = into / "a.safetensors", into / "a.checkpoint"
    begin = ("train", data, "--hidden", "8", *TRAININGS[name], "-o", output)
    into.mkdir()
    whole = run(lambda: command(*begin, "--seed", "6"), into)
    expected = output.read_bytes()
    output.unlink()
    kills = 0
    while kills < most:
        more = ("--resume", kept) if kept.exists() else ("--seed", "6")
        ended = _killed(lambda more=more: command(*begin, *more), into, whole, rng)
        if not ended.killed:
            break
        kills += 1
        if kept.exists() and (error := _error(kept)):
            found.unreadable.append(f"training {name}: the checkpoint: {error}")
    if not output.exists() or kept.exists():
        more = ("--resume", kept) if kept.exists() else ("--seed", "6")
        ended = run(lambda: command(*begin, *more), into)
        if ended.code:
            found.lost.append(f"training {name}: {ended.err.splitlines()[-1:]}")
    if output.exists() and output.read_bytes() != expected:
        found.differing.append(f"training {name}: after {kills} kills it ends in other bytes")
    found.kills += kills
    shutil.rmtree(into)
    return kills


SWEEP = ["sweep", "digits", "--hidden", "3,4", "--learning-rate", "0.1,0.2,0.3", "--epochs", "2", "--seeds"]
SEEDS = 5
RUNS = 6 * SEEDS


def kill_sweeps(found: Found, count: int, seed: int) -> None:
    """Kill a sweep that goes on after each, until all its runs have ended: none that was kept is lost."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        expected = Path(root) / "expected"
        if count:
            subprocess.run(_sweep(expected), cwd=ROOT, env=_plain(), check=True, capture_output=True)
        while count > 0:
            folder = Path(root) / f"sweep-{count}"
            count -= _kill_sweep(found, folder, rng, count)
            _compare(found, expected, folder)


def _sweep(folder: Path) -> list[str]:
    return [sys.executable, "-m", "backquery", *SWEEP, f"{SEEDS}", "--workers", "1", "-o", str(folder)]


def _plain() -> dict[str, str]:
    """Workers are started by the sweep, and no call of theirs matters."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def _kill_sweep(found: Found, folder: Path, rng: random.Random, most: int) -> int:
    kills = 0
    while kills < most and len(before := _runs(folder)) < RUNS - 2:
        goal = rng.randint(len(before) + 1, max(len(before) + 1, (len(before) + RUNS) // 2))
        with subprocess.Popen(
            _sweep(folder), cwd=ROOT, env=_plain(), stderr=subprocess.DEVNULL, start_new_session=True
        ) as leader:
            end = monotonic() + PATIENCE
            while leader.poll() is None and len(before := _runs(folder)) < goal and monotonic() < end:
                sleep(0.005)
            sleep(rng.uniform(0, 0.1))
            before = _runs(folder)
            os.kill(leader.pid, signal.SIGKILL)
        kills += leader.returncode == -signal.SIGKILL
        _end_all(leader.pid)
        after = _runs(folder)
        found.lost += [f"sweep: the run {key} is gone" for key in before.keys() - after.keys()]
        kept = (path for suffix in (".sqlite", ".safetensors") for path in folder.rglob(f"*{suffix}"))
        found.unreadable += [f"sweep: {path.name}: {error}" for path in kept if (error := _error(path))]
        found.differing += [f"sweep: the run {key} is another" for key, one in before.items()
                            if after.get(key) not in (None, one)]  # fmt: skip
    found.kills += kills
    subprocess.run(_sweep(folder), cwd=ROOT, env=_plain(), check=True, capture_output=True)
    return kills or most


def _end_all(session: int) -> None:
    """Its workers notice that their leader is gone; here nobody waits for that."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def _runs(folder: Path) -> dict[str, str | None]:
    """The digest of the network of each run that is kept."""
    from backquery.errors import DataError
    from backquery.experiments.sweep import read_runs

    try:
        return {run.setting.key: run.digest for run in read_runs(folder)}
    except DataError:
        if (folder / "runs.sqlite").exists():
            raise
        return {}


def _compare(found: Found, expected: Path, folder: Path) -> None:
    if _runs(expected) != _runs(folder):
        found.differing.append("sweep: its networks are others than those of one that was left alone")
    names = [sorted(path.name for path in (one / "networks").iterdir()) for one in (expected, folder)]
    if names[0] != names[1]:
        found.differing.append(f"sweep: {set(names[0]) ^ set(names[1])} in its folder")


def main(count: int, seed: int, swift: bool) -> Found:
    """Of all kills a twentieth meets sweeps, which take seconds to begin, three in ten trainings."""
    found = Found()
    sweeps, trainings = (count // 20 if _dask_is_here() else 0), 3 * count // 10
    kill_trainings(found, trainings, seed)
    kill_sweeps(found, sweeps, seed)
    kill_writers(found, count - found.kills, seed, swift)
    return found


def _dask_is_here() -> bool:
    from importlib.util import find_spec

    return find_spec("distributed") is not None
