"""The runs of a sweep, in one SQLite file that only the process which leads the sweep writes.

Each run is one transaction, so that whatever happens the file holds whole runs. The journal is SQLite's ordinary
one: the faster write-ahead log needs memory shared between its readers, which network folders do not have.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from backquery.errors import DataError, OutputError
from backquery.training.plan import Plan

DATABASE, NETWORKS = "runs.sqlite", "networks"
VERSION = 1
PATIENCE = 30.0
"""Seconds to wait while another program holds the file."""


@dataclass(frozen=True)
class Setting:
    """All that decides a run. `data` is the data set's name, `fingerprint` stands for its content.

    Hidden layers and activations are written as on the command line, ``100-50`` and ``relu,relu,softmax``.
    """

    data: str
    fingerprint: str
    recipe: str
    loss: str
    activations: str
    biases: bool
    dtype: str
    hidden: str
    learning_rate: float
    epochs: int
    seed: int

    @classmethod
    def of(cls, plan: Plan, data: str, fingerprint: str) -> Self:
        """What `plan` on these data is known by."""
        return cls(
            data,
            fingerprint,
            plan.recipe_name,
            plan.recipe.loss,
            ",".join(plan.activations),
            plan.biases,
            plan.dtype,
            "-".join(map(str, plan.hidden)),
            float(plan.recipe.learning_rate),
            plan.epochs,
            plan.seed,
        )

    @property
    def key(self) -> str:
        """32 hexadecimal digits, the same for the same setting everywhere."""
        return hashlib.blake2b(json.dumps(asdict(self)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Run:
    """A run that has ended: well, with a network and its performance, or with an `error` and neither.

    history: for each epoch the loss, train_accuracy and test_accuracy; network: the file, from the sweep's folder;
    digest: SHA-256 of its bytes; seconds: of training alone; finished: the time, UTC; versions: of the programs.
    """

    setting: Setting
    error: str | None = None
    performance: float | None = None
    test_images: int | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    kernel: str | None = None
    network: str | None = None
    digest: str | None = None
    seconds: float | None = None
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The setting and what came of it, in one plain dictionary."""
        plain = asdict(self)
        return {**plain.pop("setting"), **plain}


_SETTING = tuple(column.name for column in fields(Setting))
_OUTCOME = tuple(column.name for column in fields(Run) if column.name != "setting")
_AS_JSON = ("history", "versions")
_COLUMNS = ("key", *_SETTING, *_OUTCOME)
_SCHEMA = """\
CREATE TABLE runs (
    key TEXT PRIMARY KEY,
    data TEXT NOT NULL, fingerprint TEXT NOT NULL, recipe TEXT NOT NULL, loss TEXT NOT NULL,
    activations TEXT NOT NULL, biases INTEGER NOT NULL, dtype TEXT NOT NULL, hidden TEXT NOT NULL,
    learning_rate REAL NOT NULL, epochs INTEGER NOT NULL, seed INTEGER NOT NULL,
    error TEXT, performance REAL, test_images INTEGER, history TEXT NOT NULL, kernel TEXT, network TEXT,
    digest TEXT, seconds REAL, finished TEXT NOT NULL, versions TEXT NOT NULL
)"""


