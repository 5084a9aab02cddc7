"""Every method beside its controls."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Run


def test_compare_shows_every_method_beside_its_controls(run: Run, tmp_path: Path, model: Path) -> None:
    picture = tmp_path / "compare.png"
    code, out, _ = run("compare", model, "digits", "-o", picture, "--json")
    assert code == 0
    answer = json.loads(out)
    kinds = [row["kind"] for row in answer["rows"]]
    assert set(kinds) == {"method", "images", "network"}
    faithful = next(row for row in answer["rows"] if row["name"] == "gauss-newton, typical")
    assert faithful["read_as_asked"] == 10
    assert faithful["read"] == faithful["asked"]
    assert faithful["recognised"] > 0.9 and faithful["by_chance"]["linear"] < 1e-6
    assert set(faithful["side"]) == {"plain"} and max(faithful["typicality"]) < 0.05
    assert faithful["copy"] == [False] * 10
    assert min(faithful["path"]) > 0.01 and set(faithful["path_layer"]) == {"layer 1"}
    assert answer["chance"] == 0.1 and answer["judges"]["neighbours"] > 0.9
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_says_how_far_to_trust_the_judges(run: Run, tmp_path: Path, model: Path) -> None:
    code, out, told = run("compare", model, "digits", "--no-controls", "-o", tmp_path / "compare.png")
    assert code == 0
    heading, *rows = out.splitlines()
    assert heading.split()[3:] == [
        "judges", "recognised", "worst", "error", "typicality", "path", "nearest", "obeys", "converged"
    ]  # fmt: skip
    assert next(row for row in rows if "noise" in row).split()[-4] == "strange"
    assert "judges on real test images: neighbours 9" in told and "; chance 10%" in told
    assert "typicality: 1 for the most usual image" in told
    assert "images the signals, most of all in layer 1, are unlike" in " ".join(told.split())
