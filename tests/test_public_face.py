"""What stands behind ``import backquery``: every name and package, loaded when asked for, and the old names."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

import backquery

SOURCE = Path(backquery.__file__).parent

MOVED = [
    ("backquery", "damage", "measure_damage"),
    ("backquery.experiments.damage", "damage", "measure_damage"),
    ("backquery.experiments.timeline", "timeline", "watch_training"),
]


@pytest.mark.parametrize("name", backquery.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(backquery, name) is not None
    assert name in dir(backquery)


@pytest.mark.parametrize("home", sorted(path.parent.name for path in SOURCE.glob("*/__init__.py")))
def test_a_package_has_what_it_says_it_has(home: str) -> None:
    package = import_module(f"backquery.{home}")
    assert [name for name in getattr(package, "__all__", ()) if not hasattr(package, name)] == []


def test_packages_are_there_after_a_plain_import_and_not_loaded_before() -> None:
    program = (
        "import sys, backquery as bq\n"
        "assert not {'numpy', 'scipy', 'matplotlib', 'backquery.model'} & set(sys.modules), sorted(sys.modules)\n"
        "network, digits = bq.model.Network.create([4, 3, 2], rng=1), bq.datasets.load('digits')\n"
        "print(callable(bq.plots.scan_grid), bq.inversion.usual_method(network), digits.name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "True transpose digits\n", ran.stderr


USERS_LINES = """\
import backquery as bq
from backquery import back_query, datasets, load_model, plots

digits = datasets.load("digits")
network = load_model("mnist")
scans = back_query(network, ["3"], method="gauss-newton")
plots.save_figure(bq.plots.scan_grid(scans, network), "three.png")
right: float = bq.evaluate(network, digits.train).performance
"""


def test_type_checkers_see_every_name_that_is_loaded_on_first_use() -> None:
    """What the stub imports is what ``__getattr__`` gives, by the same names from the same homes."""
    stub = ast.parse(Path(backquery.__file__).with_suffix(".pyi").read_text("utf-8"))
    imported = {
        name.asname: f"{node.module}.{name.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert imported.keys() == {*backquery.__all__} - {"__version__"}
    for name, whence in imported.items():
        home, _, own = whence.rpartition(".")
        assert own == name and getattr(import_module(home), name) is getattr(backquery, name)


@pytest.mark.needs("mypy")
def test_a_users_lines_are_checked_by_mypy_as_they_deserve(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(USERS_LINES, "utf-8")
    (tmp_path / "wrong.py").write_text(USERS_LINES + 'back_query(network, methd="transpose")\n', "utf-8")
    found = Path(backquery.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "right.py", "wrong.py"],
        cwd=tmp_path, env=os.environ | {"MYPYPATH": str(found)}, capture_output=True, text=True,
    )  # fmt: skip
    mistakes = [line for line in ran.stdout.splitlines() if ": error: " in line]
    assert len(mistakes) == 1 and mistakes[0].startswith("wrong.py:9:") and '"methd"' in mistakes[0], ran.stdout


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'backquery' has no attribute 'nothing'"):
        _ = backquery.nothing


@pytest.mark.parametrize(("module", "old", "new"), MOVED)
def test_an_old_name_still_works_and_says_the_new_one(module: str, old: str, new: str) -> None:
    home = import_module(module)
    with pytest.warns(DeprecationWarning, match=f"is now {module}.{new}"):
        assert getattr(home, old) is getattr(home, new)


@pytest.mark.parametrize(
    ("package", "function"),
    [("audit", "find_shortcuts"), ("evidence", "measure_evidence"), ("report", "write_report")],
)
def test_a_package_called_like_its_command_does_what_the_command_does(package: str, function: str) -> None:
    home = getattr(backquery, package)
    assert home is import_module(f"backquery.{package}") and getattr(home, function)
    with (
        pytest.warns(DeprecationWarning, match=rf"backquery.{package}\(...\) is backquery.{function}\(...\)"),
        pytest.raises(TypeError, match=rf"{function}\(\) missing"),
    ):
        home()


@pytest.mark.parametrize("command", ["compare", "query", "scan", "test", "timeline"])
def test_a_command_s_name_is_answered_with_what_it_is_in_python(command: str) -> None:
    assert not hasattr(backquery, command)
    with pytest.raises(AttributeError, match="in Python it is ") as error:
        getattr(backquery, command)
    told = str(error.value).rsplit(" ", 1)[1]
    assert callable(attrgetter(told)(backquery))


def test_the_notebook_s_old_address_still_works() -> None:
    program = (
        "import warnings; warnings.simplefilter('always'); from backquery.notebook import Studio; print(Studio)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if "anywidget" in ran.stderr and ran.returncode:
        assert "backquery[notebook]" in ran.stderr
    else:
        assert "backquery.notebook is now backquery.studio.notebook" in ran.stderr
        assert "backquery.studio.notebook.Studio" in ran.stdout


RESULTS = [
    "model.Evaluation", "training.History", "inversion.BackQuery", "inversion.Kept",
    "evidence.Evidence", "evidence.ImageEvidence",
    "evidence.ControlEvidence",
    "audit.Audit", "faithfulness.Comparison", "experiments.Damage", "experiments.Timeline", "datasets.Summary",
    "experiments.sweep.Run", "experiments.sweep.Family", *(f"lessons.{name}" for name in backquery.lessons.__all__
                                                           if name.endswith("Lesson") and name != "Lesson"),
]  # fmt: skip


@pytest.mark.parametrize("place", RESULTS)
def test_every_result_can_say_itself_as_json(place: str) -> None:
    module, name = place.rsplit(".", 1)
    assert callable(getattr(import_module(f"backquery.{module}"), name).as_json)
