"""The report on a model of colours: every picture is as it was, and what the words say is true of colours."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Dataset, Split
from backquery.model import evaluate
from backquery.report import write_report
from backquery.training import MiniBatch, train
from tests.colours import COLUMNS, ROWS, SHAPES, coloured_data, coloured_network

PICTURE = re.compile(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"')


def pictures(page: str, section: str) -> list[tuple[str, np.ndarray]]:
    """The pixel pictures of a section, each with what is said of it."""
    part = page.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    found = []
    for content, alt in PICTURE.findall(part):
        with Image.open(io.BytesIO(b64decode(content))) as image:
            found.append((alt, np.asarray(image)))
    return found


@pytest.fixture(scope="module")
def data() -> Dataset:
    return coloured_data()


@pytest.mark.parametrize("shape", SHAPES, ids=["last", "first"])
def test_the_report_is_in_colour(shape: tuple[int, ...], data: Dataset, tmp_path: Path) -> None:
    network, _ = train(coloured_network(shape, data), data.train, MiniBatch(0.01, batch_size=32), epochs=8, rng=1)
    assert evaluate(network, data.to_test_on).performance == 1
    labels = data.train.labels.copy()
    labels[:4] = (labels[:4] + 1) % 3  # four mistakes
    data = replace(data, test=Split(data.train.images, labels))
    left_out = write_report(network, data, tmp_path / "report.html", quick=True)
    assert set(left_out) == {"learning", "timeline"}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Images have their colours as in the pictures, black is 0; in the maps, orange supports" in page
    assert "light supports the label" in page and "ink supports" not in page
    mistaken = {image.tobytes() for image in data.to_test_on.images[:4]}
    assert {image.tobytes() for _, image in pictures(page, "confusions")} == mistaken
    scans = pictures(page, "scans")
    assert len(scans) >= 15 and {image.shape for _, image in scans} == {(ROWS, COLUMNS, 3)}
    means = [image for alt, image in scans if alt.startswith("class means, asked for green")]
    expected = data.train.images[data.train.labels == 1].mean(axis=0)
    np.testing.assert_allclose(means[0], expected, atol=0.51)
    framed = pictures(page, "audit")
    assert len(framed) == 3 and {image.shape for _, image in framed} == {(ROWS, COLUMNS, 3)}
