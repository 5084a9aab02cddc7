"""What pixels mean stays with the model, from the training to every later question on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.cli.source import prepared
from backquery.datasets import Dataset
from backquery.errors import AssumptionWarning
from backquery.io import load_model, save_model
from backquery.model import Meaning, Network
from tests.conftest import Run
from tests.datasets.test_deciding import put


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs on bright ground and squares on dark, mixed otherwise in the halves and in a folder beside."""
    folder = tmp_path_factory.mktemp("drawings")
    put(folder / "d/train", disc=60, square=40)
    put(folder / "d/test", disc=10, square=30)
    put(folder / "one", disc=6, square=40)
    return folder


@pytest.fixture
def trained(run: Run, drawings: Path, tmp_path: Path) -> Path:
    model = tmp_path / "net.safetensors"
    code, _, said = run(
        "train", drawings / "d", "-o", model, "--seed", "1", "--recipe", "minibatch", "--epochs", "20"
    )
    assert code == 0 and "70 images stand on bright ground, 70 on dark" in said
    return model


@pytest.mark.reads("model", "a model trained on pictures of different grounds", "nothing is ever turned for it")
def test_grounds_mixed_otherwise_in_every_folder_are_read_as_in_the_training(
    run: Run, drawings: Path, trained: Path
) -> None:
    for data in ("d", "d/train", "one"):
        code, out, said = run("test", trained, drawings / data, "--json")
        assert (code, json.loads(out)["performance"]) == (0, 1.0), said
    squares = sorted((drawings / "d/train/square").iterdir())
    code, out, said = run("query", trained, *squares, "--json")
    assert (code, said) == (0, "")
    assert json.loads(out)["read"] == ["square"] * len(squares)


def test_every_command_on_data_takes_what_files_leave_open(run: Run, drawings: Path, trained: Path) -> None:
    code, out, said = run("test", trained, drawings / "d", "--ink", "light", "--json")
    assert (code, said, json.loads(out)["performance"]) == (0, "", 1.0)
    code, out, _ = run("test", trained, drawings / "d", "--ink", "dark", "--json")
    assert json.loads(out)["performance"] < 0.5
    code, out, said = run("data", "inspect", drawings / "d", "--ink", "light", "--json")
    assert json.loads(out)["meaning"]["ground"] == "one"
    for wrong in (("--range", "16"), ("--range", "9,2"), ("--scale", "0,0"), ("--scale", "big")):
        code, out, said = run("test", trained, drawings / "d", *wrong)
        assert code in (1, 2) and out == "" and "received" in said


@pytest.mark.reads(
    "model", "a model file of version 0.1, which knows no meaning of pixels", "0 is taken for paper; said"
)
def test_a_model_without_a_meaning_opens_and_says_what_is_assumed(
    run: Run, trained: Path, drawings: Path, tmp_path: Path
) -> None:
    network = load_model(trained)
    assert network.scaling is not None
    save_model(replace(network, scaling=replace(network.scaling, meaning=None)), tmp_path / "old.safetensors")
    code, _, said = run("test", tmp_path / "old.safetensors", drawings / "d")
    assert code == 0
    assert "does not say what its pixels mean: 0 is taken for the paper" in said


def saved(network: Network, path: Path) -> Path:
    save_model(network, path)
    return path


@pytest.fixture
def learned(digits: Dataset, tmp_path: Path) -> Network:
    from backquery.training.plan import Plan, carry_out

    plan = Plan.settled((30,), recipe="minibatch", learning_rate=0.01, epochs=20)
    return carry_out(plan, digits)[0]


Make = Callable[[Network], Network]


def scaled(low: float, high: float) -> Make:
    """The same network as one that was given `low` for paper and `high` for ink, and says nothing of it."""

    def make(network: Network) -> Network:
        first, gain = network.layers[0], 0.99 / (high - low)
        weights = first.weights.astype(np.float64)
        biases = first.shifts + weights.sum(axis=1) * (0.01 - gain * low)
        layer = replace(first, weights=(weights * gain).astype(np.float32), biases=biases.astype(np.float32))
        return replace(network, layers=(layer, *network.layers[1:]), scaling=None, statistics=None)

    return make


@pytest.mark.parametrize(("low", "high"), [(0.01, 1.0), (0.0, 1.0), (0.0, 16.0), (-1.0, 1.0), (1.0, 0.0)], ids=str)
@pytest.mark.reads(
    "model",
    "a model that does not say how pixels become its inputs, asked about data",
    "of the usual scales the one under which its answers fit the labels best; said (`--scale`)",
)
def test_the_scale_of_a_model_is_found_or_told(
    run: Run, learned: Network, digits: Dataset, tmp_path: Path, low: float, high: float
) -> None:
    performance = json.loads(run("test", saved(learned, tmp_path / "net.safetensors"), "digits", "--json")[1])
    bare = saved(scaled(low, high)(learned), tmp_path / "bare.safetensors")
    for told in ((), ("--scale", f"{low},{high}")):
        code, out, said = run("test", bare, "digits", *told, "--json")
        assert code == 0
        assert json.loads(out)["performance"] == pytest.approx(performance["performance"], abs=0.01)
        assert ("for ink is taken, which fits the labels best" in said) == (not told)


