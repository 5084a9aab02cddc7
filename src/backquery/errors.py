"""What can go wrong, each with one clear message: what was received, what is allowed, what to do.

And what of a stranger's file may stand in a message, or in anything else that a person reads: text that commands
nothing. Control characters make a terminal obey, and no XML can hold them; others turn the direction of all that
follows them in a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from warnings import warn

__all__ = [
    "AssumptionWarning", "BackqueryError", "ClusterError", "DataError", "DivergenceError", "DownloadError",
    "ExperimentError", "InversionError", "MissingExtraError", "ModelError", "OutputError", "ProofError",
    "SeedError", "ShortOfMemoryError", "TargetError", "TrainingError",
]  # fmt: skip


class BackqueryError(Exception):
    """Any error that backquery raises on purpose; the message is written for a person."""


class DataError(BackqueryError, ValueError):
    """Images, labels or a data file are not usable as they are."""


class DownloadError(BackqueryError, OSError):
    """A data set could not be fetched; the message names where to put which files by hand."""


class ModelError(BackqueryError, ValueError):
    """A network cannot be built, read or used as asked."""


class TargetError(BackqueryError, ValueError):
    """A back query's target lies outside what the network's outputs can give."""


class InversionError(BackqueryError, ValueError):
    """A method of inversion cannot be used on this network."""


class ProofError(BackqueryError, ValueError):
    """Nothing can be proved of a model; the message names what of it is not known."""


class TrainingError(BackqueryError, ValueError):
    """A recipe's settings do not fit together or do not fit the network, or a checkpoint does not fit them."""


class ExperimentError(BackqueryError, ValueError):
    """An experiment's settings make no sense as they are."""


class SeedError(BackqueryError, ValueError):
    """What is to decide the random numbers can decide none."""


class DivergenceError(BackqueryError, ArithmeticError):
    """Training left the finite numbers."""


class OutputError(BackqueryError, OSError):
    """A result could not be written; what was there before is untouched."""


class ClusterError(BackqueryError, ConnectionError):
    """The machines that were to do the work cannot be reached, or have gone."""


class ShortOfMemoryError(BackqueryError, MemoryError):
    """Work would take more memory than there is: it was not begun, and the message names what takes less."""


class MissingExtraError(BackqueryError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""

    def __init__(self, purpose: str, package: str, extra: str | None = None) -> None:
        wanted = package if extra is None else f"'backquery[{extra}]'"
        super().__init__(f"{purpose} needs {package}, which is not installed; run: pip install {wanted}")


class AssumptionWarning(UserWarning):
    """Something was not certain, and the likeliest was taken; the text says what, and how to say otherwise."""


def assume(text: str) -> None:
    """Say in one line what is taken for granted; on the command line it goes to standard error."""
    warn(text, AssumptionWarning, stacklevel=3)


SIGN = "\N{REPLACEMENT CHARACTER}"
"""What stands in the place of a character that cannot be shown."""

_CONTROLS = [
    chr(code) for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\n\t"
]
_HALVES = map(chr, range(0xD800, 0xE000))
_NONE = ["\ufffe", "\uffff"]
_TURNS = [*map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])]
_MARKS = ["\u061c", "\u200e", "\u200f"]

_COMMANDS = str.maketrans(dict.fromkeys([*_CONTROLS, *_HALVES, *_NONE, *_TURNS], SIGN))
_INVALID = str.maketrans(dict.fromkeys([*_CONTROLS, *_NONE], SIGN))
_DIRECTIONS = str.maketrans(dict.fromkeys([*_TURNS, *_MARKS]))
_LEFTWARDS = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def printable(text: str) -> str:
    """`text` with a sign in the place of each character that is obeyed rather than shown, or that is none."""
    return text.translate(_COMMANDS)


def valid(text: str) -> str:
    """`text` as XML and HTML can hold it: with a sign in the place of what they cannot.

    Halves of a character, which no file can hold, are left to its encoding.
    """
    return text.translate(_INVALID)


def isolated(name: str) -> str:
    """A name as it may stand in a sentence: what it holds does not turn the words around it."""
    plain = name.translate(_DIRECTIONS)
    turned = plain != name or _LEFTWARDS.search(plain)
    return f"\N{FIRST STRONG ISOLATE}{plain}\N{POP DIRECTIONAL ISOLATE}" if turned else name
