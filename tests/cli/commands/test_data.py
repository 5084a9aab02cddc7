"""Data sets on the command line."""

from __future__ import annotations

import json

from tests.conftest import Run


def test_the_known_data_sets_are_listed_and_looked_into(run: Run) -> None:
    code, out, err = run("data", "list", "--json")
    known = {entry["name"]: entry for entry in json.loads(out)["data_sets"]}
    assert (code, err) == (0, "")
    assert {"digits", "mnist", "fashion-mnist", "kmnist", "emnist-letters"} <= known.keys()
    assert all(known[name]["at_hand"] is True for name in ("digits", "shapes", "wandering-digits"))
    assert known["wandering-mnist"]["at_hand"] is known["mnist"]["at_hand"]
    assert known["wandering-mnist"]["folder"] == known["mnist"]["folder"]
    code, out, _ = run("data", "inspect", "digits", "--json")
    summary = json.loads(out)
    assert code == 0
    assert summary["train"]["images"] + summary["test"]["images"] == 1797
    assert sum(summary["train"]["counts"].values()) == summary["train"]["images"]
    code, out, _ = run("data", "inspect", "digits")
    assert "1,078 images" in out
    assert run("data", "fetch", "digits", "--json")[1] == '{"name": "digits", "folder": null}\n'
    assert "mnist" in run("data", "list")[1]
    assert "stands anywhere, in any size" in run("data", "inspect", "shapes")[1]
