"""What people's names of arrays, files, folders and columns say: which half, and whether images or labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

Half = Literal["train", "test", "validation"]
Kind = Literal["images", "labels"]

HALVES: Mapping[str, Half] = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("test", "testing", "tst", "te", "t10k"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("images", "image", "imgs", "img", "pictures", "pixels", "x", "data", "features"), "images"),
    **dict.fromkeys(("labels", "label", "lbls", "y", "target", "targets", "classes", "class"), "labels"),
}  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "classes", "target", "targets", "y", "digit", "character", "char", "letter",
    "symbol", "category", "emotion", "name",
)  # fmt: skip
"""What a column of labels is called, the likelier first."""

_WORD = re.compile(
    r"t10k|[xyXY](?=(?:train|tr|test|te|val)(?![a-z]))|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+(?:x\d+)*", re.ASCII
)
_ABOUT_A_SET = {"set", "sets", "data", "dataset", "split", "images", "imgs", "pictures", "samples", "folder"}


class Said(NamedTuple):
    """What a name says: its half and kind where it names them, and the words that are left, in lower case."""

    half: Half | None
    kind: Kind | None
    rest: tuple[str, ...]


def said(name: str) -> Said:
    """What a name like ``x_train``, ``TestImages`` or ``kmnist-train-imgs`` says."""
    words = [word.lower() for word in _WORD.findall(name)]
    half = next((HALVES[word] for word in words if word in HALVES), None)
    kinds = [word for word in words if word in KINDS]
    # The last one tells: ``data_labels`` are labels.
    kind = KINDS[kinds[-1]] if kinds else None
    used = {word for word in words if word in HALVES} | set(kinds[-1:])
    return Said(half, kind, tuple(word for word in words if word not in used))


def half_of_folder(name: str) -> Half | None:
    """The half that a folder holds by its name: ``train``, ``Test``, ``training_set``; None for any other name."""
    words = [word.lower() for word in _WORD.findall(name)]
    halves = {HALVES[word] for word in words if word in HALVES}
    others = [word for word in words if word not in HALVES and word not in _ABOUT_A_SET]
    return halves.pop() if len(halves) == 1 and not others else None


def pairs(names: Iterable[str]) -> dict[tuple[Half | None, tuple[str, ...]], tuple[str, str]]:
    """The names of images and labels that belong together, by their half and what else both names say."""
    found: dict[tuple[Half | None, tuple[str, ...]], dict[Kind, str]] = {}
    for name in names:
        half, kind, rest = said(name)
        if kind is not None:
            found.setdefault((half, rest), {}).setdefault(kind, name)
    return {what: (pair["images"], pair["labels"]) for what, pair in found.items() if len(pair) == 2}


def beside(name: str, names: Iterable[str], *, half: Half | None = None, kind: Kind | None = None) -> str | None:
    """Of the names, the one that says the same as this one but for another half or kind."""
    own = said(name)
    wanted = Said(half or own.half, kind or own.kind, own.rest)
    return next((other for other in sorted(names) if said(other) == wanted), None)
