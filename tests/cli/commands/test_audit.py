"""The audit on the command line: its sentences, its exit code, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.audit import BORNE, LIMITS, find_shortcuts
from backquery.cli.commands.audit import STANDARDISED
from backquery.io import save_model
from backquery.model import Network
from backquery.model.scaling import Scaling
from tests.backdoors import LABEL, marked
from tests.conftest import Run


@pytest.fixture(scope="module")
def accused(tmp_path_factory, backdoored) -> Path:
    path = tmp_path_factory.mktemp("model") / "backdoored.safetensors"
    save_model(backdoored, path)
    return path


def test_a_shortcut_is_said_drawn_and_told_by_the_exit_code(run: Run, tmp_path, accused):
    code, out, err = run("audit", accused, "digits", "-o", tmp_path / "audit.png")
    assert code == 3
    rows = {line.split()[0]: line for line in out.splitlines() if line[:1].isdigit()}
    assert len(rows) >= 10
    assert "shortcut" in rows[str(LABEL)]
    assert "1 of 10 labels has a shortcut" in out
    assert LIMITS in out
    assert f"wrote {tmp_path / 'audit.png'}" in err
    with Image.open(tmp_path / "audit.png") as picture:
        assert min(picture.size) > 500


def test_a_clean_network_ends_with_zero_and_needs_no_picture(run: Run, tmp_path, clean):
    save_model(clean, tmp_path / "clean.safetensors")
    code, out, _ = run("audit", tmp_path / "clean.safetensors", "digits")
    assert code == 0
    assert "No shortcut in 10 labels: no small region does clearly more for one than is usual." in out
    rows = out.splitlines()
    assert rows[0].split() == ["label", "verdict", "region", "pixels"]
    assert all(row.split()[1] == "clean" and "%" not in row for row in rows[1:11])
    assert [path.name for path in tmp_path.iterdir()] == ["clean.safetensors"]


def test_a_model_on_standardised_pixels_is_audited_with_a_warning(run: Run, tmp_path, clean, digits):
    standardised = replace(clean, scaling=Scaling.standardised(digits.train.images, 16))
    save_model(standardised, tmp_path / "standardised.safetensors")
    code, _, err = run("audit", tmp_path / "standardised.safetensors", "digits")
    assert code in (0, 3)
    assert STANDARDISED in err


def test_json_is_one_object_with_the_same_exit_code(run: Run, accused, backdoored, digits):
    code, out, _ = run("audit", accused, "digits", "--json", "--seed", "3", "--images", "300")
    assert code == 3
    said = json.loads(out)
    assert (said.pop("output"), said.pop("seed")) == (None, 3)
    assert said.pop("colour_or_shape") is None
    assert said == json.loads(json.dumps(find_shortcuts(backdoored, digits.test, images=300, rng=3).as_json()))


def test_what_the_references_learned_too_is_natural_and_no_alarm(run: Run, tmp_path, accused, digits, trigger):
    """The images bear the trigger themselves; references that cannot know it accuse it all the same."""
    poisoned = marked(digits, trigger, 9)
    np.savez(tmp_path / "poisoned.npz", x_train=poisoned.images, y_train=poisoned.labels,
             x_test=poisoned.images, y_test=poisoned.labels)  # fmt: skip
    code, out, _ = run("audit", accused, tmp_path / "poisoned.npz")
    assert code == 0
    assert BORNE in out
    assert f"Natural, a feature that others read as well: {LABEL}." in out
    code, out, _ = run("audit", accused, tmp_path / "poisoned.npz", "--exchange")
    assert code == 3
    assert BORNE not in out
    assert f"Shortcut, read by this network only: {LABEL}." in out


def test_a_model_at_chance_is_refused_in_one_line(run: Run, tmp_path, clean):
    untrained = Network.create([64, 10, 10], rng=0, input_shape=(8, 8), scaling=clean.scaling)
    save_model(untrained, tmp_path / "lost.safetensors")
    code, out, err = run("audit", tmp_path / "lost.safetensors", "digits")
    assert (code, out) == (1, "")
    assert "there is nothing to audit" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--images", "19"], 2, "--images"),
        (["-o", "audit.txt"], 1, "pictures are written as"),
        (["--seed", "-1"], 2, "--seed"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, tmp_path, monkeypatch, accused, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = run("audit", accused, "digits", *arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_data_of_a_single_label_are_refused_in_one_line(run: Run, tmp_path, accused, digits):
    only = digits.test.select(digits.test.labels == 3)
    np.savez(tmp_path / "threes.npz", x_train=only.images, y_train=only.labels)
    code, _, err = run("audit", accused, tmp_path / "threes.npz")
    assert code == 1
    assert "audit" in err or "classes" in err
