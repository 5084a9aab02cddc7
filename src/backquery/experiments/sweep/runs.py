"""The runs of a sweep, in one SQLite file that only the process which leads the sweep writes.

Each run is one transaction, so that whatever happens the file holds whole runs. The journal is SQLite's ordinary
one: the faster write-ahead log needs memory shared between its readers, which network folders do not have.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import reprlib
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, Self, get_type_hints

from backquery.errors import DataError, OutputError
from backquery.training import RECIPES
from backquery.training.plan import Plan

DATABASE, NETWORKS = "runs.sqlite", "networks"
VERSION = 1
CURVES = ("loss", "train_accuracy", "test_accuracy")
"""What is kept of each epoch."""

PATIENCE = 30.0
"""Seconds to wait while another program holds the file."""


@dataclass(frozen=True)
class Setting:
    """All that decides a run. `data` is the data set's name, `fingerprint` stands for its content.

    Hidden layers and activations are written as on the command line, ``100-50`` and ``relu,relu,softmax``; the
    learning rate is that of the first epoch.
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

    @property
    def network(self) -> str:
        """The file of the network that is trained so, from the sweep's folder."""
        return f"{NETWORKS}/{self.key}.safetensors"


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
_TYPES = {
    **get_type_hints(Setting),
    **{name: kind for name, kind in get_type_hints(Run).items() if name != "setting"},
    **{"biases": int, "history": str, "versions": str, "key": str},
}
_LAYERS = re.compile(r"[1-9][0-9]{0,9}(-[1-9][0-9]{0,9})*", re.ASCII)
_VALUES, _NAMES = reprlib.Repr(), reprlib.Repr()
_VALUES.maxlevel, _NAMES.maxstring, _NAMES.maxother = 2, 40, 40
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
        """The database in `folder`, made if it is not there.

        `OutputError` where it cannot be written, `DataError` where it is damaged or another program's.
        """
        with cls._connected(Path(folder), "rwc") as runs:
            yield runs

    @classmethod
    @contextmanager
    def existing(cls, folder: str | os.PathLike[str]) -> Iterator[Self]:
        """The database in `folder`; `DataError` where none can be read, `OutputError` where none can write."""
        if not (Path(folder) / DATABASE).is_file():
            raise DataError(f"{folder} holds no sweep: there is no {DATABASE}; name the folder that a sweep wrote")
        # Not rwc: whoever looks in vain must not leave an empty database behind.
        with cls._connected(Path(folder), "rw") as runs:
            yield runs

    @classmethod
    @contextmanager
    def _connected(cls, folder: Path, mode: str) -> Iterator[Self]:
        path = folder / DATABASE
        with _explained(path):
            # as_uri escapes what would end the path early, such as ? and #.
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
        return iter([self._sound(dict(zip(_COLUMNS, row, strict=True))) for row in rows])

    def done(self) -> set[str]:
        """The keys of the runs that ended well and whose network is still there, byte for byte."""
        well = (run for run in self if run.error is None)
        return {run.setting.key for run in well if _digest(self.folder / run.setting.network) == run.digest}

    def failed(self) -> set[str]:
        """The keys of the runs that ended with an error."""
        return {run.setting.key for run in self if run.error is not None}

    def keep(self, run: Run) -> None:
        """Note a run that has ended, in the place of what was noted for the same setting before.

        `OutputError` where it cannot be written, `DataError` where the database is damaged.
        """
        values = {**asdict(run.setting), **{name: getattr(run, name) for name in _OUTCOME}}
        values |= {name: json.dumps(values[name], allow_nan=False) for name in _AS_JSON}
        row = (run.setting.key, *(values[name] for name in _COLUMNS[1:]))
        with _explained(self.path), self.connection:
            self.connection.execute(
                f"INSERT OR REPLACE INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(row))})", row
            )

    def _sound(self, row: dict[str, Any]) -> Run:
        """The run that a row holds; `DataError` where something else has written there."""
        try:
            return _run(row)
        except ValueError as error:
            reason = f"run {_NAMES.repr(row['key'])}: {error}"
            raise DataError(_DAMAGED.format(path=self.path, reason=reason)) from error

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


def read_runs(folder: str | os.PathLike[str]) -> list[Run]:
    """The runs that have ended in a sweep's `folder`, so far; `DataError` where there is no sweep."""
    with Runs.existing(folder) as runs:
        return list(runs)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors in our words."""
    try:
        yield
    except (
        sqlite3.DatabaseError,
        UnicodeDecodeError,
    ) as error:  # the latter for what SQLite says of damaged names
        # SQLite's extended codes carry the primary one in their lowest byte.
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
    """`ValueError` says what in a row cannot be what was kept."""
    for name, kind in _TYPES.items():
        if not isinstance(row[name], kind):
            raise ValueError(f"{name} is {_VALUES.repr(row[name])}")
    setting = Setting(**{name: row[name] for name in _SETTING} | {"biases": bool(row["biases"])})
    decoded = {name: _decoded(name, row[name]) for name in _AS_JSON}
    run = Run(setting, **{name: row[name] for name in _OUTCOME} | decoded)
    _check_setting(setting, row["key"])
    _check_outcome(run)
    return run


def _decoded(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON: {_VALUES.repr(text)}") from error


def _check_setting(setting: Setting, key: str) -> None:
    """What the curves and tables take for granted, and that the key is the setting's own."""
    sound = {
        "recipe": setting.recipe in RECIPES,
        "hidden": _LAYERS.fullmatch(setting.hidden) is not None,
        "learning_rate": 0 < setting.learning_rate < float("inf"),
        "epochs": setting.epochs >= 1,
    }
    _check(setting, sound)
    if setting.key != key:
        raise ValueError("its settings are not those that it was kept with")


def _check_outcome(run: Run) -> None:
    """All of a network, or nothing but an error."""
    if not isinstance(run.versions, dict) or not all(isinstance(one, str) for one in run.versions.values()):
        raise ValueError(f"versions is {_VALUES.repr(run.versions)}")
    if run.error is not None:
        if run != Run(run.setting, run.error, finished=run.finished, versions=run.versions):
            raise ValueError("it has an error and an outcome")
        return
    sound = {
        "performance": run.performance is not None and 0 <= run.performance <= 1,
        "test_images": run.test_images is not None and run.test_images >= 1,
        "seconds": run.seconds is not None and isfinite(run.seconds),
        "network": run.network == run.setting.network,
        "digest": run.digest is not None,
        "history": _is_history(run.history, run.setting.epochs),
    }
    _check(run, sound)


def _check(kept: Run | Setting, sound: dict[str, bool]) -> None:
    for name, well in sound.items():
        if not well:
            raise ValueError(f"{name} is {_VALUES.repr(getattr(kept, name))}")


def _is_history(history: Any, epochs: int) -> bool:
    """Whether it holds a number for each curve and epoch, the accuracies shares."""
    if not isinstance(history, dict) or set(history) != set(CURVES):
        return False
    if not all(isinstance(curve, list) and len(curve) == epochs for curve in history.values()):
        return False
    # Not isinstance: to Python, True is an int.
    if not all(type(value) in (int, float) for curve in history.values() for value in curve):
        return False
    shares = (value for name in CURVES[1:] for value in history[name])
    # Not isfinite, which fails on whole numbers that no float can hold; JSON has them.
    return all(abs(loss) <= sys.float_info.max for loss in history["loss"]) and all(
        0 <= share <= 1 for share in shares
    )


def _digest(path: Path) -> str | None:
    """SHA-256 of a file's bytes, read piece by piece; None where there is no file that can be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
