"""What an annotation allows, in code and in words, and that errors of the call's own stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike, NDArray

from backquery.errors import ModelError, TargetError
from backquery.model.declared import declared, fits, in_words


@pytest.mark.parametrize(
    ("kind", "words", "right", "wrong"),
    [
        (int, "a whole number", [1, np.int64(2)], [1.5, True, "1", 10**30]),
        (float, "a number", [1, 1.5, np.float32(2)], [True, "0.1", None, 10**30]),
        (bool, "True or False", [True], [1, None]),
        (str, "a text", ["x"], [b"x", 1]),
        (int | None, "a whole number or None", [None, 3], ["3"]),
        (Literal["a", 1], "one of 'a', 1", ["a", 1], ["b", None]),
        (ArrayLike, "an array of numbers", [1, [1, 2], np.ones(2)], ["x", [[1], [1, 2]], None]),
        (NDArray[Any], "an array of numbers", [np.ones(2)], [[1, 2], "x"]),
        (DTypeLike, "float32 or float64", ["f4", np.float64], ["int8", "x", 1]),
        (Sequence[int], "a list of a whole number", [[1], (), range(2)], ["12", 1, [1.5]]),
        (tuple[str, str], "a list of a text", [("a", "b")], [("a",), ("a", 1)]),
        (Mapping[str, float], "a mapping", [{}], [[], "x"]),
        (Callable[[int], None], "a function", [print], [1, None]),
        (Any, "a Any", [None], []),
    ],
)  # fmt: skip
def test_what_an_annotation_allows(kind: Any, words: str, right: list[Any], wrong: list[Any]) -> None:
    assert all(fits(value, kind) for value in right)
    assert not any(fits(value, kind) for value in wrong)
    assert in_words(kind) == words or kind is Any


@declared(ModelError)
def halved(number: float, *, how: str = "down") -> float:
    """Half of a number."""
    if how == "refused":
        raise TargetError("refused")
    if how == "broken":
        raise ValueError("a fault of its own")
    return number / 2


def test_only_what_does_not_fit_is_declared() -> None:
    assert halved(3) == 1.5
    with pytest.raises(ModelError, match="number is a number; received 'x'"):
        halved("x")  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="refused"):
        halved(1, how="refused")
    with pytest.raises(ValueError, match="a fault of its own"):
        halved(1, how="broken")
    with pytest.raises(TypeError, match="unexpected keyword"):
        halved(1, when=2)  # type: ignore[call-arg]
