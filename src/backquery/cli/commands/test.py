"""``backquery test``: performance, confusion matrix, worst confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backquery.cli.options import AsJson, Data, Model, TestHalf
from backquery.cli.terminal import confusion_table, count, print_json, say, show

if TYPE_CHECKING:
    from backquery.model.evaluation import Evaluation

WIDEST_TABLE = 26
"""Above this number of labels the whole matrix would not fit any terminal."""


def test(model: Model, data: Data, /, *, test: TestHalf = None, as_json: AsJson = False) -> None:
    """Put the test images to a network, and say how many it reads rightly and which it confuses.

    The test half is used, or all images where the data has only one half. For example: `backquery test mnist
    my_digits/`

    With --json: performance (share of right answers), images, confusion (rows are the truth, columns what was
    read), classes, and worst_confusions, a list of truth, read, images.
    """
    from backquery.cli.matching import load_for_data
    from backquery.model.evaluation import evaluate

    network, dataset = load_for_data(model, data, test)
    split = dataset.test
    if split is None:
        say(f"{dataset.name} has no test half: all its {count(len(dataset.train), 'image')} are put to the model")
        split = dataset.train
    evaluation = evaluate(network, split)
    if as_json:
        print_json(
            {
                **evaluation.as_json(),
                "classes": list(network.classes),
                "worst_confusions": [
                    {"truth": network.classes[truth], "read": network.classes[read], "images": images}
                    for truth, read, images in evaluation.worst_confusions()
                ],
            }
        )
        return
    _show(evaluation, network.classes)


def _show(evaluation: Evaluation, classes: tuple[str, ...]) -> None:
    right = round(evaluation.performance * evaluation.images)
    show(f"{evaluation.performance:.2%} right: {right:,} of {count(evaluation.images, 'image')}", "")
    if len(classes) <= WIDEST_TABLE:
        show(confusion_table(evaluation.confusion.tolist(), classes), "")
    else:
        say(f"the confusion matrix of {len(classes)} labels is too wide for a terminal; --json gives it")
    worst = evaluation.worst_confusions()
    if worst:
        show("worst confusions")
    for truth, read, images in worst:
        show(f"  {classes[truth]} read as {classes[read]}: {count(images, 'image')}")
