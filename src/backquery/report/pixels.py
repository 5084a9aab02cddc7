"""Which pixels the network relies on: evidence for each label, and small regions that alone decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backquery.audit import CLEAN, LIMITS, MEANINGS, VERDICTS, Finding, find_shortcuts
from backquery.audit.search import IMAGES as AUDIT_IMAGES
from backquery.evidence import (
    ControlEvidence,
    Evidence,
    ImageEvidence,
    Intervention,
    Trial,
    caution,
    control_evidence,
    held_of,
    image_evidence,
    mean_likeness,
    measure_evidence,
)
from backquery.evidence.interventions import TAKEN
from backquery.evidence.measure import IMAGES
from backquery.model import ink_of, labels_read, name_read
from backquery.plots import audit_rows, evidence_colours, evidence_maps, strongest_effect
from backquery.plots.evidence import INDIFFERENT, drawn, reach_of, sign_of
from backquery.plots.paper import AGAINST, SUPPORTS
from backquery.report.markup import Html, joined, lead, paragraph, table, tag
from backquery.report.pictures import in_python, pixels, tile, tiles
from backquery.report.subject import Step, Subject

QUICK_IMAGES, QUICK_AUDIT = 100, 150
MOST_READ = 500
"""Test images among which one of each label is looked for."""

SHARES = ("changed", "elsewhere", "usual", "others")
"""The columns of an audit that a clean label leaves empty: beside it a share would be read as a finding."""

LINE, NAMES, WIDTH = 13, 92, 190
"""The chart of a label's claims, in its own units."""


def evidence(subject: Subject, step: Step) -> Html:
    """For each label the mean image, the verdict on each pixel, and what came of testing it."""
    notes = subject.noted()
    found = notes(
        "found", measure_evidence, subject.model, subject.dataset.train,
        held_out=subject.test, rng=subject.seed, progress=step,
        images=QUICK_IMAGES if subject.quick else IMAGES,
    )  # fmt: skip
    one, say, ink = found[0], subject.say, subject.ink
    held, claims = held_of(each for every in found for each in every.interventions)
    strongest, reach = strongest_effect(found), reach_of(found)
    told = say(
        "evidence.lead", held=held, claims=claims, ink=ink, Ink=ink.capitalize(), smallest=one.smallest,
        rate=one.rate, images=max(every.images for every in found),
    )  # fmt: skip
    mind = caution(found)
    cards = [_card(subject, every, strongest, reach) for every in found]
    controls = () if subject.quick or subject.network is None else _controls(subject, found)
    warning = paragraph(tag("b", say("evidence.mind")), say("evidence.mind.below", caution=mind))
    return subject.reading(
        "evidence",
        lead(told),
        warning if mind else Html(""),
        _legend(subject),
        tag("div", *cards, class_="cards"),
        in_python(say, notes, evidence_maps, found, subject.model.input_shape),
        _single(subject) if mind else Html(""),
        _control_table(subject, found, controls) if controls else Html(""),
        ink=ink,
    )


def shortcuts(subject: Subject, step: Step) -> Html:
    """The most suspicious small region for each label, and what pasting it does to other images."""
    images = QUICK_AUDIT if subject.quick else AUDIT_IMAGES
    notes = subject.noted()
    found = notes(
        "found", find_shortcuts, subject.model, subject.test, images=images, rng=subject.seed, progress=step
    )
    say, phrase, worst = subject.say, subject.words.phrase, found.worst
    if worst.verdict == CLEAN:  # a share beside that would be read as a finding
        told = say("audit.lead.clean", labels=len(found.findings))
    else:
        told = say(
            "audit.lead", summary=found.summary, label=subject.classes[worst.label], pixels=len(worst.region),
            changed=float(worst.changed.value), verdict=phrase(worst.verdict),
        )  # fmt: skip
    named = [
        say("audit.named", Verdict=phrase(verdict).capitalize(), meaning=phrase(MEANINGS[verdict]),
            labels=say("beside").join(labels))
        for verdict in reversed(VERDICTS[1:]) if (labels := found.labels(verdict))
    ]  # fmt: skip
    rows = [_finding_row(subject, one) for one in found.findings]
    shares = () if all(one.verdict == CLEAN for one in found.findings) else SHARES
    right = [one.performance or 0.0 for one in found.references]
    caption = say(
        "audit.caption" if shares else "audit.caption.clean",
        compared=found.compared,
        networks=len(right),
        low=min(right),
        high=max(right),
    )
    columns = ("label", "verdict", "pixels", *shares)
    return subject.reading(
        "audit",
        *map(lead, (told, *named)),
        table([say(f"audit.{name}") for name in columns], rows, caption),
        tiles(_example(subject, one) for one in found.findings),
        in_python(say, notes, audit_rows, found, subject.model),
        limits=phrase(LIMITS),
    )


