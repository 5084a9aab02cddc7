"""Sweeps with real worker processes, killed, interrupted, elsewhere: every run is kept once, and is the same."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from backquery.errors import ClusterError, MissingExtraError, OutputError
from backquery.experiments.sweep import Cluster, Grid, Runs, run_sweep
from backquery.experiments.sweep import lead as leading
from backquery.experiments.sweep.runs import DATABASE
from backquery.files import UNFINISHED
from tests.experiments.sweep.test_sweep import small_mnist
from tests.needs import needs

COMMAND = Path(sysconfig.get_path("scripts")) / "backquery"
OPTIONS = ["--hidden", "3,4,5,6", "--learning-rate", "0.1,0.2,0.3,0.4,0.5", "--epochs", "3", "--seeds", "10"]
GRID = Grid(
    hidden=[(3,), (4,), (5,), (6,)], learning_rates=[0.1, 0.2, 0.3, 0.4, 0.5], epochs=[3], seeds=10
)  # fmt: skip
RUNS = 200
TWO = Cluster(workers=2)
PATIENCE = 300.0
"""Seconds after which a test gives up; how long things take on a busy machine is not the matter here."""

needs("distributed", "filelock", "psutil")

import psutil  # noqa: E402


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("undisturbed"), []
    standing = run_sweep(GRID, "digits", folder, cluster=TWO, progress=lambda *now: told.append(now))
    assert (standing.trained, standing.failed, standing.before) == (RUNS, 0, 0)
    assert [done for done, _, _ in told] == list(range(RUNS + 1))
    assert all(what.startswith(f"{done} of {RUNS} runs, about ") for done, _, what in told[1:-1])
    assert told[-1] == (RUNS, RUNS, f"{RUNS} of {RUNS} runs")
    return folder


def kept(folder):
    """Each run without its clock, by its key; that the networks are what the rows say is checked on the way."""
    with Runs.existing(folder) as runs:
        found = list(runs)
    for run in found:
        assert sha256((folder / run.network).read_bytes()).hexdigest() == run.digest
    files = {path.relative_to(folder).as_posix() for path in (folder / "networks").iterdir()}
    assert files == {run.network for run in found}, "no network without its row, and no half-written file"
    assert len({run.setting.key for run in found}) == len(found)
    return {run.setting.key: replace(run, seconds=None, finished="") for run in found}


def workers_of(process=None):
    """The worker processes below this process or another; where setproctitle is installed, Dask names them so."""
    children = psutil.Process(process and process.pid).children(recursive=True)
    return [child for child in children if re.search("spawn_main|dask worker", " ".join(words_of(child)))]


def words_of(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def count(folder):
    if not (folder / DATABASE).is_file():
        return 0
    with Runs.existing(folder) as runs:
        return len(list(runs))


def until(condition):
    """Wait for something that must come true."""
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end, "it did not come true"
        sleep(0.02)


def test_workers_killed_at_random_lose_nothing(tmp_path, undisturbed):
    rng = np.random.default_rng()
    moments = {int(moment) for moment in rng.choice(np.arange(5, RUNS - 10), 4, replace=False)}
    killed = []

    def strike(ended, *_):
        if ended in moments and (workers := workers_of()):
            moments.remove(ended)
            victim = workers[rng.integers(len(workers))]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    standing = run_sweep(GRID, "digits", tmp_path, cluster=TWO, progress=strike)
    assert (standing.trained, standing.failed) == (RUNS, 0)
    assert len(set(killed)) >= 2, "the workers were to be killed"
    assert kept(tmp_path) == kept(undisturbed)
    assert workers_of() == []


def test_a_sweep_that_is_stopped_and_killed_goes_on_where_it_was(tmp_path, undisturbed, run):
    folder = tmp_path / "sweep"
    said = ended_by(stop_as_ctrl_c, folder, least=10, code=130)
    assert "the same command goes on" in said
    assert "Traceback" not in said
    ended_by(subprocess.Popen.kill, folder, least=60, code=-signal.SIGKILL)
    (folder / "networks" / UNFINISHED.format("killed")).write_bytes(b"what may be left at that moment")
    there = count(folder)
    code, out, err = run("sweep", "digits", "-o", folder, "--workers", "2", *OPTIONS, "--json")
    answer = json.loads(out)
    assert (code, answer["asked"], answer["before"], answer["trained"]) == (0, RUNS, there, RUNS - there)
    assert int(err.split(" of 200 runs")[0]) >= there, "it goes on from what was there"
    assert "190 of 200 runs" in err
    assert kept(folder) == kept(undisturbed)


def test_ctrl_c_waits_for_no_run_that_is_under_way(tmp_path):
    """Each of these runs would take minutes."""
    command = [
        COMMAND,
        "sweep",
        "digits",
        "-o",
        tmp_path,
        "--workers",
        "2",
        "--hidden",
        "2000",
        "--epochs",
        "2000",
    ]
    process = subprocess.Popen(
        [*command, "--seeds", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=heeding_ctrl_c,
    )  # fmt: skip
    try:
        until(lambda: sum(sum(worker.cpu_times()[:2]) > 8 for worker in workers_of(process)) == 2)
        workers, begun = workers_of(process), monotonic()
        stop_as_ctrl_c(process)
        _, said = process.communicate(timeout=PATIENCE)
        assert monotonic() - begun < 3
        assert (process.returncode, "the same command goes on" in said) == (130, True)
        assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []
    finally:
        process.kill()
        process.wait()


def stop_as_ctrl_c(process):
    """At a terminal it goes to all processes, workers too."""
    os.killpg(process.pid, signal.SIGINT)


def heeding_ctrl_c():
    """What a shell starts in the background ignores it, and so does all that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended_by(end, folder, least, code):
    """What a sweep says that is ended once there are so many runs; its workers must end with it."""
    command = [COMMAND, "sweep", "digits", "-o", folder, "--workers", "2", *OPTIONS]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding_ctrl_c
    )
    try:
        until(lambda: count(folder) >= least)
        workers = workers_of(process)
        assert len(workers) == 2
        end(process)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == code
        _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
        assert alive == []
        assert least <= count(folder) < RUNS
    finally:
        process.kill()
        process.wait()
    return said


