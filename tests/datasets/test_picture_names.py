"""Labels in the names of pictures: what repeats, never what counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from backquery.datasets.picture_names import labels_in_names
from backquery.errors import AssumptionWarning, DataError


def found(names: Sequence[str]) -> list[str]:
    return labels_in_names([Path("folder", f"{name}.png") for name in names])


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["2828_my_own_2", "2828_my_own_3", "2828_my_own_10"], ["2", "3", "10"]),
        ([f"2828_my_own_{k}" for k in range(2, 6)] + ["2828_my_own_noisy_6"], list("23456")),
        (["cat.12", "cat.13", "dog.12", "dog.14"], ["cat", "cat", "dog", "dog"]),
        ([f"{kind}.{k}" for kind in ("cat", "dog") for k in range(50)], ["cat"] * 50 + ["dog"] * 50),
        ([f"{k % 10}_{k:04}" for k in range(40)], [str(k % 10) for k in range(40)]),
        ([f"{k:04}_{k % 10}" for k in range(40)], [str(k % 10) for k in range(40)]),
        ([f"img_{k % 10}_{k:04}" for k in range(40)], [str(k % 10) for k in range(40)]),
        ([f"scan {k}-{'ab'[k % 2]}" for k in range(40)], [*"ab"] * 20),
        (["seven", "eight"], ["seven", "eight"]),
        (["my_own_3"], ["3"]),
    ],
)
def test_labels(names: list[str], labels: list[str]) -> None:
    assert found(names) == labels


@pytest.mark.parametrize(
    "names",
    [
        [f"img_{k:04}" for k in range(1, 30)],
        [f"img_{k}" for k in range(12)],
        ["DSC_2041", "DSC_2044", "DSC_2093"],
        ["01", "02", "03"],
        ["picture_"],
    ],
)
def test_numbers_that_count_pictures_are_no_labels(names: list[str]) -> None:
    with pytest.raises(DataError, match=r"no label before the extension; .* a folder named after its class"):
        found(names)


def test_one_picture_of_each_digit_is_taken_and_said() -> None:
    with pytest.warns(
        AssumptionWarning, match="the number that each name ends in was taken for its label, like 0"
    ):
        assert found([f"digit{k}" for k in range(10)]) == list("0123456789")


@pytest.mark.parametrize(
    ("names", "labels", "said"),
    [
        (["a_x", "a_y", "b_x", "b_y"], list("xyxy"), "'x' was taken for the label in 'a_x.png', though 'a' might"),
        ([f"{who}_{k}" for who in ("ann", "bob") for k in range(10)], 2 * list("0123456789"), "'0' was .* 'ann'"),
    ],
)
def test_two_places_that_might_be_labels_are_said(names: list[str], labels: list[str], said: str) -> None:
    with pytest.warns(AssumptionWarning, match=said):
        assert found(names) == labels
