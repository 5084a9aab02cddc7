"""Which pixels the network relies on: evidence for each label, and small regions that alone decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backquery.audit import LIMITS, Finding, find_shortcuts
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
from backquery.report.markup import Html, joined, lead, paragraph, reading, table, tag
from backquery.report.pictures import in_python, pixels, tile, tiles
from backquery.report.subject import Step, Subject

QUICK_IMAGES, QUICK_AUDIT = 100, 150
MOST_READ = 500
"""Test images among which one of each label is looked for."""

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
    one = found[0]
    held, claims = held_of(each for every in found for each in every.interventions)
    strongest, reach = strongest_effect(found), reach_of(found)
    ink = subject.ink
    told = (
        f"{held} of {claims} claims held when {ink} was added and taken on held-out images. {ink.capitalize()} at "
        f"a pixel matters where full {ink} changes the label's log-odds by {one.smallest:g} or more, at a "
        f"false-discovery rate of {one.rate:.0%}; each label was judged on "
        f"{max(every.images for every in found):,} images at most."
    )
    mind = caution(found)
    cards = [_card(subject, every, strongest, reach) for every in found]
    controls = () if subject.quick or subject.network is None else _controls(subject, found)
    return reading(
        lead(told),
        paragraph(tag("b", "Mind: "), f"{mind}, as below.") if mind else Html(""),
        _legend(subject),
        tag("div", *cards, class_="cards"),
        in_python(notes, evidence_maps, found, subject.model.input_shape),
        _single(subject) if mind else Html(""),
        _control_table(found, controls) if controls else Html(""),
        shows=f"where {ink} makes this network surer of the label, and where less, on average over real images, "
        "and whether that held on images that had no part in it. The lines give the mean change of the log-odds "
        "with its 95 % interval, and of insensitive pixels its mean size; a hollow dot is a claim that did not "
        "hold; the band is what counts as hardly any change. Paler colours are weaker effects.",
        hides="how pixels work together, nor what one image owes its label to: a stroke may matter where no "
        "single pixel does.",
    )


def shortcuts(subject: Subject, step: Step) -> Html:
    """The most suspicious small region for each label, and what pasting it does to other images."""
    images = QUICK_AUDIT if subject.quick else AUDIT_IMAGES
    notes = subject.noted()
    found = notes(
        "found", find_shortcuts, subject.model, subject.test, images=images, rng=subject.seed, progress=step
    )
    told = " ".join([f"{found.summary}.", *found.named])
    caption = (
        "Images of other labels that are read as the label once the region is pasted on them, with the 95 % "
        "interval; the same at random places; what the best such region usually does for the other labels; and "
        f"the most that another network reads so. {found.compared}."
    )
    rows = [_finding_row(subject, one) for one in found.findings]
    columns = ["label", "pixels", "changed", "at random places", "usual", "others", "verdict"]
    return reading(
        lead(told),
        table(columns, rows, caption),
        tiles(_example(subject, one) for one in found.findings),
        in_python(notes, audit_rows, found, subject.model),
        shows="the small region that most changes what is read, framed on an image that bears it, and for how "
        "many images it does; where it turned none, the image is still read as what it is. A mark that alone "
        "decides is a shortcut, or a backdoor.",
        hides=f"that all is well. {LIMITS}",
    )


def _single(subject: Subject) -> Html:
    """For each label the first test image that is read as such, and what its own pixels mean."""
    read = labels_read(subject.model.query(subject.model.scale(subject.test.images[:MOST_READ])))
    places = [np.flatnonzero(read == label)[:1] for label in range(subject.model.outputs)]
    inputs = subject.model.scale(subject.test.images[np.concatenate(places)])
    found = [image_evidence(subject.model, x, rng=subject.seed) for x in inputs]
    strongest, own = strongest_effect(found), "light and dark" if subject.coloured else "ink and paper"
    return joined(
        [
            paragraph(f"The same of one image for each label, whose own {own} were changed."),
            tag("div", *(_single_card(subject, one, strongest) for one in found), class_="cards"),
        ]
    )


def _single_card(subject: Subject, one: ImageEvidence, strongest: float) -> Html:
    image = pixels(subject.picture(one.ink), f"A test image that is read as {one.question}")
    alt = f"Which of its pixels support {one.question}, and which speak against it"
    colours = pixels(evidence_colours(one, subject.model.input_shape, strongest), alt)
    held = f"{one.held} of {len(one.claims)} claims held"
    taken = [each for each in one.claims if (each.region, each.action) == ("support", TAKEN)]
    return tag(
        "figure",
        tag("h3", one.question),
        tag("div", image, colours, class_="pair"),
        tag("figcaption", "; ".join([held, *(_without(each, subject.ink) for each in taken)])),
        class_="card",
    )


def _without(taken: Trial, ink: str) -> str:
    return (
        f"without {taken.pixels} supporting pixels the log-odds change by {taken.change:+.1f}, without as much "
        f"other {ink} by {taken.others:+.1f}"
    )


def _card(subject: Subject, one: Evidence, strongest: float, reach: float) -> Html:
    mean = pixels(subject.picture(np.clip(one.mean_ink, 0, 1)), f"The mean image of {one.question}")
    counts = one.counts
    alt = (
        f"For {one.question}, {subject.ink} supports at {counts['support']} pixels, "
        f"speaks against at {counts['against']}, does not matter at {counts['insensitive']}; "
        f"{counts['unclear']} are unclear"
    )
    colours = pixels(evidence_colours(one, subject.model.input_shape, strongest), alt)
    return tag(
        "figure",
        tag("h3", one.question),
        tag("div", mean, colours, class_="pair"),
        _claims(one, reach, subject.ink),
        tag("figcaption", f"{one.held} of {len(one.claims)} claims held"),
        class_="card",
    )


def _claims(one: Evidence, reach: float, ink: str) -> Html:
    """The mean change that each intervention made, with its interval, as a small drawing."""
    claims = drawn(one)
    height = LINE * len(claims) + 14
    zero = _across(0.0, reach)
    lines = [part for place, each in enumerate(claims) for part in _claim(each, place, reach, ink)]
    axis = tag("line", x1=zero, x2=zero, y1=0, y2=LINE * len(claims), class_="axis")
    ends = (
        tag("text", f"{value:+.1f}" if value else "0", x=_across(value, reach), y=height - 3, text_anchor="middle",
            class_="faint")
        for value in (-0.8 * reach, 0.0, 0.8 * reach)
    )  # fmt: skip
    alt = f"Mean changes of the log-odds: {'; '.join(map(_in_words, claims))}"
    box = f"0 0 {NAMES + WIDTH} {height}"
    return tag("svg", axis, *lines, *ends, viewBox=box, role="img", aria_label=alt)


def _claim(one: Intervention, place: int, reach: float, ink: str) -> list[Html]:
    y = LINE * (place + 0.5)
    parts = [tag("text", f"{one.region}, {sign_of(one)} {ink}", x=NAMES - 6, y=y + 3, text_anchor="end")]
    if one.tested is None:
        return [*parts, tag("text", "too few images", x=_across(0.0, reach) + 4, y=y + 3, class_="faint")]
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


def _in_words(one: Intervention) -> str:
    if one.tested is None:
        return f"{one.region}, {one.action}: too few images"
    moved = f"a size of {one.tested.value:.2f}" if one.claim == 0 else f"{one.tested.value:+.2f}"
    return f"{one.region}, {one.action}: {moved}, {'held' if one.held else 'did not hold'}"


def _legend(subject: Subject) -> Html:
    names = (
        (SUPPORTS, f"{subject.ink} supports the label"),
        (AGAINST, f"{subject.ink} speaks against it"),
        (INDIFFERENT, f"{subject.ink} does not matter"),
        ("#fff", f"unclear, or never {'any light' if subject.coloured else 'inked'}"),
    )
    return tag("ul", *(tag("li", tag("i", style=f"background: {colour}"), name) for colour, name in names),
               class_="legend")  # fmt: skip


def _controls(subject: Subject, found: Sequence[Evidence]) -> tuple[ControlEvidence, ...]:
    assert subject.network is not None
    return control_evidence(subject.network, subject.dataset, found, rng=subject.seed)


def _control_table(found: Sequence[Evidence], controls: Sequence[ControlEvidence]) -> Html:
    rows = [
        ["this network", _own(found), "", f"{mean_likeness(found):.2f}"],
        *(
            [one.name, _own(one.evidence), "{} of {}".format(*one.borrowed_held), f"{one.likeness:.2f}"]
            for one in controls
        ),
    ]
    caption = (
        "Controls: networks that learned nothing, or the wrong thing. Of their regions' claims, tried on this "
        "network, up to half hold by luck; likeness is the correlation of the sensitivities with the label's "
        "own images."
    )
    return table(["", "own claims held", "tried here", "likeness"], rows, caption)


def _own(found: Sequence[Evidence]) -> str:
    """How many of these networks' own claims held."""
    return "{} of {}".format(*held_of(each for one in found for each in one.interventions))