def test_the_same_again_does_nothing_and_starts_nothing(undisturbed, run, monkeypatch):
    def connect(*arguments):
        raise AssertionError("no cluster is needed")

    monkeypatch.setattr(Cluster, "connect", connect)
    monkeypatch.setattr("backquery.experiments.sweep.worker.open_data", connect)
    code, out, err = run("sweep", "digits", "-o", undisturbed, *OPTIONS)
    assert (code, "nothing to do: all 200 runs" in err) == (0, True)
    assert "0.1" in out


def test_a_run_is_the_network_that_train_gives(undisturbed, run, tmp_path):
    with Runs.existing(undisturbed) as runs:
        found = next(one for one in runs if (one.setting.hidden, one.setting.learning_rate) == ("5", 0.3))
    options = ["--hidden", "5", "--learning-rate", "0.3", "--epochs", "3", "--seed", found.setting.seed]
    code, _, _ = run(
        "train", "digits", "-o", tmp_path / "x.safetensors", "--no-keep-prior", *map(str, options)
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "x.safetensors").read_bytes() == (undisturbed / found.network).read_bytes()


def test_failures_are_kept_while_the_rest_goes_on_and_tried_again_when_asked(tmp_path, monkeypatch):
    """A worker has one thread even where the user asks for four, whose settings are left as they were."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    grid = Grid(
        hidden=[(4,)], learning_rates=[0.1, 1e30], epochs=[2], seeds=1, activations=["relu", "identity"]
    )  # fmt: skip
    one = Cluster(workers=1)
    standing = run_sweep(grid, "digits", tmp_path, cluster=one)
    assert (standing.trained, standing.failed) == (1, 1)
    again = run_sweep(grid, "digits", tmp_path, cluster=one)
    assert (again.before, again.trained, again.failed) == (2, 0, 0)
    with Runs.existing(tmp_path) as runs:
        assert sorted(run.error or "" for run in runs)[1].startswith("training left the finite numbers")
    threads = []

    class Looking(Cluster):
        @contextmanager
        def connect(self, *arguments):
            with super().connect(*arguments) as client:
                threads.extend(client.run(blas_threads).values())
                yield client

    last = run_sweep(grid, "digits", tmp_path, cluster=Looking(workers=1), retry_failed=True)
    assert (last.before, last.trained, last.failed) == (1, 0, 1)
    assert count(tmp_path) == 2
    assert threads == [{1}]
    assert os.environ["OPENBLAS_NUM_THREADS"] == "4"


def test_a_sweep_of_which_nothing_ended_well_exits_with_1(run, tmp_path):
    options = ["--hidden", "4", "--epochs", "1", "--seeds", "2", "--workers", "1"]
    command = ["sweep", "digits", "-o", tmp_path, *options]
    wild = [*command, "--activation", "identity", "--learning-rate", "1e30"]
    code, out, err = run(*wild)
    assert (code, "2 runs failed" in out, "0 runs trained, 2 failed" in err) == (1, True, True)
    code, out, err = run(*wild)
    assert (code, "nothing to do" in err) == (1, True), "nor has it when nothing is tried again"
    code, out, _ = run(*wild, "--json")
    assert (code, json.loads(out)["before"]) == (1, 2)
    code, out, _ = run(*wild[:-1], "1e30,0.001", "--json")
    assert (code, json.loads(out)["trained"]) == (0, 2), "some have"
    code, _, err = run(*wild[:-1], "0.001,1e30")
    assert (code, "nothing to do" in err) == (0, True)


def blas_threads():
    from threadpoolctl import threadpool_info

    return {pool["num_threads"] for pool in threadpool_info()}


def deadly(plan, source, sent=None):
    """A run that no worker survives."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_that_kills_every_worker_is_given_up(tmp_path, monkeypatch):
    import dask

    monkeypatch.setattr(leading, "do_run", deadly)
    monkeypatch.setattr(leading, "MOST_DEATHS", 2)
    grid = Grid(hidden=[(3,)], epochs=[1], seeds=1)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        standing = run_sweep(grid, "digits", tmp_path, cluster=Cluster(workers=1))
    assert standing.failed == 1
    with Runs.existing(tmp_path) as runs:
        assert "its worker died every time" in next(iter(runs)).error


