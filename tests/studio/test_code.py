"""The lines that the studio gives for a picture make the very image that its page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import Network, load_model, save_model
from backquery.datasets import Dataset
from backquery.notes import Notes
from backquery.studio import engine
from backquery.studio.code import KINDS, code
from backquery.studio.opened import Opened, Subject
from tests.studio.conftest import Talk, base64


@pytest.fixture
def opened(network: Network, digits: Dataset) -> Opened:
    return Opened("digits", network, lambda: digits)


def run_again(lines: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **names: Any) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    exec(compile(lines, "copied", "exec"), names)
    assert (folder / "backquery.png").read_bytes().startswith(b"\x89PNG")
    return names


QUESTIONS: dict[str, dict[str, Any]] = {
    "a label": {"label": 4},
    "by another method": {"label": 4, "method": "transpose"},
    "a confidence": {"confidences": {"4": 0.8}},
    "one of many": {"label": 4, "draw": 3},
    "several": {"confidences": {"4": 0.8, "9": 0.6}},
    "limits": {"limits": {"4": 0.8, "9": 0.2}, "method": "gauss-newton"},
    "all answers": {"answers": [0.1] * 9 + [0.7]},
}


@pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS)
def test_a_back_query_is_asked_again(
    opened: Opened, network: Network, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = code(opened.subject, {"of": "back", **asked}, opened).fields["lines"]
    names = run_again(lines, tmp_path, monkeypatch, network=network)
    _, image = engine.back(opened.subject, asked, None)
    np.testing.assert_array_equal(names["scans"].images[0], image)


def test_all_scans_and_a_picture_turned_are_made_again(
    opened: Opened, network: Network, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = code(opened.subject, {"of": "scans"}, opened).fields["lines"]
    found = run_again(lines, tmp_path, monkeypatch, network=network)["scans"]
    shown = engine.pictures(opened.subject, found.images)
    np.testing.assert_array_equal(shown, engine.scans(opened.subject, {}).arrays["ink"])
    asked = {"pixels": base64(picture), "label": 9}
    lines = code(opened.subject, {"of": "turn", **asked}, opened).fields["lines"]
    found = run_again(lines, tmp_path, monkeypatch, network=network)["scans"]
    shown = engine.pictures(opened.subject, found.images)
    np.testing.assert_allclose(shown[0], engine.turn(opened.subject, asked).arrays["ink"], atol=1e-6)
    assert set(KINDS) == {"back", "scans", "turn"}


def test_nodes_that_are_off_are_off_in_the_lines(
    opened: Opened, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = opened.subject.without({1: [2, 7]}, 1)
    lines = code(damaged, {"label": 3}, opened).fields["lines"]
    assert "network = network.without_nodes([2, 7], 1)" in lines
    names = run_again(lines, tmp_path, monkeypatch, network=network)
    _, image = engine.back(damaged, {"label": 3}, None)
    np.testing.assert_array_equal(names["scans"].images[0], image)


def test_the_model_is_opened_as_the_command_did_or_from_the_file_that_the_page_saves(
    opened: Opened, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes() -> Notes:
        made = Notes()
        made.note("network", network, load_model, tmp_path / "digits.safetensors")
        return made

    save_model(network, tmp_path / "digits.safetensors")
    told = Opened("digits", network, lambda: None, notes)
    run_again(code(told.subject, {"label": 3}, told).fields["lines"], tmp_path, monkeypatch)
    other = Subject.of("trained here", network, 2)
    save_model(network, tmp_path / other.file_name)
    different = Subject.of("trained here", network.without_nodes([0]), 2)
    lines = code(different, {"label": 3}, opened).fields["lines"]
    assert 'network = load_model("trained here.safetensors")' in lines
    run_again(lines, tmp_path, monkeypatch)


def test_a_page_asks_for_the_lines(talk: Talk) -> None:
    answer = talk.ask("code", of="back", label=3)
    assert "scans = back_query(network, [3]" in answer["lines"]
    assert talk.ask("code", of="everything")["code"] == "request"
