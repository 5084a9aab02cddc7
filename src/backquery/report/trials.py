"""What the network endures, how it came to see, and what is needed to repeat the report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from backquery.experiments.damage import STAGES, WHAT, measure_damage
from backquery.experiments.endurance import Endurance
from backquery.plots import damage_curves, film_strip
from backquery.report.markup import Html, facts, joined, lead, paragraph, reading, table
from backquery.report.pictures import in_python, plotted
from backquery.report.subject import Step, Subject
from backquery.training.plan import MADE_BY

QUICK_REPEATS, REPEATS = 3, 20
PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib", "torch")


def losses(subject: Subject, step: Step) -> Html | str:
    """What can be removed before the network reads less well."""
    if subject.network is None:
        return "Damage is done to the weights of a chain of dense layers, which this model does not show."
    notes = subject.noted()
    found = notes(
        "found", measure_damage, subject.network, subject.dataset, rng=subject.seed, progress=step,
        what=("nodes",) if subject.quick and len(subject.network.layers) > 1 else WHAT,
        repeats=QUICK_REPEATS if subject.quick else REPEATS,
        stages=() if subject.quick else STAGES,
    )  # fmt: skip
    told = f"{found.endurances[0].sentence}."
    caption = (
        "What can be lost before one point of the performance is, and before half of it, with 95 % intervals: "
        "over the repeats of what is random, over the test images where the order is fixed."
    )
    rows = [
        [_kind(one), one.order, one.in_words(one.one_point()), one.in_words(one.half())]
        for one in found.endurances
    ]
    return reading(
        lead(told),
        table(["lost", "order", "until one point", "until half"], rows, caption),
        plotted(damage_curves(found), f"Curves of right answers against damage. {told}", kind="png"),
        in_python(notes, damage_curves, found),
        shows="how far learning is spread: where it is, what is lost at random costs little until much is gone. "
        "What is lost on purpose may cost more.",
        hides="which node knows what; a node that can be missed may still matter when another is missing too.",
    )


def growth(subject: Subject, step: Step) -> Html | str:
    """The scans at moments while the network learned."""
    if subject.timeline is None:
        return "No timeline was given; backquery timeline --arrays FILE.npz writes one, for --timeline FILE.npz."
    found = subject.timeline
    first, last = found.frames[0], found.frames[-1]
    told = f"From {first.performance:.1%} of the test images right to {last.performance:.1%}."
    return reading(
        lead(told),
        plotted(film_strip(found), f"Scans of each label at moments of the training. {told}", kind="png"),
        shows="what a network sees when it says each label, while it learns.",
        hides="that it is this very network: a timeline is a training of its own, with the same settings if you "
        "chose them so.",
    )


def colophon(subject: Subject, step: Step) -> Html:
    """Versions and seeds: what is needed to make the report again."""
    rows = [
        ("made by", f"{MADE_BY}, {'quick' if subject.quick else 'in full'}"),
        ("seed", f"{subject.seed}"),
        ("data", f"{subject.dataset.name}: {len(subject.dataset.train):,} images to train on, "
                 f"{len(subject.test):,} to test on"),
        ("Python", f"{platform.python_version()}, {platform.system()}, {platform.machine()}"),
        *((name, installed) for name in PACKAGES if (installed := _version(name))),
    ]  # fmt: skip
    note = "The same versions, data, seed and threads give the same figures, except where they name seconds."
    return joined([facts(rows), paragraph(note)])


def _kind(one: Endurance) -> str:
    return {
        "nodes": f"nodes of layer {one.layer}, of {one.total:,}",
        "weights": f"weights, of {one.total:,}",
        "noise": "noise, of the weights' spread",
    }[one.what]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
