"""What a worker does: one plan on data that it has read itself, once. It returns values and writes nothing."""

from __future__ import annotations

import os
import platform
import warnings
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backquery import __version__
from backquery.datasets import Dataset, catalogue, fingerprint, needs_fetching, open_data
from backquery.datasets.options import AS_FOUND, Reading
from backquery.errors import AssumptionWarning, BackqueryError
from backquery.io.native import to_bytes
from backquery.kernels import width
from backquery.training import History
from backquery.training.plan import Plan, carry_out

PACKAGES = ("numpy", "distributed")


@dataclass(frozen=True)
class Source:
    """Where the data lie, and what they are known by: another machine may hold the same files, or none."""

    data: str
    test: str | None
    name: str
    fingerprint: str
    how: Reading = AS_FOUND

    @classmethod
    def of(
        cls,
        data: str | os.PathLike[str],
        test: str | os.PathLike[str] | None = None,
        how: Reading = AS_FOUND,
    ) -> Source:
        """A data set's name, or a path, which becomes absolute."""
        known = fingerprint(data, test, how)
        place = str(data) if str(data) in catalogue() else str(Path(data).absolute())
        other = None if test is None else str(Path(test).absolute())
        return cls(place, other, Path(data).resolve().name, known, how)

    def open(self) -> Dataset:
        """The data themselves."""
        return open_data(self.data, self.test, how=self.how)


@dataclass(frozen=True)
class Trained:
    """A run that went well: the content of the network's file, its performance on how many images, its history."""

    network: bytes
    performance: float
    test_images: int
    history: History
    versions: dict[str, str]


@dataclass(frozen=True)
class Failed:
    """A run that ended with an error, in words."""

    error: str


class DataMissing(Exception):  # noqa: N818 (a request, not an error)
    """The worker's machine does not hold the data: they have to be sent along."""


def do_run(plan: Plan, source: Source, sent: Dataset | None = None) -> Trained | Failed:
    """Carry out `plan`; the network's bytes are those that ``backquery train --no-keep-prior`` writes.

    Raises `DataMissing` where the data were not `sent` and this machine does not hold the same files.
    """
    dataset = _here(source) if sent is None else sent
    try:
        tested = dataset.with_test_half(plan.seed)
        network, history = carry_out(plan, tested)
        performance = history.epochs[-1].test_accuracy or 0.0
        return Trained(to_bytes(network), performance, len(tested.to_test_on), history, versions())
    except BackqueryError as error:
        return Failed(str(error))
    except Exception as error:  # whatever it is, the other runs go on
        return Failed(f"{type(error).__name__}: {error}")


@lru_cache(maxsize=1)
def _here(source: Source) -> Dataset:
    """The data as this machine holds them, read once."""
    # Opening it would begin a download on every worker.
    if source.data in catalogue() and needs_fetching(source.data):
        raise DataMissing(f"{source.data} is not at hand here")
    try:
        found = fingerprint(source.data, source.test, source.how)
    except (BackqueryError, OSError) as error:
        raise DataMissing(str(error)) from None
    if found != source.fingerprint:
        raise DataMissing(f"{source.data} holds other data here")
    with warnings.catch_warnings():
        # Whoever leads has said what is taken for granted.
        warnings.simplefilter("ignore", AssumptionWarning)
        return source.open()


def versions() -> dict[str, str]:
    """Of Python, this package, and what the numbers depend on; "vectors" are those of the compiled kernels."""
    found = {"python": platform.python_version(), "backquery": __version__, "vectors": width() or "none"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
