"""What many tests share: what they need is looked up before they run, and a skip must have an allowed reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings

from tests import tables
from tests.needs import needs, objection, real_data

if TYPE_CHECKING:
    from measurements.planting import Trigger

    from backquery.datasets import Dataset
    from backquery.model.network import Network

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
Run = Callable[..., tuple[int, str, str]]


# Keras' own choice is TensorFlow, which nothing here needs.
os.environ.setdefault("KERAS_BACKEND", "torch")

# A machine that does other things too makes no test wrong.
settings.register_profile("backquery", deadline=None)
settings.load_profile("backquery")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    needs(*(name for marker in item.iter_markers("needs") for name in marker.args))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return judged((yield))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tables", choices=("write", "print"), help="of what the tests read")
    parser.addoption(
        "--documents", action="store_true", help="the documents' commands that take long, and no other"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--tables"):
        items[:] = [item for item in items if item.get_closest_marker(tables.MARKER)]
    documents = bool(config.getoption("--documents"))
    items[:] = [item for item in items if bool(item.get_closest_marker("documents")) == documents]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--tables") == "write" and not exitstatus:
        tables.write(session.items)
    elif session.config.getoption("--tables") == "print":
        print(*tables.told(session.items), sep="\n")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return judged((yield))


def judged(report: Report) -> Report:
    """A skip for a reason that is not allowed is a failure, wherever the skip came from."""
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if said := objection(reason):
            report.outcome, report.longrepr = "failed", said
    return report


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
    needs("real data")
    return real_data()


@pytest.fixture(scope="session")
def mnist(data_folder: Path) -> Dataset:
    from backquery import datasets

    return datasets.read(data_folder / "mnist")


@pytest.fixture(scope="session")
def oracle_folder(data_folder: Path) -> Path:
    needs("oracle")
    return data_folder.parent / "oracle"
