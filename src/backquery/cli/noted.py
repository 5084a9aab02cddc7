"""The model, the data and the pictures of a command, noted as lines of Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.notes import Notes

if TYPE_CHECKING:
    from backquery.datasets import Dataset, Preparation
    from backquery.datasets.images import Light
    from backquery.datasets.options import Ink
    from backquery.model import Array, Model

FOUND_OUT = ("scaling", "input_shape")
"""What a command may find out of a model that does not say it itself."""


def about(source: str, model: Model) -> Notes:
    """Notes that begin with how to have the model that `source` opened as the command asks it."""
    notes = Notes()
    _note_settled(notes, _note_opened(notes, source), model)
    notes.stands_for(model, "network")
    return notes


def about_data(
    source: str,
    model: Model,
    data: str,
    test: Path | None,
    reading: ReadingOptions,
    dataset: Dataset,
    *,
    seed: int | None = None,
) -> Notes:
    """The same with the data set that was opened for the model; where it is told, `seed` decides its test half."""
    from backquery.datasets import open_data

    notes = Notes()
    silent = _note_opened(notes, source)
    notes.note("data", dataset, open_data, *_named(data, test), **_told(reading), model=silent)
    _note_settled(notes, silent, model)
    if seed is not None:
        notes.note("data", dataset, dataset.with_test_half, seed)
    notes.stands_for(model, "network")
    notes.stands_for(dataset, "data")
    return notes


def noted_data(notes: Notes, data: str, test: Path | None, reading: ReadingOptions) -> Dataset:
    """The data set of this name or path, opened."""
    from backquery.cli.progress import bar_for_reading
    from backquery.datasets import open_data

    with bar_for_reading(data):
        return notes("data", open_data, *_named(data, test), **_told(reading))


def _named(data: str, test: Path | None) -> list[str | Path]:
    return [data] if test is None else [data, test]


def _told(reading: ReadingOptions) -> dict[str, Any]:
    return {} if reading == AS_FOUND else {"how": reading.reading()}


def _note_opened(notes: Notes, source: str) -> Model:
    """The model as it says itself that it is; it is not opened again, which may run code of the user's."""
    from backquery.cli.source import FUNCTION, OPENED, open_model
    from backquery.io import load_model

    own_code = FUNCTION.fullmatch(source) is not None and not Path(source).exists()
    notes.note("network", OPENED[source], open_model if own_code else load_model, source)
    return OPENED[source]


def _note_settled(notes: Notes, silent: Any, model: Model) -> None:
    """What the command found out of the model, or was told."""
    found = {name: getattr(model, name) for name in FOUND_OUT if getattr(silent, name) is not getattr(model, name)}
    if found:
        notes.note("network", model, replace, silent, **found)


def noted_pictures(notes: Notes, network: Model, pictures: list[Path], name: str, ink: Ink = "auto") -> Array:
    """Pictures as the network's inputs (n, inputs), prepared as its own images were."""
    steps = noted_steps(notes, network, pictures, ink, None, "auto")
    return notes(name, network.scale, [one.pixels for one in steps])


def noted_steps(
    notes: Notes, network: Model, pictures: list[Path], ink: Ink, centre: bool | None, light: Light
) -> list[Preparation]:
    """What becomes of each picture on its way to the network's scale: see `prepared_steps`."""
    from backquery.cli.source import how_prepared, prepared_steps
    from backquery.datasets import prepare_steps

    steps = prepared_steps(network, pictures, ink, centre, light)
    shape, maximum, how = how_prepared(network, pictures, ink, centre, light)
    for number, (path, one) in enumerate(zip(pictures, steps, strict=True), start=1):
        notes.note(f"picture{number}", one, prepare_steps, path, shape, maximum, **how)
    return steps
