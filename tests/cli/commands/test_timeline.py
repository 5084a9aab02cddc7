"""Timelines on the command line: animation, film strip, arrays, table."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from backquery.experiments.timeline import load_timeline, log_spaced


def test_the_command_writes_what_it_says(run, tmp_path):
    gif, strip, arrays = tmp_path / "t.gif", tmp_path / "t.png", tmp_path / "t.npz"
    options = ["--recipe", "minibatch", "--epochs", "3", "--hidden", "20", "--seed", "5", "--frames", "5"]
    code, out, err = run("timeline", "digits", "-o", gif, "-o", strip, "--arrays", arrays, *options, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer.keys() == {"data", "method", "frames", "output", "arrays", "held_out", "seed"}
    assert answer["output"] == [str(gif), str(strip)]
    assert [frame["updates"] for frame in answer["frames"]] == list(log_spaced(27, 5))
    kept = load_timeline(arrays).as_json()
    assert kept == {name: answer[name] for name in kept}
    with Image.open(gif) as animation, Image.open(strip) as picture:
        assert animation.n_frames == len(kept["frames"])
        assert picture.size[1] > 500

    code, out, _ = run("timeline", "digits", "-o", strip, *options, "--at", "0", "4")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows] == ["updates", "0", "4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "t.jpg"], "animations are written as .gif, .apng, film strips as .png, .svg, .pdf"),
        (["-o", "t.gif", "--arrays", "t.csv"], "arrays are written as .npz"),
        (["-o", "nowhere/t.gif"], "there is no folder"),
        (
            ["-o", "t.gif", "--at", "5000", "--recipe", "minibatch"],
            "updates from 0 to 45; received 5,000",
        ),
    ],
)
def test_bad_input_is_one_clear_line(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("timeline", "digits", *arguments)
    assert (code, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
