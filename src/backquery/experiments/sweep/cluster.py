"""The machines that do the work: processes here, or a Dask cluster that is running somewhere."""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from backquery.errors import ClusterError, MissingExtraError, assume
from backquery.model import threads
from backquery.model.memory import as_many, in_words, need

_LABEL = r"\w[\w-]{0,62}"
ADDRESS = re.compile(
    rf"(?:(?P<scheme>tcp|tls|ws|wss)://)?(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[\w:.%]+\]):(?P<port>\d{{1,5}})", re.ASCII
)
"""Where Dask can look for a scheduler: a host and a port, by TCP where no scheme is named."""

OF_A_WORKER = 250e6
"""Bytes of a worker process before it has read any data."""

ENCRYPTED = ("tls", "wss")
MOST_PORT = 65535


@dataclass(frozen=True)
class Cluster:
    """By default one worker process for each core of this machine, or as many as `workers` says.

    With `scheduler` the workers of a Dask cluster do the same: the address of its scheduler, ``tcp://host:8786``,
    or ``tls://host:8786`` with the files of its TLS certificates. Its workers need this package, and each should
    have one thread (``dask worker ADDRESS --nthreads 1``). Dask's workers run whatever they are sent, and what
    they answer is unpickled here: use TLS, or a network that you trust. `timeout` is how many seconds to wait for
    its scheduler. What cannot be reached, or is no such address, raises `ClusterError`.
    """

    workers: int | None = None
    scheduler: str | None = None
    tls_ca_file: str | os.PathLike[str] | None = None
    tls_cert: str | os.PathLike[str] | None = None
    tls_key: str | os.PathLike[str] | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.scheduler is None and self._tls_files():
            raise ClusterError("TLS files are for a cluster elsewhere; name its scheduler, or leave them out")
        if self.scheduler is not None:
            self._check_address(self.scheduler)

    def _check_address(self, scheduler: str) -> None:
        """Dask's client would wait in vain, and complain on after the error, where it cannot read its address."""
        address = ADDRESS.fullmatch(scheduler)
        if address is None or not 0 < int(address["port"]) <= MOST_PORT:
            raise ClusterError(
                f"no Dask scheduler can be at {scheduler}; an address is tcp://HOST:PORT or tls://HOST:PORT, such "
                "as tcp://127.0.0.1:8786"
            )
        if self._tls_files() and address["scheme"] not in ENCRYPTED:
            raise ClusterError(f"TLS files are for a tls:// address; received {scheduler}")

    @contextmanager
    def connect(self, runs: int, memory: float = 0.0) -> Iterator[Any]:
        """A Dask client whose workers are ready for so many runs; what was started for it ends with it.

        memory: the bytes that one run takes at most. Of processes here there are no more, where their number is
        left open, than memory allows; as many as are asked for must fit.

        Raises `ShortOfMemoryError` where they do not, `ClusterError` where no scheduler or no worker answers
        within `timeout` seconds.
        """
        require_dask()
        with _quiet(), self._local(runs, memory) if self.scheduler is None else self._remote() as client:
            yield client

    @contextmanager
    def _local(self, runs: int, memory: float) -> Iterator[Any]:
        from distributed import Client

        with (
            _single_threads(),
            self._started(self._processes(runs, memory)) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            try:
                yield client
            except BaseException:
                _end_at_once(cluster)
                raise

    def _processes(self, runs: int, memory: float) -> int:
        """How many processes there are to be here."""
        from dask.system import CPU_COUNT

        most, each = min(self.workers or CPU_COUNT, runs), memory + OF_A_WORKER
        asked = most if self.workers else as_many(most, each, share=1.0)
        networks = "a network" if asked == 1 else f"{asked} networks"
        need(asked * each, f"training {networks} at a time", "fewer --workers or smaller networks need less")
        if asked < most:
            assume(
                f"{asked} of {most} processes are started, as each takes up to {in_words(each)} of memory; "
                "--workers (in Python Cluster(workers=...)) says otherwise"
            )
        return asked

    def _started(self, processes: int) -> Any:
        """Worker processes here, and their scheduler."""
        from distributed import LocalCluster

        try:
            with _ctrl_c_held_back():
                return LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",  # None would mean port 8787, which may be taken
                    silence_logs=logging.CRITICAL,
                )
        except (OSError, RuntimeError) as error:
            raise ClusterError(
                f"the worker processes did not start ({_last_words(error)}); try fewer, and in a script call this "
                "under `if __name__ == '__main__':`"
            ) from error

    @contextmanager
    def _remote(self) -> Iterator[Any]:
        from distributed import Client

        security = self._security()
        try:
            client = Client(self.scheduler, timeout=self.timeout, security=security, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {self.scheduler} within {self.timeout:g} s "
                f"({_last_words(error)}); start one with `dask scheduler`, or leave --scheduler out"
            ) from error
        try:
            self._await_workers(client)
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=self.timeout)

    def _await_workers(self, client: Any) -> None:
        try:
            client.wait_for_workers(1, timeout=self.timeout)
        except TimeoutError as error:
            raise ClusterError(
                f"the scheduler at {self.scheduler} has no workers; start some with "
                f"`dask worker {self.scheduler} --nthreads 1`"
            ) from error

    def _security(self) -> Any:
        from distributed.security import Security

        given = self._tls_files()
        for path in given.values():
            if not Path(path).is_file():
                raise ClusterError(f"there is no file {path}; name the cluster's own certificate and key")
        security = Security(require_encryption=True, **given) if given else Security()
        try:
            context = security.get_connection_args("client")["ssl_context"]
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"the TLS certificates cannot be used ({_last_words(error)}); name the cluster's own certificate "
                "and key, each a PEM file"
            ) from error
        if context is None and str(self.scheduler).startswith(ENCRYPTED):
            raise ClusterError(
                f"{self.scheduler} needs TLS certificates; give --tls-ca-file, --tls-cert and --tls-key, or name "
                "them in Dask's own configuration"
            )
        return security

    def _tls_files(self) -> dict[str, str]:
        files = {"tls_ca_file": self.tls_ca_file, "tls_client_cert": self.tls_cert, "tls_client_key": self.tls_key}
        return {name: str(path) for name, path in files.items() if path is not None}


def _end_at_once(cluster: Any) -> None:
    """End the worker processes, which keep nothing; Dask would wait for what they are at."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        if nanny.pid:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def require_dask() -> None:
    """Raise `MissingExtraError` where the extra is not installed; nothing is loaded."""
    if find_spec("distributed") is None or find_spec("filelock") is None:
        raise MissingExtraError("a sweep", "dask[distributed]", "sweep")


@contextmanager
def _single_threads() -> Iterator[None]:
    """Processes started within compute in one thread each, which is settled before they load NumPy."""
    before = {name: os.environ.get(name) for name in threads.NAMES}
    os.environ.update(dict.fromkeys(threads.NAMES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Threads and processes started within never see Ctrl-C, which a terminal sends to all: it is for us alone."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let the signal through again for the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own complaints are kept back: what matters of them is said as one of our errors."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _last_words(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[-1].strip()
