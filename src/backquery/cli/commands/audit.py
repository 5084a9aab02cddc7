"""``backquery audit``: small regions that alone decide what the network reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, Model, ShowCode, TestHalf, also_drawn, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, check_outputs, give, save_picture, say, table
from backquery.errors import DataError

if TYPE_CHECKING:
    from backquery.audit import ColourOrShape, Finding
    from backquery.datasets import Split
    from backquery.model import Model as LoadedModel

SHORTCUT_FOUND = 3
"""The exit code where a label has a shortcut."""

STANDARDISED = (
    "this model standardises each pixel by itself: one that is hardly ever inked counts more than the others, and "
    "may be a shortcut that nobody planted"
)

Picture = Annotated[Path | None, also_drawn("the regions")]
Images = Annotated[
    int,
    Parameter(help="Images to search on, and as many others to test what was found.", validator=Number(gte=20)),
]
Exchange = Annotated[
    bool,
    Parameter(
        negative="",
        help="The images may bear the trigger: ask natural findings again of references that cannot know it.",
    ),
]
SeedNumber = Annotated[int, decides("which images are drawn")]


def audit(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture = None,
    images: Images = 400,
    exchange: Exchange = False,
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> int:
    """Look for shortcuts: small regions that turn images of all other labels into one label.

    For each label, the region of up to 5 % of the image that does so most is sought on some images of the test
    half, and tried on others. It is a shortcut if it turns at least half of them, clearly more than the best
    regions of its size and filling (ink, paper or both) do for the other labels, and for this network only: small
    references, which learn the labels in seconds from the images of the search, read the others too. What they
    read as well is natural, a feature of the data; what comes near a shortcut is suspicious. Only small regions
    are found: clean is no proof that there is no shortcut of another kind. For example: `backquery audit mnist
    mnist -o audit.png`

    The table gives shares for all labels but clean ones, where they would be read as a finding; --json gives all.

    Where the images may bear the trigger themselves, references have learned it too. With --exchange each natural
    finding is asked again of references that learned from images with each other's pixels in the region; they
    cannot know what is natural there either, so that more is accused.

    Of a model that takes colours it is also asked whether colour or shape counts more: images are given the
    colours of another label's images, and the shapes, and it is counted how often the answer stays.

    The exit code is 3 if a label has a shortcut; natural and suspicious labels do not change it. A model that
    reads no better than the most common label's name would is refused: there is nothing to audit.

    With --json: performance (on the images used), images, shortcuts, suspicious and natural (lists of labels),
    references (of each the share of images that it reads rightly), findings, a list of label, verdict (clean,
    natural, suspicious, shortcut), region (top, left, height, width of its frame; inputs, the positions of its
    pixels; ink, true or false for each), images (those it was tried on), changed (value, low, high: the share then
    read as the label, and its 95 % interval), elsewhere (the same at random places), usual (the median, plus one
    deviation, of what the best regions of its size and filling do for the other labels), excess (changed low less
    usual), references (the share that each reads as the label), margin (changed less the largest of these),
    exchanged (whether they could not know it); colour_or_shape (null for grey: verdict, which is colour, shape or
    neither; images; log_odds before; for other_colours, other_shape, same_colours and grey kept, log_odds and
    followed, as value, low, high; followed is null where no other label came in); seed; output (path, or null).
    With --show-code also code.
    """
    from backquery.audit import BORNE, LIMITS, NATURAL, find_shortcuts
    from backquery.cli.noted import about_data
    from backquery.cli.progress import bar
    from backquery.cli.source import images_to_test, load_for_data
    from backquery.model import Layout
    from backquery.plots import audit_rows

    check_outputs(output)
    network, dataset = load_for_data(model, data, test, reading, scale)
    split = images_to_test(dataset, "the audit draws from all its {}")
    layout = Layout.of(network.input_shape)
    if network.scaling is not None and not network.scaling.alike(layout):
        say(STANDARDISED)
    notes = about_data(model, network, data, test, reading, dataset)
    with bar("searching") as progress:
        found = notes(
            "found", find_shortcuts, network, split, images=images, rng=seed, exchange=exchange, progress=progress
        )
    colours = _colour_or_shape(network, split, images, seed) if layout.channels == 3 else None
    if output is not None:
        save_picture(notes("figure", audit_rows, found, network), output, notes)
    headings = ("<label", "<verdict", ">region", ">pixels", ">changed", ">usual", ">others", ">elsewhere")
    rows = [_cells(finding, found.classes[finding.label]) for finding in found.findings]
    findings = table(
        headings[: max(map(len, rows))],
        rows,
        bold=[finding.verdict in ("suspicious", "shortcut") for finding in found.findings],
    )
    told: list[Drawing | str] = [] if colours is None else ["", _swaps(colours), "", f"{colours.summary}."]
    answer = {**found.as_json(), "colour_or_shape": colours and colours.as_json(), "seed": seed, "output": output}
    code = notes if show_code else None
    borne = [BORNE] if found.labels(NATURAL) and not exchange else []
    told = ["", f"{found.summary}.", *found.named, f"{found.compared}.", *borne, LIMITS, *told]
    give(as_json, answer, findings, *told, wrote=[output], code=code)
    return SHORTCUT_FOUND if found.shortcuts else 0


def _colour_or_shape(model: LoadedModel, images: Split, most: int, seed: int) -> ColourOrShape | None:
    """What an exchange of colours and of shapes does; None, which is said, where too few are read rightly."""
    from backquery.audit import colour_or_shape

    try:
        return colour_or_shape(model, images, images=most, rng=seed)
    except DataError as error:
        say(f"colour or shape is not asked: {error}")
        return None


def _swaps(found: ColourOrShape) -> Drawing:
    swaps = {
        "colours of another label": found.other_colours,
        "shape of another label": found.other_shape,
        "colours of its own label": found.same_colours,
        "grey": found.grey,
    }
    rows = []
    for name, swap in swaps.items():
        kept, odds = swap.kept, swap.log_odds
        followed = "" if swap.followed is None else f"{swap.followed.value:.1%}"
        shares = [f"{kept.value:.1%} ({kept.low:.0%} to {kept.high:.0%})", followed]
        rows.append([name, *shares, f"{odds.value:+.1f} ({odds.low:+.1f} to {odds.high:+.1f})"])
    before = f">log-odds, {found.log_odds.value:+.1f} before"
    return table(("<images are given", ">read as before", ">as the other", before), rows)


def _cells(finding: Finding, label: str) -> list[str]:
    """A row of the table; of a clean label it ends before the shares, which would be read as a finding."""
    box, changed = finding.box, finding.changed
    region = f"{box.height} x {box.width} at row {box.top}, column {box.left}"
    cells = [label, finding.verdict, region, str(len(finding.region))]
    if finding.verdict == "clean":
        return cells
    return [
        *cells,
        f"{changed.value:.1%} ({changed.low:.0%} to {changed.high:.0%})",
        f"{finding.usual:.1%}",
        f"{finding.references.max(initial=0.0):.1%}",
        f"{finding.elsewhere.value:.1%}",
    ]
