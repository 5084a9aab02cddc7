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
    assert picture.read_bytes().startswith(b"\x89PNG")
