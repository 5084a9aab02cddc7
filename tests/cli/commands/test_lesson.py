"""Lessons on the command line: listed, given and drawn."""

from __future__ import annotations

import json

import pytest

from backquery.lessons import (
    LESSONS,
)


def test_lessons_are_listed_and_given(run, tmp_path):
    code, out, _ = run("lesson")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(LESSONS)
    listed = json.loads(run("lesson", "--json")[1])["lessons"]
    assert [one["name"] for one in listed] == list(LESSONS)
    picture = tmp_path / "descent.png"
    code, out, error = run("lesson", "descent", "-o", picture)
    assert code == 0
    assert "lead to 2.2500" in out
    assert f"wrote {picture}" in error
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(run("lesson", "descent", "--json")[1])
    assert found["lesson"] == "descent"
    assert found["output"] is None
    assert found["path"][-1] == pytest.approx(2.25, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lessons"], 2, ""),
        (["lesson", "calculus"], 2, "no lesson 'calculus'; choose one of sigmoid, descent"),
        (["lesson", "-o", "a.png"], 2, "a picture needs a lesson"),
        (["lesson", "descent", "-o", "a.bmp"], 1, "pictures are written as"),
    ],
)
def test_a_lesson_that_there_is_not(run, arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, _, error = run(*arguments)
    assert found == code
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_lesson_takes_another_rate_and_start(run):
    found = json.loads(run("lesson", "descent", "--rate", "0.02", "--start", "4", "--json")[1])
    assert (found["rate"], found["path"][0]) == (0.02, 4.0)
    assert json.loads(run("lesson", "back-propagation", "--rate", "0.3", "--json")[1])["rate"] == 0.3
    code, _, err = run("lesson", "sigmoid", "--rate", "0.1")
    assert code == 2 and "lesson sigmoid has no --rate; descent and back-propagation have one" in err
    code, _, err = run("lesson", "--start", "1")
    assert code == 2 and "--start needs a lesson" in err
