"""How a training shows itself while it runs: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backquery.cli.terminal import messages, say

if TYPE_CHECKING:
    from backquery.experiments.sweep import Standing
    from backquery.training import EpochRecord, Moment

LINES = 20
"""At most about so many lines are written where there is no terminal to redraw."""


class TrainingProgress:
    """A context manager whose methods are a training's `progress` and one of its `callbacks`."""

    def __init__(self, epochs: int) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = messages()
        self._epochs = epochs
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[reached]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("getting ready", total=None, reached="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def images(self, done: int, total: int) -> None:
        """So many of the images of all epochs have been learned from."""
        epoch = min(1 + done * self._epochs // total, self._epochs)
        self._progress.update(
            self._task, completed=done, total=total, description=f"epoch {epoch} of {self._epochs}"
        )

    def epoch(self, moment: Moment) -> None:
        """An epoch has ended."""
        text = _reached(moment.record)
        self._progress.update(self._task, reached=text)
        step = -(-self._epochs // LINES)
        if not self._live and (moment.epoch % step == 0 or moment.epoch == self._epochs):
            say(f"epoch {moment.epoch} of {self._epochs}: {text}")


def _reached(record: EpochRecord) -> str:
    tested = "" if record.test_accuracy is None else f", test {record.test_accuracy:.2%}"
    return f"train {record.train_accuracy:.2%}{tested}"


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told (done, in all), and shows it while the block lasts, where there is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def share_bar() -> Iterator[Callable[[str, float], None]]:
    """A function that is told (what is being done, the share done), and shows it; off a terminal, a line each."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("getting ready", total=1.0)
        said = ""

        def tell(what: str, share: float) -> None:
            nonlocal said
            progress.update(task, description=what, completed=share)
            if what != said and not console.is_terminal:
                say(what)
            said = what

        yield tell


@contextmanager
def sweep_progress() -> Iterator[Callable[[Standing], None]]:
    """A function that is told how far a sweep is, and says it, with the time that is left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = messages()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("getting ready", total=None, left="")

        def tell(standing: Standing) -> None:
            said, left = _standing(standing), _left(standing.seconds_left)
            progress.update(task, description=said, completed=standing.ended, total=standing.asked, left=left)
            step = -(-standing.asked // LINES)
            if not console.is_terminal and standing.ended < standing.asked and standing.ended % step == 0:
                say(f"{said}{left and f', {left}'}")

        yield tell


def _standing(standing: Standing) -> str:
    failed = f", {standing.failed} failed" if standing.failed else ""
    return f"{standing.ended} of {standing.asked} runs{failed}"


def _left(seconds: float | None) -> str:
    if not seconds:
        return ""
    return f"about {seconds:.0f} s left" if seconds < 100 else f"about {seconds / 60:.0f} min left"
