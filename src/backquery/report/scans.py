"""What the network sees when it says each label, by every method, with scores and controls."""

from __future__ import annotations

from backquery.faithfulness import Comparison, RealImages, Row, compare_methods, neighbour_judge
from backquery.model import name_read
from backquery.notes import Notes
from backquery.plots import comparison_table
from backquery.proofs import certify
from backquery.report.markup import Html, items, joined, lead, reading, table, tag
from backquery.report.pictures import in_python, scan_tile, tiles
from backquery.report.subject import Step, Subject

CONTROLS = {"images": "Control images", "network": "Control network"}


def scans(subject: Subject, step: Step) -> Html:
    """Every row of a comparison as tiles, after a table of all scores."""
    notes = subject.noted()
    found = _compared(subject, notes)
    methods = [_tiles(subject, found, row, "By ") for row in found.rows if row.kind == "method"]
    controls = [
        _tiles(subject, found, row, f"{CONTROLS[row.kind]}: ") for row in found.rows if row.kind in CONTROLS
    ]
    shown = reading(
        _lead(found),
        _scores(found),
        *methods,
        in_python(notes, comparison_table, found),
        shows="what is enough for this network to answer so. A dashed frame and a cross mark an image that the "
        "network itself does not read as the label asked for. The judges are other classifiers, which never saw a "
        "scan; the controls say what a score is worth. What stands after ± is proved: every image that differs in "
        "no pixel by more than so many of 255 grey levels is read alike.",
        hides="all that the network looks at, nor what such a thing is. What it does not care about is drawn by "
        "the prior, which is what all training images have in common (one mean and covariance, or a mixture of "
        "several), or mere smoothness.",
    )
    left_out = [tag("h3", "Left out"), items(found.left_out)] if found.left_out else []
    return joined([shown, *controls, *left_out])


def _compared(subject: Subject, notes: Notes) -> Comparison:
    """With all judges and controls, or, where time is short, with the nearest neighbours for the only judge."""
    if not subject.quick:
        return notes("found", compare_methods, subject.model, subject.dataset, rng=subject.seed)
    train = subject.dataset.train
    real = notes("real", RealImages, train.images, train.labels, subject.dataset.maximum)
    judge = notes("judge", neighbour_judge, real, subject.dataset.test)
    return notes(
        "found", compare_methods, subject.model, subject.dataset,
        judges=[judge], controls=False, confidences=False, rng=subject.seed,
    )  # fmt: skip


def _lead(found: Comparison) -> Html:
    methods = [row for row in found.rows if row.kind == "method"]
    told = [f"{row.read_as_asked} of {len(row.asked)} by {row.name}" for row in methods]
    return lead(f"Images that the network reads as the label asked for: {'; '.join(told)}.")


def _scores(found: Comparison) -> Html:
    shown = found.columns
    rows = [[row.name, *(row.told[name] for name in shown)] for row in found.rows]
    told = [
        "Read as asked: by the network itself; then how many each judge reads as expected",
        found.trust,
        *found.meanings,
        *found.elsewhere,
        *(["obeys: how often the answer follows the confidence asked for"] if "obeys" in shown else []),
    ]
    return table(["", *shown], rows, f"{'; '.join(told)}.")


def _proved(subject: Subject, row: Row) -> list[str]:
    """For each image within how many grey levels all are read alike, where that is proved."""
    if row.kind != "method" or row.result is None:
        return [""] * len(row.asked)
    found = certify(subject.model, row.result)
    return [f" ± {found.brief(k)}" if found.certain[k] else "" for k in range(len(found))]


def _tiles(subject: Subject, found: Comparison, row: Row, kind: str) -> Html:
    """The images of a row under its name."""
    scanned, proved = [], _proved(subject, row)
    for ink, asked, read, radius in zip(row.ink, row.asked, row.read, proved, strict=True):
        name, taken = found.classes[asked], name_read(found.classes, read)
        alt = f"{row.name}, asked for {name}; the network reads {taken}"
        scanned.append(scan_tile(subject.picture(ink), alt, f"{name}: reads {taken}{radius}", bool(asked == read)))
    return joined([tag("h3", f"{kind}{row.name}"), tiles(scanned)])
