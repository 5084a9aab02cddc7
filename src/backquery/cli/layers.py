"""One layer asked backwards on the command line: what its channels and nodes look for, and what it kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.cli import UsageError
from backquery.cli.terminal import Drawing, give, quieten_matplotlib, table
from backquery.files import save_arrays

if TYPE_CHECKING:
    from backquery.cli.options.layers import LayerOptions
    from backquery.inversion import BackQuery, Kept, Targets
    from backquery.model import Model
    from backquery.notes import Notes


def scan_layer(
    notes: Notes,
    network: Model,
    inside: LayerOptions,
    method: str | None,
    prior: str | None,
    seed: int,
    output: Path,
    arrays: Path | None,
    as_json: bool,
    code: Notes | None,
) -> None:
    """Draw what channels or nodes of a layer look for."""
    from backquery.cli.progress import bar_for
    from backquery.inversion import GaussNewton, back_query
    from backquery.plots import layer_sheet, save_sheet

    asked = asked_of(notes, network, inside, prior)
    with bar_for(network) as progress:
        result = notes(
            "scans", back_query, network, asked,
            method=method or GaussNewton.name, prior=prior, rng=seed, progress=progress,
        )  # fmt: skip
    names, signals = [f"{inside.kind} {number}" for number in inside.numbers], asked.values[:, 0]
    quieten_matplotlib()
    sheet = notes("sheet", layer_sheet, result, network, names, signals.tolist())
    notes("", save_sheet, sheet, output)
    if arrays is not None:
        save_arrays(arrays, images=result.images, signals=signals, **{f"{inside.kind}s": inside.numbers})
    found = _found(result, network, inside, asked)
    give(
        as_json,
        {**found, "seed": seed, "output": output, "arrays": arrays},
        _layer_table(found["scans"], names),
        "",
        f"{int(result.read_as_asked.sum())} of {len(result)} give the signal asked for, by {result.method}",
        notes=[f"{name}: {advice}" for name, advice in zip(names, result.advice, strict=True) if advice],
        wrote=[output, arrays],
        code=code,
    )


def show_kept(
    notes: Notes,
    network: Model,
    inside: LayerOptions,
    prior: str | None,
    output: Path,
    arrays: Path | None,
    as_json: bool,
    code: Notes | None,
) -> None:
    """Draw what a layer kept of pictures, beside them."""
    from backquery.cli.noted import noted_pictures
    from backquery.inversion import kept_by_layer
    from backquery.plots import kept_sheet, save_sheet

    pictures = inside.kept_of or []
    images = noted_pictures(notes, network, pictures, "images")
    kept = notes("kept", kept_by_layer, network, _layer(network, inside), images, prior=prior)
    quieten_matplotlib()
    sheet = notes("sheet", kept_sheet, kept, network)
    notes("", save_sheet, sheet, output)
    if arrays is not None:
        save_arrays(arrays, originals=kept.originals, images=kept.images)
    give(
        as_json,
        {**kept.as_json(), "pictures": pictures, "output": output, "arrays": arrays},
        _kept_table(kept, network, pictures),
        "",
        f"{int(kept.within.sum())} of {len(kept)} with the same signals, within the tolerance",
        wrote=[output, arrays],
        code=code,
    )


def asked_of(notes: Notes, network: Model, inside: LayerOptions, prior: str | None) -> Targets:
    """The questions of `--channel` or `--node`, by default for the strongest signals of images drawn."""
    from backquery.inversion import channel, hidden_node, strongest_signals

    layer = _layer(network, inside)

    def asked(signal: Any) -> Targets:
        if inside.kind == "node":
            return notes("asked", hidden_node, network, layer, inside.numbers, signal)
        if isinstance(layer, int):
            raise UsageError("a layer of a dense network has no channels: ask for a --node.")
        return notes("asked", channel, network, layer, inside.numbers, signal, place=inside.where())

    if inside.signal is not None:
        return asked(inside.signal)
    return asked(notes("signals", strongest_signals, network, asked(0.0), prior=prior))


def _layer(network: Model, inside: LayerOptions) -> int | str:
    """The layer by its name or, in a network of dense layers, by its number."""
    from backquery.model import Network

    name = inside.layer or ""
    return int(name) if isinstance(network, Network) and name.isdecimal() else name


def _found(result: BackQuery, network: Model, inside: LayerOptions, asked: Targets) -> dict[str, Any]:
    """The scans as plain values, each with its channel or node and the signal asked for."""
    found = result.as_json(network.classes)
    about = zip(inside.numbers, asked.values[:, 0].tolist(), found["scans"], strict=True)
    scans = [{inside.kind: number, "signal": signal, **one} for number, signal, one in about]
    return {**found, "layer": asked.layer, "place": inside.where(), "scans": scans}


def _layer_table(scans: list[dict[str, Any]], names: list[str]) -> Drawing:
    rows = [
        (name, f"{one['signal']:.4g}", f"{one['error']:.2g}", one["read"] or "unread", one["outcome"])
        for name, one in zip(names, scans, strict=True)
    ]
    return table(("<asked", ">signal", ">off by", "<reads", "<outcome"), rows)


def _kept_table(kept: Kept, network: Model, pictures: list[Path]) -> Drawing:
    from backquery.model import name_read

    read, still = (
        [name_read(network.classes, int(label)) for label in labels] for labels in (kept.original_read, kept.read)
    )
    errors = [
        f"{error:.1%}{'' if within else ' ✗'}" for error, within in zip(kept.error, kept.within, strict=True)
    ]
    rows = zip(map(str, pictures), read, still, errors, kept.constraint, strict=True)
    return table(("<picture", "<reads", "<in what was kept", ">signals off by", "<by"), rows)
