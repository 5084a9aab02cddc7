"""What the network is, how it learned, and how well it reads."""

from __future__ import annotations

import numpy as np

from backquery.model import about_in_words, facts_in_words, name_read
from backquery.plots import learning_curves
from backquery.plots.paper import as_picture
from backquery.report.markup import Html, facts, items, joined, lead, paragraph, table, tag
from backquery.report.pictures import pixels, plotted, tile, tiles
from backquery.report.subject import Step, Subject
from backquery.training import History

MISTAKES = 20
WIDEST_TABLE = 40
"""Above this number of labels only the worst confusions are listed."""


def what_it_is(subject: Subject, step: Step) -> Html:
    """The network's layers, what it takes and answers, and how it came to be."""
    say, phrase, drawn = subject.say, subject.words.phrase, subject.words.drawn
    rows = {say("network.model"): subject.source}
    rows |= {
        phrase(name): words if name == "labels" else drawn(words)
        for name, words in facts_in_words(subject.model).items()
    }
    told = [
        (phrase(name), phrase(words)) for name, words in about_in_words(subject.model).items() if name != "history"
    ]
    origin = facts(told) if told else paragraph(say("network.unknown"))
    return joined([facts(rows.items()), tag("h3", say("network.origin")), origin])


def learning(subject: Subject, step: Step) -> Html | str:
    """The learning curve, where the file keeps it."""
    about = {} if subject.network is None else subject.network.about
    history = History.of_brief(about.get("history"), str(about.get("kernel", "unknown")))
    if history is None:
        return subject.say("learning.none")
    last = history.epochs[-1]
    key = "learning.alt" if last.test_accuracy is None else "learning.alt.tested"
    alt = subject.say(key, trained=last.train_accuracy, tested=last.test_accuracy)
    return subject.reading("learning", plotted(subject, learning_curves(history), alt))


def confusions(subject: Subject, step: Step) -> Html:
    """The confusion matrix and the mistakes that the network is surest of."""
    found, say = subject.evaluation, subject.say
    right = round(found.performance * found.images)
    told = say("confusions.lead", share=found.performance, right=right, images=found.images)
    if subject.held_out:
        told += f" {say('confusions.held-out')}"
    if (seed := subject.dataset.parted_by) is not None:
        told += f" {say('confusions.parted', seed=seed)}"
    matrix = _matrix(subject) if len(subject.classes) <= WIDEST_TABLE else Html("")
    worst = [
        say("confusions.mistake", truth=subject.classes[truth], read=subject.classes[read], count=count)
        for truth, read, count in found.worst_confusions()
    ]
    return subject.reading(
        "confusions",
        lead(told),
        matrix,
        *([tag("h3", say("confusions.worst")), items(worst)] if worst else []),
        *_mistakes(subject),
    )


def _matrix(subject: Subject) -> Html:
    confusion = subject.evaluation.confusion
    most = max(int((confusion - np.diag(np.diag(confusion))).max()), 1)
    rows = [
        [name, *(_count(int(number), truth == read, most) for read, number in enumerate(confusion[truth]))]
        for truth, name in enumerate(subject.classes)
    ]
    return table(["", *subject.classes], rows, subject.say("confusions.caption"), kind="confusion")


def _count(number: int, right: bool, most: int) -> Html:
    if right or not number:
        return tag("td", f"{number}" if number else "·", class_="right" if right else None)
    shade = round(10 + 45 * number / most)
    style = f"background: color-mix(in srgb, var(--text) {shade}%, var(--page))"
    light = "; color: var(--page)" if shade > 40 else ""
    return tag("td", f"{number}", style=style + light)


def _mistakes(subject: Subject) -> list[Html]:
    """The images that are read wrongly with the strongest answers."""
    test, read = subject.test, subject.evaluation.read
    wrong = np.flatnonzero(read != test.labels[: len(read)])
    if not len(wrong):
        return []
    answers = subject.model.query(subject.model.scale(test.images[wrong])).max(axis=1)
    surest = np.argsort(-answers, kind="stable")[:MISTAKES]
    found = []
    for place in surest:
        position = wrong[place]
        truth, taken = subject.classes[test.labels[position]], name_read(subject.classes, read[position])
        picture = as_picture(subject.model.scale(test.images[position][None])[0], subject.model)
        image = pixels(picture, subject.say("confusions.surest.alt", truth=truth, read=taken))
        answer = float(answers[place])
        found.append(tile(image, subject.say("confusions.surest.caption", truth=truth, read=taken, answer=answer)))
    return [tag("h3", subject.say("confusions.surest")), tiles(found)]
