"""Sweeps on the command line, without workers: what cannot be understood, and what is shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from backquery.experiments.sweep import Run, Runs, Setting
from backquery.experiments.sweep.worker import Source
from tests.experiments.sweep.test_sweep import TINY, quality, swept


@pytest.fixture
def source():
    return Source.of("digits")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hidden", "20,x"], "--hidden takes numbers of nodes such as 200 or 100-50"),
        (["--hidden", "20,0-5"], "--hidden takes"),
        (["--hidden", "9" * 5000], "--hidden takes"),
        (["--hidden", "20,20-10000001"], "at most 10,000,000 each; received '20-10000001'"),
        (["--epochs", "9" * 5000], "--epochs takes whole numbers above zero"),
        (["--epochs", "2," + "9" * 30], "--epochs takes whole numbers above zero"),
        (["--learning-rate", "0.1,-2"], "--learning-rate takes numbers above zero"),
        (["--epochs", "2.5"], "--epochs takes whole numbers above zero"),
        (["--seeds", "0"], "--seeds"),
        (["--activation", "soft"], "unknown activation"),
        (["--hidden", "5,5-5", "--activation", "relu,softmax"], "layers need one"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_a_sweep_that_cannot_be_understood(run, tmp_path, arguments, said):
    code, out, err = run("sweep", "digits", "-o", tmp_path / "s", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert len(err) < 400
    assert not (tmp_path / "s").exists()


def test_show_prints_a_table_and_one_json_object_and_draws(run, tmp_path, source):
    with Runs.opened(tmp_path) as runs:
        for one in swept(source, quality):
            runs.keep(one)
        runs.keep(Run(Setting.of(replace(TINY, seed=3), "digits", source.fingerprint), error="it diverged"))
    code, out, err = run("sweep", "show", tmp_path, "-o", tmp_path / "curves.svg")
    assert (code, "wrote" in err) == (0, True)
    assert (tmp_path / "curves.svg").read_bytes().startswith(b"<?xml")
    assert "digits, recipe book" in out
    assert "89.92%" in out
    assert "1 run failed" in out
    assert "it diverged" in out
    code, out, _ = run("sweep", "show", tmp_path, "--json", "--epochs", "2")
    answer = json.loads(out)
    assert (code, len(answer["runs"])) == (0, 37)
    (family,) = answer["families"]
    assert family["base"] == {"learning_rate": 0.1, "epochs": 2, "hidden": "200"}
    assert len(family["settings"]) == 9
    assert [point["hidden"] for point in family["curves"]["hidden"]] == ["10", "200", "300"]
    code, out, err = run("sweep", "show", tmp_path, "--epochs", "77", "-o", tmp_path / "none.png")
    assert (code, out) == (1, "")
    assert "no run here tells what comes of 77 epochs; the longest has " in err


def test_showing_what_is_not_there_is_an_error(run, tmp_path):
    code, _, err = run("sweep", "show", tmp_path)
    assert (code, "holds no sweep" in err) == (1, True)
    with Runs.opened(tmp_path):
        pass
    code, out, _ = run("sweep", "show", tmp_path)
    assert (code, out) == (0, "no run has ended so far\n")
    code, _, err = run("sweep", "show", tmp_path, "-o", tmp_path / "x.png")
    assert (code, "nothing to draw" in err) == (1, True)
