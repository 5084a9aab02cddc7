"""Whole models in one HDF5 file, ``.h5`` or ``.hdf5``, as Keras 1 to 3 write them.

The configuration is an attribute, and read from the bytes; the numbers lie in ``model_weights``, below the name of
the layer that the model itself has. Nothing but these is looked at, and nothing in them is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backquery.errors import ModelError
from backquery.io.foreign import TEXT_LIMIT, parse_json
from backquery.io.h5 import member_at, numbers_in
from backquery.io.h5_attribute import text_attribute
from backquery.io.keras_arrays import COUNT, EITHER, arrays_of
from backquery.io.keras_config import Entry, Step
from backquery.model import Array

DEPTH, MEMBERS = 16, 10_000
"""How deep groups may lie in one another below a layer, and how many members they may have."""


def configuration(content: bytes) -> Entry:
    """The model's configuration, as it stands in the file."""
    text = text_attribute(content, "model_config", TEXT_LIMIT)
    if text is None:
        raise ModelError("it holds weights alone, which do not say how they belong together; save the whole model")
    return parse_json(text, "its configuration")


def arrays_in(file: Any, size: int, step: Step) -> list[Array]:
    """A layer's numbers, told by the layer's name and their own."""
    top = member_at(member_at(file, "model_weights"), step.names[0])
    found = [(path, dataset) for path, dataset in _datasets(top)]
    return [_only(found, step, name, size) for name in arrays_of(step) if name != COUNT]


def _only(found: list[tuple[tuple[str, ...], Any]], step: Step, name: str, size: int) -> Array:
    *parts, last = name.split("/")
    names, depth = last.split(EITHER), len(parts)
    named = [
        (path, dataset)
        for path, dataset in found
        if path[-1].partition(":")[0] in names and [*path[-1 - depth : -1]] == parts
    ]
    within = [(path, dataset) for path, dataset in named if path[-2 - depth : -1 - depth] == step.names[-1:]]
    # A layer of the model itself has a place of its own, whatever older scopes its numbers are named after.
    chosen = within or (named if len(step.names) == 1 else [])
    if len(chosen) != 1:
        raise ModelError(f"the file has {len(chosen) or 'no'} arrays called {name} for it")
    path, dataset = chosen[0]
    return numbers_in(dataset, "/".join(path), size)


def _datasets(top: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything below a group that is no group, with the names that lead there; links may form circles."""
    import h5py

    waiting: list[tuple[tuple[str, ...], Any]] = [((), top)]
    seen = 0
    while waiting:
        path, group = waiting.pop()
        for name in group if isinstance(group, h5py.Group) else ():
            seen += 1
            if seen > MEMBERS or len(path) >= DEPTH:
                raise ModelError("its groups lie too deep in one another, or are too many")
            held = member_at(group, name)
            if isinstance(held, h5py.Group):
                waiting.append(((*path, name), held))
            elif held is not None:
                yield (*path, name), held