@pytest.mark.parametrize("full", [1.0, 16.0], ids=str)
@pytest.mark.needs("skops")
def test_a_scale_at_which_a_model_reads_as_well_but_too_surely_is_not_taken(
    run: Run, digits: Dataset, tmp_path: Path, full: float
) -> None:
    import skops.io
    from sklearn.neural_network import MLPClassifier

    inputs = digits.train.images.reshape(-1, 64) / 16 * full
    estimator = MLPClassifier((40,), tol=1e-2, max_iter=400, random_state=0).fit(inputs, digits.train.labels)
    skops.io.dump(estimator, tmp_path / "mlp.skops")
    _, _, said = run("test", tmp_path / "mlp.skops", "digits")
    taken = re.search(r"to ([\d.]+) for ink is taken", said)
    assert taken is not None and float(taken[1]) == full


def test_a_scale_that_contradicts_the_model_is_told(run: Run, learned: Network, tmp_path: Path) -> None:
    model = saved(learned, tmp_path / "net.safetensors")
    _, _, said = run("test", model, "digits", "--scale", "-1,1", "--json")
    assert "itself says that it takes 0.01 to 1, for paper and for ink; --scale -1,1 is taken instead" in said
    assert run("test", model, "digits", "--scale", " Book", "--json")[2] == ""


@pytest.mark.parametrize(
    ("turned", "option"),
    [(lambda images: images.transpose(0, 2, 1), "--transposed"), (lambda images: 16 - images, "--ink")],
)
@pytest.mark.reads(
    "data",
    "images that a model reads far better with rows and columns, or dark and bright, exchanged",
    "one line says so, with the option",
)
def test_images_that_lie_on_their_side_are_noticed_by_a_model_that_knows_them(
    run: Run,
    learned: Network,
    digits: Dataset,
    tmp_path: Path,
    turned: Callable[[np.ndarray], np.ndarray],
    option: str,
) -> None:
    assert digits.test is not None
    model, data = saved(learned, tmp_path / "net.safetensors"), tmp_path / "turned.npz"
    np.savez(data, images=turned(digits.test.images), labels=digits.test.labels, maximum=16)
    _, out, said = run("test", model, data, "--ink", "light", "--json")
    assert json.loads(out)["performance"] < 0.5
    assert "are read rightly as they are, but 9" in said and option in said
    told = ("--transposed",) if option == "--transposed" else ("--ink", "dark")
    _, out, said = run("test", model, data, *told, "--json")
    assert json.loads(out)["performance"] > 0.9 and "as they are" not in said


def test_pictures_that_a_model_never_centred_are_only_scaled_and_that_is_said(
    run: Run, learned: Network, digits: Dataset, tmp_path: Path
) -> None:
    assert learned.scaling is not None and learned.scaling.meaning is not None
    assert learned.scaling.meaning.centred is False
    model = saved(learned, tmp_path / "net.safetensors")
    ink = np.kron(digits.train.images[0] * 15, np.ones((4, 4))).astype(np.uint8)
    Image.fromarray(ink).save(tmp_path / "large.png")
    _, _, said = run("query", model, tmp_path / "large.png")
    assert "the model's own images are not centred, so that pictures are only scaled; --centre" in said
    _, _, said = run("query", model, tmp_path / "large.png", "--centre")
    assert said == ""


def test_a_drawing_in_a_corner_stays_there_for_a_network_whose_images_stand_anywhere(
    run: Run, tmp_path: Path
) -> None:
    model, picture = tmp_path / "net.safetensors", tmp_path / "corner.png"
    assert run("train", "shapes", "-o", model, "--epochs", "1", "--hidden", "5")[0] == 0
    page = np.zeros((96, 96), np.uint8)
    page[6:30, 6:12] = 255
    Image.fromarray(page).save(picture)
    network = load_model(model)
    with pytest.warns(AssumptionWarning, match="only scaled"):
        (corner,) = prepared(network, [picture])
    assert corner[2:10, 2:4].min() > 150 and corner[13:].max() == 0 == corner[:, 7:].max()
    (moved,) = prepared(network, [picture], centre=True)
    assert moved[:, :7].max() == 0 < moved[:, 14:18].max()


def test_the_meaning_travels_with_every_kind_of_file_that_keeps_a_scaling(
    learned: Network, tmp_path: Path
) -> None:
    told = Meaning("none", False, ("it was told",))
    assert learned.scaling is not None
    network = replace(learned, scaling=replace(learned.scaling, meaning=told))
    kept = load_model(saved(network, tmp_path / "net.safetensors"))
    assert kept.scaling is not None and kept.scaling.meaning == told


@pytest.mark.parametrize("suffix", [
    pytest.param(".onnx", marks=pytest.mark.needs("onnx", "onnxruntime")),
    pytest.param(".keras", marks=pytest.mark.needs("h5py", "keras")),
])  # fmt: skip
def test_foreign_files_keep_the_meaning_too(learned: Network, tmp_path: Path, suffix: str) -> None:
    from backquery.io import export_model

    export_model(learned, tmp_path / f"net{suffix}")
    kept = load_model(tmp_path / f"net{suffix}")
    assert kept.scaling is not None and learned.scaling is not None
    assert kept.scaling.meaning == learned.scaling.meaning
