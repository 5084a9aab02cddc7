"""Testing on the command line: performance, confusions, and data that are not as the model takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backquery.datasets import load
from backquery.io import load_model, save_text
from backquery.model.evaluation import evaluate
from tests.conftest import Run


def test_a_test_gives_performance_confusion_and_the_worst(run: Run, model: Path) -> None:
    digits = load("digits")
    assert digits.test is not None
    expected = evaluate(load_model(model), digits.test)
    code, out, err = run("test", model, "digits", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["performance"], answer["images"]) == (expected.performance, 719)
    assert answer["confusion"] == expected.confusion.tolist()
    assert sum(map(sum, answer["confusion"])) == 719
    truth, read, images = expected.worst_confusions(1)[0]
    assert answer["worst_confusions"][0] == {"truth": str(truth), "read": str(read), "images": images}

    code, out, _ = run("test", model, "digits")
    assert code == 0
    assert out.startswith(f"{expected.performance:.2%} right: {np.trace(expected.confusion)} of 719 images")
    assert f"{truth} read as {read}: {images} image" in out


def test_data_on_another_scale_are_brought_to_the_models(run: Run, tmp_path: Path, model: Path) -> None:
    digits = load("digits").test
    assert digits is not None
    np.savez(tmp_path / "bright.npz", images=digits.images * 15.9375, labels=digits.labels, maximum=255.0)
    code, out, err = run("test", model, tmp_path / "bright.npz", "--json")
    assert (code, err.count("\n")) == (0, 1)  # that there is no test half
    assert json.loads(out)["confusion"] == json.loads(run("test", model, "digits", "--json")[1])["confusion"]


def test_a_folder_of_text_files_is_a_model_too(run: Run, tmp_path: Path, model: Path) -> None:
    save_text(load_model(model), tmp_path / "text")
    code, out, err = run("test", tmp_path / "text", "digits", "--json")
    assert code == 0
    assert "does not say how pixels become inputs: 0.01 for paper to 1 for ink is taken" in err
    assert json.loads(out)["performance"] == json.loads(run("test", model, "digits", "--json")[1])["performance"]


def test_of_data_without_a_test_half_what_the_network_did_not_learn_from_is_taken(
    run: Run, tmp_path: Path
) -> None:
    digits = load("digits").train.select(slice(300))
    data, model = tmp_path / "own.npz", tmp_path / "own.safetensors"
    np.savez(data, images=digits.images, labels=digits.labels)
    training = json.loads(run("train", data, "-o", model, "--hidden", "20", "--seed", "4", "--json")[1])
    code, out, err = run("test", model, data, "--json")
    found = json.loads(out)
    assert (code, found["images"]) == (0, training["test_images"])
    assert found["performance"] == training["performance"]
    assert "held out by seed 4 when this network learned" in err and "--test own takes all 300" in err

    _, out, _ = run("test", model, data, "--test", data, "--json")
    assert json.loads(out)["images"] == 300