def test_a_network_that_was_damaged_is_trained_again(tmp_path):
    grid, one = Grid(hidden=[(3,)], epochs=[1], seeds=3), Cluster(workers=1)
    run_sweep(grid, "digits", tmp_path, cluster=one)
    before = kept(tmp_path)
    network = next(iter(before.values())).network
    content = bytearray((tmp_path / network).read_bytes())
    content[-1] ^= 1
    (tmp_path / network).write_bytes(content)
    standing = run_sweep(grid, "digits", tmp_path, cluster=one)
    assert (standing.before, standing.trained) == (2, 1)
    assert kept(tmp_path) == before


def test_what_cannot_be_kept_ends_the_sweep_and_its_workers(tmp_path):
    def fill(ended, *_):
        if ended == 1:
            shutil.rmtree(tmp_path / "networks")

    with pytest.raises(OutputError, match="there is no folder"):
        run_sweep(Grid(hidden=[(3,)], epochs=[1]), "digits", tmp_path, cluster=Cluster(workers=1), progress=fill)
    assert workers_of() == []
    assert count(tmp_path) == 1


# A cluster elsewhere


@contextmanager
def elsewhere(folder, *options, **environment):
    """A scheduler and a worker as somebody else would start them; their processes, and the scheduler's address."""
    file = folder / "scheduler.json"
    common = ["--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file), *options]
    programs = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0"],
        "worker": ["--nthreads", "1", "--no-nanny", "--death-timeout", "30"],
    }
    started = []
    try:
        for name, own in programs.items():
            command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *own, *common]
            started.append(
                subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **environment}, cwd=folder)
            )
            until(file.is_file)
        yield json.loads(file.read_text())["address"], started
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """One that vouches for itself, and its key."""
    needs("openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sweep",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


# Dask leaves its TLS socket to a lost scheduler unclosed.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_elsewhere_that_lack_the_data_are_sent_them_and_a_lost_scheduler_is_said(
    tmp_path, monkeypatch, certificate, run
):
    """By TLS; the worker finds no data under the name, because its environment is another."""
    monkeypatch.setenv("BACKQUERY_DATA", str(tmp_path))
    small_mnist(tmp_path / "mnist")
    cert, key = map(str, certificate)
    tls = ["--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]
    options = ["--hidden", "3,4", "--recipe", "minibatch", "--epochs", "2", "--seeds", "3"]  # nothing to compile
    bare = {"BACKQUERY_DATA": str(tmp_path / "no"), "XDG_CACHE_HOME": str(tmp_path / "no")}
    folder = tmp_path / "sweep"
    with elsewhere(tmp_path, *tls, **bare) as (address, started):
        assert address.startswith("tls://")
        code, out, err = run(
            "sweep", "mnist", "-o", folder, "--scheduler", address, *tls, *options, "--json"
        )  # fmt: skip
        assert (code, json.loads(out)["trained"]) == (0, 6), err

        def leave(ended, *_):
            if ended == 7:  # six were there
                started[0].kill()

        cluster = Cluster(scheduler=address, tls_ca_file=cert, tls_cert=cert, tls_key=key)
        grid = Grid(hidden=[(3,), (4,)], recipe="minibatch", epochs=[2], seeds=9)
        with pytest.raises(ClusterError, match="scheduler is gone"):
            run_sweep(grid, "mnist", folder, cluster=cluster, progress=leave)
    assert 7 <= count(folder) < 18
    gc.collect()
    standing = run_sweep(grid, "mnist", folder, cluster=Cluster(workers=1))
    assert standing.ended == 18
    assert len(kept(folder)) == 18


def test_a_scheduler_that_does_not_answer_is_one_clear_error(tmp_path, run):
    code, out, err = run("sweep", "digits", "-o", tmp_path, "--scheduler", "tcp://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in err
    with pytest.raises(ClusterError, match="there is no file"):
        run_sweep(GRID, "digits", tmp_path, cluster=Cluster(scheduler="tls://127.0.0.1:1", tls_cert="nothing.pem"))
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    unusable = Cluster(scheduler="tls://127.0.0.1:1", tls_ca_file=nothing, tls_cert=nothing, tls_key=nothing)
    with pytest.raises(ClusterError, match="certificates cannot be used"):
        run_sweep(GRID, "digits", tmp_path, cluster=unusable)
    assert count(tmp_path) == 0


ADDRESSES = [
    "foo", "udp://x", "udp://x:8786", "nonsense://", "tcp://", "tcp://host", "tcp://:8786", "tcp://host:0", "tcp://host:99999",
    "tcp://host:x", "TCP://host:8786", "inproc://host/1/1", "tcp://a..b:8786", "tcp://host:8786/", "", "\n",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_where_no_scheduler_can_be_is_refused_at_once(address):
    with pytest.raises(ClusterError, match="an address is tcp://HOST:PORT or tls://HOST:PORT"):
        Cluster(scheduler=address)


@pytest.mark.parametrize(
    "address",
    ["tcp://host:8786", "10.0.0.7:8786", "tls://head-1.example.org:8786", "tcp://[::1]:8786", "ws://h:80"],
)
def test_an_address_where_a_scheduler_can_be_is_taken(address):
    assert Cluster(scheduler=address).scheduler == address


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["foo"], "no Dask scheduler can be at foo"),
        (["tls://127.0.0.1:1"], "needs TLS certificates; give --tls-ca-file"),
        (["wss://127.0.0.1:1"], "needs TLS certificates"),
        (["tcp://127.0.0.1:1", "--tls-cert", "cert.pem"], "TLS files are for a tls:// address"),
    ],
)
def test_a_scheduler_that_cannot_be_asked_is_one_error_without_waiting(tmp_path, options, said):
    """In a process of its own, because Dask's complaints come when Python ends."""
    command = [COMMAND, "sweep", "digits", "-o", tmp_path, "--hidden", "3", "--scheduler", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    *_, error = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in error
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_a_second_sweep_in_the_same_folder_is_told_to_wait(tmp_path):
    told = []

    def second(ended, *_):
        if ended == 1:
            with pytest.raises(OutputError, match="another sweep is at work in"):
                run_sweep(grid, "digits", tmp_path)
            told.append(ended)

    grid = Grid(hidden=[(3,)], epochs=[1], seeds=3)
    standing = run_sweep(grid, "digits", tmp_path, cluster=Cluster(workers=1), progress=second)
    assert (len(told), standing.trained, len(kept(tmp_path))) == (1, 3, 3)


def test_certificates_without_a_scheduler_are_refused():
    with pytest.raises(ClusterError, match="name its scheduler"):
        Cluster(tls_cert="cert.pem")


def test_without_dask_the_error_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'backquery\[sweep\]'"):
        run_sweep(GRID, "digits", tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()
