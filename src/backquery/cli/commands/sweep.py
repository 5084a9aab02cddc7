"""``backquery sweep`` and ``sweep show``: many networks trained, kept, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from backquery.cli import DONE, FAILED, UsageError
from backquery.cli.options import AsJson, Data, ShowCode, TestHalf, also_drawn, written
from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.cli.options.training import ActivationNames, Biases, Dtype, LossName, RecipeName
from backquery.cli.plan import parse_activations, parse_hidden, parse_names, parse_whole, shorten
from backquery.cli.terminal import Drawing, check_outputs, count, give, save_picture, say, table

if TYPE_CHECKING:
    from backquery.experiments.sweep import Family, Grid, Reached, Run, Standing
    from backquery.notes import Notes

Folder = Annotated[Path, written("The folder that keeps the runs.")]
Workers = Annotated[
    int | None, Parameter(help="Processes here; by default one for each core.", validator=Number(gte=1))
]
Scheduler = Annotated[
    str | None,
    Parameter(help="Send the work to the Dask cluster whose scheduler has this address, tcp:// or tls://."),
]
TlsCaFile = Annotated[Path | None, Parameter(name="--tls-ca-file", help="Who vouches for that cluster (PEM).")]
TlsCert = Annotated[Path | None, Parameter(name="--tls-cert", help="Your certificate for it (PEM).")]
TlsKey = Annotated[Path | None, Parameter(name="--tls-key", help="The key of your certificate (PEM).")]
RetryFailed = Annotated[
    bool,
    Parameter(negative="", help="Try runs again that ended with an error, which are left as they are otherwise."),
]
Picture = Annotated[Path | None, also_drawn("the curves")]
AfterEpochs = Annotated[
    int | None,
    Parameter(
        name="--epochs",
        help="Compare settings after so many epochs, where the rate does not fall; by default after all.",
        validator=Number(gte=1),
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class GridOptions:
    """What a sweep varies, and what all its runs have in common."""

    hidden: Annotated[
        str, Parameter(help="Hidden nodes to try, such as 50,100,200; several layers are written 100-50.")
    ] = "200"
    learning_rate: Annotated[
        str | None, Parameter(help="Rates to try, such as 0.01,0.1; by default the recipe's own.")
    ] = None
    epochs: Annotated[
        str | None,
        Parameter(
            help="Numbers of epochs to try, such as 5 or 2,5,10; by default 5, with recipe batch 3000. Where the "
            "rate does not fall, only the largest is trained: a long training begins as a short one."
        ),
    ] = None
    seeds: Annotated[
        int, Parameter(help="How many networks for each setting, by the seeds 1, 2, ...", validator=Number(gte=1))
    ] = 5
    one_at_a_time: Annotated[
        bool,
        Parameter(
            negative="",
            help="Not every combination: vary one thing, and hold the others at their usual values (200 nodes, "
            "the recipe's rate, 5 epochs) where these are listed, else at the first listed.",
        ),
    ] = False
    recipe: RecipeName = "book"
    activation: ActivationNames = None
    loss: LossName = None
    biases: Biases = None
    dtype: Dtype = "float32"

    def grid(self) -> Grid:
        """All runs that are asked for; what could not be trained is refused now."""
        from backquery.experiments.sweep import Grid
        from backquery.training.plan import settled_recipe

        layers = [parse_hidden(word, "-") for word in self.hidden.split(",")]
        loss = settled_recipe(self.recipe, None, self.loss).loss
        for sizes in layers:
            parse_activations(self.activation, self.recipe, loss, len(sizes) + 1)
        return Grid(
            hidden=layers,
            learning_rates=_numbers("--learning-rate", self.learning_rate, float),
            epochs=_numbers("--epochs", self.epochs, parse_whole),
            seeds=self.seeds,
            recipe=self.recipe,
            activations=parse_names(self.activation),
            loss=self.loss,
            biases=self.biases,
            dtype=self.dtype,
            one_at_a_time=self.one_at_a_time,
        )


USUAL = GridOptions()

sweep = App("sweep", help_format="markdown")


@sweep.default
def train_all(
    data: Data,
    /,
    *,
    output: Folder,
    options: GridOptions = USUAL,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca_file: TlsCaFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    retry_failed: RetryFailed = False,
    as_json: AsJson = False,
) -> int:
    """Train a network for every combination of settings and seed, and compare them.

    Each run is kept as soon as it has ended, its network beside it: the same command again does only what is
    missing, whatever stopped it. What is there can be looked at meanwhile: `backquery sweep show FOLDER`.
    A setting and seed give the same network as `backquery train --no-keep-prior`. For example: `backquery sweep
    mnist --hidden 50,100,200 --learning-rate 0.01,0.1,0.3 -o sweep`

    The exit code is 1 if not one of the runs asked for has ended well.

    With --json: asked (runs), before (how many were there already), trained, failed (now), folder, and families
    as `backquery sweep show` gives them.
    """
    from backquery.cli.progress import bar
    from backquery.experiments.sweep import Cluster, read_runs, run_sweep

    grid = options.grid()
    cluster = Cluster(workers, scheduler, tls_ca_file, tls_cert, tls_key)
    with bar(stays=True) as tell:
        try:
            standing = run_sweep(
                grid,
                data,
                output,
                test=test,
                how=reading.reading(),
                cluster=cluster,
                retry_failed=retry_failed,
                progress=tell,
            )
        except KeyboardInterrupt:
            say("\nwhat has ended is kept; the same command goes on from there")
            raise
    runs = read_runs(output)
    ended = {name: getattr(standing, name) for name in ("asked", "before", "trained", "failed")}
    answer = {**ended, "folder": output, "families": _families_as_json(runs, None)}
    give(as_json, answer, *_found(runs, None), notes=[_ended(standing, output)])
    return DONE if standing.ended_well else FAILED


@sweep.command(name="show")
def show_runs(
    folder: Annotated[Path, Parameter(help="The folder that a sweep writes, or wrote.")],
    /,
    *,
    output: Picture = None,
    epochs: AfterEpochs = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Print what a sweep has found so far, and draw its curves. It may still be running.

    Means and their intervals of 95 % are over the seeds. The curves go through the usual setting (200 nodes, the
    recipe's rate, 5 epochs) where it was tried; other lines are grey.

    With --json: folder, runs (a list of data, fingerprint, recipe, loss, activations, biases, dtype, hidden,
    learning_rate, epochs, seed, error or null, performance, test_images, history, kernel, network, digest,
    seconds, finished, versions), and families, a list of data, recipe, loss, activations, biases, dtype, base (a
    learning_rate, epochs and hidden), settings and curves: for each setting, and for each point of the curves
    learning_rate, epochs and hidden through the base, learning_rate, epochs, hidden, performance, low, high
    (bounds, or null with one seed) and seeds; output (the picture, or null). With --show-code also code.
    """
    from backquery.experiments.sweep import read_runs
    from backquery.notes import Notes

    check_outputs(output)
    notes = Notes()
    runs = notes("runs", read_runs, folder)
    if epochs is not None:
        _check_epochs(runs, epochs)
    if output is not None:
        _draw(notes, runs, epochs, output)
    give(
        as_json,
        {
            "folder": folder,
            "runs": [run.as_json() for run in runs],
            "families": _families_as_json(runs, epochs),
            "output": output,
        },
        *_found(runs, epochs),
        wrote=[output],
        code=notes if show_code else None,
    )


