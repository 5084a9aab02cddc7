"""What is taken for granted is said once, in one line, on standard error."""

from __future__ import annotations

import warnings

import pytest

from backquery.cli.terminal import assumptions_said
from backquery.errors import assume


def test_an_assumption_is_one_line_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with assumptions_said():
        for _ in range(2):
            assume("the largest pixel is 16:\n0 to 16 is taken")
    assert capsys.readouterr() == ("", "the largest pixel is 16: 0 to 16 is taken\n")


def test_other_warnings_go_where_they_went() -> None:
    with pytest.warns(UserWarning, match="another"), assumptions_said():
        warnings.warn("another", UserWarning, stacklevel=1)
