"""Reports on the command line: what is written and told, and when an older one stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import Dataset, open_data
from backquery.errors import DataError
from backquery.io import save_model
from backquery.model.network import Network
from backquery.report import SECTIONS, write_report
from backquery.training import MiniBatch
from tests.conftest import Run
from tests.report.test_report import learned


@pytest.fixture(scope="module")
def network(digits: Dataset) -> Network:
    return learned(digits)


def test_images_of_another_size_leave_an_older_report_as_it_was(
    run: Run, network: Network, digits: Dataset, tmp_path: Path
) -> None:
    model, page, images = tmp_path / "model.safetensors", tmp_path / "report.html", tmp_path / "large.npz"
    save_model(network, model)
    page.write_text("older")
    large = digits.train.select(slice(60))
    np.savez(images, images=np.kron(large.images, np.ones((1, 2, 2), np.uint8)), labels=large.labels, maximum=16)
    code, out, err = run("report", model, images, "-o", page, "--quick", "--json")
    assert (code, out, page.read_text()) == (1, "", "older")
    assert "takes images of shape (8, 8); received (16, 16)" in err.splitlines()[-1]
    with pytest.raises(DataError, match="received \\(16, 16\\)"):
        write_report(network, open_data(images), page)
    assert page.read_text() == "older"


def test_the_command_writes_the_page_and_tells_what_is_in_it(
    run: Run, network: Network, digits: Dataset, tmp_path: Path
) -> None:
    from backquery.experiments.timeline import watch_training
    from backquery.training import TrainingRun

    save_model(network, tmp_path / "net.safetensors")
    training = TrainingRun(network, digits.train, MiniBatch(), epochs=1, rng=1)
    watch_training(training, digits, at=(0, 5)).save(tmp_path / "line.npz")
    page = tmp_path / "page.html"
    code, out, err = run(
        "report", tmp_path / "net.safetensors", "digits", "--quick", "--timeline", tmp_path / "line.npz",
        "-o", page, "--json",
    )  # fmt: skip
    assert code == 0
    told = json.loads(out)
    assert told == {
        "output": str(page), "sections": list(SECTIONS), "left_out": {}, "bytes": page.stat().st_size, "seed": 0
    }  # fmt: skip
    assert [title for title, _ in SECTIONS.values()] == err.splitlines()
    assert "Report on net.safetensors" in page.read_text("utf-8")


@pytest.mark.parametrize("content", [None, b"", b"no timeline"])
def test_a_timeline_that_cannot_be_read_is_refused_first(
    run: Run, network: Network, tmp_path: Path, content: bytes | None
) -> None:
    save_model(network, tmp_path / "net.safetensors")
    page, line = tmp_path / "page.html", tmp_path / "line.npz"
    page.write_text("older")
    if content is not None:
        line.write_bytes(content)
    code, _, err = run("report", tmp_path / "net.safetensors", "digits", "--quick", "--timeline", line, "-o", page)
    assert code == 1
    assert "line.npz" in err
    assert page.read_text() == "older"


def test_the_command_refuses_other_files(run: Run, tmp_path: Path) -> None:
    code, _, err = run("report", "mnist", "digits", "-o", tmp_path / "page.pdf")
    assert code == 1
    assert "reports are written as .html" in err
