"""What the network endures, how it came to see, and what is needed to repeat the report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from backquery.experiments.damage import STAGES, WHAT, measure_damage
from backquery.experiments.endurance import Endurance
from backquery.plots import damage_curves, film_strip
from backquery.report.markup import Html, facts, joined, lead, paragraph, table
from backquery.report.pictures import in_python, plotted
from backquery.report.subject import Step, Subject
from backquery.training.plan import MADE_BY

QUICK_REPEATS, REPEATS = 10, 20
"""Of three the interval of a mean would be as wide as the plot."""
PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib", "torch")


def losses(subject: Subject, step: Step) -> Html | str:
    """What can be removed before the network reads less well."""
    if subject.network is None:
        return subject.say("damage.none")
    notes = subject.noted()
    found = notes(
        "found", measure_damage, subject.network, subject.dataset, rng=subject.seed, progress=step,
        what=("nodes",) if subject.quick and len(subject.network.layers) > 1 else WHAT,
        repeats=QUICK_REPEATS if subject.quick else REPEATS,
        stages=() if subject.quick else STAGES,
    )  # fmt: skip
    say, words, first = subject.say, subject.words, found.endurances[0]
    rows = [
        [
            _kind(subject, one),
            words.phrase(one.order),
            words.figure(one.in_words(one.one_point())),
            words.figure(one.in_words(one.half())),
        ]
        for one in found.endurances
    ]
    told = say(
        "damage.lead" if first.what == "nodes" else "damage.lead.other",
        sentence=first.sentence, point=rows[0][2], half=rows[0][3], total=first.total, layer=first.layer,
        intact=first.intact,
    )  # fmt: skip
    columns = [say(f"damage.{name}") for name in ("lost", "order", "point", "half")]
    return subject.reading(
        "damage",
        lead(told),
        table(columns, rows, say("damage.caption")),
        plotted(subject, damage_curves(found), say("damage.alt", lead=told), kind="png"),
        in_python(say, notes, damage_curves, found),
    )


def growth(subject: Subject, step: Step) -> Html | str:
    """The scans at moments while the network learned."""
    if subject.timeline is None:
        return subject.say("timeline.none")
    found = subject.timeline
    first, last = found.frames[0], found.frames[-1]
    told = subject.say("timeline.lead", first=first.performance, last=last.performance)
    alt = subject.say("timeline.alt", lead=told)
    return subject.reading("timeline", lead(told), plotted(subject, film_strip(found), alt, kind="png"))


def colophon(subject: Subject, step: Step) -> Html:
    """Versions and seeds: what is needed to make the report again."""
    say, data = subject.say, subject.dataset
    rows = [
        (say("colophon.made"), say("colophon.quick" if subject.quick else "colophon.full", program=MADE_BY)),
        (say("colophon.seed"), f"{subject.seed}"),
        (say("colophon.data"),
         say("colophon.images", name=data.name, train=len(data.train), test=len(subject.test))),
        ("Python", f"{platform.python_version()}, {platform.system()}, {platform.machine()}"),
        *((name, installed) for name in PACKAGES if (installed := _version(name))),
    ]  # fmt: skip
    return joined([facts(rows), paragraph(say("colophon.note"))])


def _kind(subject: Subject, one: Endurance) -> str:
    return subject.say(f"damage.{one.what}", layer=one.layer, total=one.total)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
