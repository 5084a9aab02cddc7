"""The labels in pictures' own names, by what all the names have in common.

The book names its handwriting ``2828_my_own_3.png``; others write ``cat.12.png``, ``3_0001.png`` or
``0001_3.png``. A part of the name that repeats from picture to picture is a label; one that only counts the
pictures is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from backquery.errors import DataError, assume

_WORD = re.compile(r"\d+|[^\W\d_]+")
HIGHEST_BY_ITSELF = 99
"""A number that stands at the end of one name only may be a label up to this; larger ones count pictures."""


def labels_in_names(paths: Sequence[Path], train: int | None = None) -> list[str]:
    """The label of each picture, from one place in all of their names; `DataError` if none can be it.

    Where more than one place might be it, the likeliest is taken and said in one line of warning. Of the paths the
    first `train` are those of the train half: a number that repeats only because each half counts from the start
    is none.
    """
    split = [_words(path) for path in paths]
    own = split[:train]
    last = [words[-1] for words in split]
    if len(split) == 1:
        return last
    repeating = sorted(
        (place for place in _places(split) if 1 < len(set(_at(own, place))) <= len(own) / 2),
        key=lambda place: (place != -1 or not _digits(last), len(set(_at(split, place))), -place),
    )
    if not repeating:
        return _without_repeats(paths, last)
    labels = _at(split, repeating[0])
    if len(repeating) > 1 and not _counts(labels, _at(split, repeating[1])):
        assume(
            f"{paths[0].parent}: {labels[0]!r} was taken for the label in {paths[0].name!r}, though "
            f"{_at(split, repeating[1])[0]!r} might be it; if it is, put the pictures into folders named after "
            "their classes"
        )
    return labels


def _words(path: Path) -> list[str]:
    """The numbers and words of a name, numbers without zeros in front."""
    words = _WORD.findall(path.stem)
    if not words or not path.stem.endswith(words[-1]):
        raise _no_label(path)
    return [str(int(word)) if word.isdecimal() else word for word in words]


def _places(split: Sequence[Sequence[str]]) -> list[int]:
    """All places, from the end, where all names have as many words; else the last and the first."""
    lengths = set(map(len, split))
    return [-1 - place for place in range(lengths.pop())] if len(lengths) == 1 else [-1, 0]


def _at(split: Sequence[Sequence[str]], place: int) -> list[str]:
    return [words[place] for words in split]


def _digits(words: Sequence[str]) -> bool:
    return all(word.isdecimal() and len(word) == 1 for word in words)


def _counts(labels: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the others count the pictures of each label, each number once, and are no digits themselves."""
    numbers = all(other.isdecimal() for other in others) and not _digits(others)
    unique = len(set(zip(labels, others, strict=True))) == len(labels)
    return numbers and unique and len(set(others)) > len(set(labels))


def _without_repeats(paths: Sequence[Path], last: list[str]) -> list[str]:
    """What names end in, where it is different in nearly all of them: labels, unless it counts them."""
    if not all(word.isdecimal() for word in last):
        return last
    numbers = sorted(map(int, last))
    running = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] in (0, 1)
    padded = any(path.stem[-2:-1] == "0" for path in paths)
    if numbers[-1] > HIGHEST_BY_ITSELF or (len(numbers) > 1 and padded) or (running and numbers[-1] > 9):
        raise _no_label(paths[0])
    if running and len(numbers) > 2:
        assume(
            f"{paths[0].parent}: the number that each name ends in was taken for its label, like {last[0]} in "
            f"{paths[0].name!r}; if it only counts the pictures, put them into folders named after their classes"
        )
    return last


def _no_label(path: Path) -> DataError:
    return DataError(
        f"{path}: no label before the extension; name it like 'my_own_3.png', or put it into a folder "
        "named after its class"
    )
