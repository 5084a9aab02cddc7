"""Every public name is listed, and its docstring says what it takes and gives: shapes, units, errors, source."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import Any

import pytest

import backquery
from backquery import errors
from tests.public_names import LIST, Public, listed, things

THINGS = things()
CALLED = [one for one in THINGS if one.is_function or one.is_class]
CONSTANTS = [one for one in THINGS if one not in CALLED and not inspect.ismodule(one.thing)]

ARRAY = re.compile(r"\b(Array|Pixels|Labels|ndarray|NDArray|ArrayLike)\b")
_SIDE = r"(\w[\w /+*'-]*|\*\w+|\.\.\.)"
SHAPE = re.compile(rf"\({_SIDE},( {_SIDE}(, {_SIDE})*)?\)|\(\.\.\.\)|\bshapes?\b")
"""A shape in parentheses, such as (n, inputs), or words about one."""

UNITS = {
    r"timeout|seconds|seconds_left": "second",
    r"degrees|rotate|rotations": "degree|angle",
    r"shift|length": "pixel",
    r"learning_rate": "slope|learning rate|step",
    r"share|box_share|confidence|confidences": r"share|between 0 and 1|0\.\d|probabilit",
    r"low|high|lowest|highest|maximum": "pixel|input|ink|answer|output|scale|interval|share|range|bound|signal",
}
"""What a number is measured in, by its name."""

DECLARED = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}

CITATION = re.compile(r"\b(18|19|20)\d\d\b|arXiv")
OF_THE_LITERATURE = [
    "audit.colour_or_shape", "audit.recoloured", "evidence.image_evidence", "evidence.measure_evidence",
    "experiments.measure_damage", "faithfulness.Passage", "faithfulness.Recognition",
    "faithfulness.fooling_circuit", "faithfulness.fooling_module", "faithfulness.linear_judge",
    "faithfulness.neighbour_judge", "faithfulness.recognised_share", "inversion.Ascent", "inversion.GaussNewton",
    "inversion.MixturePrior", "inversion.SpectralPrior", "inversion.Transpose", "inversion.kept_by_layer",
    "inversion.natural_prior", "lessons.back_propagation_lesson", "lessons.descent_lesson", "model.Network.create",
    "model.leaky_relu", "proofs.certify", "proofs.proved_impossible", "training.FullBatch", "training.MiniBatch",
    "training.Online",
]  # fmt: skip
"""What follows a paper or a book: its docstring, or its module's, says which."""


def test_the_list_is_what_is_public() -> None:
    assert LIST.read_text("utf-8") == listed(), "python -m tests.public_names writes it; see docs/stability.md"


def test_a_docstring_says_more_than_the_name() -> None:
    hollow = []
    for one in CALLED:
        words = re.findall(r"[a-z]+", (inspect.getdoc(one.function) or "").lower())
        named = set(re.findall(r"[a-z]+", one.name.lower()))
        if len(words) < 4 or len(set(words) - named) < 3:
            hollow.append(one.name)
    assert hollow == []


@cache
def constants_said(module: str) -> set[str]:
    """The names of a module that are assigned with a string after them, or after the last line of several."""
    said: set[str] = set()
    together: set[str] = set()
    end = 0
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if node.lineno > end + 1:
            together = set()
        end = node.end_lineno or 0
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            together |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.Expr):
            said |= together
    return said


def test_a_constant_is_followed_by_what_it_is() -> None:
    said = set().union(*(constants_said(module) for module in sys.modules if module.startswith("backquery.")))
    assert {one.name.rpartition(".")[2] for one in CONSTANTS} - said == {"__version__"}


def taken(one: Public) -> dict[str, str]:
    """What it is given: annotations of a function's parameters, or of a class's public fields."""
    if one.is_class:
        own = inspect.get_annotations(one.thing)
        return {name: str(kind) for name, kind in own.items() if not name.startswith("_")}
    parameters = inspect.signature(one.function).parameters.values()
    return {each.name: str(each.annotation) for each in parameters if each.name not in ("self", "cls")}


def unnamed(one: Public, kinds: re.Pattern[str]) -> list[str]:
    """What of these kinds it is given and does not speak of."""
    return [
        name
        for name, kind in taken(one).items()
        if kinds.search(kind) and not re.search(rf"\b{name.replace('_', '[_ ]')}\b", one.docstring)
    ]


