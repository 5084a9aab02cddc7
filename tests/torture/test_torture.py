"""Some of the kills and faults of ``make torture``, by other seeds: nothing is lost or half written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.faults import WORDS

pytestmark = pytest.mark.needs("a C compiler", "/proc")


def told(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.torture", *arguments]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    return ended.stdout


def test_fifty_kills_lose_nothing() -> None:
    assert told("kills", "--count", "50", "--seed", "50", "--swift") == (
        "50 kills: 0 unreadable, 0 lost, 0 differing\n"
    )


def test_a_fault_of_each_kind_in_each_writing_is_said_in_one_line() -> None:
    said = told("faults", "--count", "1", "--seed", "1", "--swift").rstrip()
    assert said.endswith(": 0 wrong")
    assert all(re.search(rf"\b[1-9]\d* of {kind}", said) for kind in WORDS.values()), said
