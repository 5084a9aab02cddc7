"""The report, section by section: one that fails or does not apply says so, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from backquery.datasets import Dataset
from backquery.errors import BackqueryError, DataError, OutputError
from backquery.experiments.timeline import Timeline, load_timeline
from backquery.files import check_writable, replacing
from backquery.model import LabelledImages, Model, Progress, Seed, facts_in_words, seed_of
from backquery.notes import Notes
from backquery.plots.paper import pixels_mean
from backquery.report.markup import Html, joined, lead, paragraph
from backquery.report.page import Section, page
from backquery.report.pixels import evidence, shortcuts
from backquery.report.reading import confusions, learning, what_it_is
from backquery.report.scans import scans
from backquery.report.subject import Step, Subject
from backquery.report.trials import colophon, growth, losses
from backquery.report.words import ENGLISH, Language, Words

Make = Callable[[Subject, Step], Html | str]

BODIES: dict[str, Make] = {
    "network": what_it_is,
    "learning": learning,
    "confusions": confusions,
    "scans": scans,
    "evidence": evidence,
    "audit": shortcuts,
    "damage": losses,
    "timeline": growth,
    "colophon": colophon,
}

SECTIONS: dict[str, tuple[str, Make]] = {key: (ENGLISH.say(key), make) for key, make in BODIES.items()}
"""Every section by its anchor, in order: its title, and what makes its body, or says why there is none."""

BESIDE = "scans"
"""The section that takes longest, and draws with no library that is drawn with elsewhere."""


def write_report(
    model: Model,
    dataset: Dataset | LabelledImages,
    path: str | os.PathLike[str],
    *,
    source: str = "a network",
    quick: bool = False,
    timeline: str | os.PathLike[str] | None = None,
    rng: Seed = 0,
    progress: Progress | None = None,
    notes: Notes | None = None,
    language: Language = "en",
) -> dict[str, str]:
    """Write all that can be said about a model, tried on `dataset`, as one HTML file that needs nothing else.

    Without a test half, or of one half alone, a fifth of each label's images is held out: what the model did not
    learn from, where it tells that, or else by `rng`, which also decides what is drawn. `source` is what the
    model is called; `quick` takes fewer images and repeats and trains nothing; `timeline` is a file of
    `Timeline.save`. `progress` is told (sections done, sections in all, the title of the one that is being
    made). `notes` say how the model and the data are had in Python; pictures go on from them, and otherwise take
    both for granted, as `network` and `data`. `language` is what the page is told in; what only English has
    words for stays English, and the page says so.

    Returns, for each section that was left out, why. The file appears whole or not at all; `OutputError` says what
    kept it from being written. Images that the model cannot take are a `DataError`, and so is a timeline
    that cannot be read or is of other labels.
    """
    check_report_path(path)
    seed = seed_of(rng)
    dataset = Dataset.of(dataset, model)
    model.scale(dataset.train.images[:1])  # images of another size would leave next to nothing to report
    begun, halves = (notes or Notes()).continued(), dataset.with_test_half(seed)
    if dataset.test is None:
        begun.stands_for(dataset, "data")
        begun.note("data", halves, dataset.with_test_half, seed)
    kept = None if timeline is None else _timeline_of(model, Path(timeline))
    words = Words(language)
    subject = Subject(source, model, halves, dataset.test is None, quick, seed, kept, begun, words)
    tell: Progress = progress or (lambda done, total, what="": None)
    sections = _made(subject, tell)
    say = subject.say
    content = page(say("page", source=source), _lead(subject), sections, say("contents"), language)
    with replacing(path) as stream:
        stream.write(content.encode(errors="replace"))  # a file's name may hold what is no text
    return {one.key: one.failed for one in sections if one.failed is not None}


def _made(subject: Subject, tell: Progress) -> list[Section]:
    """All sections; the longest, which needs none of the others, is made beside them."""
    # A network of ours may be asked twice at the same time; of other models nobody knows.
    aside = BESIDE if subject.network is not None else None
    made: dict[str, Section | Future[Section]] = {}
    with ThreadPoolExecutor(1) as beside:
        if aside is not None:
            made[aside] = beside.submit(_section, subject, aside, BODIES[aside], lambda *told: None)
        for place, (key, (title, make)) in enumerate(SECTIONS.items()):
            tell(place, len(SECTIONS), title)
            if key != aside:
                made[key] = _section(subject, key, make, _step(tell, title, place))
    return [one.result() if isinstance(one := made[key], Future) else one for key in SECTIONS]


def check_report_path(path: str | os.PathLike[str]) -> None:
    """Raise `OutputError` unless a report can be written there."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"reports are written as .html; received {path}")
    check_writable(path)


def _timeline_of(model: Model, path: Path) -> Timeline:
    found = load_timeline(path)
    if found.classes != tuple(model.classes):
        raise DataError(f"{path.name} is a timeline of other labels: {', '.join(found.classes)}")
    return found


def _step(tell: Progress, title: str, place: int) -> Step:
    """How far a section is, as a part of the whole report."""
    return lambda done, total, what="": tell(place + done / total, len(SECTIONS), title)


def _section(subject: Subject, key: str, make: Make, step: Step) -> Section:
    """The section, or why it is missing."""
    title = subject.say(key)
    try:
        body = make(subject, step)
    except BackqueryError as error:
        return Section(key, title, Html(""), subject.say("left-out", reason=error))
    except Exception as error:  # anything that a user's own model may raise; the other sections are worth having
        told = subject.say("failed", kind=type(error).__name__, reason=error)
        return Section(key, title, Html(""), told)
    return Section(key, title, body) if isinstance(body, Html) else Section(key, title, Html(""), body)


def _lead(subject: Subject) -> Html:
    """What the whole report is about, in two sentences, and what of it is told in English alone."""
    told = lead(
        subject.say(
            "lead.colour" if subject.coloured else "lead",
            size=facts_in_words(subject.model)["input"],
            labels=len(subject.classes),
            data=subject.dataset.name,
            mean=subject.words.phrase(pixels_mean(subject.model)),
        )
    )
    english = subject.say("only-english")
    return joined([told, paragraph(english)]) if english else told
