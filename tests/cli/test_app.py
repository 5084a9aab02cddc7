"""The command as people and programs meet it: exit codes, one-line errors, JSON alone, streams and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backquery import __version__
from tests.cli.conftest import COMMAND, installed
from tests.conftest import Run

# Errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["learn"], "Unknown command"),
        (["train", "digits"], "-o requires an argument"),
        (["train", "digits", "-o", "m.safetensors", "--recipe", "secret"], '"secret" for --recipe'),
        (["train", "digits", "-o", "m.safetensors", "--epochs", "0"], "--epochs. Must be >= 1"),
        (["train", "digits", "-o", "m.safetensors", "--epochs", "1.5"], "a whole number; received 1.5. Try"),
        (["timeline", "digits", "-o", "m.gif", "--at", "1", "2.5"], "a whole number; received 2.5. Try"),
        (["train", "digits", "-o", "m.safetensors", "--learning-rate", "-1"], "--learning-rate. Must be > 0"),
        (["train", "digits", "-o", "m.safetensors", "--hidden", "20,x"], "--hidden takes numbers of nodes"),
        (["train", "digits", "-o", "m.safetensors", "--activation", "soft"], "unknown activation 'soft'"),
        (["train", "digits", "-o", "m.safetensors", "--activation", "tanh,tanh,tanh"], "2 layers need one"),
        (["scan", "mnist", "-o", "s.png", "--method", "magic"], '"magic" for --method'),
        (["query", "mnist"], "requires an argument"),
        (["test", "mnist", "digits", "--loud"], "Unknown option"),
    ],
)
def test_a_command_that_cannot_be_understood_exits_with_2_and_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("backquery: ")
    assert err.count("\n") == 1
    assert said in err
    assert "--help" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "nothing"], "there is no model 'nothing'"),
        (["info", "{folder}/broken.safetensors"], "no safetensors file"),
        (["info", "{folder}/model.pkl"], "it is a pickle"),
        (["test", "{model}", "nowhere"], "neither a file or folder nor a known data set"),
        (["data", "inspect", "{folder}/broken.csv"], "broken.csv"),
        (["data", "fetch", "nonsense"], "unknown data set 'nonsense'"),
        (["query", "{model}", "{folder}/nothing.png"], "nothing.png"),
        (["query", "{model}", "{folder}/broken.csv"], "broken.csv: cannot be read as PNG"),
        (["scan", "{model}", "-o", "{folder}/s.txt"], "pictures are written as .png, .svg, .pdf"),
        (["scan", "{model}", "-o", "{folder}/nowhere/s.png"], "there is no folder"),
        (["scan", "{model}", "-o", "{folder}/s.png", "--arrays", "{folder}/s.csv"], "arrays are written as .npz"),
        (["scan", "{model}", "-o", "{folder}/s.png", "--label", "ten"], "unknown label 'ten'"),
        (["train", "digits", "-o", "{folder}/m.pkl"], "models are saved as .safetensors"),
        (["train", "digits", "-o", "{folder}/nowhere/m.safetensors"], "there is no folder"),
        (["demo", "-o", "{folder}/broken.csv"], "a file has that name"),
        (["demo", "-o", "{folder}/broken.csv/demo"], "cannot make the folder"),
    ],
)
def test_any_other_error_exits_with_1_and_one_line(
    run: Run, tmp_path: Path, model: Path, arguments: list[str], said: str
) -> None:
    files = {"broken.safetensors": b"not", "model.pkl": b"not", "broken.csv": b"3,x,0,0,0\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code, out, err = run(*(word.format(folder=tmp_path, model=model) for word in arguments))
    assert (code, out) == (1, "")
    assert err.startswith("backquery: ")
    assert err.count("\n") == 1
    assert said in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


# The installed command, as a process


def test_json_alone_goes_to_standard_output(tmp_path: Path) -> None:
    answer = installed("train", "digits", "-o", tmp_path / "m.safetensors", "--epochs", "2", "--json")
    assert answer.returncode == 0
    assert answer.stdout.count("\n") == 1
    assert set(json.loads(answer.stdout)) >= {"performance", "seconds", "kernel", "history"}
    assert "epoch 2 of 2" in answer.stderr


def test_a_usage_error_and_another_error_of_the_process() -> None:
    assert installed("train").returncode == 2
    answer = installed("info", "nothing.safetensors")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1


def test_python_m_backquery_is_the_same_command() -> None:
    answer = subprocess.run([sys.executable, "-m", "backquery", "--version"], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, f"{__version__}\n")


def test_signs_that_a_terminal_lacks_do_not_stop_the_program(model: Path) -> None:
    answer = installed("test", model, "digits", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert answer.returncode == 0
    assert "right" in answer.stdout


@pytest.mark.needs("POSIX processes")
def test_a_reader_that_leaves_early_is_no_error_to_talk_about(model: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "info", model], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.needs("/dev/full")
def test_an_answer_that_cannot_be_written_is_one_line(model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run([COMMAND, "info", model], stdout=full, stderr=subprocess.PIPE, text=True)
    assert answer.returncode == 1
    assert answer.stderr == "backquery: cannot use the output: No space left on device\n"


@pytest.mark.needs("POSIX processes")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_does_not_stop_the_program(model: Path, stream: int) -> None:
    answer = installed("test", model, "digits", preexec_fn=lambda: os.close(stream))
    assert answer.returncode == 0
    assert ("right" in answer.stdout) == (stream == 2)


@pytest.mark.needs("POSIX processes")
def test_ctrl_c_stops_in_one_friendly_line_and_keeps_the_old_model(tmp_path: Path) -> None:
    kept = tmp_path / "m.safetensors"
    kept.write_bytes(b"old")
    arguments = ["train", "digits", "-o", kept, "--epochs", "1000000", "--kernel", "numpy"]
    # A job in the background of a shell inherits that Ctrl-C is ignored; this one must hear it.
    settings: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([COMMAND, *arguments], stderr=subprocess.PIPE, text=True, **settings) as process:
        try:
            assert process.stderr is not None
            assert any("training 64-200-10" in line for line in process.stderr), "the training never began"
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1].strip().splitlines()
        finally:
            process.kill()
    assert process.returncode == 130
    assert said[-1] == "backquery: stopped; no unfinished file was left behind"
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.needs("POSIX processes")
def test_a_disk_that_takes_no_more_is_one_line_and_keeps_the_old_model(tmp_path: Path) -> None:
    import resource

    kept = tmp_path / "m.safetensors"
    kept.write_bytes(b"old")
    # The records of `make coverage` would meet the limit first.
    unwatched = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    answer = installed(
        "train", "digits", "-o", kept, "--epochs", "1", "--kernel", "numpy", env=unwatched,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.splitlines()[-1].startswith(f"backquery: cannot write {kept}: File too large")
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]
