"""Which label a model reads in an image: the one way in which its answers become a label, for all that is counted.

The strongest answer's label is read, and none where there is no such thing: where an answer is not a number, and
where two labels tie. Answers are compared by their logits, which do not saturate: two sigmoids that round to 1 tie
for want of digits only, in one dtype and not in the other. What a ReLU at the outputs cuts off is no answer,
however, so that its zeros tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backquery.errors import ModelError
from backquery.model.activations import Activation
from backquery.model.aliases import Array, Labels
from backquery.model.scaling import as_inputs, refuse_raw

if TYPE_CHECKING:
    from backquery.model.protocol import Model

UNREAD = -1
"""Stands for a label where none is read, least of all the first: answers are not finite, or two labels tie."""


def labels_read(model: Model, inputs: Array) -> Labels:
    """The labels (n,) that a model reads in inputs (n, inputs); `UNREAD` where it reads none."""
    refuse_raw(as_inputs(inputs, model.input_shape, inputs.dtype), model.scaling)
    return strongest_labels(strengths_of(model.output_activation, model.logits(inputs)))


def strengths_of(output: Activation, logits: Array) -> Array:
    """What decides between labels, of a model's logits of any shape, with this activation of its outputs."""
    return output.function(logits) if output.leak == 0 else logits


def strongest_labels(strengths: Array) -> Labels:
    """The label (n,) of the strongest of each row of `strengths` (n, outputs).

    `UNREAD` where not all are finite, or two tie.
    """
    best = np.argmax(strengths, axis=1)
    equal = strengths == strengths[np.arange(len(strengths)), best][:, None]
    # Counted over all rows, each of which has one at least: that there is no tie anywhere is soon seen.
    if np.count_nonzero(equal) != len(strengths) or not np.isfinite(strengths).all():
        alone = (np.count_nonzero(equal, axis=1) == 1) & np.isfinite(strengths).all(axis=1)
        best = np.where(alone, best, UNREAD)
    return np.asarray(best, np.int64)


def name_read(classes: Sequence[str], read: int) -> str:
    """The name of a label that was read; ``"unread"`` where there is none."""
    return "unread" if read == UNREAD else classes[read]


def finite_answer(answers: Array) -> Array:
    """The answers to one image, (outputs,); `ModelError` where they are not finite: nothing is read then."""
    if not np.all(np.isfinite(answers)):
        raise ModelError(
            "the answers to this image are not finite, so that nothing can be read in it; look for a division by "
            "zero or an overflow in the model"
        )
    return answers
