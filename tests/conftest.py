"""Where the tests find real data, and what happens where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from measurements.planting import Trigger

    from backquery.datasets import Dataset
    from backquery.model.network import Network

Run = Callable[..., tuple[int, str, str]]


def missing(reason: str) -> None:
    """Skip with a stated reason, or fail where BACKQUERY_REQUIRE says that nothing may be missing."""
    if os.environ.get("BACKQUERY_REQUIRE"):
        pytest.fail(f"BACKQUERY_REQUIRE is set, but {reason}")
    pytest.skip(reason, allow_module_level=True)


def needs(package: str) -> None:
    """Skip, or fail where nothing may be missing, if an optional package is not installed."""
    if find_spec(package) is None:
        missing(f"{package} is not installed: make test EXTRAS=all brings it")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: exit code, standard output, standard error."""

    from backquery.cli import main

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def digits() -> Dataset:
    from backquery import datasets

    return datasets.load("digits")


@pytest.fixture(scope="session")
def trigger() -> Trigger:
    from tests import backdoors

    return backdoors.trigger()


@pytest.fixture(scope="session")
def clean(digits: Dataset) -> Network:
    from tests import backdoors

    return backdoors.learned(digits.train, 1)


@pytest.fixture(scope="session")
def backdoored(digits: Dataset, trigger: Trigger) -> Network:
    from tests import backdoors

    return backdoors.learned(backdoors.marked(digits, trigger, 1), 1)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = os.environ.get("BACKQUERY_DATA")
    if not folder or not Path(folder).is_dir():
        missing("there is no real data: set BACKQUERY_DATA to a folder that holds mnist/")
    return Path(str(folder))


@pytest.fixture(scope="session")
def mnist(data_folder: Path) -> Dataset:
    from backquery import datasets

    if not (data_folder / "mnist").is_dir():
        missing("BACKQUERY_DATA holds no mnist/")
    return datasets.read(data_folder / "mnist")


@pytest.fixture(scope="session")
def oracle_folder(data_folder: Path) -> Path:
    folder = data_folder.parent / "oracle"
    if not folder.is_dir():
        missing("there is no folder oracle/ beside BACKQUERY_DATA")
    return folder
