"""``backquery evidence``: what supports each label and what speaks against it, tested on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli import UsageError
from backquery.cli.options import AsJson, Labels, Model, Picture, ShowCode, TestHalf, arrays_of, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, check_outputs, give, save_picture, say, table
from backquery.files import save_arrays

if TYPE_CHECKING:
    from backquery.datasets import Dataset
    from backquery.evidence import ControlEvidence, Evidence, ImageEvidence, Intervention, Trial
    from backquery.model import Model as AnyModel

REGIONS = ("support", "against", "insensitive")

Data = Annotated[str | None, Parameter(help="A data set's name, or a path to one; not needed with --image.")]
Image = Annotated[
    Path | None,
    Parameter(
        help="A picture of any size: what its own ink and paper mean for the label that is read in it, or for "
        "each --label."
    ),
]
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
    data: Data = None,
    /,
    *,
    output: Picture,
    image: Image = None,
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
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Say which pixels support a label, speak against it or do not matter, and test it on other images.

    The training half gives the verdicts. On images of the test half, ink is then added and taken in each region:
    support and against must move the label's log-odds the way they say, the rest must hardly move them. Regions
    taken from the control networks are tried on this network as well, where up to half hold by luck. The table
    gives the mean change of the log-odds, and of insensitive pixels its mean size (±). For example: `backquery
    evidence mnist mnist -o evidence.png`, or `--between 4 9` for what separates a 4 from a 9

    A little ink may mislead on a convolutional network: there the claims are first tried on a half of the training
    images, and finite ink is measured where more of its claims hold. In colour a pixel is all of its channels.

    Where things stand anywhere, a pixel means one thing in one image and another in the next; that is said before
    the picture is written. Then ask for the evidence of one image: patches of it are blanked and inked at random,
    and what they say is tried by changing them together, against as much other ink: `backquery evidence mnist
    --image my-three.png -o three.png`

    With --json: rate, smallest, seed, caution (a sentence, or null), evidence, a list of question, labels, images,
    measure (slope or path), trial (held and claims of each measure that was tried), pixels (how many of each
    verdict), likeness (the correlation of the sensitivities with the label's own images), agreement (how far
    images agree on what a pixel means, 1 wholly, 0 not at all), caution, held and claims (how many claims held, of
    how many) and interventions, a list of region, action, claim (1 up, -1 down, 0 hardly, or null), images, ink
    (full pixels moved in each image), change, low, high (the mean change of the log-odds and its 95 % interval),
    size, size_high (its mean absolute value, and the interval's upper end), limit (what counts as hardly), held
    (true, false, or null where nothing was claimed or could be tested); controls, a list of name, likeness, held
    and claims (of its own), borrowed_held and borrowed_claims (of its regions, tried on this network); left_out,
    output, arrays. With --image: rate, smallest, seed, image, evidence, a list of question, labels, read (what the
    network reads), log_odds, pixels (of the ink and of the paper, how many of each verdict), held, claims and
    trials, a list of region, action, claim, pixels, ink, limit, change, read (what it reads then), others, low,
    high (the mean change by as much other ink, and the middle 95 % of a hundred draws), beyond (the share of them
    that went less far) and held; output, arrays. With --show-code also code.
    """
    from backquery.cli.noted import about, about_data, noted_pictures
    from backquery.cli.progress import bar
    from backquery.cli.source import load_for_halves, load_for_images
    from backquery.evidence import caution, image_evidence, measure_evidence
    from backquery.plots import evidence_maps, image_evidence_maps

    check_outputs(output, arrays)
    found: Sequence[Evidence] | Sequence[ImageEvidence]
    if image is not None and data is None:
        network = load_for_images(model, scale)
        notes = about(model, network)
        inputs = noted_pictures(notes, network, [image], "inputs", ink=reading.ink)
        found = ones = [
            notes(
                f"evidence{number}", image_evidence, network, inputs, one,
                between=between, rate=rate, smallest=smallest, rng=seed,
            )
            for number, one in enumerate(label or (None,), start=1)
        ]  # fmt: skip
        left_out: list[str] = []
        told: dict[str, Any] = {"image": image}
        picture, parts = (
            notes("figure", image_evidence_maps, ones, network),
            _of_image(image, ones, network.classes),
        )
    elif data is not None and image is None:
        network, dataset = load_for_halves(model, data, test, seed, reading, scale)
        notes = about_data(model, network, data, test, reading, dataset, seed=seed)
        with bar("measuring") as progress:
            found = means = notes(
                "evidence", measure_evidence, network, dataset.train, label,
                between=between, held_out=dataset.test, rate=rate, smallest=smallest, images=images, rng=seed,
                progress=progress,
            )  # fmt: skip
        if means[0].why:
            say(means[0].why)
        if mind := caution(means):
            say(f"{mind}, with --image")
        compared, left_out = _controls(network, dataset, means, images, seed) if controls else ((), [])
        told = {"caution": mind or None, "controls": [one.as_json() for one in compared], "left_out": left_out}
        picture = notes("figure", evidence_maps, means, network.input_shape)
        parts = [_table(means), "", *_summary(means, compared)]
    else:
        raise UsageError("give either DATA, whose images are measured, or --image with one picture.")
    save_picture(picture, output, notes)
    if arrays is not None:
        save_arrays(arrays, **_maps(found))
    results = [one.as_json(network.classes) for one in found]
    written = {"output": output, "arrays": arrays}
    give(
        as_json,
        {"rate": rate, "smallest": smallest, "seed": seed, "evidence": results, **told, **written},
        *parts,
        notes=[f"left out: {reason}" for reason in left_out],
        wrote=[output, arrays],
        code=notes if show_code else None,
    )


def _of_image(image: Path, found: Sequence[ImageEvidence], classes: Sequence[str]) -> list[Drawing | str]:
    """What is read in the picture, and what came of changing it."""
    from backquery.model import name_read

    held, claims = sum(one.held for one in found), sum(len(one.claims) for one in found)
    last = f"{held} of {claims} claims held when the image was changed"
    return [f"{image}: read as {name_read(classes, found[0].read)}", _trial_table(found, classes), "", last]


def _trial_table(found: Sequence[ImageEvidence], classes: Sequence[str]) -> Drawing:
    """What was changed for each claim in a row, and what came of it."""
    headings = ["<for", "<", ">pixels", ">log-odds", ">as much other ink", "<then reads", ">claimed"]
    rows = [_trial_cells(one, each, classes) for one in found for each in one.claims]
    return table(headings, rows, gap=2, whole=(0, 1))


def _trial_cells(one: ImageEvidence, trial: Trial, classes: Sequence[str]) -> list[str]:
    from backquery.model import name_read

    assert trial.read is not None
    claimed = {1: "up", -1: "down", 0: "hardly"}[trial.claim]
    return [
        one.question,
        f"{trial.region}, {trial.action}",
        f"{trial.pixels}",
        f"{trial.change:+.2f}",
        f"{trial.others:+.2f} ({trial.low:+.2f} to {trial.high:+.2f})",
        name_read(classes, trial.read),
        f"{claimed}{'' if trial.held else ' ✗'}",
    ]


def _maps(found: Sequence[Evidence | ImageEvidence]) -> dict[str, Any]:
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
    from backquery.cli.progress import bar
    from backquery.evidence import control_evidence

    left_out: list[str] = []
    with bar("training the controls") as progress:
        controls = control_evidence(
            network, dataset, found, images=images, rng=seed, left_out=left_out, progress=progress
        )
    return controls, left_out
