"""What a model file keeps of its training."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from backquery.training import History
from backquery.training.history import EpochRecord

BRIEF = {
    "epoch": 1, "loss": 0.5, "train_accuracy": 0.9, "test_accuracy": None, "learning_rate": 0.1,
}  # fmt: skip


def test_a_history_is_kept_briefly_and_read_back() -> None:
    records = tuple(EpochRecord(k, 1 / k, 0.5, None if k % 2 else 0.25, 2.0, 0.1) for k in range(1, 251))
    brief = History("numpy", records).brief()
    assert len(brief) == 84
    assert [one["epoch"] for one in brief[-2:]] == [247, 250]
    again = History.of_brief(json.loads(json.dumps(brief)), "numpy")
    assert again == History("numpy", tuple(replace(record, seconds=0.0) for record in records[::-3][::-1]))
    assert [one["epoch"] for one in History("numpy", records[:3]).brief()] == [1, 2, 3]


@pytest.mark.parametrize(
    "records",
    [
        None,
        3,
        "epochs",
        [],
        {"epoch": 1},
        [{"epoch": 1}],
        [[1, 2]],
        [BRIEF | {"loss": "<b>"}],
        [BRIEF | {"loss": float("nan")}],
        [BRIEF | {"epoch": None}],
        [BRIEF | {"more": 1}],
        [BRIEF | {"seconds": 1.0}],
    ],
)
def test_what_is_no_history_is_none(records: Any) -> None:
    assert History.of_brief([BRIEF]) is not None
    assert History.of_brief(records) is None
