"""What all commands print with: results to standard output, messages to standard error."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from itertools import zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, ParamSpec

from backquery.errors import AssumptionWarning, OutputError, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderableType

    from backquery.model import Array
    from backquery.notes import Notes

P = ParamSpec("P")

PLAIN_WIDTH = 120
"""Columns where the output is no terminal and cannot tell."""

BAR_WIDTH = 40

SIGNS = " .:-=+*#%@"
"""From paper to ink: signs that every terminal has."""

WIDEST_SIGNS = 40
"""Columns of a picture that is shown in signs."""


def size_in_words(size: int) -> str:
    """So many bytes, as ``1.4 MB`` or ``36 kB``, and never as nothing."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(round(size / 1e3), 1)} kB"


def results() -> Console:
    """Standard output."""
    return _console(sys.stdout)


def messages() -> Console:
    """Standard error."""
    return _console(sys.stderr)


def say(text: str) -> None:
    """One message for the person at the terminal; whoever reads the results does not see it."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def assumptions_said() -> Iterator[None]:
    """What is taken for granted while a command runs becomes messages, each said once."""
    said: set[str] = set()
    with warnings.catch_warnings():
        others = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, AssumptionWarning):
                others(message, category, *place, **more)
            elif str(message) not in said:
                said.add(str(message))
                say(" ".join(str(message).split()))

        warnings.simplefilter("always", AssumptionWarning)
        warnings.showwarning = tell
        yield


def show(*parts: RenderableType) -> None:
    """Print results, one below the other."""
    console = results()
    for part in parts:
        if isinstance(part, str):
            print(printable(part))
        elif console.is_terminal:
            console.print(part)
        else:
            with console.capture() as text:
                console.print(part)
            # Rich fills tables up to the right edge, which a file or a pipe has no use for.
            print("\n".join(line.rstrip() for line in text.get().splitlines()))


def print_json(answer: Mapping[str, Any]) -> None:
    """The one object that a command gives with --json."""
    print(json.dumps(answer, allow_nan=False, default=os.fspath))


def give(
    as_json: bool,
    answer: Mapping[str, Any],
    *parts: RenderableType,
    notes: Iterable[str] = (),
    wrote: Iterable[Path | None] = (),
    code: Notes | None = None,
) -> None:
    """How a command ends: with one JSON object, or its results, what there is to note, and the files written.

    code: the lines of Python that make them again, where these were asked for.
    """
    if as_json:
        print_json(answer if code is None else {**answer, "code": str(code)})
        return
    show(*parts, *([] if code is None else ["", str(code)]))
    for note in notes:
        say(note)
    files = [str(path) for path in wrote if path is not None]
    if files:
        say(f"wrote {' and '.join(files)}")


def count(number: int, thing: str) -> str:
    """``1 image``, ``10,000 images``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Drawing:
    """What Rich draws, made only when it is shown: a JSON object needs no Rich."""

    draw: Callable[[], RenderableType]

    def __rich__(self) -> RenderableType:
        return self.draw()


def _when_shown(draw: Callable[P, RenderableType]) -> Callable[P, Drawing]:
    @wraps(draw)
    def later(*args: P.args, **kwargs: P.kwargs) -> Drawing:
        return Drawing(partial(draw, *args, **kwargs))

    return later


@_when_shown
def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    bold: Sequence[bool] = (),
    gap: int = 3,
    whole: Sequence[int] = (),
) -> RenderableType:
    """Headings that begin with < or >, which is where their column's text stands, and the rows below them.

    bold: for each row; none by default. gap: the space between columns. whole: the columns never wrapped.
    """
    from rich.table import Table

    drawn = Table(box=None, padding=(0, gap, 0, 0))
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if heading[0] == "<" else "right"
        drawn.add_column(heading[1:], header_style="dim", justify=justify, overflow="fold", no_wrap=place in whole)
    for row, stressed in zip_longest(rows, bold):
        drawn.add_row(*row, style="bold" if stressed else "")
    return drawn


