"""Models of every kind on the command line: converted, described, and made by the user's own function."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from backquery.inversion import fit_statistics
from backquery.io import export_model, load_model
from backquery.io.formats import FORMATS, TEXT
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from tests.conftest import Run

# Keras' PyTorch backend turns tensors into arrays in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PACKAGES = {".safetensors": (), ".onnx": ("onnx",), ".keras": ("h5py",), ".skops": ("skops",), TEXT: ()}
"""Every kind of file, and the packages that its test needs."""
KINDS = [pytest.param(kind, marks=pytest.mark.needs(*packages)) for kind, packages in PACKAGES.items()]


@pytest.fixture
def network() -> Network:
    """A network that every kind of file can hold, with all that a model file can carry."""
    network = Network.create(
        [64, 20, 3],
        biases=True,
        rng=1,
        input_shape=(8, 8),
        classes=("ant", "bee", "cat"),
        scaling=Scaling.book(16),
        about={"recipe": "book", "epochs": 5},
    )
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 17, (60, 8, 8)), np.arange(60) % 3
    statistics = fit_statistics(network, (network.scale(images), labels), rank=5)
    return Network(
        network.layers, network.input_shape, network.classes, network.scaling, statistics, network.about
    )


def path_of(folder: Path, kind: str) -> Path:
    return folder / ("text" if kind == TEXT else f"model{kind}")


def test_every_kind_is_tested() -> None:
    assert PACKAGES.keys() == FORMATS.keys()


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_every_kind_converts_into_every_other(
    first: str, second: str, network: Network, tmp_path: Path, run: Run
) -> None:
    source, destination = path_of(tmp_path / "1", first), path_of(tmp_path / "2", second)
    source.parent.mkdir()
    destination.parent.mkdir()
    export_model(network, source)
    code, out, err = run("convert", source, destination, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["kind"], answer["destination"]) == (second, str(destination))
    assert answer["difference"] < 1e-6
    x = network.scale(np.random.default_rng(0).integers(0, 17, (9, 8, 8)))
    np.testing.assert_allclose(load_model(destination).query(x), network.query(x), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_kept_is_true(kind: str, network: Network, tmp_path: Path) -> None:
    path = path_of(tmp_path, kind)
    lost = export_model(network, path)
    again = load_model(path)
    kept = {
        "class names": again.classes == network.classes,
        "scaling": again.scaling == network.scaling,
        "statistics of the training images": again.statistics is not None,
        "history": again.about == network.about,
    }
    assert {what for what, stays in kept.items() if not stays} == set(lost)
    assert set(lost) <= set(FORMATS[kind].loses)


def test_what_is_not_kept_is_said(network: Network, tmp_path: Path, run: Run) -> None:
    export_model(network, tmp_path / "model.safetensors")
    _, out, err = run("convert", tmp_path / "model.safetensors", tmp_path / "text")
    assert "wrote" in out
    assert "not kept, because a folder has no place for it: class names, scaling, statistics" in err


def test_a_model_with_nothing_to_lose_loses_nothing(tmp_path: Path) -> None:
    plain = Network.create([64, 3], rng=1, biases=True, input_shape=(8, 8))
    assert export_model(plain, tmp_path / "text") == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.pkl", "no model can be written as m.pkl: end its name in .safetensors, .onnx"),
        ("text", "text files are for sigmoid layers only, and this network has relu, softmax"),
        ("nowhere/m.safetensors", "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is_left(
    name: str, said: str, tmp_path: Path, run: Run
) -> None:
    export_model(Network.create([4, 3, 2], activation="relu", rng=1), tmp_path / "m.safetensors")
    code, out, err = run("convert", tmp_path / "m.safetensors", tmp_path / name)
    assert (code, out) == (1, "")
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.needs("skops")
def test_activations_that_scikit_learn_lacks_are_named(tmp_path: Path, run: Run) -> None:
    mixed = Network.create([4, 3, 2], activation=["leaky-relu", "softmax"], rng=1)
    export_model(mixed, tmp_path / "m.safetensors")
    code, _, err = run("convert", tmp_path / "m.safetensors", tmp_path / "m.skops")
    assert code == 1
    assert "leaky-relu" in err


# Info


@pytest.mark.parametrize("kind", KINDS)
def test_info_says_what_a_file_is_and_how_it_can_be_asked(
    kind: str, network: Network, tmp_path: Path, run: Run
) -> None:
    export_model(network, path_of(tmp_path, kind))
    code, out, err = run("info", path_of(tmp_path, kind), "--json")
    assert code == 0, err
    answer = json.loads(out)
    words = {
        ".safetensors": "backquery",
        ".onnx": "ONNX",
        ".keras": "Keras",
        ".skops": "skops",
        TEXT: "text files",
    }
    assert words[kind] in answer["kind"]
    assert answer["sizes"] == [64, 20, 3]
    assert answer["method"] == ("gauss-newton" if kind == ".safetensors" else "transpose")
    assert answer["methods"] == {"transpose": None, "gauss-newton": None, "ascent": None}


def test_info_says_why_a_method_cannot_be_used(tmp_path: Path, run: Run) -> None:
    export_model(Network.create([64, 9, 3], activation="relu", rng=1), tmp_path / "m.safetensors")
    reason = json.loads(run("info", tmp_path / "m.safetensors", "--json")[1])["methods"]["transpose"]
    assert "relu" in reason
    _, out, _ = run("info", tmp_path / "m.safetensors")
    assert "no: " in out
    assert "gauss-newton   can be used" in out


# The user's own function


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Write ``own_models.py`` into the current folder; forget it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(program: str) -> None:
        Path("own_models.py").write_text(dedent(program), "utf-8")
        sys.modules.pop("own_models", None)

    yield write
    sys.modules.pop("own_models", None)


NETWORK = """
    from backquery.model.network import Network
    from backquery.model.scaling import Scaling

    def make():
        return Network.create([64, 20, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16))
