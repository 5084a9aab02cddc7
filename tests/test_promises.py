"""What is promised of numbers is held by tests that there are, and the bounds are those that they demand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from benchmarks.__main__ import SECTIONS
from benchmarks.numbers import BOUNDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_holds_a_promise_is_there(file: str, test: str) -> None:
    names = [
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert test in names


def test_every_promise_names_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(rows) >= 15
    assert all("::test_" in row.split("|")[-2] for row in rows)


def test_the_bounds_are_those_that_are_demanded() -> None:
    rows = [line for line in PAGE.splitlines() if "test_all_ways_of_training_agree" in line]
    stated = [float(row.split("|")[2]) for row in rows]
    assert stated == list(BOUNDS.values())
    measured = [float(row.split("|")[3]) for row in rows]
    assert all(found < bound for found, bound in zip(measured, stated, strict=True))


def test_the_commands_that_measure_are_there() -> None:
    (named,) = re.findall(r"`python -m benchmarks ([a-z ]+)`", PAGE)
    assert set(named.split()) <= set(SECTIONS)
