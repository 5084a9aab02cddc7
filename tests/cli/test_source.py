"""PyTorch state dicts on the command line: the user's function, and weights that cannot run anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backquery.cli import main

pytestmark = pytest.mark.needs("torch")

MODULE = """
from torch import nn
from backquery import Scaling, from_torch

def dense():
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))

def convolutional(state):
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    module.load_state_dict(state)
    return from_torch(module, input_shape=(8, 8), scaling=Scaling.unit(16))

def number():
    return 3

def lazy():
    return nn.Sequential(nn.LazyLinear(10))

def features():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import sys

    from safetensors.torch import save_file
    from torch import manual_seed, nn

    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "users_models", raising=False)
    (tmp_path / "users_models.py").write_text(MODULE)
    manual_seed(3)
    dense = nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))
    convolutional = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    save_file(dense.state_dict(), tmp_path / "dense.safetensors")
    save_file(convolutional.state_dict(), tmp_path / "convolutional.safetensors")
    return tmp_path


def test_weights_are_loaded_into_the_module_that_the_function_returns(folder, capsys):
    from safetensors.torch import load_file

    assert main(["convert", "users_models:dense@dense.safetensors", "converted.safetensors"]) == 0
    import torch

    from backquery import load_model

    network = load_model("converted.safetensors")
    state = load_file(folder / "dense.safetensors")
    assert torch.equal(torch.tensor(network.layers[0].weights.copy()), state["0.weight"])
    assert torch.equal(torch.tensor(network.layers[1].biases.copy()), state["2.bias"])


def test_a_function_with_a_parameter_is_given_the_state_dict(folder, capsys):
    assert main(["test", "users_models:convolutional@convolutional.safetensors", "digits", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["images"] == 719
    scan = ["scan", "users_models:convolutional@convolutional.safetensors", "-o", "scans.png", "--label", "3"]
    assert main([*scan, "--method", "gauss-newton", "--confidence", "0.6"]) == 0
    assert (folder / "scans.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("users_models:dense@missing.safetensors", "there is no file missing.safetensors"),
        ("users_models:dense@weights.pt", "nothing is ever unpickled"),
        ("users_models:dense@users.safetensors", "damaged or no safetensors file"),
        ("users_models:number@dense.safetensors", "must return a PyTorch module"),
        (
            "users_models:dense@convolutional.safetensors",
            "the state dict belongs to another module: it lacks 2.weight, 2.bias, and it has 3.bias, 3.weight",
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_line(folder, capsys, source, said):
    (folder / "users.safetensors").write_bytes(b"no tensors here")
    assert main(["test", source, "digits"]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert said in error[0]


def test_a_module_that_is_not_there_is_told_without_python_own_words(folder, capsys):
    assert main(["info", "user_models:dense"]) == 1
    assert "there is no user_models.py in the current folder" in capsys.readouterr().err


def test_a_module_of_ones_own_with_its_state_dict_is_told_how_to_be_asked(folder, capsys):
    (folder / "own.py").write_text(
        "import torch\n\n\nclass Own(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = torch.nn.Linear(64, 8), torch.nn.Linear(8, 10)\n\n"
        "    def forward(self, x):\n        return self.b(torch.relu(self.a(x.view(-1, 64))))\n"
    )
    from safetensors.torch import save_file
    from torch import nn

    save_file(nn.ModuleDict({"a": nn.Linear(64, 8), "b": nn.Linear(8, 10)}).state_dict(), "own.safetensors")
    assert main(["info", "own:Own@own.safetensors"]) == 1
    said = capsys.readouterr().err
    assert "Own (the module) cannot be converted" in said and "in_features" not in said
    assert "let it take the state dict, load it into the module and return backquery.from_torch" in said


@pytest.mark.parametrize(
    ("function", "said"), [("lazy", "LazyLinear (0) has no weights yet"), ("features", "no chain of dense layers")]
)
def test_a_module_that_is_no_chain_is_told_for_what_it_is(folder, capsys, function, said):
    assert main(["info", f"users_models:{function}"]) == 1
    assert said in capsys.readouterr().err