def _numbers(option: str, text: str | None, kind: Callable[[str], Any]) -> list[Any]:
    """Positive numbers between commas; none where nothing is given."""
    try:
        numbers = [] if text is None else [kind(word) for word in text.split(",")]
    except ValueError:
        numbers = [0]
    if not all(0 < number < float("inf") for number in numbers):
        what = "numbers" if kind is float else "whole numbers"
        raise UsageError(
            f"{option} takes {what} above zero, with commas between them; received {shorten(text or '')!r}"
        )
    return numbers


def _check_epochs(runs: list[Run], epochs: int) -> None:
    """Refuse a number of epochs after which nothing can be compared, though there are runs that could be."""
    from backquery.errors import DataError
    from backquery.experiments.sweep import comparable

    if comparable(runs) and not comparable(runs, epochs):
        longest = max(run.setting.epochs for run in runs if run.error is None)
        raise DataError(
            f"no run here tells what comes of {count(epochs, 'epoch')}; the longest has {longest}; leave --epochs "
            "out, or name fewer (where the rate falls: as many as some run has)"
        )


def _families_as_json(runs: list[Run], epochs: int | None) -> list[dict[str, Any]]:
    from backquery.experiments.sweep import comparable

    return [family.as_json(epochs) for family in comparable(runs, epochs)]


def _draw(notes: Notes, runs: list[Run], epochs: int | None, output: Path) -> None:
    from backquery.experiments.sweep import comparable, largest_family
    from backquery.plots import sweep_curves

    family = notes("family", largest_family, runs, epochs)
    if (kinds := len(comparable(runs, epochs))) > 1:
        say(f"there are {kinds} kinds of runs; drawn is the one with most, {_name(family)}")
    save_picture(notes("figure", sweep_curves, family, epochs=epochs), output, notes)


def _found(runs: list[Run], epochs: int | None) -> Iterator[str | Drawing]:
    """The runs, family by family, and below them those that failed."""
    from backquery.experiments.sweep import comparable

    for place, family in enumerate(comparable(runs, epochs)):
        if place:
            yield ""
        yield _name(family)
        yield _table(family, epochs)
    errors = {run.error: run.setting for run in runs if run.error is not None}
    failed = sum(run.error is not None for run in runs)
    if not runs:
        yield "no run has ended so far"
    if failed:
        yield from ["", f"{count(failed, 'run')} failed"]
    for error, setting in errors.items():
        yield f"  rate {setting.learning_rate:g}, {setting.hidden} nodes, seed {setting.seed}: {error}"


def _name(family: Family) -> str:
    common = family.common
    runs = count(len(family.runs), "run")
    return f"{common.data}, recipe {common.recipe}, {common.activations}, {common.dtype}: {runs}"


def _table(family: Family, epochs: int | None) -> Drawing:
    """A row for each setting; the best is bold."""
    settings, best = family.settings(epochs), family.best(epochs)
    return table(
        (">hidden", ">rate", ">epochs", ">right", ">95 %", ">seeds"),
        map(_cells, settings),
        bold=[reached == best for reached in settings],
    )


def _cells(reached: Reached) -> list[str]:
    point = reached.point
    known = reached.low is not None and reached.high is not None
    interval = f"{reached.low:.2%} to {reached.high:.2%}" if known else ""
    return [
        point.hidden, f"{point.learning_rate:g}", str(point.epochs), f"{reached.performance:.2%}", interval,
        str(reached.seeds),
    ]  # fmt: skip


def _ended(standing: Standing, folder: Path) -> str:
    if not standing.trained and not standing.failed:
        there = f"all {standing.asked} runs are" if standing.asked > 1 else "the one run is"
        return f"nothing to do: {there} in {folder}"
    before = f", {standing.before} were there" if standing.before else ""
    failed = f", {standing.failed} failed" if standing.failed else ""
    return f"{count(standing.trained, 'run')} trained{failed}{before}; they are in {folder}"
