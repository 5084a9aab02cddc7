"""Frames: what is sent is what arrives, and what is no request is refused."""

from __future__ import annotations

import json
import tracemalloc
from functools import partial
from threading import Event, Semaphore

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backquery.errors import DataError, ModelError, TargetError
from backquery.studio.mailbox import MOST_LANES, Mailbox
from backquery.studio.protocol import Answer, Request, RequestError, code_of, decode, encode, refusal
from tests.studio.conftest import unpack

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)


@settings(max_examples=50)
@given(
    arrays.arrays(np.float32, SHAPES, elements=st.floats(-1e6, 1e6, width=32)),
    arrays.arrays(np.uint8, SHAPES),
    arrays.arrays(np.int64, SHAPES, elements=st.integers(-(2**31), 2**31 - 1)),
    st.dictionaries(st.text(max_size=5).filter(lambda name: name not in ("id", "ask", "lane")), st.text()),
)
def test_what_is_sent_arrives(real: np.ndarray, small: np.ndarray, whole: np.ndarray, plain: dict) -> None:
    answer = Answer({"told": plain}, {"real": real, "small": small, "whole": whole})
    frame = encode(Request(7, "a lane", "back"), answer)
    found = unpack(frame)
    assert len(frame) % 8 == 0
    assert (found["id"], found["lane"], found["ask"], found["told"]) == (7, "a lane", "back", plain)
    for name, values in (("real", real), ("small", small), ("whole", whole)):
        assert found[name].shape == values.shape
        assert np.array_equal(found[name], values)


def test_wide_floats_and_booleans_arrive_narrower() -> None:
    found = unpack(encode(Request(1, "l", "a"), Answer({}, {"x": np.array([0.5, 2.0]), "yes": np.array([True])})))
    assert found["x"].dtype == np.float32 and found["x"].tolist() == [0.5, 2.0]
    assert found["yes"].dtype == np.uint8 and found["yes"].tolist() == [1]


def test_a_request_is_read() -> None:
    request = decode('{"id": 3, "ask": "back", "label": 4}')
    assert request == Request(3, "back", "back", {"label": 4})
    assert decode('{"id": 3, "ask": "back", "lane": "turn"}').lane == "turn"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"id": 1}',
        '{"ask": "back"}',
        '{"id": "1", "ask": "back"}',
        '{"id": 1.5, "ask": "back"}',
        '{"id": true, "ask": "back"}',
        '{"id": 1e400, "ask": "back"}',
        '{"id": 99999999999999999999, "ask": "back"}',
        '{"id": 1, "ask": 2}',
        '{"id": 1, "ask": ""}',
        '{"id": 1, "ask": "back", "lane": 3}',
        '{"id": 1, "ask": "back", "lane": "' + "x" * 41 + '"}',
        '{"id": 1, "ask": "back", "p": NaN}',
        '{"id": 1, "ask": "back", "p": -Infinity}',
        "[" * 100_000,
        '{"id": 1, "ask": "back"' + " " * 100,
    ],
)
def test_what_is_no_request_is_refused(frame: str) -> None:
    with pytest.raises(RequestError):
        decode(frame)


BOMBS = {
    "a list of nothing": lambda: '{"id": 1, "ask": "back", "x": [' + "0," * 10**7 + "0]}",
    "lists of lists": lambda: '{"id": 1, "ask": "back", "x": [' + "[]," * 10**7 + "0]}",
    "many names": lambda: '{"id": 1, "ask": "back"' + "".join(f',"{name}":0' for name in range(2 * 10**6)) + "}",
    "depth": lambda: '{"id": 1, "ask": "back", "x": ' + '{"x":' * 6 * 10**6,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_frame_of_too_many_values_takes_no_memory(kind: str) -> None:
    frame = BOMBS[kind]()
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="100,000 values"):
            decode(frame)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_bytes_and_many_answers_are_few_values() -> None:
    fields = {"file": "A" * 2**24, "answers": [0.5] * 10_000}
    assert decode(json.dumps({"id": 1, "ask": "back", **fields})).fields == fields


@settings(max_examples=50)
@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_else_can_come_of_a_frame(frame: str) -> None:
    try:
        assert isinstance(decode(frame), Request)
    except RequestError as error:
        assert str(error)


def test_errors_have_codes() -> None:
    assert [code_of(error) for error in (TargetError("x"), ModelError("x"), DataError("x"))] == [
        "target",
        "model",
        "data",
    ]
    assert code_of(RequestError("x", "wait")) == "wait"
    assert refusal(RequestError("two\n lines")).fields == {"error": "two lines", "code": "request"}


def test_the_newest_of_a_lane_waits() -> None:
    begun, may_end, answered, seen = Semaphore(0), Event(), Semaphore(0), []

    def work(number: int) -> None:
        begun.release()
        may_end.wait(10)
        seen.append(number)
        answered.release()

    box = Mailbox("test")
    box.put("a", partial(work, 0))
    assert begun.acquire(timeout=10)
    for number in range(1, 50):
        assert box.put("a", partial(work, number))
    assert box.put("b", partial(work, 50)) and box.put("a", partial(work, 51))
    may_end.set()
    for _ in range(3):
        assert answered.acquire(timeout=10)
    assert seen == [0, 51, 50]
    box.close()


def test_lanes_are_bounded() -> None:
    may_end = Event()
    box = Mailbox("test")
    kept = [box.put(f"lane {number}", lambda: may_end.wait(10) and None) for number in range(MOST_LANES + 10)]
    assert all(kept[:MOST_LANES]) and not any(kept[MOST_LANES + 1 :])
    box.close()
    may_end.set()
