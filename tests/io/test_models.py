"""Which sources a model is loaded from, and why others are refused."""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backquery.errors import MissingExtraError, ModelError
from backquery.io import export_model, load_model, save_model, save_text
from backquery.model.activations import SOFTMAX
from backquery.model.network import Network


def test_a_file_and_a_folder_of_text_files_are_both_models(tmp_path: Path) -> None:
    network = Network.create([4, 3, 2], biases=True, rng=1, dtype="float64")
    save_model(network, tmp_path / "network.safetensors")
    save_text(network, tmp_path / "text")
    x = np.linspace(0, 1, 4)
    for source in (tmp_path / "network.safetensors", str(tmp_path / "text")):
        np.testing.assert_array_equal(load_model(source).query(x), network.query(x))


def test_an_unknown_model_is_said_with_what_there_is() -> None:
    with pytest.raises(
        ModelError, match=r"there is no model 'nothing': give a model file \(\.safetensors, .*bundled"
    ):
        load_model("nothing")


class Trap:
    """Unpickling this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["m.pkl", "m.PICKLE", "m.joblib", "m.pt", "m.pth"])
def test_pickles_are_refused_unopened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelError, match=r"it is a pickle, and opening a pickle can run .*save_model"):
        load_model(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_under_a_good_name_is_not_run_either(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelError, match="no safetensors file"):
        load_model(tmp_path / "m.safetensors")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.npy", "bare arrays.*build Network"),
        ("m.pkl", r"it is a pickle.*skops\.io\.dump.*network_from_sklearn"),
        ("m.pt", r"can run any program.*save_file\(module.state_dict\(\).*module:function@.*network_from_torch"),
    ],
)
def test_other_formats_are_refused_with_what_to_do(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ModelError, match=said):
        load_model(tmp_path / name)


@pytest.mark.needs("named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="not a regular file"):
        load_model(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", ["network", "network.pkl", ""])
def test_a_model_is_saved_only_where_it_can_be_loaded_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"saved as .safetensors files; .*try .*\.safetensors"):
        save_model(Network.create([4, 2], rng=1), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_name_one_is_proposed() -> None:
    with pytest.raises(ModelError, match=r"received \., try network\.safetensors"):
        save_model(Network.create([4, 2], rng=1), "")


@pytest.mark.parametrize(
    ("suffix", "package", "extra"),
    [
        pytest.param(".onnx", "onnx", "onnx", marks=pytest.mark.needs("onnx")),
        pytest.param(".keras", "h5py", "keras", marks=pytest.mark.needs("h5py")),
        pytest.param(".skops", "skops", "skops", marks=pytest.mark.needs("skops")),
    ],
)
def test_a_missing_package_is_named_with_its_install_command(
    suffix: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network.create([4, 2], activation="tanh", rng=1, biases=True)
    network = replace(network, layers=(replace(network.layers[0], activation=SOFTMAX),))
    path = tmp_path / f"m{suffix}"
    export_model(network, path)
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"needs {package}, which is not installed; run: pip install 'backquery\[{extra}\]'"
    with pytest.raises(MissingExtraError, match=said):
        load_model(path)
    with pytest.raises(MissingExtraError, match=said):
        export_model(network, tmp_path / f"other{suffix}")
    assert not (tmp_path / f"other{suffix}").exists()


@pytest.mark.needs("onnx", "keras", "torch", "skops", "sklearn")
@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx", "m.keras", "m.skops", "text"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_network_that_could_not_be_loaded_takes_no_good_ones_place(
    tmp_path: Path, name: str, wrong: float
) -> None:
    good = Network.create([4, 3, 2], activation="sigmoid", biases=True, rng=1)
    export_model(good, tmp_path / name)
    layer = good.layers[1]
    weights = layer.weights.copy()
    weights[0, 1] = wrong
    broken = replace(good, layers=(good.layers[0], replace(layer, weights=weights)))
    with pytest.raises(ModelError, match=r"1 of the 6 numbers of layers.1.weights are not finite, .* nothing was"):
        export_model(broken, tmp_path / name)
    x = np.linspace(0, 1, 4)
    np.testing.assert_allclose(load_model(tmp_path / name).query(x), good.query(x), atol=1e-6)


def test_weights_do_not_go_into_a_folder_that_is_named_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(ModelError, match=r"m.onnx is a folder, and its name says .onnx: name a file"):
        export_model(Network.create([4, 2], rng=1), tmp_path / "m.onnx")
    assert not list((tmp_path / "m.onnx").iterdir())
