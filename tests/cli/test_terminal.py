"""Words from a stranger's file cannot command the terminal, and absurd numbers are one short error."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rich.table import Table

from backquery import Network
from backquery.cli import terminal
from backquery.cli.terminal import give, results, say, show
from backquery.errors import printable
from backquery.io import save_model
from tests.conftest import Run

SIGN = "\N{REPLACEMENT CHARACTER}"
COMMANDS = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\r",
    "\x08",
    "\x7f",
    "\0",
    "\u202e",
    "\u2066",
    "\u2069",
    "\x85",
]
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OBEYED = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *DIRECTIONS} - {"\n", "\t"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_character_that_a_terminal_obeys_becomes_a_sign(command: str) -> None:
    made = printable(f"a{command}b")
    assert not OBEYED & set(made)
    assert made[:2] == f"a{SIGN}"
    assert made.endswith("b")


def test_words_in_any_language_stay_as_they_are() -> None:
    words = "line\n\ttab 0\u00a0x \u043c\u0430\u0440\u043a\u0435\u0440 \u6807\u7b7e \u05d0\u200f \U0001f600"
    assert printable(words) == words


@pytest.mark.parametrize("command", COMMANDS)
def test_messages_and_results_and_tables_are_printable(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=f"t{command}")
    table.add_column(f"h{command}")
    table.add_row(f"c{command}d")
    say(f"m{command}")
    show(f"r{command}", table, terminal.pairs([(f"n{command}", f"v{command}")]))
    printed = capsys.readouterr()
    assert not OBEYED & set(printed.out + printed.err)
    assert f"m{SIGN}" in printed.err
    for word in "rthcnv":
        assert f"{word}{SIGN}" in printed.out
    assert max(map(len, printed.out.splitlines())) <= terminal.PLAIN_WIDTH


def test_a_table_stands_as_its_headings_say_and_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("one\x1b[31m", "1"), ("two", "10,000")]
    show(terminal.table(("<name", ">number"), rows, bold=[False, True], gap=2))
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["name      number", f"one{SIGN}[31m       1", "two       10,000"]


def test_a_command_ends_in_one_object_or_in_results_notes_and_files(capsys: pytest.CaptureFixture[str]) -> None:
    ending = {"notes": ["mind this"], "wrote": [Path("a.png"), None, Path("b.npz")]}
    give(False, {}, "found", terminal.pairs([("name", "value")]), **ending)
    assert capsys.readouterr() == ("found\nname   value\n", "mind this\nwrote a.png and b.npz\n")
    give(True, {"output": Path("a.png"), "arrays": None}, "found", **ending)
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"output": "a.png", "arrays": None}, "")
    with pytest.raises(TypeError):
        give(True, {"output": object()})


def test_one_object_needs_nothing_drawn() -> None:
    program = (
        "import sys; from backquery.cli import main; main(['data', 'inspect', 'digits', '--json']); "
        "sys.exit('rich.table' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def all_of(leader: int) -> bytes:
    """What was written to a terminal that its writer has closed; it comes in parts."""
    seen = b""
    with suppress(OSError):  # how Linux says that nobody writes there any more
        while part := os.read(leader, 10_000):
            seen += part
    return seen


def test_on_a_real_terminal_colours_stay_and_commands_do_not() -> None:
    """A table in bold, with a name in it that would turn everything red."""
    leader, follower = pty.openpty()
    table = Table("name", box=None)
    table.add_row("a\x1b[31mb", style="bold")
    with open(follower, "w", encoding="utf-8") as stream, pytest.MonkeyPatch.context() as patch:  # noqa: PTH123
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr("sys.stdout", stream)
        assert results().is_terminal
        show(table, "x\x1b[31my")
    seen = all_of(leader).decode()
    os.close(leader)
    assert "\x1b[1m" in seen
    assert "\x1b[31m" not in seen
    assert f"a{SIGN}[31mb" in seen
    assert f"x{SIGN}[31my" in seen


def test_the_class_names_of_a_stranger_s_file_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:
    names = ("one\x1b[2J", "two\u202e", "three")
    network = Network.create([64, 5, 3], rng=1, input_shape=(8, 8), classes=names)
    path = tmp_path / "m.safetensors"
    save_model(network, path)
    code, out, err = run("info", path)
    assert code == 0
    assert not OBEYED & set(out + err)
    assert f"one{SIGN}[2J" in out
    assert f"two{SIGN}" in out
    code, out, _ = run("info", path, "--json")
    assert (code, json.loads(out)["classes"]) == (0, list(names))
    code, out, err = run("scan", path, "-o", tmp_path / "x.png", "--labels", "one\x1b[2Jx")
    assert code != 0
    assert not OBEYED & set(out + err)


@pytest.mark.parametrize(
    "hidden", ["9" * 5000, "10000001", "5,99999999999", "\u0665", "5,", "0", "-5", "1" * 9 + "\x1b[2J"]
)
def test_layers_that_no_memory_holds_are_refused_in_one_short_line(run: Run, tmp_path: Path, hidden: str) -> None:
    code, out, err = run("train", "digits", f"--hidden={hidden}", "-o", tmp_path / "m.safetensors")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--hidden takes numbers of nodes such as 200 or 100,50, at most 10,000,000 each; received" in err
    assert len(err) < 300
    assert not OBEYED & set(err)