def _finding_row(subject: Subject, one: Finding) -> list[str]:
    changed, elsewhere = ("{:.0%} ({:.0%} to {:.0%})".format(*share) for share in (one.changed, one.elsewhere))
    others = f"{one.references.max(initial=0.0):.0%}"
    shares = changed, elsewhere, f"{one.usual:.0%}", others
    return [subject.classes[one.label], f"{len(one.region)}", *shares, one.verdict]


def _example(subject: Subject, one: Finding) -> Html:
    """An image that bears the region, which is framed."""
    truth, read = subject.classes[one.truth], name_read(subject.classes, one.read)
    picture = subject.picture(ink_of(subject.model, one.after[None])[0])
    alt = f"An image of {truth} with the region for {subject.classes[one.label]}; the network reads {read}"
    rows, columns = picture.shape[:2]
    frame = (
        f"left: {100 * one.box.left / columns:.2f}%; top: {100 * one.box.top / rows:.2f}%; "
        f"width: {100 * one.box.width / columns:.2f}%; height: {100 * one.box.height / rows:.2f}%"
    )
    kind = f"framed {one.verdict}{' coloured' if subject.coloured else ''}"
    inner = tag("div", pixels(picture, alt), tag("i", style=frame), class_=kind)
    still = "" if one.read == one.label else "still "
    return tile(inner, f"for {subject.classes[one.label]}: {truth}, {still}read as {read}")
