"""The command that writes a page of one file: what it writes, what it says, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backquery import Network, save_model
from backquery.datasets import Dataset
from tests.conftest import Run


def test_the_command_writes_one_file_and_tells_its_size(run: Run, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "mine.html"
    code, out, err = run("page", model, "-o", page, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"output": str(page), "bytes": page.stat().st_size, "images": 0}
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>") and "https://" not in text.partition("<script")[0]


def test_images_travel_only_where_they_are_asked_for_and_that_is_said(
    run: Run, model: Path, digits: Dataset, tmp_path: Path
) -> None:
    page, mine = tmp_path / "page.html", tmp_path / "mine.npz"
    np.savez(mine, images=digits.train.images, labels=digits.train.labels, maximum=16)
    code, out, err = run("page", model, "-o", page, "--with", "learning", "--json")
    assert code == 0 and json.loads(out)["images"] > 1000 and "travel" not in err
    code, out, err = run("page", model, "-o", page, "--data", mine, "--most", "50", "--json")
    images = json.loads(out)["images"]
    assert code == 0 and 50 <= images <= 62
    assert f"{images} images of {mine} travel with the page, for everybody to see who has it" in err


def test_an_older_page_stays_where_a_new_one_cannot_be(run: Run, tmp_path: Path) -> None:
    page, colour = tmp_path / "page.html", tmp_path / "colour.safetensors"
    page.write_text("older")
    save_model(Network.create([48, 3], rng=1, input_shape=(4, 4, 3), classes=tuple("abc")), colour)
    code, out, err = run("page", colour, "-o", page)
    assert (code, out, page.read_text()) == (1, "", "older")
    assert "draws in one shade, and this network sees 3: open it with `backquery studio`" in err
    code, _, err = run("page", "-o", tmp_path / "page.pdf")
    assert code == 1 and "pages are written as .html" in err
