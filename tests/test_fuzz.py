"""Damaged input of every kind that is read: declared errors alone come of it, soon, in little memory.

Hypothesis damages a sound input in a few places, cuts it, or puts something in, and of JSON it changes values; the
same examples in every run. What was found so is kept in `EDITS_FOUND`, by the edits that made it; what `make
torture` found, in ``tests/torture/found``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bounds import excess_of
from tests.torture.inputs import ASKED, FOUND, KINDS, frames, read

Edit = tuple[str, float, bytes]
"""What is done (put over, put in, cut), where as a share of the length, and with which bytes."""

BYTES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [
        b"\xff" * 4,
        b"\0" * 4,
        b"\x7f\xff\xff\xff",
        b"9" * 12,
        b"-1",
        b"[[[[",
        b"{}",
        b"nan",
        b"1e999",
        b"\r",
        b'"',
        b",",
    ]
)
EDITS = st.lists(st.tuples(st.sampled_from(["over", "in", "cut"]), st.floats(0, 1), BYTES), min_size=1, max_size=4)

EDITS_FOUND: dict[str, list[list[Edit]]] = {
    "arrays": [[("over", 0.875, b"\0")]],
}
"""Edits that once led to an error that nobody declared, by the kind of input."""

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**63, 10**40, 1e308, float("nan"), float("inf"), "", "x" * 5000, "\0\ud800",
    "0", [], [[]], [None], [0] * 5000, {}, {"": {}}, {"0": None},
]  # fmt: skip
"""What stands in the place of a value of JSON."""

CHANGES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(ODD) | st.text(max_size=8)), min_size=1, max_size=3)
"""Which value, as a share of all, becomes what."""

QUIETLY = settings(
    max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def damaged(content: bytes, edits: list[Edit]) -> bytes:
    for what, share, put in edits:
        place = int(share * len(content))
        kept = {"over": place + len(put), "in": place, "cut": len(content)}[what]
        content = content[:place] + (b"" if what == "cut" else put) + content[kept:]
    return content


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Where the values of a JSON text are: the list or object, and the place in it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, part in list(inside):
        yield value, place
        yield from places(part)


def changed(text: bytes, changes: list[tuple[float, Any]]) -> bytes:
    whole = [json.loads(text)]
    for share, put in changes:
        found = list(places(whole))
        within, place = found[min(int(share * len(found)), len(found) - 1)]
        within[place] = deepcopy(put)
    return json.dumps(whole[0]).encode()


def params(kinds: list[str]) -> list[Any]:
    return [pytest.param(kind, marks=pytest.mark.needs(*KINDS[kind].needs)) for kind in kinds]


@pytest.fixture
def sound(kind: str, tmp_path: Path) -> bytes:
    return KINDS[kind].sound(tmp_path)


@pytest.fixture
def reader(kind: str, sound: bytes, tmp_path: Path) -> Callable[[bytes], None]:
    """Reads what it is given as an input of this kind, within bounds."""
    path = tmp_path / f"damaged{KINDS[kind].suffix}"
    path.write_bytes(sound)
    KINDS[kind].read(path)

    def read_damaged(content: bytes) -> None:
        path.write_bytes(content)
        assert excess_of(lambda: read(kind, path)) == ""

    return read_damaged


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", params(list(KINDS)))
@QUIETLY
@given(edits=EDITS)
def test_damaged_input_is_read_or_refused_in_words(
    reader: Callable[[bytes], None], sound: bytes, edits: list[Edit]
) -> None:
    reader(damaged(sound, edits))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", params([kind for kind in KINDS if KINDS[kind].text and kind != "frames"]))
@QUIETLY
@given(changes=CHANGES)
def test_a_text_of_other_values_is_read_or_refused_in_words(
    reader: Callable[[bytes], None], sound: bytes, changes: list[tuple[float, Any]]
) -> None:
    reader(changed(sound, changes))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", params(["frames"]))
@QUIETLY
@given(asked=st.integers(0, len(ASKED) - 1), changes=CHANGES)
def test_a_frame_of_other_values_is_answered_in_words(
    reader: Callable[[bytes], None], tmp_path: Path, asked: int, changes: list[tuple[float, Any]]
) -> None:
    frames(tmp_path / "frame", asked)
    reader(changed((tmp_path / "frame").read_bytes(), changes))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.needs(*KINDS["frames"].needs)
def test_every_ask_is_among_the_frames_and_none_is_refused_before_it_is_damaged(tmp_path: Path) -> None:
    from backquery.studio.visit import ANSWERS, CHANGES

    assert {asked["ask"] for asked in ASKED} == {*ANSWERS, *CHANGES}
    answers = []
    for number in range(len(ASKED)):
        frames(tmp_path / "frame", number)
        answers.append(KINDS["frames"].read(tmp_path / "frame"))
    refused = [isinstance(answer.get("error"), str) for answer in answers]
    assert refused == [asked["ask"] == "adopt" for asked in ASKED]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", params(list(KINDS)))
def test_what_was_found_once_stays_mended(kind: str, sound: bytes, reader: Callable[[bytes], None]) -> None:
    for edits in EDITS_FOUND.get(kind, ()):
        reader(damaged(sound, edits))
    for path in sorted((FOUND / kind).glob("*")):
        reader(path.read_bytes())
