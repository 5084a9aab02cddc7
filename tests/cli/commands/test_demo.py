"""The demonstration runs anywhere, and says what to try next."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from tests.cli.conftest import installed
from tests.conftest import Run


def test_the_demonstration_runs_without_a_terminal_or_a_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    answer = installed("demo", "--json", cwd=tmp_path, env=environment)
    assert answer.returncode == 0, answer.stderr
    shown = json.loads(answer.stdout)
    assert shown["performance"] > 0.95
    pictures = {Path(path).name for path in shown["pictures"]}
    assert pictures >= {"digits-learning.png", "digits-confusions.png", "mnist-transpose.png"}
    assert all((tmp_path / path).stat().st_size > 5000 for path in shown["pictures"])
    assert len(shown["next"]) == 3
    assert "Report on digits.safetensors" in (tmp_path / shown["report"]).read_text("utf-8")
    assert shown["read_as_asked"]["mnist"]["gauss-newton"] == "10 of 10"
    again = installed("test", shown["model"], "digits", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["performance"] == shown["performance"]


def test_the_demonstration_ends_by_naming_pictures_and_commands(run: Run, tmp_path: Path) -> None:
    code, out, err = run("demo", "-o", tmp_path / "shown")
    assert code == 0
    for path in (tmp_path / "shown").glob("*.png"):
        assert str(path) in out
    lines = out.splitlines()
    following = [shlex.split(line) for line in lines[lines.index("to try next") + 1 :]]
    assert [words[0] for words in following] == ["backquery"] * 3
    assert {words[1] for words in following} == {"scan", "test", "train"}
    assert run(*following[0][1:])[0] == 0, "the command for the model just made works as it stands"
    assert str(tmp_path / "shown" / "digits.html") in out
    assert "done in" in err
