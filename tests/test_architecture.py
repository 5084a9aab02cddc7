"""The floors of the house: the drawing, the contract and the code agree, and no imports run in a circle."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from backquery import Network, TrainingRun, back_query, certify, export_model, kernels, train
from backquery.errors import ModelError, TrainingError
from backquery.inversion import METHODS, Transpose
from backquery.io.formats import FORMATS, Format, format_of
from backquery.model import ACTIVATIONS, Activation
from backquery.studio.alone.made import page_of
from backquery.training import RECIPES, MiniBatch
from backquery.training.plan import Plan

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "backquery"

MOST_PAIRS = 112
"""Pairs of rooms of which one imports from the other; 160 before the ground floor was one room.

Twelve came with two rooms: `proofs` stands below the search and is shown wherever a scan is, and by `notes` the
command line, studio and report write lines of Python for pictures of `plots`.
"""

ABOVE_ALL = {"__init__", "__main__", "notebook"}
"""The public face and an old address, which are no rooms."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def origin(module: str, name: str) -> str:
    """The module that made what ``from module import name`` brings, through what packages pass on."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module in MODULES
            and name in {one.name for one in node.names}
        ):
            return origin(node.module, name)
    return module


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports from, wherever in it, for whatever purpose."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & MODULES.keys()
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found |= {origin(node.module, alias.name) for alias in node.names}
    return found


GRAPH = {name: imports(path) - {name} for name, path in MODULES.items()}


def room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def layers_of_the_contract() -> list[set[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contract = next(one for one in settings["contracts"] if one["type"] == "layers")
    return [set(re.findall(r"\w+", line)) for line in contract["layers"]]


def layers_of_the_drawing() -> list[set[str]]:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    (drawing,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [set(line.split(" | ")) for line in drawing.splitlines()]


def test_the_drawing_is_the_contract() -> None:
    assert layers_of_the_drawing() == layers_of_the_contract()
    assert len(layers_of_the_contract()) <= 10


def test_every_room_has_its_floor_and_its_line_in_the_table() -> None:
    rooms = {room(module) for module in MODULES} - ABOVE_ALL
    assert set().union(*layers_of_the_contract()) == rooms
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    told = {name for line in page.splitlines() if line.startswith("| `") for name in
            re.findall(r"`(\w+)`", line.split("|")[1])}  # fmt: skip
    assert told == rooms


def test_rooms_import_from_few_others() -> None:
    pairs = {(room(name), room(other)) for name, others in GRAPH.items() for other in others}
    between = {(one, other) for one, other in pairs if one != other}
    assert len(between) <= MOST_PAIRS, f"{len(between)} pairs of rooms import from one another"


def reachable(module: str, graph: dict[str, set[str]]) -> set[str]:
    """All that `module` imports, directly or not."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def test_no_imports_run_in_a_circle() -> None:
    assert [name for name in GRAPH if name in reachable(name, GRAPH)] == []


def test_a_circle_would_be_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert [name for name in graph if name in reachable(name, graph)] == ["a", "b", "c"]


def rows_of_the_guide() -> list[tuple[str, str, str, str]]:
    """What is added, where it is written, the registry and the registry's file."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(\w+)` in `([\w/.]+)` \|$", text, re.MULTILINE)


def test_the_guide_names_places_and_registries_that_there_are() -> None:
    rows = rows_of_the_guide()
    assert {row[0] for row in rows} >= {
        "an activation", "a recipe", "a method", "a model format", "a data set", "a command",
    }  # fmt: skip
    for thing, written, registry, file in rows:
        for place in [file, *re.findall(r"`([\w/.]+/[\w/.]*)`", written)]:
            assert (SOURCE / place).exists(), f"{thing}: {place}"
        assert len(getattr(import_module(module_name(SOURCE / file)), registry)) > 2, f"{thing}: {registry}"


SOFTSIGN = Activation(
    "softsign", None, lambda z: z / (1 + abs(z)), lambda h: (1 - abs(h)) ** 2, lambda y: y / (1 - abs(y)), -1, 1
)


def test_a_line_in_a_registry_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ACTIVATIONS, "softsign", SOFTSIGN)
    monkeypatch.setitem(RECIPES, "pairs", MiniBatch(batch_size=2, loss="squared"))
    monkeypatch.setitem(METHODS, "again", Transpose())
    monkeypatch.setitem(FORMATS, ".again", Format(".again", "native:load", "native:save"))
    plan = Plan.settled((4,), recipe="pairs", activations=("softsign",))
    assert plan.activations == ("softsign", "softsign")
    network = Network.create([3, *plan.hidden, 2], activation=plan.activations, rng=1)
    x = np.random.default_rng(0).uniform(0, 1, (6, 3))
    learned, _ = train(network, (x, np.arange(6) % 2), plan.recipe, epochs=plan.epochs, rng=1)
    assert not np.array_equal(learned.layers[0].weights, network.layers[0].weights)
    assert back_query(learned, [0, 1], method="again").read.shape == (2,)
    kind = format_of(tmp_path / "network.again")
    assert kind is not None
    kind.save(learned, tmp_path / "network.again")
    np.testing.assert_array_equal(kind.load(tmp_path / "network.again").query(x), learned.query(x))


@pytest.mark.parametrize(
    ("suffix", "program"),
    [
        pytest.param(".onnx", "ONNX", marks=pytest.mark.needs("onnx")),
        pytest.param(".keras", "Keras", marks=pytest.mark.needs("h5py")),
    ],
)
def test_what_does_not_know_a_new_activation_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str, program: str
) -> None:
    monkeypatch.setitem(ACTIVATIONS, "softsign", SOFTSIGN)
    network = Network.create([3, 4, 2], activation=["softsign", "sigmoid"], rng=1)
    x = np.random.default_rng(0).uniform(0, 1, (6, 3))
    data = (x, np.arange(6) % 2)
    with pytest.raises(ModelError, match=f"{program} has no activation softsign"):
        export_model(network, tmp_path / f"network{suffix}")
    with pytest.raises(ModelError, match="a page of one file does not know softsign"):
        page_of("network", network)
    assert TrainingRun(network, data, epochs=1).kernel == "numpy"
    if kernels.available():
        with pytest.raises(TrainingError, match=r"does not know softsign; use kernel='numpy'"):
            train(network, data, kernel="dense")
    assert "softsign" in str(certify(network, x).unknown)
    assert back_query(network, [0, 1], method="gauss-newton").read.shape == (2,)
