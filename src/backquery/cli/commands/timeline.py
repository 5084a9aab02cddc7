"""``backquery timeline``: a network watched while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, ShowCode, TestHalf, arrays_of
from backquery.cli.options.inversion import Method
from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.cli.options.training import USUAL, TrainingOptions
from backquery.cli.terminal import check_outputs, give, save_picture, table

if TYPE_CHECKING:
    from backquery.experiments.timeline import Frame, Timeline
    from backquery.notes import Notes

Pictures = Annotated[
    list[Path],
    Parameter(
        name=["-o", "--output"],
        consume_multiple=False,
        negative="",
        help="What to draw: .gif or .apng is an animation; .png, .svg or .pdf a film strip of nine moments. Give "
        "-o twice for both.",
    ),
]
Frames = Annotated[
    int, Parameter(help="At most so many moments, the closer the earlier.", validator=Number(gte=2))
]
Moments = Annotated[
    list[int] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="The moments themselves, in updates: one image each; one batch with recipe minibatch, all images "
        "with recipe batch.",
    ),
]
Arrays = Annotated[Path | None, arrays_of("the scans and all numbers as arrays")]


def timeline(
    data: Data,
    /,
    *,
    output: Pictures,
    method: Method = "gauss-newton",
    frames: Frames = 30,
    at: Moments = None,
    options: TrainingOptions = USUAL,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    arrays: Arrays = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a network, and ask it again and again what it sees when it says each label.

    At each moment stands how many test images it reads rightly by then, and which of its scans it reads as asked.
    Looking changes nothing: with the same options and seed, `backquery train` makes the very same network. For
    example: `backquery timeline mnist -o timeline.gif`, or, by the book's formula, with `--method transpose`

    With --json: data, method, frames, a list of updates, epochs (how many rounds through the images),
    performance (share of right answers on the test half), read_as_asked (how many), read (what the network reads
    in the scan of each label) and answers (how surely); output, a list of the files, arrays (the file, or null),
    held_out (true or false), seed; with --show-code also code.
    """
    from backquery.cli.plan import open_halves
    from backquery.cli.progress import bar
    from backquery.experiments.timeline import log_spaced, watch_training
    from backquery.files import check_writable
    from backquery.notes import Notes
    from backquery.training.plan import begin

    for path in output:
        check_writable(_check_path(path))
    check_outputs(None, arrays)
    plan = options.plan()
    notes = Notes()
    dataset, held_out = open_halves(data, test, plan, reading, notes)
    run = notes("run", begin, plan, dataset)
    moments = at or log_spaced(run.updates, frames)
    with bar("learning") as progress:
        found = notes("found", watch_training, run, dataset, at=moments, method=method, progress=progress)
    for path in output:
        with bar("drawing"):
            _draw(found, path, notes)
    if arrays is not None:
        found.save(arrays)
    rows = [_cells(frame, found.classes) for frame in found.frames]
    give(
        as_json,
        {**found.as_json(), "output": output, "arrays": arrays, "held_out": held_out, "seed": plan.seed},
        table((">updates", ">epochs", ">right", ">read as asked", "<reads"), rows),
        wrote=[*output, arrays],
        code=notes if show_code else None,
    )


def _check_path(path: Path) -> Path:
    from backquery.errors import OutputError
    from backquery.plots import ANIMATIONS, FORMATS

    if path.suffix.lower() not in (*ANIMATIONS, *FORMATS):
        moving, still = ", ".join(ANIMATIONS), ", ".join(FORMATS)
        raise OutputError(f"animations are written as {moving}, film strips as {still}; received {path}")
    return path


def _draw(found: Timeline, path: Path, notes: Notes) -> None:
    from backquery.plots import ANIMATIONS, film_strip, save_animation

    if path.suffix.lower() in ANIMATIONS:
        notes("", save_animation, found, path)
    else:
        save_picture(notes("figure", film_strip, found), path, notes)


def _cells(frame: Frame, classes: Sequence[str]) -> list[str]:
    from backquery.model import name_read

    asked = f"{int(frame.read_as_asked.sum())} of {len(frame.read)}"
    reads = " ".join(name_read(classes, label) for label in frame.read)
    return [f"{frame.updates:,}", f"{frame.epochs:.2f}", f"{frame.performance:.1%}", asked, reads]