def _single(subject: Subject) -> Html:
    """For each label the first test image that is read as such, and what its own pixels mean."""
    read = labels_read(subject.model, subject.model.scale(subject.test.images[:MOST_READ]))
    places = [np.flatnonzero(read == label)[:1] for label in range(subject.model.outputs)]
    inputs = subject.model.scale(subject.test.images[np.concatenate(places)])
    found = [image_evidence(subject.model, x, rng=subject.seed) for x in inputs]
    strongest = strongest_effect(found)
    return joined(
        [
            paragraph(subject.say("evidence.single.colour" if subject.coloured else "evidence.single")),
            tag("div", *(_single_card(subject, one, strongest) for one in found), class_="cards"),
        ]
    )


def _single_card(subject: Subject, one: ImageEvidence, strongest: float) -> Html:
    image = pixels(subject.picture(one.ink), subject.say("evidence.single.alt", label=one.question))
    alt = subject.say("evidence.single.marks", label=one.question)
    colours = pixels(evidence_colours(one, subject.model.input_shape, strongest), alt)
    held = subject.say("evidence.held", held=one.held, claims=len(one.claims))
    taken = [each for each in one.claims if (each.region, each.action) == ("support", TAKEN)]
    return tag(
        "figure",
        tag("h3", one.question),
        tag("div", image, colours, class_="pair"),
        tag("figcaption", subject.say("apart").join([held, *(_without(subject, each) for each in taken)])),
        class_="card",
    )


def _without(subject: Subject, taken: Trial) -> str:
    return subject.say(
        "evidence.without", pixels=taken.pixels, change=taken.change, others=taken.others, ink=subject.ink
    )


def _card(subject: Subject, one: Evidence, strongest: float, reach: float) -> Html:
    say = subject.say
    mean = pixels(subject.picture(np.clip(one.mean_ink, 0, 1)), say("evidence.mean", label=one.question))
    alt = say("evidence.alt", label=one.question, ink=subject.ink, **one.counts)
    colours = pixels(evidence_colours(one, subject.model.input_shape, strongest), alt)
    return tag(
        "figure",
        tag("h3", one.question),
        tag("div", mean, colours, class_="pair"),
        _claims(subject, one, reach),
        tag("figcaption", say("evidence.held", held=one.held, claims=len(one.claims))),
        class_="card",
    )


def _claims(subject: Subject, one: Evidence, reach: float) -> Html:
    """The mean change that each intervention made, with its interval, as a small drawing."""
    claims = drawn(one)
    height = LINE * len(claims) + 14
    zero = _across(0.0, reach)
    lines = [part for place, each in enumerate(claims) for part in _claim(subject, each, place, reach)]
    axis = tag("line", x1=zero, x2=zero, y1=0, y2=LINE * len(claims), class_="axis")
    ends = (
        tag("text", subject.words.figure(f"{value:+.1f}") if value else "0", x=_across(value, reach), y=height - 3,
            text_anchor="middle", class_="faint")
        for value in (-0.8 * reach, 0.0, 0.8 * reach)
    )  # fmt: skip
    alt = subject.say(
        "evidence.changes", claims=subject.say("apart").join(_in_words(subject, each) for each in claims)
    )
    box = f"0 0 {NAMES + WIDTH} {height}"
    return tag("svg", axis, *lines, *ends, viewBox=box, role="img", aria_label=alt)


def _claim(subject: Subject, one: Intervention, place: int, reach: float) -> list[Html]:
    y = LINE * (place + 0.5)
    region = subject.words.phrase(one.region)
    name = subject.say("evidence.row", region=region, sign=sign_of(one), ink=subject.ink)
    parts = [tag("text", name, x=NAMES - 6, y=y + 3, text_anchor="end")]
    if one.tested is None:
        return [
            *parts,
            tag("text", subject.say("evidence.few"), x=_across(0.0, reach) + 4, y=y + 3, class_="faint"),
        ]
    if one.claim == 0 and one.limit is not None:
        low, high = _across(0.0, reach), _across(min(one.limit, reach), reach)
        parts.append(tag("rect", x=low, y=y - 4, width=round(high - low, 2), height=8, class_="band"))
    middle, low, high = (_across(value, reach) for value in one.tested)
    parts.append(tag("line", x1=low, x2=high, y1=y, y2=y, stroke_width=1.4, class_=one.region))
    fallen = "" if one.held else " fallen"
    parts.append(tag("circle", cx=middle, cy=y, r=2.4, class_=one.region + fallen))
    return parts


