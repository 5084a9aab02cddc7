"""ES modules as one script without imports: what a page of one file can hold under a strict policy."""

from __future__ import annotations

import re
from collections.abc import Mapping

IMPORT = re.compile(r'^import\s*\{([^{}]*)\}\s*from\s*"\./([\w-]+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|class|const)\b)", re.MULTILINE)
NAMES = re.compile(r"^export\s+(?:async\s+)?(?:function|class|const)\s+(\w+)", re.MULTILINE)
LEFT = re.compile(r"^(?:import|export)\b.*$|\bimport\(", re.MULTILINE)


def bundled(entry: str, modules: Mapping[str, str]) -> str:
    """The script of the module `entry`, with all that it imports, each module in a scope of its own.

    modules: their texts by name, without ``.js``. They may import named values from one another, in no circle, and
    export functions, classes and constants where they are declared; `ValueError` names anything else.
    """
    done: dict[str, str] = {}
    _include(entry, modules, done, ())
    last = done.pop(entry)
    scopes = [f"const {_scope(name)} = (() => {{\n{text}}})();\n" for name, text in done.items()]
    # The entry may wait for what it begins, which only an asynchronous function can.
    return f'"use strict";\n{"".join(scopes)}(async () => {{\n{last}}})();\n'


def _include(name: str, modules: Mapping[str, str], done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"modules import one another in a circle: {', '.join((*above, name))}")
    if name in done:
        return
    text = modules[name]
    for _, other in IMPORT.findall(text):
        _include(other, modules, done, (*above, name))
    exported = NAMES.findall(text)
    text = IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_scope(found[2])};\n", text)
    text = EXPORT.sub("", text)
    if odd := LEFT.search(text):
        raise ValueError(f"{name}.js: {odd[0]!r} cannot be put into one script")
    done[name] = f"{text}return {{ {', '.join(exported)} }};\n" if above else text


def _scope(name: str) -> str:
    return f"${re.sub(r'[^A-Za-z0-9]', '_', name)}"
