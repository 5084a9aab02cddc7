"""``backquery lesson``: the small experiments on the way to a neural network."""

from __future__ import annotations

from inspect import Parameter as InspectedParameter
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli import UsageError
from backquery.cli.options import AsJson, ShowCode, also_drawn, decides
from backquery.cli.terminal import check_outputs, give, pairs, save_picture

if TYPE_CHECKING:
    from backquery.lessons import Lesson

Name = Annotated[str | None, Parameter(help="Which lesson; without a name, they are listed.", show_default=False)]
Rate = Annotated[
    float | None,
    Parameter(help="The learning rate, of descent and back-propagation.", validator=Number(gt=0, lt=float("inf"))),
]
Start = Annotated[float | None, Parameter(help="Where descent begins, such as 6.", allow_leading_hyphen=True)]
SeedNumber = Annotated[int | None, decides("the networks that forward times")]
Picture = Annotated[Path | None, also_drawn("it")]


def lesson(
    name: Name = None,
    /,
    *,
    rate: Rate = None,
    start: Start = None,
    seed: SeedNumber = None,
    output: Picture = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Give a lesson: a small experiment with its numbers, and its picture if you name a file.

    Each lesson is also a notebook in the folder examples of the source. For example: `backquery lesson descent
    --rate 0.005 -o descent.png`

    With --json, without a name: lessons, a list of name and summary. With one: lesson (its name), output (the
    picture, or null), and what was found: sigmoid gives by_weight and by_bias, lists of weight, bias, middle and
    steepest; descent gives path, values, rate, precision, steps, converged; forward gives networks, a list of
    sizes, loops, matrices, published (microseconds, or null) and difference, and seed; one-hot gives labels,
    vectors, classes; back-propagation gives steps, a list of name, formula and value, and rate. With --show-code
    also code.
    """
    from backquery.lessons import LESSONS

    told = {key: value for key, value in (("rate", rate), ("start", start), ("seed", seed)) if value is not None}
    if name is None:
        if told:
            raise UsageError(f"--{min(told)} needs a lesson; choose one of {', '.join(LESSONS)}.")
        if output is not None:
            raise UsageError(f"a picture needs a lesson; choose one of {', '.join(LESSONS)}.")
        summaries = [(one.name, one.summary) for one in LESSONS.values()]
        give(as_json, {"lessons": [{"name": n, "summary": s} for n, s in summaries]}, pairs(summaries))
        return
    if name not in LESSONS:
        raise UsageError(f"there is no lesson {name!r}; choose one of {', '.join(LESSONS)}.")
    for key in told:
        if key not in _taken(LESSONS[name]):
            having = [one.name for one in LESSONS.values() if key in _taken(one)]
            raise UsageError(
                f"lesson {name} has no --{key}; {' and '.join(having)} {'have' if having[1:] else 'has'} one."
            )
    from backquery.notes import Notes
    from backquery.plots import lesson_figure

    check_outputs(output)
    notes, taken = Notes(), _taken(LESSONS[name])
    found = notes("found", LESSONS[name].give, **{taken[key].name: value for key, value in told.items()})
    drawn = {"seed": told.get("seed", taken["seed"].default)} if "seed" in taken else {}
    if output is not None:
        save_picture(notes("figure", lesson_figure, found), output, notes)
    give(
        as_json,
        {"lesson": name, "output": output, **drawn, **found.as_json()},
        *found.told(),
        wrote=[output],
        code=notes if show_code else None,
    )


def _taken(lesson: Lesson) -> dict[str, InspectedParameter]:
    """What the lesson takes, by the options' names."""
    taken = signature(lesson.give).parameters.values()
    return {"seed" if one.name == "rng" else one.name: one for one in taken}
