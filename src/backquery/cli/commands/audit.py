"""``backquery audit``: small regions that alone decide what the network reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, Model, TestHalf
from backquery.cli.terminal import count, print_json, save_picture, say, show

if TYPE_CHECKING:
    from rich.table import Table

    from backquery.audit import Audit, Finding

SHORTCUT_FOUND = 3
"""The exit code where a label has a shortcut."""

STANDARDISED = (
    "this model standardises each pixel by itself: one that is hardly ever inked counts more than the others, and "
    "may be a shortcut that nobody planted"
)

Picture = Annotated[
    Path | None, Parameter(name=["-o", "--output"], help="Also draw the regions: .png, .svg or .pdf.")
]
Images = Annotated[
    int,
    Parameter(help="Images to search on, and as many others to test what was found.", validator=Number(gte=20)),
]
SeedNumber = Annotated[int, Parameter(help="Decides which images are drawn.", validator=Number(gte=0))]


def audit(
    model: Model,
    data: Data,
    /,
    *,
    output: Picture = None,
    images: Images = 400,
    seed: SeedNumber = 0,
    test: TestHalf = None,
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
    from backquery.cli.matching import load_for_data
    from backquery.cli.progress import bar
    from backquery.files import check_writable
    from backquery.plots import audit_rows, check_picture_path

    if output is not None:
        check_writable(check_picture_path(output))
    network, dataset = load_for_data(model, data, test)
    split = dataset.test
    if split is None:
        say(f"{dataset.name} has no test half: the audit draws from all its {count(len(dataset.train), 'image')}")
        split = dataset.train
    if network.scaling is not None and not network.scaling.uniform:
        say(STANDARDISED)
    with bar("searching") as progress:
        found = find_shortcuts(network, split, images=images, rng=seed, progress=progress)
    if output is not None:
        save_picture(audit_rows(found, network), output)
    if as_json:
        print_json({**found.as_json(), "output": output and str(output)})
    else:
        show(_table(found), "", f"{found.summary}.", LIMITS)
        if output is not None:
            say(f"wrote {output}")
    return SHORTCUT_FOUND if found.shortcuts else 0


def _table(audit: Audit) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0))
    for name in ("label", "verdict", "region", "pixels", "changed", "usual", "elsewhere"):
        table.add_column(name, header_style="dim", justify="left" if name in ("label", "verdict") else "right")
    for finding in audit.findings:
        clean = finding.verdict == "clean"
        table.add_row(audit.classes[finding.label], *_cells(finding), style="" if clean else "bold")
    return table


def _cells(finding: Finding) -> list[str]:
    box, changed = finding.box, finding.changed
    return [
        finding.verdict,
        f"{box.height} x {box.width} at row {box.top}, column {box.left}",
        str(len(finding.region)),
        f"{changed.value:.1%} ({changed.low:.0%} to {changed.high:.0%})",
        f"{finding.usual:.1%}",
        f"{finding.elsewhere.value:.1%}",
    ]
