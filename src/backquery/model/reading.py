"""Which label answers read as: the strongest one's, and none at all where an answer is not a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backquery.errors import ModelError
from backquery.model.aliases import Array, Labels

UNREAD = -1
"""Stands for a label where answers are not finite: such an image is not read, least of all as the first label."""


def labels_read(answers: Array) -> Labels:
    """The label (n,) of the strongest of answers (n, outputs); `UNREAD` where they are not all finite."""
    finite = np.isfinite(answers).all(axis=1)
    return np.where(finite, np.argmax(answers, axis=1), UNREAD).astype(np.int64)


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
