"""Training on the command line: the model that comes of it, its JSON, and what it tells on the way."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import load
from backquery.io import load_model
from backquery.model.evaluation import evaluate
from backquery.training import History
from tests.conftest import Run


def test_a_failed_training_keeps_the_old_model(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "model.safetensors"
    kept.write_bytes(b"old")
    options = ["--recipe", "minibatch", "--learning-rate", "1e30", "--epochs", "3"]
    code, out, err = run("train", "digits", "-o", kept, *options)
    assert (code, out) == (1, "")
    assert "left the finite numbers" in err
    assert kept.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [kept]


def test_training_gives_the_documented_json_and_a_model_that_says_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    code, out, err = run(
        "train", "digits", "-o", path, "--hidden", "20,15", "--epochs", "4", "--seed", "7", "--json"
    )
    answer = json.loads(out)
    assert code == 0
    assert "epoch 4 of 4" in err
    assert answer["history"][-1]["test_accuracy"] == answer["performance"]
    assert [record["epoch"] for record in answer["history"]] == [1, 2, 3, 4]
    assert answer["seconds"] == pytest.approx(sum(record["seconds"] for record in answer["history"]))
    assert answer["kernel"] in ("sparse", "dense", "numpy")
    assert (answer["seed"], answer["held_out"], answer["test_images"]) == (7, False, 719)

    network = load_model(path)
    digits = load("digits")
    assert digits.test is not None
    assert network.sizes == (64, 20, 15, 10)
    assert [layer.biases for layer in network.layers] == [None, None, None]
    assert network.about["performance"] == answer["performance"]
    assert evaluate(network, digits.test).performance == answer["performance"]


def test_the_same_seed_gives_the_same_network(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        options = ["--recipe", "online", "--epochs", "2", "--seed", "3", "--no-keep-prior"]
        assert run("train", "digits", "-o", tmp_path / f"{name}.safetensors", *options)[0] == 0
    one, two = (load_model(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(one.layers, two.layers, strict=True))


@pytest.mark.parametrize(
    ("options", "activations", "biased", "loss"),
    [
        (["--recipe", "book"], ["sigmoid", "sigmoid"], False, "book"),
        (["--recipe", "book", "--biases"], ["sigmoid", "sigmoid"], True, "book"),
        (["--recipe", "online"], ["relu", "softmax"], True, "cross-entropy"),
        (["--recipe", "minibatch", "--activation", "tanh"], ["tanh", "softmax"], True, "cross-entropy"),
        (["--recipe", "minibatch", "--activation", "sigmoid"], ["sigmoid", "sigmoid"], True, "cross-entropy"),
        (["--recipe", "batch", "--no-biases"], ["sigmoid", "sigmoid"], False, "squared"),
        (["--loss", "squared", "--activation", "tanh,sigmoid"], ["tanh", "sigmoid"], False, "squared"),
    ],
)
def test_recipes_and_options_make_the_network_that_help_describes(
    run: Run, tmp_path: Path, options: list[str], activations: list[str], biased: bool, loss: str
) -> None:
    path = tmp_path / "model.safetensors"
    assert run("train", "digits", "-o", path, "--epochs", "1", "--hidden", "12", *options)[0] == 0
    network = load_model(path)
    assert [layer.activation.name for layer in network.layers] == activations
    assert [layer.biases is not None for layer in network.layers] == [biased, biased]
    assert network.about["loss"] == loss
    assert network.scaling is not None
    assert network.scaling.uniform == ("batch" not in options)


def test_images_are_held_out_where_there_is_no_test_half(run: Run, tmp_path: Path) -> None:
    digits = load("digits").train
    np.savez(tmp_path / "mine.npz", images=digits.images[:200], labels=digits.labels[:200])
    code, out, err = run("train", tmp_path / "mine.npz", "-o", tmp_path / "m.safetensors", "--seed", "5", "--json")
    answer = json.loads(out)
    assert (code, answer["held_out"]) == (0, True)
    assert answer["test_images"] == pytest.approx(40, abs=5)
    assert f"{answer['test_images']} images, 20% of each label, held out by seed 5" in err
    assert load_model(tmp_path / "m.safetensors").statistics is None, "not kept unasked for one's own images"


@pytest.mark.parametrize(("recipe", "warned"), [("book", True), ("online", False)])
def test_images_that_come_label_by_label_are_told(run: Run, tmp_path: Path, recipe: str, warned: bool) -> None:
    digits = load("digits").train
    order = np.argsort(digits.labels, kind="stable")
    np.savez(tmp_path / "sorted.npz", images=digits.images[order], labels=digits.labels[order])
    np.savez(tmp_path / "mixed.npz", images=digits.images, labels=digits.labels)
    options = ("--hidden", "5", "--epochs", "1", "--seed", "1", "--recipe", recipe)
    for name, told in (("sorted", warned), ("mixed", False)):
        code, _, err = run("train", tmp_path / f"{name}.npz", "-o", tmp_path / "m.safetensors", *options)
        assert code == 0
        assert ("label by label" in err) == told


def test_statistics_are_kept_for_known_data_or_when_asked(run: Run, tmp_path: Path, model: Path) -> None:
    assert load_model(model).statistics is not None
    path = tmp_path / "bare.safetensors"
    assert run("train", "digits", "-o", path, "--epochs", "1", "--no-keep-prior")[0] == 0
    assert load_model(path).statistics is None


def test_a_trained_model_s_file_keeps_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    code, out, _ = run("train", "digits", "-o", path, "--hidden", "10", "--epochs", "3", "--seed", "1", "--json")
    assert code == 0
    kept = History.of_brief(load_model(path).about["history"])
    assert kept is not None
    assert [asdict(one) for one in kept.epochs] == [one | {"seconds": 0.0} for one in json.loads(out)["history"]]
    code, out, _ = run("info", path)
    assert "3 entries" in out
