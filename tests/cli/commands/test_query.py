"""Pictures are read on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backquery.datasets import Split, load
from tests.conftest import Run


def picture_of(split: Split, label: int, path: Path) -> Path:
    """The first image of a label as somebody might have drawn it: dark on white, large."""
    from PIL import Image

    digit = split.images[np.flatnonzero(split.labels == label)[0]]
    paper = (255 - digit * (255 / 16)).astype(np.uint8)
    Image.fromarray(paper).resize((80, 80), Image.Resampling.BICUBIC).save(path)
    return path


def test_a_query_reads_pictures(run: Run, tmp_path: Path, model: Path) -> None:
    digits = load("digits")
    pictures = [picture_of(digits.train, label, tmp_path / f"{label}.png") for label in (0, 4, 6)]
    code, out, err = run("query", model, *pictures, "--no-centre", "--json")
    answer = json.loads(out)
    assert (code, err.count("\n")) == (0, 1)
    assert "3 of 3 pictures stand on bright paper: turned to the model's ground" in err
    assert answer["read"] == ["0", "4", "6"]
    assert answer["images"] == [str(path) for path in pictures]
    assert np.shape(answer["answers"]) == (3, 10)
    strongest = [answer["classes"][int(np.argmax(values))] for values in answer["answers"]]
    assert strongest == answer["read"]

    code, out, _ = run("query", model, pictures[1], "--no-centre")
    assert code == 0
    assert "read as 4" in out
    bars = {line.split()[0]: line.count("█") for line in out.splitlines()[1:] if line}
    assert max(bars, key=lambda label: bars[label]) == "4"
