"""What of a stranger's file may stand in what a person reads."""

from __future__ import annotations

from xml.dom.minidom import parseString

import pytest

from backquery.errors import isolated, printable, valid

ODD = ["\x00", "\x1b[31m", "\x07", "\x7f", "\x85", "\ufffe", "\uffff"]


@pytest.mark.parametrize("odd", ODD)
def test_what_xml_cannot_hold_becomes_a_sign(odd: str) -> None:
    made = valid(f"a{odd}b\t\n\u202e")
    assert parseString(f"<a>{made}</a>".encode()) and made.startswith("a\ufffd") and made.endswith("b\t\n\u202e")
    assert printable(f"a{odd}\u202e") == made[: made.index("b")] + "\ufffd"


def test_half_a_character_is_not_printed() -> None:
    assert printable("a\ud800b") == "a\ufffdb"


def test_a_name_does_not_turn_the_words_around_it() -> None:
    assert isolated("three\u202e\u2067") == "\u2068three\u2069"
    assert isolated("\u05d0\u05d1") == "\u2068\u05d0\u05d1\u2069"
    assert [isolated(name) for name in ("three", "\u0442\u0440\u0438", "\u4e09")] == [
        "three",
        "\u0442\u0440\u0438",
        "\u4e09",
    ]
