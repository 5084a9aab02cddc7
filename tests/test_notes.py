"""Notes of calls: the lines give again what the calls gave, and what cannot be written is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import Network, Scaling, back_query
from backquery.datasets import prepare_image
from backquery.datasets.options import Reading
from backquery.inversion import GaussNewton
from backquery.model import Meaning
from backquery.model.evaluation import evaluate
from backquery.notes import MOST_NUMBERS, Notes, NotesError


def given_again(notes: Notes) -> dict[str, Any]:
    """The names that the lines leave behind."""
    names: dict[str, Any] = {}
    exec(compile(str(notes), "notes", "exec"), names)
    return names


def create() -> Network:
    return Network.create([4, 3], rng=1, input_shape=(2, 2), scaling=Scaling.unit())


def test_the_lines_give_what_the_calls_gave() -> None:
    notes = Notes()
    network = notes("network", replace, create(), scaling=Scaling.book(16))
    assert network.scaling == Scaling.book(16)
    notes = Notes()
    notes.stands_for(network, "network")
    inputs = notes("inputs", network.scale, np.arange(8.0).reshape(2, 2, 2))
    scans = notes("scans", back_query, network, [0, 2], method=GaussNewton(steps=7), near=None, confidence=0.6)
    notes("", evaluate, network, (scans.images, scans.read))
    text = str(notes)
    assert text.splitlines() == [
        "from backquery import back_query, evaluate",
        "from backquery.inversion import GaussNewton",
        "from numpy import array",
        "",
        "inputs = network.scale(array([[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]))",
        "scans = back_query(network, [0, 2], method=GaussNewton(steps=7), confidence=0.6)",
        "evaluate(network, (scans.images, scans.read))",
    ]
    names: dict[str, Any] = {"network": network}
    exec(text, names)
    np.testing.assert_array_equal(names["inputs"], inputs)
    np.testing.assert_array_equal(names["scans"].images, scans.images)


def plain(value: Any, *, progress: Any = None) -> Any:
    return value


@pytest.mark.parametrize(
    "value",
    [
        None, True, -3, 0.1, float("inf"), float("-inf"), "it\'s \u4e09 \"x\"\n", (1,), (1, "a"), [], [0.5, None],
        {"a": 1, "b": [2]}, range(3, 9, 2), np.float32(0.5), np.int64(7), Path("some where") / "a.png",
        Scaling.unit(16.0, Meaning("one", True, ("so it is",))), Reading(pixel_range=(0.0, 16.0), shape=(8, 8)),
        {0: "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_written_so_that_it_comes_back(value: Any) -> None:
    notes = Notes()
    notes("found", plain, value, progress=print)
    assert "progress" not in str(notes)
    found = given_again(notes)["found"]
    expected = str(value) if isinstance(value, Path) else value
    assert found == expected and (isinstance(value, Path | np.generic) or type(found) is type(expected))


def test_not_a_number_and_arrays_come_back() -> None:
    notes = Notes()
    notes("nothing", plain, float("nan"))
    notes("numbers", plain, np.array([[1.5, 2], [3, 4]]))
    names = given_again(notes)
    assert np.isnan(names["nothing"])
    np.testing.assert_array_equal(names["numbers"], [[1.5, 2], [3, 4]])


def test_long_calls_are_broken_and_names_may_stand_for_something_else_later() -> None:
    notes = Notes()
    first = notes("it", plain, [1.25] * 3)
    second = notes("it", plain, [first, "a" * 60, "b" * 60])
    notes("last", plain, second)
    assert given_again(notes)["last"] == second
    assert max(map(len, str(notes).splitlines())) < 160 and "plain(it)" in str(notes)
    broken = Notes()
    broken("made", prepare_image, np.zeros((4, 4)), (28, 28), 255.0, ink="light", light="even", centre=False)
    assert "prepare_image(\n" in str(broken)
    assert given_again(broken)["made"].shape == (28, 28)


@dataclass(frozen=True, eq=False)
class Hidden:
    """Nobody can import it by this name."""


def test_what_no_line_can_write_is_said_when_the_lines_are_asked_for() -> None:
    notes = Notes()
    notes("found", plain, object())
    with pytest.raises(NotesError, match="can write down a object"):
        str(notes)
    notes = Notes()
    notes("found", plain, np.zeros(MOST_NUMBERS + 1))
    with pytest.raises(NotesError, match="can write down a ndarray"):
        str(notes)
    notes = Notes()
    notes("found", lambda: 1)
    with pytest.raises(NotesError, match="cannot be imported"):
        str(notes)
    local = type("Local", (Hidden,), {"__module__": __name__})
    notes = Notes()
    notes("found", plain, local())
    with pytest.raises(NotesError, match="Local cannot be imported"):
        str(notes)
