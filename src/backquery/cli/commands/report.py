"""``backquery report``: all that can be said about a network, in one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from backquery.cli.options import AsJson, Data, Model, ShowCode, TestHalf, decides, written
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import give, size_in_words

Page = Annotated[Path, written("The page: an .html file.")]
Quick = Annotated[
    bool, Parameter(negative="", help="Fewer images and repeats, and no training of judges and control networks.")
]
TimelineFile = Annotated[
    Path | None,
    Parameter(help="A file of backquery timeline --arrays: how the network came to see."),
]
Language = Annotated[
    Literal["en", "ru", "zh"],
    Parameter(
        help="The language of the page: English, Russian or Chinese; of plots too, where a font has its signs."
    ),
]
SeedNumber = Annotated[int, decides("what is drawn")]


def report(
    model: Model,
    data: Data,
    /,
    *,
    output: Page,
    quick: Quick = False,
    language: Language = "en",
    timeline: TimelineFile = None,
    seed: SeedNumber = 0,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Write one page that says what a network is, what it sees, what it relies on, and what each picture is worth.

    The page is a single file without scripts, which needs nothing from elsewhere and can be read without a
    network, sent and printed. A section that fails, or does not apply to the model, says so. For example:
    `backquery report mnist mnist -o report.html`

    With --json: output, sections (those that were made), left_out (for each section left out, why), bytes, seed.
    """
    from backquery.cli.noted import about_data
    from backquery.cli.progress import bar
    from backquery.cli.source import load_for_data
    from backquery.report import SECTIONS, Words, check_report_path, write_report

    check_report_path(output)
    network, dataset = load_for_data(model, data, test, reading, scale)
    notes = about_data(model, network, data, test, reading, dataset)
    with bar() as progress:
        left_out = notes(
            "", write_report, network, dataset, output,
            source=Path(model).name, quick=quick, timeline=timeline, rng=seed, progress=progress, notes=notes,
            language=language,
        )  # fmt: skip
    made = [key for key in SECTIONS if key not in left_out]
    size = output.stat().st_size
    give(
        as_json,
        {"output": output, "sections": made, "left_out": left_out, "bytes": size, "seed": seed},
        f"{len(made)} of {len(SECTIONS)} sections, {size_in_words(size)}",
        notes=[f"{Words(language).say(key)}: {reason}" for key, reason in left_out.items()],
        wrote=[output],
        code=notes if show_code else None,
    )
