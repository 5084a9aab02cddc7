"""``backquery evidence``: what supports each label and what speaks against it, tested on held-out images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, Labels, Model, Picture, TestHalf, arrays_of, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, check_outputs, give, save_arrays, save_picture, say, table

if TYPE_CHECKING:
    from backquery.datasets import Dataset
    from backquery.evidence import ControlEvidence, Evidence, Intervention
    from backquery.model import Model as AnyModel

REGIONS = ("support", "against", "insensitive")

Between = Annotated[
    tuple[str, str] | None,
    Parameter(negative="", help="Two labels: what speaks for the first rather than the second."),
]
Rate = Annotated[
    float,
    Parameter(
        help="The share of false claims to put up with: the false-discovery rate.", validator=Number(gt=0, lt=0.5)
    ),
]
Smallest = Annotated[
    float,
    Parameter(
        help="The smallest effect that matters, in log-odds for a full pixel of ink.",
        validator=Number(gte=0, lte=1000),
    ),
]
Images = Annotated[
    int, Parameter(help="At most so many images of each label are used, in either half.", validator=Number(gte=10))
]
Controls = Annotated[bool, Parameter(help="Also measure an untrained network and one trained on shuffled labels.")]
SeedNumber = Annotated[int, decides("which images and pixels are drawn")]
Arrays = Annotated[Path | None, arrays_of("sensitivities, errors, adjusted p-values and verdicts")]


def evidence(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture,
    label: Labels = None,
    between: Between = None,
    rate: Rate = 0.05,
    smallest: Smallest = 0.1,
    images: Images = 1000,
    controls: Controls = True,
    arrays: Arrays = None,
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Say which pixels support a label, speak against it or do not matter, and test it on other images.

    The training half gives the verdicts. On images of the test half, ink is then added and taken in each region:
    support and against must move the label's log-odds the way they say, the rest must hardly move them. Regions
    taken from the control networks are tried on this network as well, where up to half hold by luck. The table
    gives the mean change of the log-odds, and of insensitive pixels its mean size (±). For example: `backquery
    evidence mnist mnist -o evidence.png`, or `--between 4 9` for what separates a 4 from a 9

    With --json: rate, smallest, evidence, a list of question, labels, images, pixels (how many of each verdict),
    likeness (the correlation of the sensitivities with the label's own images), held and claims (how many claims
    held, of how many) and interventions, a list of region, action, claim (1 up, -1 down, 0 hardly, or null),
    images, ink (full pixels moved in each image), change, low, high (the mean change of the log-odds and its 95 %
    interval), size, size_high (its mean absolute value, and the interval's upper end), limit (what counts as
    hardly), held (true, false, or null where nothing was claimed or could be tested); controls, a list of name,
    likeness, held and claims (of its own), borrowed_held and borrowed_claims (of its regions, tried on this
    network); left_out, output, arrays.
    """
    from backquery.cli.progress import bar
    from backquery.cli.source import load_for_halves
    from backquery.evidence import measure_evidence
    from backquery.plots import evidence_maps

    check_outputs(output, arrays)
    network, dataset = load_for_halves(model, data, test, seed, reading, scale)
    with bar("measuring") as progress:
        found = measure_evidence(
            network, dataset.train, label, between=between, held_out=dataset.test, rate=rate, smallest=smallest,
            images=images, rng=seed, progress=progress,
        )  # fmt: skip
    compared, left_out = _controls(network, dataset, found, images, seed) if controls else ((), [])
    save_picture(evidence_maps(found, network.input_shape), output)
    if arrays is not None:
        save_arrays(arrays, **_maps(found))
    give(
        as_json,
        {
            "rate": rate,
            "smallest": smallest,
            "evidence": [one.as_json(network.classes) for one in found],
            "controls": [one.as_json() for one in compared],
            "left_out": left_out,
            "output": output,
            "arrays": arrays,
        },
        _table(found),
        "",
        *_summary(found, compared),
        notes=[f"left out: {reason}" for reason in left_out],
        wrote=[output, arrays],
    )


def _maps(found: tuple[Evidence, ...]) -> dict[str, Any]:
    """What was found at each pixel, (questions, inputs), with the questions' and the verdicts' names."""
    from backquery.evidence import VERDICTS

    names = ("mean", "error", "size", "direction", "insensitivity", "verdict")
    maps = {name: [getattr(one.findings, name) for one in found] for name in names}
    return {"question": [one.question for one in found], "verdicts": VERDICTS, **maps}


def _table(found: tuple[Evidence, ...]) -> Drawing:
    """Each question in a row: how many pixels of each verdict, and what every intervention did."""
    measured = [heading for region in REGIONS for heading in (f">{region}\npixels", ">\n+ink", ">\n-ink")]
    headings = ["<", *measured, ">unclear\npixels", ">\nheld"]
    return table(headings, map(_cells, found), gap=2, whole=(0, len(headings) - 1))


def _cells(one: Evidence) -> list[str]:
    cells = [one.question]
    for region in REGIONS:
        moves = [_move(each) for each in one.interventions if each.region == region]
        cells += [f"{one.counts[region]}", *moves]
    return [*cells, f"{one.counts['unclear']}", f"{one.held} of {len(one.claims)}"]


def _move(one: Intervention) -> str:
    """What the claim is about: the mean change of the log-odds, or its size; one that did not hold is marked."""
    if one.tested is None:
        return ""
    moved = f"±{one.tested.value:.2f}" if one.claim == 0 else f"{one.tested.value:+.2f}"
    return f"{moved}{'' if one.held else ' ✗'}"


def _summary(found: tuple[Evidence, ...], compared: tuple[ControlEvidence, ...]) -> list[str]:
    """How many claims held, and what became of the controls' regions."""
    from backquery.evidence import held_of, mean_likeness

    held, claims = held_of(one for each in found for one in each.interventions)
    lines = [
        f"{held} of {claims} claims held on held-out images; likeness to the labels {mean_likeness(found):.2f}"
    ]
    for control in compared:
        held, claims = control.borrowed_held
        borrowed = f"{held} of {claims} claims from its regions held here (by luck up to half)"
        none = "it supports no label with any pixel, so that there is nothing to try here"
        lines.append(f"{control.name}: {borrowed if claims else none}; likeness {control.likeness:.2f}")
    return lines


def _controls(
    network: AnyModel, dataset: Dataset, found: tuple[Evidence, ...], images: int, seed: int
) -> tuple[tuple[ControlEvidence, ...], list[str]]:
    from backquery.evidence import control_evidence
    from backquery.model import Network

    if not isinstance(network, Network):
        return (), ["networks as controls: they are made for dense networks only"]
    say("training the controls")
    return control_evidence(network, dataset, found, images=images, rng=seed), []
