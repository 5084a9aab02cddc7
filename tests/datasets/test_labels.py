"""Labels as people have them become classes of what is there, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.datasets.labels import class_names, classes_of, label_positions, labels_from_array, labels_from_text
from backquery.errors import AssumptionWarning, DataError


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([2, 1, 0, 3, 0]), tuple("0123")),
        (np.array([7, 2, 1, 0, 4]), tuple("01247")),
        (np.array([1, 2, 3, 2]), ("1", "2", "3")),
        (np.array([1, 1]), ("1",)),
        (np.array([1, -1, 1]), ("-1", "1")),
        (np.arange(74, 64, -1), tuple(map(str, range(65, 75)))),
        (np.array([0, 10**9]), ("0", "1000000000")),
        (np.array(["10", "9", "b", "a"]), ("9", "10", "a", "b")),
    ],
)
def test_class_names(labels: np.ndarray, names: tuple[str, ...]) -> None:
    assert class_names(labels) == names
    positions = label_positions(labels, names)
    assert [names[position] for position in positions] == [str(label) for label in labels]


def test_a_number_that_only_the_test_half_has_is_a_class_and_a_name_is_not() -> None:
    assert classes_of([np.array([0, 2]), np.array([1, 2])]) == ("0", "1", "2")
    assert classes_of([np.array(["a", "c"]), np.array(["b"])]) == ("a", "c")


def test_numbers_are_positions_where_no_class_is_a_number() -> None:
    assert label_positions(np.array([2, 0]), ("shirt", "bag", "shoe")).tolist() == [2, 0]
    with pytest.raises(DataError, match="labels without a class: 3; the classes are shirt, bag, shoe"):
        label_positions(np.array([3]), ("shirt", "bag", "shoe"))


def test_too_many_labels_and_none_are_refused() -> None:
    with pytest.raises(DataError, match="1001 different labels; 1000 classes are allowed"):
        class_names(np.arange(1001))
    with pytest.raises(DataError, match="there are no labels"):
        class_names(np.zeros(0, int))


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["5", "05", "5.0", "+5"], [5, 5, 5, 5]),
        (["-1", "1."], [-1, 1]),
        (["5.000000000000000000e+00", "1e1"], [5, 10]),
        (["9", "A", " f "], ["9", "A", "f"]),
        (["New York", "Ж"], ["New York", "Ж"]),
    ],
)
def test_labels_in_texts(texts: list[str], labels: list[object]) -> None:
    assert labels_from_text(np.array(texts), "x").tolist() == labels


@pytest.mark.parametrize("wrong", ["", "nan", "0.5", "1e-3", "-inf"])
def test_texts_that_are_no_labels(wrong: str) -> None:
    with pytest.raises(DataError, match=f"x: {wrong!r} is not a label"):
        labels_from_text(np.array(["7", "b", wrong]), "x")


@pytest.mark.parametrize(
    ("array", "labels"),
    [
        (np.array([[3], [1]], np.uint8), [3, 1]),
        (np.array([[3, 1, 2]]), [3, 1, 2]),
        (np.array([2.0, 0.0], np.float32), [2, 0]),
        (np.array([b"cat", b"dog"]), ["cat", "dog"]),
        (np.array([True, False]), ["True", "False"]),
        (np.eye(4, dtype=np.float32)[[2, 0, 3]], [2, 0, 3]),
        (np.eye(2, dtype=bool), [0, 1]),
    ],
)
def test_labels_in_arrays(array: np.ndarray, labels: list[object]) -> None:
    assert labels_from_array(array, "x").tolist() == labels


def test_rows_of_shares_are_taken_for_their_highest_and_said() -> None:
    with pytest.warns(AssumptionWarning, match="each image has 3 numbers, and the place of the highest"):
        labels = labels_from_array(np.array([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1]]), "x")
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    "array", [np.array([0.5]), np.array([np.nan]), np.zeros((2, 2, 2)), np.full((2, 3), np.nan)]
)
def test_arrays_that_are_no_labels(array: np.ndarray) -> None:
    with pytest.raises(DataError, match="x must be one label for each image"):
        labels_from_array(array, "x")


def test_numbers_that_may_count_from_one_are_said() -> None:
    with pytest.warns(AssumptionWarning, match="numbers from 1, .* counted from 0"):
        assert label_positions(np.array([1, 2]), ("a", "b", "c")).tolist() == [1, 2]
