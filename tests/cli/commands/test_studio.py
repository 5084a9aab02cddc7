"""The command that opens the studio: its link, its end, its mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

import pytest

from tests.conftest import Run
from tests.studio.conftest import Serving


@contextmanager
def command(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, ended if it is still there."""
    line = [sys.executable, "-m", "backquery", "studio", *map(str, arguments), "--no-browser", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=-1, stderr=-1, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.needs("starlette", "uvicorn", "websockets")
def test_the_command_prints_a_link_that_works_and_ends_quietly(model: Path, tmp_path: Path) -> None:
    mine = copy(model, tmp_path / "mine.safetensors")
    with command(mine, "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        authority = f"127.0.0.1:{told['port']}"
        assert told["link"].startswith(f"http://{authority}/?token=") and told["model"] == "mine.safetensors"
        studio = Serving.__new__(Serving)
        studio.authority = authority
        cookie = studio.reply(told["link"], Cookie="").headers["set-cookie"].split(";")[0]
        assert studio.reply("/", Cookie=cookie).status == 200
        studio.__dict__["cookie"] = cookie
        with studio.talk() as talk:
            assert talk.ask("hello")["name"] == "mine.safetensors"
            clock = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert time.monotonic() - clock < 5
        assert process.stderr is not None
        assert process.stderr.read() == "the studio is open until Ctrl-C\n"
        assert process.stdout.read() == ""


@pytest.mark.needs("starlette", "uvicorn")
def test_mistakes_end_the_command_with_one_line(run: Run, tmp_path: Path) -> None:
    assert run("studio", tmp_path / "no.safetensors", "--no-browser")[0] == 1
    for arguments, reason in [
        (("--data", "nothing"), "nothing"),
        (("--address", "0.0.0.0"), "answers to one alone"),
        (("--address", "203.0.113.7"), "cannot serve on 203.0.113.7"),
    ]:
        code, out, err = run("studio", "mnist", "--no-browser", "--port", "0", *arguments)
        assert code == 1 and not out and reason in err.splitlines()[-1]
    assert run("studio", "--port", "65536")[0] == 2


def test_without_the_extra_its_name_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "backquery.studio.launch", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = run("studio", "--no-browser")
    assert code == 1 and "pip install 'backquery[studio]'" in err
