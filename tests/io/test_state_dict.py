"""State dicts go into the module that they were made of, whatever stands in front of their names."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from backquery.cli import main
from backquery.errors import AssumptionWarning, ModelError
from backquery.io.state_dict import load_into, read_state_dict
from tests.needs import needs

needs("torch")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

TAKEN_OFF = "a PyTorch state dict with `module.`, `_orig_mod.`, `model.` or the like in front of every name"


def network(seed=0, hidden=12):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, hidden), nn.BatchNorm1d(hidden), nn.Tanh(), nn.Linear(hidden, 10))


def state(front="", seed=1, hidden=12):
    return {front + name: tensor.clone() for name, tensor in network(seed, hidden).state_dict().items()}


def assert_loaded(module, expected):
    own = module.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())


@pytest.mark.reads("model", TAKEN_OFF, "taken off, where the names are then the module's own")
@pytest.mark.parametrize(
    "front", ["", "module.", "_orig_mod.", "model.", "model._orig_mod.", "module.model.net.", "state_dict.model."]
)
def test_what_stands_in_front_of_all_names_is_taken_off(front):
    module = network()
    load_into(module, state(front))
    assert_loaded(module, state())


@pytest.mark.parametrize("wrap", [nn.DataParallel, partial(torch.compile, backend="eager")])
def test_what_is_put_around_the_module_does_not_matter(wrap):
    module = network()
    load_into(wrap(module), state())
    assert_loaded(module, state())


def test_names_of_the_modules_own_that_look_like_a_front_stay():
    inner = nn.ModuleDict({"model": network()})
    load_into(inner, state("model."))
    assert_loaded(inner["model"], state())
    load_into(inner, state("module.model.", seed=2))
    assert_loaded(inner["model"], state(seed=2))


def test_counts_of_batch_norm_may_be_missing():
    lean = {name: tensor for name, tensor in state("module.").items() if "num_batches" not in name}
    module = network()
    load_into(module, lean)
    assert torch.equal(module[3].weight, state()["3.weight"])


def test_other_tensors_beside_are_left_and_said():
    module = network()
    with pytest.warns(AssumptionWarning, match=r"only what is named model\.\.\.\. is loaded: 2 other tensors"):
        load_into(module, {**state("model."), "loss.weight": torch.zeros(3), "epoch": torch.zeros(1)})
    assert_loaded(module, state())


def test_lazy_layers_take_their_size_from_it():
    module = nn.Sequential(nn.LazyLinear(12), nn.BatchNorm1d(12), nn.Tanh(), nn.LazyLinear(10))
    load_into(module, state("module."))
    assert torch.equal(module[0].weight, state()["0.weight"])


def test_old_weight_normalisation_is_still_understood():
    with pytest.warns(FutureWarning, match="weight_norm"):
        old = nn.utils.weight_norm(nn.Linear(5, 3))
    new = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))
    load_into(new, old.state_dict())
    torch.testing.assert_close(new(torch.ones(1, 5)), old(torch.ones(1, 5)))


OTHER = {"fc.weight": torch.zeros(2, 2), "0.weight": torch.zeros(12, 64)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (OTHER, r"another module: it lacks 0\.bias, 1\.weight, 1\.bias and 4 more, and it has fc\.weight$"),
        (state(hidden=9), r"other sizes: it has 0\.weight \(9, 64\) instead of \(12, 64\), .* and 4 more"),
        ({**state("net."), **state("ema.", 2)}, r"more than once, under net\., ema\."),
        (state("module.") | {"extra": torch.zeros(1), "other.more": torch.ones(2)}, ""),
    ],
)
def test_what_does_not_fit_is_named(given, message):
    if not message:
        with pytest.warns(AssumptionWarning, match="2 other tensors"):
            load_into(network(), given)
        return
    with pytest.raises(ModelError, match=message):
        load_into(network(), given)


@pytest.mark.parametrize("front", ["module.", "_orig_mod.", "model."])
def test_the_command_line_takes_fronts_off(front, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "fronted", raising=False)
    Path("fronted.py").write_text(
        "from torch import nn\n\n"
        "def net():\n    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))\n"
    )
    save_file(
        {front + name: tensor.clone() for name, tensor in state().items() if name[0] != "1"}, "w.safetensors"
    )
    # The middle part has no numbers here, so that the last one is the third.
    kept = {name.replace("3.", "2."): tensor for name, tensor in read_state_dict("w.safetensors").items()}
    save_file(kept, "w.safetensors")
    assert main(["info", "fronted:net@w.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