def test_arrays_have_a_name_and_a_shape() -> None:
    nameless = {one.name: names for one in CALLED if (names := unnamed(one, ARRAY))}
    assert nameless == {}
    shapeless = []
    for one in CALLED:
        returned = "" if one.is_class else str(inspect.signature(one.function).return_annotation)
        has_arrays = any(ARRAY.search(kind) for kind in [*taken(one).values(), returned])
        if has_arrays and not SHAPE.search(one.docstring):
            shapeless.append(one.name)
    assert shapeless == []


def test_numbers_have_a_name_and_a_unit() -> None:
    nameless = {one.name: names for one in CALLED if (names := unnamed(one, re.compile(r"\bfloat\b")))}
    assert nameless == {}
    without = [
        (one.name, name, unit)
        for one in CALLED
        for name, kind in taken(one).items()
        for named, unit in UNITS.items()
        if "float" in kind and re.fullmatch(named, name) and not re.search(unit, one.docstring, re.IGNORECASE)
    ]
    assert without == []


@cache
def functions_of(module: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def raised(function: ast.AST, module: str, met: set[str]) -> Iterator[str]:
    """The declared errors that a function raises, itself or by private functions of its module."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield name_of(node.exc)
        if isinstance(node, ast.Call):
            called = name_of(node)
            if called == "declared":
                yield from map(name_of, node.args)
            elif called.startswith("_") and called not in met and called in functions_of(module):
                met.add(called)
                yield from raised(functions_of(module)[called], module, met)


def name_of(node: ast.AST) -> str:
    """Of ``name``, ``name(...)``, ``self.name(...)`` and ``cls.name(...)``."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def bodies(one: Public) -> list[Any]:
    """The function, or what makes a value of the class; what a dataclass makes itself has no source."""
    own = [vars(one.thing).get(name) for name in ("__init__", "__post_init__")] if one.is_class else [one.function]
    functions = [inspect.unwrap(function) for function in own if inspect.isfunction(function)]
    return [function for function in functions if function.__code__.co_filename.endswith(".py")]


def is_said(error: type[Exception], docstring: str) -> bool:
    """Whether an error is named, or one that it is a kind of."""
    return any(
        re.search(rf"\b{kind.__name__}\b", docstring) for kind in error.__mro__ if kind.__name__ in DECLARED
    )


def test_errors_are_named() -> None:
    unsaid = {}
    for one in CALLED:
        found: set[str] = set()
        for function in bodies(one):
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
            found |= set(raised(tree, function.__module__, set()))
        if missing := {name for name in found & DECLARED.keys() if not is_said(DECLARED[name], one.docstring)}:
            unsaid[one.name] = missing
    assert unsaid == {}


@pytest.mark.parametrize("name", OF_THE_LITERATURE)
def test_what_follows_the_literature_says_its_source(name: str) -> None:
    thing = attrgetter(name)(backquery)
    assert CITATION.search(f"{inspect.getdoc(thing)}\n{inspect.getdoc(sys.modules[thing.__module__])}")


def test_one_version_and_one_date_stand_everywhere() -> None:
    cited = (LIST.parents[1] / "CITATION.cff").read_text("utf-8")
    (version,), (date,) = (re.findall(rf"^{key}: (\S+)$", cited, re.M) for key in ("version", "date-released"))
    assert version == backquery.__version__
    told = re.findall(r"^## (\S+) - (\S+)$", (LIST.parents[1] / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert told[0] == (version, date)


def test_these_rules_see_what_is_missing() -> None:
    def silent(x: ArrayLike, share: float) -> Array:  # noqa: F821
        """Gives something back."""
        raise errors.DataError("nothing")

    one = Public("backquery.silent", silent)
    assert unnamed(one, ARRAY) == ["x"] and unnamed(one, re.compile("float")) == ["share"]
    assert (
        not SHAPE.search(one.docstring) and SHAPE.search("rows of x (n, inputs)") and SHAPE.search("labels (n,)")
    )
    assert not any(SHAPE.search(words) for words in ("rows (see there)", "from 0 (paper) to 1", "called()"))
    assert not is_said(errors.DataError, one.docstring) and is_said(errors.DataError, "raises `BackqueryError`")
