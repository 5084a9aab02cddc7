"""What the network is, how it learned, and how well it reads."""

from __future__ import annotations

import numpy as np

from backquery.model import about_in_words, facts_in_words, name_read
from backquery.plots import learning_curves
from backquery.plots.paper import as_picture
from backquery.report.markup import Html, facts, items, joined, lead, paragraph, reading, table, tag
from backquery.report.pictures import pixels, plotted, tile, tiles
from backquery.report.subject import Step, Subject
from backquery.training import History

MISTAKES = 20
WIDEST_TABLE = 40
"""Above this number of labels only the worst confusions are listed."""


def what_it_is(subject: Subject, step: Step) -> Html:
    """The network's layers, what it takes and answers, and how it came to be."""
    rows = {"model": subject.source, **facts_in_words(subject.model)}
    told = [(name, words) for name, words in about_in_words(subject.model).items() if name != "history"]
    origin = facts(told) if told else paragraph("The file does not say how it was trained.")
    return joined([facts(rows.items()), tag("h3", "How it came to be"), origin])


def learning(subject: Subject, step: Step) -> Html | str:
    """The learning curve, where the file keeps it."""
    about = {} if subject.network is None else subject.network.about
    history = History.of_brief(about.get("history"), str(about.get("kernel", "unknown")))
    if history is None:
        return "The model's file keeps no history of its training; those written by backquery train do."
    last = history.epochs[-1]
    tested = "" if last.test_accuracy is None else f", and {last.test_accuracy:.2%} of the test images"
    alt = f"Curves by epoch: at the end {last.train_accuracy:.2%} of the training images are read rightly{tested}."
    return reading(
        plotted(learning_curves(history), alt),
        shows="the share of right answers and the loss after each epoch. Training images are judged on the way, "
        "just before the network learns from them.",
        hides="whether the network learned what it was meant to learn: a shortcut gives as good a curve.",
    )


def confusions(subject: Subject, step: Step) -> Html:
    """The confusion matrix and the mistakes that the network is surest of."""
    found = subject.evaluation
    right = round(found.performance * found.images)
    told = f"{found.performance:.2%} right: {right:,} of {found.images:,} test images."
    if subject.held_out:
        told += " The data have no test half: these were held out now, and the network may have learned from them."
    if parting := subject.dataset.parting:
        told += f" The data have no test half: these are {parting}."
    matrix = _matrix(subject) if len(subject.classes) <= WIDEST_TABLE else Html("")
    worst = [
        f"{subject.classes[truth]} read as {subject.classes[read]}: {count:,}"
        for truth, read, count in found.worst_confusions()
    ]
    return reading(
        lead(told),
        matrix,
        *([tag("h3", "Most frequent mistakes"), items(worst)] if worst else []),
        *_mistakes(subject),
        shows="which labels the network takes for which, counted on images that it is tested on, and the mistakes "
        "that it is surest of.",
        hides="why. Look whether a mistake would be one for you as well: some images bear a doubtful label.",
    )


def _matrix(subject: Subject) -> Html:
    confusion = subject.evaluation.confusion
    most = max(int((confusion - np.diag(np.diag(confusion))).max()), 1)
    rows = [
        [name, *(_count(int(number), truth == read, most) for read, number in enumerate(confusion[truth]))]
        for truth, name in enumerate(subject.classes)
    ]
    caption = "Rows are the truth, columns what was read; mistakes are shaded by their number."
    return table(["", *subject.classes], rows, caption, kind="confusion")


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
        image = pixels(picture, f"A test image of {truth}, which the network reads as {taken}")
        found.append(tile(image, f"{truth} read as {taken}, {answers[place]:.2f}"))
    return [tag("h3", "Surest mistakes"), tiles(found)]
