"""Damage on the command line: sentences with intervals, JSON, and what makes no sense."""

from __future__ import annotations

import json
import re

import pytest

from backquery import Network
from backquery.datasets import Dataset
from backquery.io import save_model
from tests.experiments.test_damage import trained


@pytest.fixture(scope="module")
def plain(digits: Dataset) -> Network:
    return trained(digits, [64, 12, 10], "sigmoid", biases=False)


def test_the_command_prints_sentences_with_intervals_or_the_documented_json(run, plain, tmp_path):
    model, picture = tmp_path / "model.safetensors", tmp_path / "damage.png"
    save_model(plain, model)
    asked = ("damage", model, "digits", "--repeats", "3", "--stages", "0,50", "-o", picture)
    code, out, _ = run(*asked, "--what", "nodes")
    assert code == 0
    assert re.search(
        r"^\d+ \(\d+ to \d+\) of 12 nodes in layer 1 can be lost at random before performance falls", out
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(*asked, "--json", "--what", "nodes", "noise", "--seed", "4")
    answer = json.loads(out)
    assert code == 0
    assert [one["what"] for one in answer["damages"]] == ["nodes", "nodes", "nodes", "noise"]
    assert [stage["removed"] for stage in answer["stages"]] == [0, 6]
    nodes = answer["damages"][0]
    assert nodes["amounts"] == list(range(13))
    assert nodes["performance"]["value"][0] == answer["performance"]
    assert nodes["one_point"]["low"] <= nodes["one_point"]["value"] <= nodes["one_point"]["high"]
    assert answer["seed"] == 4
    assert answer["output"] == str(picture)


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        (("--stages", "half"), 2, "--stages takes percentages from 0 to 100, such as 0,25,50; received 'half'"),
        (("--stages", "0,120"), 2, "percentages from 0 to 100"),
        (("--repeats", "1"), 2, "repeats"),
        (("--what", "biases"), 2, "what"),
        (("-o", "damage.bmp"), 1, "pictures are written as .png, .svg, .pdf"),
    ],
)
def test_a_command_without_sense_ends_before_the_work(run, tmp_path, monkeypatch, option, code, message):
    monkeypatch.chdir(tmp_path)
    output = () if "-o" in option else ("-o", "damage.png")
    found, _, error = run("damage", "mnist", "digits", *output, *option)
    assert found == code
    assert message in error
    assert list(tmp_path.iterdir()) == []
