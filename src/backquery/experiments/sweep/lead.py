"""Leading a sweep: what is missing is handed out, and what comes back is kept at once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from backquery.datasets import Dataset
from backquery.datasets.options import AS_FOUND, Reading
from backquery.errors import BackqueryError, ClusterError, OutputError
from backquery.experiments.sweep.cluster import Cluster, require_dask
from backquery.experiments.sweep.grid import Grid, work
from backquery.experiments.sweep.runs import CURVES, NETWORKS, Run, Runs, Setting
from backquery.experiments.sweep.worker import DataMissing, Failed, Source, Trained, do_run, versions
from backquery.files import remove_unfinished, replacing
from backquery.model import Progress
from backquery.training.plan import Plan, create, expectation

LOCK = ".lock"
"""Held by the sweep that is at work in a folder."""

MOST_DEATHS = 5
"""A run is given up when so many times all workers that tried it died; Dask counts four deaths as one."""


@dataclass(frozen=True)
class Standing:
    """How far a sweep is: runs asked for, of them done before, trained now, failed now; `seconds_left`.

    Of those done before, `failed_before` had failed and were not to be tried again.
    """

    asked: int
    before: int
    trained: int = 0
    failed: int = 0
    seconds_left: float | None = None
    failed_before: int = 0

    @property
    def ended_well(self) -> int:
        """Runs that have their network."""
        return self.before - self.failed_before + self.trained

    @property
    def ended(self) -> int:
        """Runs that need no more work."""
        return self.before + self.trained + self.failed

    @property
    def in_words(self) -> str:
        """Runs ended and failed, and about how long the others will take."""
        seconds, failed = self.seconds_left, f", {self.failed} failed" if self.failed else ""
        about = "" if not seconds else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        return f"{self.ended} of {self.asked} runs{failed}{about and f', about {about} left'}"


def run_sweep(
    grid: Grid,
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    test: str | os.PathLike[str] | None = None,
    how: Reading = AS_FOUND,
    cluster: Cluster | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> Standing:
    """Train every network of `grid` that `folder` does not hold yet, and say how it ended.

    data, test, how: what `open_data` takes. Each run is noted in ``runs.sqlite`` as soon as it has ended, its
    network in ``networks/``; a run that fails is noted with its error, and the others go on. Runs whose workers
    die are done again. Calling again does what is missing, and nothing else: failed runs only with
    `retry_failed`. With the same seeds the networks have the same bytes however often it was interrupted and by
    whom they were trained, on machines alike. Workers are processes that import the main module anew: in a
    script, call this under ``if __name__ == "__main__":``. `progress` is told (runs ended, runs asked for, the
    same in words with the time left).

    Raises `DataError`, `TrainingError` or `ModelError` for what cannot be trained, `ClusterError` where no machine
    does the work, and `OutputError` where nothing can be written or another sweep is at work in `folder`; what was
    kept by then stays.
    """
    require_dask()
    source = Source.of(data, test, how)
    plans = {Setting.of(plan, source.name, source.fingerprint): plan for plan in grid.plans()}
    _make(Path(folder) / NETWORKS)
    with Runs.opened(folder) as runs:
        done, failed = runs.done(), set() if retry_failed else runs.failed()
        ended = done | failed
        missing = {setting: plan for setting, plan in plans.items() if setting.key not in ended}
        failed_before = sum(setting.key in failed for setting in plans)
        before = Standing(len(plans), len(plans) - len(missing), failed_before=failed_before)
        leader = _Leader(source, missing, runs, before, progress)
        leader.tell()
        if missing:
            dataset = source.open()
            _check(next(iter(missing.values())), dataset)
            cluster = Cluster() if cluster is None else cluster
            # The lock comes first: no worker is started for a folder that another sweep holds.
            with (
                _alone(Path(folder)),
                cluster.connect(len(missing), _memory(missing, dataset)) as client,
                _explained(),
            ):
                leader.lead(client, dataset)
        return leader.standing


def _memory(missing: Mapping[Setting, Plan], dataset: Dataset) -> float:
    """The bytes that the largest of the missing runs takes, with the data that its worker holds."""
    read = sum(half.images.nbytes for _, half in dataset.halves)
    return read + max(expectation(plan, dataset).memory for plan in missing.values())


class _Leader:
    """Hands out the missing runs of one sweep, and keeps what comes back."""

    def __init__(
        self, source: Source, missing: dict[Setting, Plan], runs: Runs, before: Standing, progress: Progress | None
    ) -> None:
        self.source, self.missing, self.runs = source, dict(missing), runs
        self.progress = progress
        self.standing = before
        self._whole = self._left = sum(map(work, missing.values()))
        self._deaths: dict[Setting, int] = {}
        self._sent: Any = None
        # Several sweeps may share a scheduler, which takes equal names for the same task.
        self._name = secrets.token_hex(4)

    def tell(self) -> None:
        """Say how far it is."""
        if self.progress is not None:
            self.progress(self.standing.ended, self.standing.asked, self.standing.in_words)

    def lead(self, client: Any, dataset: Dataset) -> None:
        """Until nothing is missing."""
        from distributed import as_completed

        self._client, self._dataset = client, dataset
        self._clock = perf_counter()
        self._handed_out = {self._submit(setting): setting for setting in self.missing}
        self._waiting = as_completed(list(self._handed_out), loop=client.loop)
        for future in self._waiting:
            setting = self._handed_out.pop(future)
            answer = self._answer(future)
            if isinstance(answer, Trained | Failed):
                self._keep(setting, answer)
            else:
                self._again(setting, answer)

    def _submit(self, setting: Setting) -> Any:
        # A new name for each try: under the old one Dask would answer with what became of that.
        name = f"{setting.key}-{self._name}-{secrets.token_hex(2)}"
        return self._client.submit(do_run, self.missing[setting], self.source, self._sent, key=name, pure=False)

    def _answer(self, future: Any) -> Any:
        """What the run returned, or the error that kept it from returning; None where it was lost on the way."""
        try:
            if future.status == "finished":
                return future.result()
            error = future.exception() if future.status == "error" else None
        except (OSError, CancelledError):
            error = None
        if error is None and self._client.status != "running":
            raise ConnectionError("the client has lost its scheduler")
        return error

    def _again(self, setting: Setting, error: BaseException | None) -> None:
        """Hand out once more what was lost, with the data if it was for lack of them; or give it up."""
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            self._deaths[setting] = self._deaths.get(setting, 0) + 1
            if self._deaths[setting] >= MOST_DEATHS:
                self._keep(setting, Failed("its worker died every time; perhaps there is not enough memory"))
                return
        elif isinstance(error, DataMissing) or (error is None and self._sent is not None):
            if error is None or self._sent is None:
                self._sent = self._client.scatter(self._dataset, broadcast=True, hash=False)
        elif error is not None:
            raise ClusterError(
                f"a worker cannot do this run ({type(error).__name__}: {error}); it needs the same backquery "
                "and the same Python as here"
            ) from error
        future = self._submit(setting)
        self._handed_out[future] = setting
        self._waiting.add(future)

    def _keep(self, setting: Setting, answer: Trained | Failed) -> None:
        """The network first, then its row: a row always has its network."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if isinstance(answer, Failed):
            self.runs.keep(Run(setting, error=answer.error, finished=now, versions=versions()))
        else:
            self.runs.keep(_kept_run(setting, answer, self.runs.folder, now))
        self._left -= work(self.missing.pop(setting))
        failed = isinstance(answer, Failed)
        spent = perf_counter() - self._clock
        self.standing = replace(
            self.standing,
            trained=self.standing.trained + (not failed),
            failed=self.standing.failed + failed,
            seconds_left=spent * self._left / (self._whole - self._left),
        )
        self.tell()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One sweep at a time works in a folder; what a killed one left half written there is removed."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(folder / LOCK).acquire(blocking=False)
    except Timeout:
        raise OutputError(
            f"another sweep is at work in {folder}; `backquery sweep show {folder}` tells how far it is, and the "
            "same command goes on when it has ended"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write {folder / LOCK}: {reason}; choose another folder") from error
    with held:
        # Only under the lock: without it, an unfinished file may be one that another sweep is writing.
        remove_unfinished(folder / NETWORKS)
        yield


@contextmanager
def _explained() -> Iterator[None]:
    """A connection that breaks, wherever Dask notices it, in our words."""
    try:
        yield
    except BackqueryError:
        raise
    except (OSError, CancelledError) as error:
        raise ClusterError(
            "the Dask scheduler is gone; what has ended is kept, the same command goes on"
        ) from error


def _kept_run(setting: Setting, answer: Trained, folder: Path, now: str) -> Run:
    with replacing(folder / setting.network) as stream:
        stream.write(answer.network)
    epochs = answer.history.epochs
    return Run(
        setting,
        performance=answer.performance,
        test_images=answer.test_images,
        history={name: [getattr(record, name) for record in epochs] for name in CURVES},
        kernel=answer.history.kernel,
        network=setting.network,
        digest=sha256(answer.network).hexdigest(),
        seconds=answer.history.seconds,
        finished=now,
        versions=answer.versions,
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file has that name" if isinstance(error, FileExistsError) else error.strerror
        raise OutputError(f"cannot make the folder {folder}: {reason}; choose another") from error


def _check(plan: Plan, dataset: Dataset) -> None:
    """What no run could do is said before any machine is asked."""
    create(plan, dataset.with_test_half(plan.seed))
