"""What can go wrong, each with one clear message: what was received, what is allowed, what to do."""

from __future__ import annotations

from warnings import warn


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
