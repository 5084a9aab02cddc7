"""What of backquery is public, and the one file that lists it; ``python -m tests.public_names`` writes it anew.

Public is what can be reached without an underscore: the names of ``backquery.__all__``, those of the ``__all__``
of the packages among them, and what the classes of either define themselves. What a package does not list can
change at any time.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import backquery

LIST = Path(__file__).parents[1] / "docs" / "public-names.txt"

PACKAGES = ["backquery", *(f"backquery.{name}" for name in sorted([*backquery._PACKAGES, "experiments.sweep"]))]


@dataclass(frozen=True)
class Public:
    """A public name, what it stands for, and the class that a method or a property belongs to."""

    name: str
    thing: Any
    owner: type | None = None

    @property
    def function(self) -> Any:
        """The function behind a method or a property; the thing itself where it is none."""
        thing = self.thing
        if isinstance(thing, property):
            return thing.fget
        return thing.func if isinstance(thing, functools.cached_property) else getattr(thing, "__func__", thing)

    @property
    def is_function(self) -> bool:
        return inspect.isfunction(self.function)

    @property
    def is_class(self) -> bool:
        """Whether it is a class of ours; aliases of types are constants."""
        return inspect.isclass(self.thing) and self.thing.__module__.startswith("backquery")

    @property
    def docstring(self) -> str:
        """Its own, then its class's with those of the fields, which describe what all of its methods share."""
        own = self.thing if self.is_class else self.owner
        described = [inspect.getdoc(self.function), own and inspect.getdoc(own), own and _said_of_fields(own)]
        return "\n".join(filter(None, described))


@functools.cache
def _said_of_fields(kind: type) -> str:
    """What the strings after a class's fields say, each with the field's name."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return "\n".join(
        f"{ast.unparse(field)}: {said.value.value}"
        for field, said in itertools.pairwise(tree.body)
        if isinstance(field, ast.Assign | ast.AnnAssign)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
    )


def public() -> Iterator[Public]:
    """Every public name; what a class defines follows it where the class is met first."""
    met: set[int] = set()
    for package in PACKAGES:
        home = import_module(package)
        for name in sorted(getattr(home, "__all__", ())):
            one = Public(f"{package}.{name}", getattr(home, name))
            yield one
            if one.is_class and id(one.thing) not in met:
                met.add(id(one.thing))
                yield from _members(one)


def _members(one: Public) -> Iterator[Public]:
    for name, thing in sorted(vars(one.thing).items()):
        member = Public(f"{one.name}.{name}", thing, one.thing)
        if not name.startswith("_") and member.is_function:
            yield member


def things() -> list[Public]:
    """Each thing that is public once, by the first of its names."""
    first: dict[tuple[int, str], Public] = {}
    for one in public():
        first.setdefault((id(one.thing), "" if one.is_class or one.is_function else one.name), one)
    return list(first.values())


def listed() -> str:
    """The file as it ought to be."""
    return "".join(f"{one.name}\n" for one in public())


if __name__ == "__main__":
    LIST.write_text(listed(), "utf-8")