def _across(value: float, reach: float) -> float:
    return round(NAMES + WIDTH * (0.5 + 0.5 * value / reach), 2)


def _in_words(subject: Subject, one: Intervention) -> str:
    say, phrase = subject.say, subject.words.phrase
    what = {"region": phrase(one.region), "action": phrase(one.action)}
    if one.tested is None:
        return say("evidence.few.alt", **what)
    held = say("evidence.yes" if one.held else "evidence.no")
    kind = "evidence.size" if one.claim == 0 else "evidence.moved"
    return say(kind, **what, value=float(one.tested.value), held=held)


def _legend(subject: Subject) -> Html:
    say, ink = subject.say, subject.ink
    names = (
        (SUPPORTS, say("evidence.supports", ink=ink)),
        (AGAINST, say("evidence.against", ink=ink)),
        (INDIFFERENT, say("evidence.neutral", ink=ink)),
        ("#fff", say("evidence.unclear.colour" if subject.coloured else "evidence.unclear")),
    )
    return tag("ul", *(tag("li", tag("i", style=f"background: {colour}"), name) for colour, name in names),
               class_="legend")  # fmt: skip


def _controls(subject: Subject, found: Sequence[Evidence]) -> tuple[ControlEvidence, ...]:
    assert subject.network is not None
    return control_evidence(subject.network, subject.dataset, found, rng=subject.seed)


def _control_table(subject: Subject, found: Sequence[Evidence], controls: Sequence[ControlEvidence]) -> Html:
    say, words = subject.say, subject.words
    rows = [
        [say("evidence.this"), _own(found), "", f"{mean_likeness(found):.2f}"],
        *(
            [
                words.phrase(one.name),
                _own(one.evidence),
                "{} of {}".format(*one.borrowed_held),
                f"{one.likeness:.2f}",
            ]
            for one in controls
        ),
    ]
    columns = ["", *(say(f"evidence.{name}") for name in ("own", "tried", "likeness"))]
    told = [[name, *map(words.figure, figures)] for name, *figures in rows]
    return table(columns, told, say("evidence.controls"))


def _own(found: Sequence[Evidence]) -> str:
    """How many of these networks' own claims held."""
    return "{} of {}".format(*held_of(each for one in found for each in one.interventions))


def _finding_row(subject: Subject, one: Finding) -> list[str]:
    """A row of the table; of a clean label without the shares."""
    cells = [subject.classes[one.label], subject.words.phrase(one.verdict), f"{len(one.region)}"]
    if one.verdict == CLEAN:
        return cells
    changed, elsewhere = ("{:.0%} ({:.0%} to {:.0%})".format(*share) for share in (one.changed, one.elsewhere))
    others = f"{one.references.max(initial=0.0):.0%}"
    return [*cells, *map(subject.words.figure, (changed, elsewhere, f"{one.usual:.0%}", others))]


def _example(subject: Subject, one: Finding) -> Html:
    """An image that bears the region, which is framed."""
    truth, read = subject.classes[one.truth], name_read(subject.classes, one.read)
    picture = subject.picture(ink_of(subject.model, one.after[None])[0])
    told = {"truth": truth, "label": subject.classes[one.label], "read": read}
    alt = subject.say("audit.alt", **told)
    rows, columns = picture.shape[:2]
    frame = (
        f"left: {100 * one.box.left / columns:.2f}%; top: {100 * one.box.top / rows:.2f}%; "
        f"width: {100 * one.box.width / columns:.2f}%; height: {100 * one.box.height / rows:.2f}%"
    )
    kind = f"framed {one.verdict}{' coloured' if subject.coloured else ''}"
    inner = tag("div", pixels(picture, alt), tag("i", style=frame), class_=kind)
    return tile(inner, subject.say("audit.tile" if one.read == one.label else "audit.tile.still", **told))
