"""What every reader of another program's file needs: bounds that hold before memory is taken, and a way to
carry along what the file's own format has no place for."""

from __future__ import annotations

import json
import lzma
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar
from zipfile import BadZipFile, ZipFile

import numpy as np

from backquery.errors import BackqueryError, MissingExtraError, ModelError
from backquery.io.description import Fields, description_text, read_meaning
from backquery.model import Network, Scaling, plain_scaling

Ours = TypeVar("Ours")
Named = TypeVar("Named")

LIMIT = 2**30
"""Bytes that a foreign file may hold, packed or unpacked: far more than the dense networks read here."""

TEXT_LIMIT = 16 * 2**20
"""Bytes of configuration that such a file may hold."""

MEMBERS = 10_000
"""Files that an archive may hold."""

NOTES = "backquery"
"""The name under which a file carries what its format has no place for."""

_BROKEN = (
    BadZipFile, EOFError, ValueError, NotImplementedError, OverflowError, struct.error, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What Python's own readers raise over a file that is not what it seems."""


@contextmanager
def reading(path: str | os.PathLike[str], extra: str, package: str) -> Iterator[None]:
    """Errors while a file is read name the file; a missing package is said with its install command."""
    try:
        # Numbers that are not finite are refused at the end; until then they are nobody's concern.
        with np.errstate(all="ignore"):
            yield
    except ModelError as error:
        raise ModelError(f"{path} is not a network that can be used: {error}") from None
    except BackqueryError:
        raise
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        raise MissingExtraError(f"reading {path}", package, extra) from None
    except _BROKEN as error:
        raise ModelError(f"{path} is broken or was cut short: {error}") from None
    except RecursionError:
        raise ModelError(f"{path} is not a network that can be used: its parts are nested too deeply") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None


def theirs(ours: Ours, names: Mapping[Ours, Named], program: str) -> Named:
    """What another program calls an activation of ours; `ModelError` where it has none such."""
    if ours not in names:
        raise ModelError(
            f"{program} has no activation {getattr(ours, 'name', ours)}; keep the network as .safetensors"
        )
    return names[ours]


def check_size(size: int, what: str, limit: int = LIMIT) -> None:
    """Refuse more bytes than any network read here needs."""
    if size > limit:
        raise ModelError(f"{what} asks for {size:,} bytes; at most {limit:,} are read")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's bytes, unless there are too many."""
    check_size(Path(path).stat().st_size, "it")
    return Path(path).read_bytes()


@contextmanager
def bounded_zip(path: str | os.PathLike[str] | IO[bytes]) -> Iterator[ZipFile]:
    """A zip archive whose directory promises no more, all together, than the bounds allow."""
    with ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS:
            raise ModelError(f"it holds {len(members):,} files; at most {MEMBERS:,} are read")
        # The directory may lie, but ZipFile unpacks no more of a member than its entry there says.
        check_size(sum(member.file_size for member in members), "its content")
        yield archive


def member(archive: ZipFile, name: str, limit: int = LIMIT) -> bytes:
    """The bytes of one file in an archive."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise ModelError(f"there is no {name} in it") from None
    if entry.flag_bits & 1:
        raise ModelError(f"{name} in it is encrypted")
    check_size(entry.file_size, name, limit)
    return archive.read(entry)


def parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(f"{what} is not JSON") from None
    if not isinstance(values, dict):
        raise ModelError(f"{what} is not a JSON object")
    return values


def write_notes(network: Network) -> str:
    """The network's image shape, class names, scaling and history as JSON; statistics do not go along."""
    notes: dict[str, Any] = {
        "input_shape": [int(length) for length in network.input_shape],
        "classes": list(network.classes),
        "scaling": network.scaling and plain_scaling(network.scaling),
        "about": dict(network.about),
    }
    return description_text(notes)


def read_notes(text: str | bytes) -> dict[str, Any]:
    """What `write_notes` wrote, as the network's own arguments."""
    fields = Fields(parse_json(text, "its description"))
    scaling = fields.optional("scaling")
    return {
        "input_shape": fields.counts("input_shape"),
        "classes": fields.texts("classes"),
        "scaling": scaling
        and Scaling(
            scaling.numbers("gain"), scaling.numbers("offset"), scaling.number("maximum"), read_meaning(scaling)
        ),
        "about": fields.mapping("about"),
    }


def settled(*descriptions: dict[str, Any]) -> dict[str, Any]:
    """Descriptions laid over one another: the first that says something about a thing has the word."""
    merged: dict[str, Any] = {}
    for description in descriptions:
        merged.update({name: value for name, value in description.items() if value and name not in merged})
    return merged
