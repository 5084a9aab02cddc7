"""How long work shows itself while it runs: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backquery.cli.terminal import messages, say

if TYPE_CHECKING:
    from rich.progress import Progress as Drawn
    from rich.progress import ProgressColumn

    from backquery.model import Model, Progress
    from backquery.training import EpochRecord, Moment

FEW_INPUTS = 2**14
"""Inputs up to which a dense network is asked backwards in no time."""

LINES = 20
"""At most about so many lines are written where there is no terminal to redraw."""


class TrainingProgress:
    """A context manager whose methods are a training's `progress` and one of its `callbacks`."""

    def __init__(self, epochs: int) -> None:
        from rich.progress import SpinnerColumn

        self._epochs = epochs
        self._progress = _drawn(SpinnerColumn())
        self._task = self._progress.add_task("getting ready", total=None, reached="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def images(self, done: float, total: float, what: str = "", /) -> None:
        """So many of the images of all epochs have been learned from."""
        epoch = min(1 + int(done * self._epochs // total), self._epochs)
        self._progress.update(
            self._task, completed=done, total=total, description=f"epoch {epoch} of {self._epochs}"
        )

    def epoch(self, moment: Moment) -> None:
        """An epoch has ended."""
        text = _reached(moment.record)
        self._progress.update(self._task, reached=text)
        step = -(-self._epochs // LINES)
        if self._progress.disable and (moment.epoch % step == 0 or moment.epoch == self._epochs):
            say(f"epoch {moment.epoch} of {self._epochs}: {text}")


def _reached(record: EpochRecord) -> str:
    tested = "" if record.test_accuracy is None else f", test {record.test_accuracy:.2%}"
    return f"train {record.train_accuracy:.2%}{tested}"


@contextmanager
def bar(what: str = "getting ready", *, stays: bool = False) -> Iterator[Progress]:
    """What shows how far work is while the block lasts, and afterwards if it `stays`.

    On a terminal it is a bar; elsewhere a line when a step with a name begins, but not more than about `LINES`.
    """
    said, spoken = "", -1
    with _drawn(transient=not stays) as drawn:
        task = drawn.add_task(what, total=None, reached="")

        def tell(done: float, total: float, step: str = "", /) -> None:
            nonlocal said, spoken
            reached = f"{done / total:.0%}" if step else f"{done}/{total}"
            drawn.update(task, completed=done, total=total, description=step or what, reached=reached)
            due = int(done) % -(-total // LINES) == 0 and done < total
            if due and step != said and int(done) != spoken and drawn.disable:
                say(step)
                said, spoken = step, int(done)

        yield tell


def bar_for(network: Model) -> AbstractContextManager[Progress | None]:
    """The bar of a back query; a dense network has answered before one is drawn, unless its images are large."""
    from backquery.model import Network

    quick = isinstance(network, Network) and network.inputs <= FEW_INPUTS
    return nullcontext() if quick else bar("asking backwards")


def bar_for_reading(source: str, what: str = "reading the images") -> AbstractContextManager[Progress | None]:
    """The bar of reading what lies at a path; what is known by a name is here already, or shows its download."""
    return bar(what) if Path(source).exists() else nullcontext()


def _drawn(*before: ProgressColumn, transient: bool = False) -> Drawn:
    """A bar between its words, behind other columns; disabled where there is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[reached]}"))
    console = messages()
    return Progress(
        *before,
        *columns,
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=transient,
    )
