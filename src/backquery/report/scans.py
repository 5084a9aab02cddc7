"""What the network sees when it says each label, by every method, with scores and controls."""

from __future__ import annotations

from backquery.faithfulness import Comparison, RealImages, Row, compare_methods, neighbour_judge
from backquery.model import name_read
from backquery.notes import Notes
from backquery.plots import comparison_table
from backquery.proofs import certify
from backquery.report.markup import Html, items, joined, lead, table, tag
from backquery.report.pictures import in_python, scan_tile, tiles
from backquery.report.subject import Step, Subject
from backquery.report.words import SPACE

CONTROLS = ("images", "network")
"""Kinds of rows that are no method."""


def scans(subject: Subject, step: Step) -> Html:
    """Every row of a comparison as tiles, after a table of all scores."""
    notes = subject.noted()
    found = _compared(subject, notes)
    methods = [_tiles(subject, found, row) for row in found.rows if row.kind == "method"]
    controls = [_tiles(subject, found, row) for row in found.rows if row.kind in CONTROLS]
    shown = subject.reading(
        "scans",
        _lead(subject, found),
        _scores(subject, found),
        *methods,
        in_python(subject.say, notes, comparison_table, found),
    )
    left_out = [tag("h3", subject.say("scans.left-out")), items(found.left_out)] if found.left_out else []
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


def _lead(subject: Subject, found: Comparison) -> Html:
    methods = [row for row in found.rows if row.kind == "method"]
    told = [
        subject.say("scans.row", read=row.read_as_asked, asked=len(row.asked), name=subject.words.phrase(row.name))
        for row in methods
    ]
    return lead(subject.say("scans.lead", rows=subject.say("apart").join(told)))


def _scores(subject: Subject, found: Comparison) -> Html:
    shown, words = found.columns, subject.words
    rows = [[words.phrase(row.name), *(words.figure(row.told[name]) for name in shown)] for row in found.rows]
    told = [
        subject.say("scans.caption"),
        _trust(subject, found),
        *map(words.phrase, found.meanings),
        *map(words.drawn, found.elsewhere),
        *([subject.say("scans.obeys")] if "obeys" in shown else []),
    ]
    return table(["", *map(words.phrase, shown)], rows, f"{subject.say('apart').join(told)}{subject.say('stop')}")


def _trust(subject: Subject, found: Comparison) -> str:
    """Each judge with its performance on real test images, and chance."""
    judges = []
    for one in found.judges:
        kind = ".untried" if one.performance is None else ".worthless" if one.worthless(found.chance) else ""
        name = subject.words.phrase(one.name)
        judges.append(subject.say(f"scans.judge{kind}", name=name, right=one.performance))
    return subject.say("scans.trust", judges=subject.say("apart").join(judges), chance=found.chance)


def _proved(subject: Subject, row: Row) -> list[str]:
    """For each image within how many grey levels all are read alike, where that is proved."""
    if row.kind != "method" or row.result is None:
        return [""] * len(row.asked)
    found = certify(subject.model, row.result)
    return [f" ±{SPACE}{found.brief(k)}" if found.certain[k] else "" for k in range(len(found))]


def _tiles(subject: Subject, found: Comparison, row: Row) -> Html:
    """The images of a row under its name."""
    named = subject.words.phrase(row.name)
    scanned, proved = [], _proved(subject, row)
    for ink, asked, read, radius in zip(row.ink, row.asked, row.read, proved, strict=True):
        name, taken = found.classes[asked], name_read(found.classes, read)
        alt = subject.say("scans.alt", name=named, asked=name, read=taken)
        caption = subject.say("scans.tile", asked=name, read=taken, radius=subject.words.figure(radius))
        scanned.append(scan_tile(subject.picture(ink), alt, caption, bool(asked == read)))
    return joined([tag("h3", subject.say(f"scans.{row.kind}", name=named)), tiles(scanned)])
