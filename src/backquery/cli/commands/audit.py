"""``backquery audit``: small regions that alone decide what the network reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, Model, TestHalf, also_drawn, decides
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import check_outputs, give, save_picture, say, table

if TYPE_CHECKING:
    from backquery.audit import Finding

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
SeedNumber = Annotated[int, decides("which images are drawn")]


def audit(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture = None,
    images: Images = 400,
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> int:
    """Look for shortcuts: small regions that turn images of all other labels into one label.

    For each label, the region of up to 5 % of the image that does so most is sought on some images of the test
    half, and tried on others. It is a shortcut if it turns at least half of them, and clearly more than the best
    regions of its size and filling (ink, paper or both) do for the other labels; it is suspicious if it comes near
    that. The images may bear the trigger themselves. Only small regions of full ink or blank paper are found:
    clean is no proof that there is no shortcut of another kind. For example: `backquery audit mnist mnist -o
    audit.png`

    The exit code is 3 if a label has a shortcut; suspicious labels do not change it.

    With --json: performance (on the images used), images, shortcuts and suspicious (lists of labels), findings, a
    list of label, verdict (clean, suspicious, shortcut), region (top, left, height, width of its frame; inputs,
    the positions of its pixels; ink, true or false for each), images (those it was tried on), changed (value, low,
    high: the share then read as the label, and its 95 % interval), elsewhere (the same at random places), usual
    (the median, plus one deviation, of what the best regions of its size and filling do for the other labels),
    excess (changed low less usual); output (path, or null).
    """
    from backquery.audit import LIMITS, find_shortcuts
    from backquery.cli.progress import bar
    from backquery.cli.source import images_to_test, load_for_data
    from backquery.plots import audit_rows

    check_outputs(output)
    network, dataset = load_for_data(model, data, test, reading, scale)
    split = images_to_test(dataset, "the audit draws from all its {}")
    if network.scaling is not None and not network.scaling.uniform:
        say(STANDARDISED)
    with bar("searching") as progress:
        found = find_shortcuts(network, split, images=images, rng=seed, progress=progress)
    if output is not None:
        save_picture(audit_rows(found, network), output)
    findings = table(
        ("<label", "<verdict", ">region", ">pixels", ">changed", ">usual", ">elsewhere"),
        [_cells(finding, found.classes[finding.label]) for finding in found.findings],
        bold=[finding.verdict != "clean" for finding in found.findings],
    )
    answer = {**found.as_json(), "output": output}
    give(as_json, answer, findings, "", f"{found.summary}.", LIMITS, wrote=[output])
    return SHORTCUT_FOUND if found.shortcuts else 0


def _cells(finding: Finding, label: str) -> list[str]:
    box, changed = finding.box, finding.changed
    return [
        label,
        finding.verdict,
        f"{box.height} x {box.width} at row {box.top}, column {box.left}",
        str(len(finding.region)),
        f"{changed.value:.1%} ({changed.low:.0%} to {changed.high:.0%})",
        f"{finding.usual:.1%}",
        f"{finding.elsewhere.value:.1%}",
    ]
