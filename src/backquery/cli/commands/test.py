"""``backquery test``: performance, confusion matrix, worst confusions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backquery.cli.options import AsJson, Data, Model, TestHalf
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import Drawing, confusion_table, count, give

if TYPE_CHECKING:
    from backquery.model import Evaluation

WIDEST_TABLE = 26
"""Above this number of labels the whole matrix would not fit any terminal."""


def test(
    model: Model,
    data: Data,
    /,
    *,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Put the test images to a network, and say how many it reads rightly and which it confuses.

    The test half is used. Of data without one, the images that were held out when the network learned from them,
    as its file tells, or else all: --test with the same data takes all in any case. For example: `backquery test
    mnist my_digits/`

    With --json: performance (share of right answers), images, unread (in how many nothing is read, so that they
    count as wrong), tied (in how many of those two labels tie), confusion (rows are the truth, columns what was
    read), classes, and worst_confusions, a list of truth, read, images.
    """
    from backquery.cli.source import images_to_test, load_for_data
    from backquery.model import evaluate

    network, dataset = load_for_data(model, data, test, reading, scale)
    found = evaluate(network, images_to_test(dataset, "all its {} are put to the model"))
    worst = [
        {"truth": network.classes[truth], "read": network.classes[read], "images": images}
        for truth, read, images in found.worst_confusions()
    ]
    answer = {**found.as_json(), "classes": network.classes, "worst_confusions": worst}
    wide = len(network.classes) > WIDEST_TABLE
    notes = [f"the confusion matrix of {len(network.classes)} labels is too wide for a terminal; --json gives it"]
    give(as_json, answer, *_told(found, network.classes, wide), notes=notes if wide else [])


def _told(found: Evaluation, classes: tuple[str, ...], wide: bool) -> Iterator[str | Drawing]:
    right = round(found.performance * found.images)
    unread = f", {found.unread:,} unread" if found.unread else ""
    yield from (f"{found.performance:.2%} right: {right:,} of {count(found.images, 'image')}{unread}", "")
    if not wide:
        yield from (confusion_table(found.confusion.tolist(), classes), "")
    worst = found.worst_confusions()
    if worst:
        yield "worst confusions"
    for truth, read, images in worst:
        yield f"  {classes[truth]} read as {classes[read]}: {count(images, 'image')}"