"""

TORCH = """
    from torch import nn, manual_seed

    def make():
        manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 10)).train()
"""

CONVOLUTION = """
    from backquery import Scaling, from_torch
    from torch import nn, manual_seed

    def bare():
        manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))

    def make():
        return from_torch(bare(), input_shape=(8, 8), scaling=Scaling.unit(16))
"""

KERAS = """
    import keras

    def make():
        keras.utils.set_random_seed(1)
        dense = keras.layers.Dense(10, activation="softmax")
        return keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), dense])
"""

SKLEARN = """
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    def make():
        return make_pipeline(MinMaxScaler(), LogisticRegression()).fit(*load_digits(return_X_y=True))
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(NETWORK, id="network"),
        pytest.param(TORCH, id="torch", marks=pytest.mark.needs("torch")),
        pytest.param(CONVOLUTION, id="convolution", marks=pytest.mark.needs("torch")),
        pytest.param(KERAS, id="keras", marks=pytest.mark.needs("keras", "torch")),
        pytest.param(SKLEARN, id="sklearn"),
    ],
)
def test_every_command_takes_what_an_own_function_returns(
    program: str, own: Callable[[str], None], run: Run
) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    own(program)
    path_before = list(sys.path)
    code, out, err = run("info", "own_models:make", "--json")
    assert code == 0, err
    assert json.loads(out)["kind"] == "what your own function returned"
    assert json.loads(out)["input_shape"] == [8, 8]
    code, out, err = run("test", "own_models:make", "digits", "--json")
    assert code == 0, err
    assert json.loads(out)["images"] == 719
    options = ["--method", "gauss-newton", "--prior", "smooth", "--confidence", "0.9", "--label", "3"]
    code, out, err = run("scan", "own_models:make", "-o", "scan.png", *options, "--json")
    assert code == 0, err
    assert [scan["label"] for scan in json.loads(out)["scans"]] == ["3"]
    code, out, err = run("query", "own_models:make", "scan.png", "--json")
    assert code == 0, err
    assert len(json.loads(out)["answers"][0]) == 10
    assert sys.path == path_before


def test_an_own_function_can_be_converted(own: Callable[[str], None], run: Run) -> None:
    own(NETWORK)
    code, _, err = run("convert", "own_models:make", "made.safetensors")
    assert code == 0, err
    expected = Network.create([64, 20, 10], rng=1).layers[0].weights
    assert np.array_equal(load_model("made.safetensors").layers[0].weights, expected)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("own_models:number", "own_models:number must return a Network, a Model, a PyTorch or Keras model"),
        ("own_models:broken", "own_models:broken failed, in own_models.py, line 6: ZeroDivisionError"),
        ("own_models:absent", "the module own_models has no function absent"),
        ("own_models:CONSTANT", "the module own_models has no function CONSTANT"),
        ("own_absent:make", "there is no own_absent.py in the current folder"),
        ("own_models:refused", "weights must be a matrix"),
        (
            "own_models:ending",
            "own_models:ending tried to end the program, in own_models.py, line 15: SystemExit: 0",
        ),
    ],
)
def test_what_goes_wrong_in_own_code_is_one_line(
    source: str, said: str, own: Callable[[str], None], run: Run
) -> None:
    own("""
    from backquery.model.network import Layer
    CONSTANT = 3

    def broken():
        return 1 / 0

    def number():
        return 3

    def refused():
        return Layer([1, 2, 3], None, None)

    def ending():
        raise SystemExit(0)
    """)
    code, out, err = run("info", source)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_script_that_ends_when_it_is_imported_is_an_error(own: Callable[[str], None], run: Run) -> None:
    own("import sys\nsys.exit()")
    code, out, err = run("info", "own_models:make")
    assert (code, out) == (1, "")
    assert err.startswith(
        "backquery: own_models:make tried to end the program, in own_models.py, line 2: SystemExit"
    )


def test_ctrl_c_in_own_code_stops_the_command(own: Callable[[str], None], run: Run) -> None:
    own("raise KeyboardInterrupt")
    assert run("info", "own_models:make")[0] == 130


@pytest.mark.needs("torch")
def test_a_module_that_is_no_dense_chain_needs_its_shape(own: Callable[[str], None], run: Run) -> None:
    own(CONVOLUTION)
    code, _, err = run("info", "own_models:bare")
    assert code == 1
    assert "backquery.from_torch(module, input_shape=(28, 28))" in err
    for command in (
        ["convert", "own_models:make", "m.onnx"],
        ["prior", "own_models:make", "digits", "-o", "m.safetensors"],
    ):
        code, _, err = run(*command)
        assert code == 1
        assert "needs a chain of dense layers; this model is a TorchModel" in err


def test_a_file_with_a_colon_in_its_name_is_a_file(own: Callable[[str], None], run: Run) -> None:
    own("raise SystemError('this must not run')")
    Path("own_models:make").write_bytes(b"no model")
    code, _, err = run("info", "own_models:make")
    assert code == 1
    assert "no safetensors file" in err