class Runs:
    """The database of a sweep's folder; open it with `Runs.opened` or `Runs.existing`."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.path = folder / DATABASE
        self.connection = connection

    @classmethod
    @contextmanager
    def opened(cls, folder: str | os.PathLike[str]) -> Iterator[Self]:
        """The database in `folder`, made if it is not there."""
        with cls._connected(Path(folder), "rwc") as runs:
            yield runs

    @classmethod
    @contextmanager
    def existing(cls, folder: str | os.PathLike[str]) -> Iterator[Self]:
        """The database in `folder`; `DataError` where there is none."""
        if not (Path(folder) / DATABASE).is_file():
            raise DataError(f"{folder} holds no sweep: there is no {DATABASE}; name the folder that a sweep wrote")
        with cls._connected(Path(folder), "rw") as runs:
            yield runs

    @classmethod
    @contextmanager
    def _connected(cls, folder: Path, mode: str) -> Iterator[Self]:
        path = folder / DATABASE
        with _explained(path):
            address = f"{path.absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(address, uri=True, timeout=PATIENCE)
        runs = cls(folder, connection)
        try:
            runs._check()
            yield runs
        finally:
            connection.close()

    def __iter__(self) -> Iterator[Run]:
        with _explained(self.path):
            rows = self.connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM runs ORDER BY rowid").fetchall()
        return iter([_run(dict(zip(_COLUMNS, row, strict=True))) for row in rows])

    def done(self) -> set[str]:
        """The keys of the runs that ended well and whose network is still there."""
        return {key for key, network in self._keys("error IS NULL") if (self.folder / network).is_file()}

    def failed(self) -> set[str]:
        """The keys of the runs that ended with an error."""
        return {key for key, _ in self._keys("error IS NOT NULL")}

    def keep(self, run: Run) -> None:
        """Note a run that has ended, in the place of what was noted for the same setting before."""
        values = {**asdict(run.setting), **{name: getattr(run, name) for name in _OUTCOME}}
        values |= {name: json.dumps(values[name], allow_nan=False) for name in _AS_JSON}
        row = (run.setting.key, *(values[name] for name in _COLUMNS[1:]))
        with _explained(self.path), self.connection:
            self.connection.execute(
                f"INSERT OR REPLACE INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(row))})", row
            )

    def _keys(self, condition: str) -> Iterable[tuple[str, str]]:
        with _explained(self.path):
            return self.connection.execute(f"SELECT key, network FROM runs WHERE {condition}").fetchall()

    def _check(self) -> None:
        """Make the table in a new file; refuse a file that is damaged, or that something else wrote."""
        with _explained(self.path), self.connection:
            # Whoever looks on while the sweep begins may find the file without its table: only one makes it.
            self.connection.execute("BEGIN IMMEDIATE" if self._is_new() else "BEGIN")
            if self._is_new():
                self.connection.execute(_SCHEMA)
                self.connection.execute(f"PRAGMA user_version = {VERSION}")
            version, tables = self._contents()
            (state,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if version != VERSION or "runs" not in tables:
            raise DataError(f"{self.path} was written by another program or version; use another folder")
        if state != "ok":
            raise DataError(_DAMAGED.format(path=self.path, reason=state))

    def _is_new(self) -> bool:
        return self._contents() == (0, set())

    def _contents(self) -> tuple[int, set[str]]:
        """The version of the schema, and the names of all tables."""
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        return version, {name for (name,) in self.connection.execute("SELECT name FROM sqlite_schema")}


_DAMAGED = "{path} is damaged ({reason}); move it away, and the same command makes its runs again"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors in our words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        reasons = {
            sqlite3.SQLITE_FULL: "the disk is full; free some space, and the same command goes on",
            sqlite3.SQLITE_BUSY: "another program holds it; try again when it has ended",
            sqlite3.SQLITE_READONLY: "it is write-protected; use another folder",
            sqlite3.SQLITE_CANTOPEN: f"no permission, or no folder {path.parent}; use another folder",
            sqlite3.SQLITE_IOERR: f"the disk reports an error ({error}); the same command goes on elsewhere",
        }
        if code in reasons:
            raise OutputError(f"cannot write {path}: {reasons[code]}") from error
        raise DataError(_DAMAGED.format(path=path, reason=error)) from error


def _run(row: dict[str, Any]) -> Run:
    setting = Setting(**{name: row[name] for name in _SETTING} | {"biases": bool(row["biases"])})
    decoded = {name: json.loads(row[name]) for name in _AS_JSON}
    return Run(setting, **{name: row[name] for name in _OUTCOME} | decoded)
