"""The same text for the same data, without reading them as images: what a sweep knows its data by."""

from __future__ import annotations

import hashlib
import os
from dataclasses import astuple
from pathlib import Path

from backquery.datasets.cache import content_hash
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.reading import files_of

FIRST_TOLD = 6
"""So many things could be told of data at first."""


def fingerprint(
    name_or_path: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    how: Reading = AS_FOUND,
) -> str:
    """32 hexadecimal digits from the names and contents of the files that `open_data` would read.

    It does not depend on where the files lie or when they were written. A data set known by name is fetched if
    it is nowhere on this machine. What `how` says counts, too, where it says anything.
    """
    facts: list[object] = [_facts(name_or_path, how), None if test is None else _facts(test, how)]
    if how != AS_FOUND:
        told = astuple(how)
        # What was added later counts only where it says anything, so that a begun sweep still knows its data.
        facts.append((*told[:FIRST_TOLD], *(one for one in told[FIRST_TOLD:] if one is not None)))
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _facts(source: str | os.PathLike[str], how: Reading) -> tuple[str, list[tuple[str, str]]]:
    files = ((_name(path, Path(source)), path) for path in files_of(source, how))
    return Path(source).resolve().name, [(name, content_hash(path)) for name, path in sorted(files)]


def _name(path: Path, folder: Path) -> str:
    """In a folder of pictures the subfolder says the label."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
