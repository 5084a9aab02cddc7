"""Old names, and those that one tries first, go on working, and say what they are called now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any
from warnings import warn


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that answers to old `names` with the things of the new ones, and a warning."""

    def answer(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn(f"{module}.{name} is now {module}.{names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(module), names[name])

    return answer


def calling(face: str, functions: Mapping[str, str]) -> type[ModuleType]:
    """A class for the module `face`: its packages that bear a command's name can be called like the command.

    What is called then is the function that `functions` gives by the package's name, with a warning that says so.
    """

    class Called(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            function = functions[self.__name__.rpartition(".")[2]]
            warn(f"{self.__name__}(...) is {face}.{function}(...)", DeprecationWarning, stacklevel=2)
            return getattr(self, function)(*arguments, **options)

    class Face(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            if name in functions:  # a package that has just been loaded, by whatever kind of import
                value.__class__ = Called
            super().__setattr__(name, value)

    return Face
