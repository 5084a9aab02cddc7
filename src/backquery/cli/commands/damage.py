"""``backquery damage``: what a network can lose before it reads less well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli import UsageError
from backquery.cli.options import AsJson, Data, Model, Picture, ShowCode, TestHalf, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import check_outputs, give, save_picture, say, table

if TYPE_CHECKING:
    from backquery.experiments.endurance import Endurance

What = Annotated[
    list[Literal["nodes", "weights", "noise"]] | None,
    Parameter(
        consume_multiple=True,
        negative="",
        help="nodes: hidden nodes are removed. weights: single weights are. noise: is added to all weights. By "
        "default all three; nodes alone is the quickest.",
    ),
]
Repeats = Annotated[int, Parameter(help="How often damage at random is done anew.", validator=Number(gte=2))]
Stages = Annotated[
    str, Parameter(help="At which shares of nodes removed, in per cent, the damaged network's scans are drawn.")
]
SeedNumber = Annotated[int, decides("what is damaged at random")]


def damage(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture,
    what: What = None,
    repeats: Repeats = 20,
    stages: Stages = "0,25,50,75,90",
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Damage a network more and more, and count what it still reads rightly.

    Hidden nodes are removed at random, the heaviest first, or those first that carry most evidence for the right
    label; single weights at random or the largest first; and noise is added to all weights. Beside the performance
    on the test half stands how many of the intact network's own scans are still read as asked. Intervals hold
    95 %. For example: `backquery damage mnist mnist -o damage.png`

    With --json: performance (of the intact network), classes, test_images, scans (how many), damages, a list of
    what, order (random, heaviest or evidence), layer (of the nodes, or null), total (how many there are), repeats,
    amounts (nodes or weights removed, or the noise's standard deviation as a share of the weights' own),
    performance and scans_read_as_asked (at each amount: value, low, high), performance_by_label (null for a
    label without test images), one_point and half (the amounts that can be lost before one point of the
    performance is, and before half of it: value, low, high; null where all that was tried costs less); stages, a
    list of removed, performance, read_as_asked, read_as_asked_by_the_intact and outcomes; seed, output; with
    --show-code also code.
    """
    from backquery.cli.noted import about_data
    from backquery.cli.progress import bar
    from backquery.cli.source import load_for_data
    from backquery.experiments.damage import WHAT, measure_damage
    from backquery.plots import damage_curves

    shares = _shares(stages)
    check_outputs(output)
    network, dataset = load_for_data(model, data, test, reading, scale)
    if dataset.test is None:
        say(f"{dataset.name} has no test half: performance is counted on the images it may have been trained on")
    notes = about_data(model, network, data, test, reading, dataset)
    with bar("damaging") as progress:
        found = notes(
            "found", measure_damage, network, dataset,
            what=what or WHAT, repeats=repeats, stages=shares, rng=seed, progress=progress,
        )  # fmt: skip
    save_picture(notes("figure", damage_curves, found), output, notes)
    endurances = table(
        ("<lost", "<order", ">until one point", ">until half", ">until half of the scans"),
        map(_cells, found.endurances),
    )
    sentences = [one.sentence for one in found.endurances if one.order == "random"]
    answer = {**found.as_json(), "seed": seed, "output": output}
    give(as_json, answer, *sentences, "", endurances, wrote=[output], code=notes if show_code else None)


def _cells(one: Endurance) -> list[str]:
    name = f"nodes of layer {one.layer}" if one.what == "nodes" else one.what
    return [name, one.order, *map(one.in_words, (one.one_point(), one.half(), one.until_unread(0.5)))]


def _shares(text: str) -> list[float]:
    """``"0,25,50"`` to ``[0.0, 0.25, 0.5]``."""
    try:
        shares = [float(word) / 100 for word in text.split(",") if word.strip()]
    except ValueError:
        shares = [-1.0]
    if not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"--stages takes percentages from 0 to 100, such as 0,25,50; received {text!r}")
    return shares