@_when_shown
def pairs(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Names and values in two columns."""
    from rich.table import Table

    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


@_when_shown
def answer_table(answers: Sequence[float], classes: Sequence[str]) -> RenderableType:
    """The answers to one image as bars, the strongest in bold."""
    from rich.bar import Bar
    from rich.table import Table

    low, high = min(0.0, *answers), max(1.0, *answers)
    strongest = max(answers)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column(width=BAR_WIDTH)
    table.add_column(justify="right")
    for name, answer in zip(classes, answers, strict=True):
        begin, end = sorted((0.0, answer))
        bar = Bar(high - low, begin - low, end - low, width=BAR_WIDTH)
        table.add_row(name, bar, f"{answer:.3f}", style="bold" if answer == strongest else "")
    return table


@_when_shown
def reading_table(seen: Array, answers: Sequence[float], classes: Sequence[str]) -> RenderableType:
    """What a network saw, as `picture_of` has it, in signs, and beside it the network's answers."""
    from rich.table import Table
    from rich.text import Text

    shades = seen if seen.ndim == 2 else 1 - seen.mean(axis=-1)
    both = Table.grid(padding=(0, 4, 0, 0))
    both.add_row(Text("\n".join(in_signs(shades)), no_wrap=True), answer_table(answers, classes))
    return both


def in_signs(shades: Array) -> list[str]:
    """Shades (rows, columns) from 0 to 1 in lines of signs, darker the fuller they are; at most `WIDEST_SIGNS`."""
    import numpy as np

    # A sign is about twice as high as it is wide.
    step = -(-shades.shape[1] // WIDEST_SIGNS)
    high, wide = 2 * step, step
    rows, columns = (-(-side // part) * part for side, part in zip(shades.shape, (high, wide), strict=True))
    whole = np.zeros((rows, columns))
    whole[: shades.shape[0], : shades.shape[1]] = shades
    means = whole.reshape(rows // high, high, columns // wide, wide).mean(axis=(1, 3))
    places = np.rint(means.clip(0, 1) * (len(SIGNS) - 1)).astype(int)
    return ["".join(SIGNS[place] for place in row) for row in places]


@_when_shown
def confusion_table(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> RenderableType:
    """Rows are the truth, columns what was read; mistakes are shaded by their number."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    most = max((n for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j), default=0)
    table = Table(box=None, padding=(0, 1))
    table.add_column("", justify="right", style="bold")
    for name in classes:
        table.add_column(name, justify="right")
    for truth, (name, row) in enumerate(zip(classes, confusion, strict=True)):
        cells = [Text(str(n) if n else "·", _shade(n, most, truth == read)) for read, n in enumerate(row)]
        table.add_row(name, *cells)
    # A caption would be as narrow as the table, and broken.
    return Group(table, Text("rows: the truth, columns: what was read", "dim"))


def check_outputs(picture: Path | None, arrays: Path | None = None) -> None:
    """Refuse before any long work what could not be written after it."""
    from backquery.files import check_writable

    if picture is not None:
        from backquery.plots import check_picture_path

        check_writable(check_picture_path(picture))
    if arrays is not None:
        if arrays.suffix.lower() != ".npz":
            raise OutputError(f"arrays are written as .npz; received {arrays}")
        check_writable(arrays)


def save_picture(figure: Figure, path: str | os.PathLike[str], notes: Notes | None = None) -> None:
    """Write a figure, and note that, without Matplotlib's own remarks about its caches."""
    from backquery.notes import Notes
    from backquery.plots import save_figure

    quieten_matplotlib()
    (notes or Notes())("", save_figure, figure, path)


def quieten_matplotlib() -> None:
    """Keep its remarks about its caches from whoever only wants a picture."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def draw_seed() -> int:
    """A seed that nobody chose, small enough to be typed again."""
    return secrets.randbelow(1_000_000)


def make_folder(folder: Path) -> Path:
    """`folder`, made if it is not there, with those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file has that name" if isinstance(error, FileExistsError) else error.strerror
        raise OutputError(f"cannot make the folder {folder}: {reason}; choose another with -o") from error
    return folder


def _console(stream: IO[str]) -> Console:
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

    class PrintableConsole(Console):
        """Whatever is drawn on it is printable: words before they are measured, and at last every piece."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text), style, control)

    width = None if stream.isatty() else PLAIN_WIDTH
    return PrintableConsole(file=stream, width=width, markup=False, highlight=False, emoji=False)


def _shade(number: int, most: int, right: bool) -> str:
    """Grey as dark as the share of mistakes; the diagonal, which would drown them, stays plain."""
    if right:
        return "bold"
    if not number:
        return "dim"
    level = round(255 - 200 * number / most)
    return f"{'white' if level < 140 else 'black'} on rgb({level},{level},{level})"
